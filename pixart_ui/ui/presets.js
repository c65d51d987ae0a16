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
    if (kind === "preset") owned(chosen.preset);
  }

  // Another's preset has its owner behind its name: it can be used, and not deleted or shown to anybody.
  function owned(name) {
    const isAnothers = name.includes("\n");
    const remove = document.querySelector('#presets [data-verb="delete"]');
    const toggle = document.querySelector("#presets [data-shared]");
    if (remove) remove.hidden = isAnothers;
    if (!toggle) return;
    const isShared = JSON.parse(toggle.dataset.shared).includes(name);
    toggle.hidden = !name || isAnothers;
    toggle.dataset.verb = isShared ? "to-own" : "to-all";
    toggle.textContent = isShared ? words.toOwn : words.toAll;
  }

  // What came of it stands at the top of the panel.
  function done() {
    byId("presets-message")?.scrollIntoView({ block: "nearest" });
  }

  Object.assign(acts, { preset: act });

  return { choose, done };
}
