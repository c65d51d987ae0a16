(words, start) => {
  // The page's script: follows /live and writes what it says into the live regions; keys; light and dark.
  // It knows no job: the server renders everything, buttons say in data-act what they are for.
  const byId = (id) => document.getElementById(id);
  const kept = (store, key, value) => {
    try {
      if (value === undefined) return store.getItem("pixart." + key) || "";
      store.setItem("pixart." + key, value);
    } catch (error) { /* storage is off: nothing is kept */ }
    return value || "";
  };

  const state = {
    mark: "", batch: kept(sessionStorage, "batch"), job: kept(sessionStorage, "job"),
    isBusy: false, isWhole: true, isCut: false, timer: 0, lost: "", polls: 0, isRestored: false, basis: null, predicting: 0, drafting: 0,
  };

  // Live regions -------------------------------------------------------------------------------------------------
  // Changes only what differs, so that pictures do not flicker, focus stays and screen readers hear news alone.
  function morph(old, fresh) {
    if (old.dataset?.keyed !== undefined) { morphKeyed(old, fresh); return; }
    const olds = [...old.childNodes], news = [...fresh.childNodes];
    news.forEach((node, index) => {
      const now = olds[index];
      if (!now) { old.appendChild(node); return; }
      if (now.nodeType !== node.nodeType || now.nodeName !== node.nodeName) { old.replaceChild(node, now); return; }
      if (now.nodeType === Node.TEXT_NODE) { if (now.data !== node.data) now.data = node.data; return; }
      update(now, node);
    });
    olds.slice(news.length).forEach((node) => node.remove());
  }

  function update(now, node) {
    for (const { name } of [...now.attributes]) if (!node.hasAttribute(name) && name !== "open") now.removeAttribute(name);
    for (const { name, value } of [...node.attributes]) if (now.getAttribute(name) !== value) change(now, name, value);
    morph(now, node);
  }

  // The children of a keyed list keep their elements wherever they move, and with them focus and what is ticked.
  function morphKeyed(old, fresh) {
    const known = new Map([...old.children].map((node) => [node.dataset.key, node]));
    const news = [...fresh.children], wanted = new Set(news.map((node) => node.dataset.key));
    for (const [key, node] of known) if (!wanted.has(key)) node.remove();
    let at = old.firstElementChild;
    for (const node of news) {
      const now = known.get(node.dataset.key);
      if (!now) { old.insertBefore(node, at); continue; }
      if (now === at) at = at.nextElementSibling;
      else if (old.moveBefore) old.moveBefore(now, at);
      else old.insertBefore(now, at);
      update(now, node);
    }
  }

  // A picture is replaced when the next one is there, so that nothing is ever blank in between.
  function change(element, name, value) {
    if (element.nodeName !== "IMG" || name !== "src") { element.setAttribute(name, value); return; }
    element.pending = value;
    const next = new Image();
    next.onload = () => { if (element.pending === value) element.setAttribute("src", value); };
    next.src = value;
  }

  // Style rules are confined to Gradio's container, so marks stand on an element inside it.
  function mark(name, isOn) {
    const workplace = byId("workplace");
    if (workplace) workplace.toggleAttribute("data-" + name, isOn);
  }

  function show(id, html) {
    const block = byId(id);
    if (!block) return false;
    let region = block.querySelector(".live");
    if (!region) {
      region = document.createElement("div");
      region.className = "live";
      (block.querySelector(".html-container") || block).replaceChildren(region);
    }
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    list.dress(fresh.content);
    compare.dress(fresh.content);
    gallery.dress(fresh.content);
    morph(region, fresh.content);
    return true;
  }

  // A tab that was never open has no regions yet: then the answer is asked for once more.
  function paint(answer) {
    const focused = document.activeElement, place = list.place(), shot = gallery.place();
    state.isWhole = Object.entries(answer.regions).map(([id, html]) => show(id, html)).every(Boolean);
    state.mark = state.isWhole ? answer.mark : "";
    state.isBusy = answer.is_busy;
    list.painted(place);
    compare.painted();
    system.painted();
    gallery.painted(shot);
    single.painted(answer);
    if (focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    document.title = answer.title;
    byId("tab-queue-button")?.setAttribute("data-count", answer.num_waiting ? answer.num_waiting.toLocaleString("en") : "");
    mark("busy", answer.is_busy);
    appear();
    restore();
    if (answer.basis !== state.basis) predict();
    state.basis = answer.basis;
  }

  // Gradio puts its parts in one by one, and each would push others away: they are shown when all are there.
  function appear() {
    const page = byId("tabs")?.parentElement;
    if (!page || !byId("header") || !byId("go") || page.hasAttribute("data-there")) return;
    page.toggleAttribute("data-there", true);
    if (tab() === "single" && document.activeElement === document.body) document.querySelector("#field-prompt textarea")?.focus();
  }

  // The estimate follows the form when it has come to rest, and the engine when that has learned something.
  function predict() {
    clearTimeout(state.predicting);
    state.predicting = setTimeout(() => byId("do-predict")?.click(), 200);
    drafted();
  }

  // So does what the left side of the queue would add.
  function draft() {
    clearTimeout(state.drafting);
    state.drafting = setTimeout(() => byId("do-draft")?.click(), 250);
  }

  function drafted() {
    if (tab() === "queue") draft();
    if (tab() === "compare") compare.draft();
  }

  function lost(why) {
    if (why === state.lost) return;
    state.lost = why;
    state.mark = "";
    const line = document.createElement("span");
    Object.assign(line, { className: "device", textContent: why });
    line.dataset.is = "trouble";
    if (why) show("engine", line.outerHTML);
  }

  // Gradio reloads the page up to two seconds after a cut connection is back, and what was pressed meanwhile would be
  // lost. So this reloads it itself, at once, and says that the app does not answer until then.
  async function poll() {
    clearTimeout(state.timer);
    if (document.hidden) return;
    const turn = ++state.polls;
    try {
      const query = new URLSearchParams({ mark: state.mark, tab: tab(), batch: state.batch, job: state.job, ...list.query(), ...compare.query(), ...gallery.query() });
      const answer = await fetch("/live?" + query, { cache: "no-store" }).catch((error) => { state.isCut = true; throw error; });
      if (turn !== state.polls) return;
      if (state.isCut && answer.ok) { location.reload(); return; }
      state.isCut ||= answer.status >= 500 && answer.status !== 503;
      lost(answer.ok ? "" : answer.status === 503 ? await answer.text() : words.lost);
      if (answer.status === 200) paint(await answer.json());
      list.tick(answer.headers.get("date"));
    } catch (error) {
      if (turn === state.polls) lost(words.lost);
    }
    if (turn === state.polls) state.timer = setTimeout(poll, !state.isWhole ? 100 : state.isBusy ? 400 : 750);
  }

  // Tabs: the one that is open stands in the address, so that a reload and a bookmark find it again ---------------
  function tab() {
    return document.querySelector("#tabs [role=tab][aria-selected=true]")?.dataset.tabId || "single";
  }

  function go(name) {
    byId(`tab-${name}-button`)?.click();
  }

  function turned() {
    history.replaceState(null, "", tab() === "single" ? location.pathname + location.search : "#" + tab());
    drafted();
    poll();
  }

  function look(batch, job) {
    state.batch = kept(sessionStorage, "batch", batch);
    state.job = kept(sessionStorage, "job", job);
    state.mark = "";
    poll();
  }

  // What buttons in live regions do ------------------------------------------------------------------------------
  function press(id, target) {
    window.pixart.target = target;
    byId(id)?.click();
  }

  function write(field, text) {
    const input = byId(field)?.querySelector("textarea, input");
    if (!input) return;
    const kind = input.tagName === "TEXTAREA" ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(input, text);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.focus();
  }

  function insert(field, text) {
    const input = byId(field)?.querySelector("textarea");
    if (!input) return;
    const [before, after] = [input.value.slice(0, input.selectionStart), input.value.slice(input.selectionEnd)];
    write(field, before + text + after);
    input.setSelectionRange(before.length + text.length, before.length + text.length);
  }

  const acts = {
    show: (data) => look(data.batch, data.job),
    example: (data) => write("example", data.name),
    wildcard: (data) => insert("field-lines", data.text),
    try: (data) => write("field-prompt", data.prompt),
    cancel: (data) => press("do-cancel", data.jobs),
    reuse: (data) => press("do-reuse", data.job),
    seed: (data) => press("do-seed", data.job),
    open: (data) => { go("single"); look(data.batch, data.job); },
    theme: () => paintScheme(kept(localStorage, "scheme", document.body.classList.contains("dark") ? "light" : "dark")),
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-act]");
    if (button) acts[button.dataset.act]?.(button.dataset, button);
    else if (event.target.closest?.("#generate")) asked();
    else if (event.target.closest?.("#enqueue")) mark("sent", true);
    else if (event.target.closest?.("#tabs > .tab-wrapper")) setTimeout(turned);
  });

  // What was pressed says so at once; the picture comes first on a phone.
  function asked() {
    mark("asked", true);
    mark("sent", true);
    if (matchMedia("(max-width: 900px)").matches) window.scrollTo({ top: 0 });
  }

  // A message stands beside the field that it is about, else under the form -----------------------------------------
  function told() {
    mark("sent", false);
    return single.told();
  }

  // While a job of the queue is changed its settings stand in the form, and other buttons below it.
  function isEditing() {
    return byId("workplace")?.hasAttribute("data-editing");
  }

  function editing(job) {
    const was = isEditing();
    mark("editing", Boolean(job));
    if (was !== Boolean(job)) go(job ? "single" : "queue");
    if (!told() && job) document.querySelector("#field-prompt textarea")?.focus();
  }

  function follow(batch) {
    if (told()) mark("asked", false);
    else look(batch, "");
  }

  // Keys: Ctrl or Cmd with Enter generates, with Shift it adds to the queue; Esc cancels --------------------------
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      const [first, second] = isEditing() ? ["save-job", "save-new"] : ["generate", "enqueue"];
      byId({ queue: "add", compare: "compare-start" }[tab()] || (event.shiftKey ? second : first))?.click();
    } else if (event.key === "Tab" && event.target.matches?.("input[role=combobox]")) {
      event.stopPropagation(); // or Gradio opens the list anew that it closes as the focus leaves
    } else if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector(".option-list, dialog[open]")) {
      if (tab() === "queue") list.escape();
      else if (tab() === "compare") compare.escape();
      else if (tab() === "gallery") gallery.escape();
      else if (!isEditing()) document.querySelector("#stage [data-act=cancel]")?.click();
    }
  }, true);

  // Light and dark -----------------------------------------------------------------------------------------------
  function paintScheme(scheme) {
    if (scheme) document.body.classList.toggle("dark", scheme === "dark");
  }

  // What was typed outlives a reload, also the one with which Gradio answers a restart of the server --------------
  document.addEventListener("input", (event) => {
    if (event.target.closest?.("#field-prompt")) kept(sessionStorage, "prompt", event.target.value);
  });

  function restore() {
    const prompt = document.querySelector("#field-prompt textarea");
    if (!prompt || state.isRestored) return;
    state.isRestored = true;
    if (!prompt.value && kept(sessionStorage, "prompt")) write("field-prompt", kept(sessionStorage, "prompt"));
    if (["#queue", "#compare", "#gallery", "#system"].includes(location.hash)) go(location.hash.slice(1));
    single.restored();
  }

  const list = start.queue({ words, byId, kept, show, press, poll, acts, go });
  const compare = start.compare({ words, byId, kept, show, press, poll, acts, go, ask: list.ask, answered: list.answered });
  const gallery = start.gallery({ words, byId, kept, show, press, poll, acts, go, tab, ask: list.ask, answered: list.answered });
  const single = start.single({ words, byId, kept, press, acts, write, go, tab });
  const system = start.system({ words, byId, press, acts, ask: list.ask, answered: list.answered });
  const presets = start.presets({ words, byId, press, acts, ask: list.ask, answered: list.answered });
  window.pixart = { target: "", readPrompt: single.readPrompt, remember: single.remember, remembered: single.remembered, follow, told, look, predict, draft, editing, show, answered: list.answered, compareDraft: drafted, compared: compare.started, took: gallery.took, preset: presets };
  if (!new URLSearchParams(location.search).has("__theme")) paintScheme(kept(localStorage, "scheme"));
  document.addEventListener("visibilitychange", poll);
  poll();
}
