(page) => {
  // Presets on Single: buttons say what they do to the chosen preset; questions come before what cannot be undone.
  const { words, byId, press, acts, ask } = page;
  const chosen = { preset: "", style: "" };

  function act(data) {
    const name = chosen[data.of];
    const work = () => press("do-preset", data.verb);
    if (data.ask && name) ask(data.ask.replace("{name}", name), work);
    else work();
  }

  // A preset or style was chosen: what is shared is that one, or everything that is kept.
  function choose(kind, name) {
    chosen[kind] = name || "";
    const link = document.querySelector("#presets [data-share]");
    if (link && kind === "preset") link.href = "/presets.json" + (name ? "?" + new URLSearchParams({ name }) : "");
    if (link && kind === "preset") link.textContent = name ? words.share : words.shareAll;
  }

  // What came of it stands at the top of the panel.
  function done() {
    byId("presets-message")?.scrollIntoView({ block: "nearest" });
  }

  Object.assign(acts, { preset: act });

  return { choose, done };
}
