(page) => {
  // The Single tab and what surrounds all tabs: what T5 reads, what this browser remembers, messages beside their
  // fields, the page's icon, shortcuts, and names that Gradio's parts lack for those who cannot see them.
  const { byId, kept, press, acts, write, go, tab } = page;
  const ICONS = { idle: "/look/favicon.svg", busy: "/look/favicon-busy.svg", paused: "/look/favicon-paused.svg" };
  let reading = 0, isRecalled = false;

  // The prompt ---------------------------------------------------------------------------------------------------
  function readPrompt() {
    clearTimeout(reading);
    reading = setTimeout(() => byId("do-read")?.click(), 200);
  }

  acts.idea = (data) => write("field-prompt", data.prompt);

  // What this browser remembers: the form but for the prompt, and whether Advanced is open -----------------------------
  function remember(names, values) {
    if (!isRecalled || byId("workplace")?.hasAttribute("data-editing")) return;
    kept(localStorage, "form", JSON.stringify(Object.fromEntries(names.map((name, index) => [name, values[index]]))));
  }

  const advanced = () => byId("advanced")?.querySelector("button.label-wrap");

  function restored() {
    if (kept(localStorage, "form")) byId("do-recall")?.click();
    // What is set while that comes back is news again only afterwards.
    setTimeout(() => { isRecalled = true; }, 1000);
    if (kept(localStorage, "advanced") && advanced() && !advanced().classList.contains("open")) advanced().click();
    readPrompt();
  }

  document.addEventListener("click", (event) => {
    if (event.isTrusted && advanced()?.contains(event.target)) {
      setTimeout(() => kept(localStorage, "advanced", advanced().classList.contains("open") ? "open" : ""));
    }
  });

  // A message stands beside the field that it is about; the one under the form is then for listeners alone -----------
  function told() {
    for (const input of document.querySelectorAll("[aria-invalid=true]")) {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
    for (const beside of document.querySelectorAll(".beside-field")) beside.remove();
    const message = document.querySelector("#message [data-field]");
    const block = message?.dataset.field && byId("field-" + message.dataset.field);
    byId("message")?.classList.toggle("heard", Boolean(block));
    if (!block) return Boolean(message);
    if (block.offsetParent === null) advanced()?.click();
    const beside = document.createElement("p");
    Object.assign(beside, { className: "message problem beside-field", id: "problem-beside", textContent: message.textContent });
    (block.closest("#seed-row") || block).append(beside);
    for (const input of block.querySelectorAll("input, textarea")) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", beside.id);
    }
    block.querySelector("textarea, input")?.focus();
    beside.scrollIntoView({ block: "nearest" });
    return true;
  }

  // The page's icon says what its title says -------------------------------------------------------------------------
  function painted(answer) {
    const wanted = ICONS[answer.is_busy ? "busy" : document.querySelector("#paused .message") ? "paused" : "idle"];
    let icon = document.querySelector("link[rel~=icon]");
    if (!icon) document.head.append(icon = Object.assign(document.createElement("link"), { rel: "icon" }));
    if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
  }

  // Shortcuts ----------------------------------------------------------------------------------------------------
  const sheet = () => document.querySelector("dialog.keys");
  acts.keys = () => sheet()?.showModal();
  acts["keys-close"] = () => sheet()?.close();

  function isTyping(element) {
    return element?.matches?.("textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=range], [type=button])");
  }

  // A tab that was not open shows its fields with the next frame.
  function toPrompt() {
    go("single");
    requestAnimationFrame(() => document.querySelector("#field-prompt textarea")?.focus());
  }

  function turnTo(tabs, index) {
    tabs[index]?.click();
    tabs[index]?.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const tabs = [...document.querySelectorAll("#tabs [role=tab]")], at = tabs.indexOf(event.target);
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: tabs.length - 1 - at }[event.key];
    if (at >= 0 && step !== undefined) turnTo(tabs, (at + step + tabs.length) % tabs.length);
    else if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    else if (event.key === "?") acts.keys();
    else if (event.key === "/") toPrompt();
    else if (/^[1-9]$/.test(event.key) && tabs[event.key - 1]) turnTo(tabs, event.key - 1);
    else return;
    event.preventDefault();
  });

  // What Gradio leaves out: groups have names, radios of one group one name (so that arrows move), folds say whether
  // they are open, and choices are one stop of the Tab key.
  function complete() {
    for (const group of document.querySelectorAll("fieldset.block")) {
      const name = group.querySelector("[data-testid=block-info]")?.textContent.trim();
      if (name && group.getAttribute("aria-label") !== name) group.setAttribute("aria-label", name);
      for (const radio of group.querySelectorAll("input[type=radio]")) if (radio.name !== group.id) radio.name = group.id;
    }
    for (const fold of document.querySelectorAll(".gr-accordion > button.label-wrap")) {
      const isOpen = String(fold.classList.contains("open"));
      if (fold.getAttribute("aria-expanded") !== isOpen) fold.setAttribute("aria-expanded", isOpen);
    }
  }

  let completing = 0;
  new MutationObserver(() => {
    if (!completing) completing = requestAnimationFrame(() => { completing = 0; complete(); });
  }).observe(document.body, { childList: true, subtree: true, attributeFilter: ["class"], attributes: true });
  complete();

  return { readPrompt, remember, remembered: () => kept(localStorage, "form"), restored, told, painted };
}
