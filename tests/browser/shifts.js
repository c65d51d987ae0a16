() => {
  // Collects every layout shift in window.shifts, with what moved: `#id > tag.class x,y,width,height -> …`.
  window.shifts = [];
  const box = (rect) => [rect.x, rect.y, rect.width, rect.height].map(Math.round).join();
  const name = (element) => (element.id ? "#" + element.id : [element.localName, ...element.classList].slice(0, 2).join("."));
  const path = (node) => {
    const names = [];
    for (let at = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node; at?.localName; at = at.parentElement) {
      names.unshift(name(at));
      if (at.id) break;
    }
    return names.join(" > ");
  };
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) {
      const moved = sources.map(({ node, previousRect, currentRect }) => `${path(node)} ${box(previousRect)} -> ${box(currentRect)}`);
      window.shifts.push({ value, moved });
    }
  }).observe({ type: "layout-shift", buffered: false });
}
