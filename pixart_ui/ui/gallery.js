(page) => {
  // The Gallery: filters, what is selected, the picture that is open, and PNGs that are dropped. What is selected, open and
  // filtered belongs to this browser; all else is the server's.
  const { words, byId, kept, show, press, poll, acts, go, tab, ask, answered } = page;
  const FILTERS = ["checkpoint", "precision", "style", "when", "from", "to"];
  const NOTHING = { page: 1, kind: "all", text: "", picture: "", ...Object.fromEntries(FILTERS.map((name) => [name, ""])) };
  const view = { ...NOTHING, ...remembered() };
  const picked = new Set();
  // Whether all pages are meant, beyond the pictures that are here.
  let isWhole = false;
  let anchor = "", searching = 0, pressed = null, wanted = 0, dragged = 0;

  const shots = () => [...document.querySelectorAll("#gallery-grid .shot")];
  const shot = (key) => document.querySelector(`#gallery-grid .shot[data-key="${key}"]`);
  const box = (element) => element?.querySelector(".pick");
  const sheet = () => document.querySelector("#gallery-detail .sheet");
  const wall = () => document.querySelector("#gallery-grid .wall");
  const isNarrow = () => matchMedia("(max-width: 1099px)").matches;

  // What is shown ------------------------------------------------------------------------------------------------
  function remembered() {
    try { return JSON.parse(kept(sessionStorage, "gallery") || "{}"); } catch (error) { return {}; }
  }

  function query() {
    if (tab() !== "gallery") return {};
    return { ...narrowed(), "g-page": view.page, "g-picture": view.picture, "g-known": wall()?.dataset.digest || "" };
  }

  function narrowed() {
    const found = { "g-kind": view.kind, "g-text": view.text, ...days() };
    for (const name of ["checkpoint", "precision", "style"]) found["g-" + name] = view[name];
    return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ""));
  }

  // Days are those of whoever looks; the server gets seconds.
  function days() {
    const midnight = new Date(new Date().setHours(0, 0, 0, 0)), ago = (count) => new Date(midnight).setDate(midnight.getDate() - count) / 1000;
    if (view.when !== "between") return { "g-since": { today: ago(0), week: ago(6), month: ago(29) }[view.when] ?? "" };
    const day = (text, plus) => { const [year, month, date] = text.split("-").map(Number); return new Date(year, month - 1, date + plus).getTime() / 1000; };
    return { "g-since": view.from ? day(view.from, 0) : "", "g-until": view.to ? day(view.to, 1) : "" };
  }

  function turn(changes, isSelectionKept) {
    Object.assign(view, changes);
    kept(sessionStorage, "gallery", JSON.stringify({ ...view, picture: "" }));
    if (!isSelectionKept) unselect();
    poll();
  }

  Object.assign(acts, {
    "gallery-kind": (data) => turn({ kind: data.kind, page: 1, picture: "" }),
    "gallery-page": (data) => { turn({ page: Number(data.page) }); byId("gallery-main").scrollIntoView({ block: "start" }); },
    "gallery-clear": () => { turn({ ...NOTHING }); setFields(); },
    "gallery-make": () => { go("single"); setTimeout(() => document.querySelector("#field-prompt textarea")?.focus(), 50); }, // it is shown by then
    "gallery-open": () => { const input = pngInput(); if (input) { input.accept = ".png"; input.click(); } },
    "gallery-selected": (data) => (data.ask ? ask(data.ask, () => chosen(data.verb)) : chosen(data.verb)),
    "gallery-whole": () => { isWhole = true; reflect(); },
    "gallery-unselect": () => { const first = shot([...picked][0]); unselect(); box(first)?.focus(); },
    "gallery-close": close,
    "gallery-step": (data) => step(Number(data.by)),
    "gallery-take": (data) => press("do-gallery-" + data.how, data.id),
    "gallery-vary": (data, button) => press("do-gallery", `vary:${data.id}:${button.parentElement.querySelector("input").value}`),
    "gallery-copy": (data, button) => copy(button),
    gallery: (data) => (data.ask ? ask(data.ask, () => act(data.verb, data.jobs)) : act(data.verb, data.jobs)),
    picture: (data, button) => {
      const key = data.id;
      if (pressed?.shiftKey) select(anchor ? range(anchor, key) : [key], true);
      else if (pressed?.ctrlKey || pressed?.metaKey) select([key], !picked.has(key));
      else open(key);
      anchor = key;
      focus(button.closest(".shot"), !isNarrow());
    },
  });

  document.addEventListener("click", (event) => { pressed = event; }, true);
  document.addEventListener("mousedown", (event) => {
    if (event.shiftKey && event.target.closest?.("#gallery-grid .shot")) event.preventDefault();
  });

  document.addEventListener("input", (event) => {
    const field = event.target;
    if (field.matches?.("#gallery-search input")) {
      clearTimeout(searching);
      searching = setTimeout(() => turn({ text: field.value.trim(), page: 1, picture: "" }), 200);
    } else if (field.matches?.("#gallery-filters [data-filter]")) {
      turn({ [field.dataset.filter]: field.value, page: 1, picture: "" });
      setDays();
    }
  });

  function setFields() {
    const search = byId("gallery-search")?.querySelector("input");
    if (search && search !== document.activeElement && search.value !== view.text) search.value = view.text;
    for (const field of document.querySelectorAll("#gallery-filters [data-filter]")) {
      if (field !== document.activeElement && field.value !== view[field.dataset.filter]) field.value = view[field.dataset.filter];
    }
    setDays();
  }

  function setDays() {
    const days = document.querySelector("#gallery-filters .days");
    if (days) days.hidden = view.when !== "between";
  }

  // Where the focus is in the grid, for when its picture leaves.
  function place() {
    const focused = document.activeElement?.closest?.("#gallery-grid .shot, #gallery-bar");
    return !focused ? -1 : focused.id ? shots().indexOf(shot([...picked][0])) : shots().indexOf(focused);
  }

  function painted(place) {
    const shown = wall();
    if (!shown || tab() !== "gallery") return;
    view.page = Number(shown.dataset.page);
    if (!sheet()) view.picture = ""; // it was removed
    setFields();
    const here = shots(), keys = new Set(here.map((element) => element.dataset.key));
    for (const key of picked) if (!keys.has(key)) picked.delete(key);
    if (isWhole) for (const key of keys) picked.add(key);
    if (wanted) { const target = here.at(wanted > 0 ? 0 : -1); wanted = 0; if (target) { open(target.dataset.key); focus(target, true); } }
    reflect();
    const isLost = place >= 0 && (document.activeElement === document.body || document.activeElement?.closest("[hidden]"));
    if (isLost) box(here[Math.min(place, here.length - 1)])?.focus({ preventScroll: true });
  }

  // What is selected ---------------------------------------------------------------------------------------------
  function reflect() {
    const all = shots(), trash = view.kind === "deleted";
    const home = all.find((element) => box(element) === document.activeElement) || shot(anchor) || all.find((element) => box(element).tabIndex === 0) || all[0];
    for (const element of all) {
      box(element).checked = picked.has(element.dataset.key);
      box(element).tabIndex = element === home ? 0 : -1;
      element.toggleAttribute("data-current", element.dataset.key === view.picture);
    }
    byId("galleryplace")?.toggleAttribute("data-picking", picked.size > 0);
    byId("galleryplace")?.toggleAttribute("data-open", Boolean(view.picture));
    const bar = document.querySelector("#gallery-bar .bar");
    if (!bar) return;
    const total = Number(wall()?.dataset.total || 0), isAll = picked.size > 0 && all.every((element) => picked.has(element.dataset.key));
    bar.hidden = picked.size === 0;
    bar.querySelector(".num").textContent = words.selected.replace("{count}", (isWhole ? total : picked.size).toLocaleString("en"));
    bar.querySelector("[data-whole]").hidden = isWhole || !isAll || total <= picked.size;
    for (const verb of bar.querySelectorAll("[data-in]")) verb.hidden = (verb.dataset.in === "trashed") !== trash;
    const starred = [...picked].every((key) => shot(key)?.hasAttribute("data-starred"));
    for (const [name, isOff] of [["star", starred], ["unstar", !starred]]) bar.querySelector(`[data-verb=${name}]`).hidden = trash || isOff;
    bar.querySelector("[data-verb=compare]").hidden = trash || isWhole;
    const zip = bar.querySelector("[data-zip]");
    zip.hidden = trash;
    zip.href = "/gallery.zip?" + new URLSearchParams(isWhole ? narrowed() : { pictures: [...picked].join() });
  }

  function select(keys, isOn) {
    isWhole = false;
    for (const key of keys) picked[isOn ? "add" : "delete"](key);
    reflect();
  }

  function unselect() {
    isWhole = false;
    picked.clear();
    reflect();
  }

  function range(from, to) {
    const keys = shots().map((element) => element.dataset.key);
    const ends = [keys.indexOf(from), keys.indexOf(to)].sort((a, b) => a - b);
    return ends[0] < 0 ? [to] : keys.slice(ends[0], ends[1] + 1);
  }

  function focus(element, isScrolled) {
    if (!element) return;
    anchor = element.dataset.key;
    box(element).focus({ preventScroll: true });
    if (isScrolled) element.scrollIntoView({ block: "nearest" });
    reflect();
  }

  document.addEventListener("click", (event) => {
    const element = event.target.matches?.("#gallery-grid .pick") && event.target.closest(".shot");
    if (!element) return;
    const key = element.dataset.key, isOn = event.target.checked;
    select(event.shiftKey && anchor ? range(anchor, key) : [key], isOn);
    anchor = key;
  });

  // Keys in the grid: arrows move, with Shift they select, Enter opens, Space selects, S stars, Del deletes -----------
  document.addEventListener("keydown", (event) => {
    const element = event.target.matches?.("#gallery-grid .pick") && event.target.closest(".shot");
    const isCommand = event.ctrlKey || event.metaKey;
    if (!element) { inSheet(event); return; }
    if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") {
      if (event.altKey || isCommand) return;
      const target = neighbour(element, event.key);
      if (event.shiftKey) select([element.dataset.key, target.dataset.key], true);
      focus(target, true);
      if (sheet() && !isNarrow()) open(target.dataset.key);
    } else if (isCommand && event.key.toLowerCase() === "a") select(shots().map((each) => each.dataset.key), true);
    else if (event.key === "Enter" && !isCommand) open(element.dataset.key);
    else if (event.key.toLowerCase() === "s" && !isCommand && view.kind !== "deleted") chosen(element.hasAttribute("data-starred") ? "unstar" : "star", element);
    else if (event.key === "Delete" && view.kind !== "deleted") chosen("delete", element);
    else return;
    event.preventDefault();
  });

  function inSheet(event) {
    const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (!isPlain || !event.target.closest?.("#gallery-detail") || event.target.closest("input, pre, summary")) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  }

  // Rows have pictures of different widths: up and down go to the one whose middle is nearest.
  function neighbour(element, key) {
    const all = shots(), at = all.indexOf(element);
    if (key === "Home") return all[0];
    if (key === "End") return all.at(-1);
    if (key === "ArrowLeft") return all[Math.max(0, at - 1)];
    if (key === "ArrowRight") return all[Math.min(all.length - 1, at + 1)];
    const middle = (each) => each.offsetLeft + each.offsetWidth / 2;
    const rows = [...new Set(all.map((each) => each.offsetTop))], row = rows.indexOf(element.offsetTop) + (key === "ArrowDown" ? 1 : -1);
    const there = all.filter((each) => each.offsetTop === rows[row]);
    return there.reduce((best, each) => (Math.abs(middle(each) - middle(element)) < Math.abs(middle(best) - middle(element)) ? each : best), there[0] || element);
  }

  // What is done -------------------------------------------------------------------------------------------------
  // With the selected pictures, or the one in focus where none is.
  function chosen(verb, element) {
    const keys = picked.size ? [...picked] : element ? [element.dataset.key] : [];
    if (!keys.length) return;
    if (verb === "compare") press("do-gallery-compare", keys.join());
    else act(verb, isWhole ? "*" + new URLSearchParams(narrowed()) : keys.join());
  }

  function act(verb, jobs) {
    const leaves = ["delete", "restore", "purge"].includes(verb) && String(jobs).split(",").includes(view.picture);
    if (leaves && sheet()) leave();
    press("do-gallery", `${verb}:${jobs}`);
  }

  // The open picture goes: the next one takes its place in the panel.
  function leave() {
    const all = shots(), at = all.findIndex((element) => element.dataset.key === view.picture);
    const next = all[at + 1] || all[at - 1];
    if (next && at >= 0) { open(next.dataset.key); focus(next, false); } else close();
  }

  // One picture --------------------------------------------------------------------------------------------------
  function open(key) {
    const was = view.picture;
    view.picture = key;
    reflect();
    poll();
    if (!was && isNarrow()) setTimeout(() => document.querySelector("#gallery-detail .close")?.focus(), 250);
  }

  function close() {
    const key = view.picture;
    view.picture = "";
    show("gallery-detail", "");
    reflect();
    poll();
    box(shot(key))?.focus({ preventScroll: true });
  }

  function step(by) {
    const all = shots(), at = all.findIndex((element) => element.dataset.key === view.picture), next = all[at + by];
    if (next) { open(next.dataset.key); next.scrollIntoView({ block: "nearest" }); return; }
    const turned = document.querySelector(`#gallery-grid [data-turn=${by > 0 ? "next" : "previous"}]:not(:disabled)`);
    if (!turned) return;
    wanted = by;
    turn({ page: Number(turned.dataset.page) });
  }

  // Without https a browser has no clipboard for scripts, but it copies what is selected.
  async function copy(button) {
    const text = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch (error) {
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    const label = button.textContent;
    if (label === words.galleryCopied) return;
    button.textContent = words.galleryCopied;
    setTimeout(() => { button.textContent = label; }, 2000);
  }

  // A PNG that is dropped on this tab or on Single ----------------------------------------------------------------
  const pngInput = () => byId("field-png")?.querySelector("input[type=file]");
  const holdsFiles = (event) => ["gallery", "single"].includes(tab()) && [...(event.dataTransfer?.types || [])].includes("Files");

  function veil(isShown) {
    let veil = byId("drop-veil");
    if (!veil && isShown) {
      veil = document.createElement("div");
      veil.id = "drop-veil";
      veil.textContent = words.galleryDrop;
      document.querySelector(".gradio-container").append(veil);
    }
    if (veil) veil.hidden = !isShown;
  }

  document.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { dragged += 1; veil(true); } }, true);
  document.addEventListener("dragleave", (event) => { if (holdsFiles(event) && --dragged <= 0) { dragged = 0; veil(false); } }, true);
  document.addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); }, true);
  document.addEventListener("drop", (event) => {
    dragged = 0;
    veil(false);
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const input = pngInput(), file = event.dataTransfer.files[0];
    if (!input || !file) return;
    const one = new DataTransfer();
    one.items.add(file);
    input.files = one.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);

  // Settings were taken out of a picture: on to where they are now.
  function took(html, name) {
    answered(html);
    if (!name) return;
    go(name);
    window.pixart.told();
    if (name === "compare" && !byId("compareplace")?.hasAttribute("data-new")) acts["compare-new"]({});
    if (name === "single" && isNarrow()) window.scrollTo({ top: 0 });
  }

  // Times, in the words and the time zone of who looks ------------------------------------------------------------
  function dress(content) {
    for (const element of content.querySelectorAll("[data-made]")) {
      const date = new Date(Number(element.dataset.made) * 1000);
      element.textContent = date.toLocaleString(undefined, { day: "numeric", month: "short", year: "numeric", hour: "numeric", minute: "2-digit" });
    }
  }

  // Esc closes what is open, then lets the selection go.
  function escape() {
    if (document.querySelector("#toast .toast")) answered("");
    else if (sheet()) close();
    else unselect();
  }

  return { query, place, painted, dress, took, escape };
}
