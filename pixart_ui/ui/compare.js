(page) => {
  // The Compare tab: which comparison is open, which two pictures are chosen, the order of tables, the moment on the
  // timeline. All of that belongs to this browser; what is shown is the server's.
  const { words, byId, kept, show, press, poll, acts, go, ask } = page;
  const view = { comparison: kept(sessionStorage, "comparison"), room: kept(sessionStorage, "room"), isNew: null };
  const pair = { keys: [], mode: kept(localStorage, "pair-mode") || "slider", zoom: "fit", at: 50, asked: "" };
  const orders = new Map(); // of each table by its title: the column and whether it goes up
  const open = new Set(); // folds by their name
  let drafting = 0, moment = null;

  const query = () => ({ comparison: view.comparison, room: view.room });
  const dialog = () => byId("pair");
  const cards = () => [...document.querySelectorAll("#compare-grid .pickable")];
  const card = (key) => document.querySelector(`#compare-grid .pickable[data-run="${key}"]`);
  const each = (selector, work, root = document) => root.querySelectorAll(selector).forEach(work);

  // What is asked -----------------------------------------------------------------------------------------------
  function draft() {
    clearTimeout(drafting);
    drafting = setTimeout(() => byId("do-compare-draft")?.click(), 250);
  }

  function openNew(isOpen) {
    view.isNew = isOpen;
    byId("compareplace")?.toggleAttribute("data-new", isOpen);
    document.querySelector("[data-act=compare-new]")?.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) draft();
  }

  function started(html, id) {
    page.answered(html);
    if (!id) return;
    openNew(false);
    turn(id);
  }

  function turn(id) {
    pair.keys = [];
    view.comparison = kept(sessionStorage, "comparison", id);
    poll();
  }

  Object.assign(acts, {
    "compare-new": () => openNew(!view.isNew),
    "compare-open": (data, button) => { button.closest("details").open = false; openNew(false); turn(data.id); },
    compare: (data) => {
      const work = () => press("do-compare", `${data.verb}:${data.id}`);
      if (data.ask) ask(data.ask, work); else work();
    },
    "compare-rename": (data) => rename(data.id, data.name),
    "compare-this": (data) => { press("do-reuse", data.job); go("compare"); openNew(true); },
    pick: (data, button) => pick(button.dataset.run),
    sort: (data, button) => sort(button.closest("th")),
    "pair-mode": (data) => { pair.mode = kept(localStorage, "pair-mode", data.value); lay(); },
    "pair-zoom": (data) => { pair.zoom = data.value; lay(); },
    "pair-swap": () => { pair.keys.reverse(); lay(); },
    "pair-close": () => dialog()?.close(),
  });

  function rename(id, name) {
    const form = document.createElement("dialog"), label = document.createElement("label"), input = document.createElement("input");
    form.className = "ask";
    label.textContent = words.name;
    Object.assign(input, { type: "text", value: name, maxLength: 120, className: "search" });
    const save = () => { form.close(); press("do-compare", `rename:${id}:${input.value}`); };
    input.onkeydown = (event) => { if (event.key === "Enter") save(); };
    label.append(input);
    form.append(label);
    for (const [text, work] of [[words.leave, () => form.close()], [words.save, save]]) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: text, className: "quiet", onclick: work });
      form.append(button);
    }
    form.onclose = () => form.remove();
    document.querySelector(".gradio-container").append(form);
    form.showModal();
    input.select();
  }

  // What stays as it is here when news come: order, choice, folds --------------------------------------------------
  function dress(content) {
    each("table[data-table]", (table) => arrange(table), content);
    each("details[data-keep]", (fold) => { fold.open = open.has(fold.dataset.keep); }, content);
    each(".pickable", (button) => button.setAttribute("aria-pressed", String(pair.keys.includes(button.dataset.run))), content);
    const hint = content.querySelector("#pick-hint");
    if (hint) hint.textContent = pair.keys.length === 1 ? words.picked : words.pick;
    each("#compare-room", (select) => { select.value = view.room; }, content);
  }

  function painted() {
    const told = document.querySelector("#compare-head [data-comparison]");
    const isThere = byId("compareplace") && byId("compare-head")?.querySelector(".live");
    if (isThere && byId("compareplace").hasAttribute("data-new") !== (view.isNew ?? !told)) openNew(view.isNew ?? !told);
    if (told && told.dataset.comparison !== view.comparison && view.comparison) {
      view.comparison = kept(sessionStorage, "comparison", "");
      pair.keys = [];
    }
    if (moment !== null) point(moment);
  }

  document.addEventListener("toggle", (event) => {
    const fold = event.target.dataset?.keep;
    if (fold) open[event.target.open ? "add" : "delete"](fold);
  }, true);

  document.addEventListener("change", (event) => {
    if (event.target.id === "compare-room") { view.room = kept(sessionStorage, "room", event.target.value); poll(); }
    const side = event.target.dataset?.choose;
    if (side) choose(side, event.target.value);
  });

  // Tables -------------------------------------------------------------------------------------------------------
  function sort(cell) {
    const table = cell.closest("table"), isUp = cell.getAttribute("aria-sort") !== "ascending";
    orders.set(table.dataset.table, { column: cell.cellIndex, isUp });
    arrange(table);
  }

  function arrange(table) {
    const order = orders.get(table.dataset.table);
    const cells = table.tHead.rows[0].cells;
    if (!order || !cells[order.column]) return;
    for (const cell of cells) cell.removeAttribute("aria-sort");
    cells[order.column].setAttribute("aria-sort", order.isUp ? "ascending" : "descending");
    const worth = (row) => row.cells[order.column].dataset.worth ?? "", way = order.isUp ? 1 : -1;
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const [x, y] = [Number(a), Number(b)];
      return way * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x < y ? -1 : x > y ? 1 : 0);
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => compare(worth(a), worth(b))));
  }

  // Two pictures -------------------------------------------------------------------------------------------------
  function pick(key) {
    pair.keys = pair.keys.includes(key) ? pair.keys.filter((other) => other !== key) : [...pair.keys, key].slice(-2);
    dress(document);
    if (pair.keys.length === 2) { fill(); lay(); dialog().showModal(); lay(); handle().focus(); }
  }

  const handle = () => dialog().querySelector("input[type=range]");

  // Once the window is closed, the next two are chosen afresh; the focus goes back by itself.
  document.addEventListener("close", (event) => {
    if (event.target.id !== "pair") return;
    pair.keys = [];
    dress(document);
  }, true);

  function fill() {
    each("[data-choose]", (select) => {
      select.replaceChildren(...cards().map((button) => {
        const option = document.createElement("option"), row = button.closest(".prompt-row").querySelector("h4").textContent;
        const isMany = document.querySelectorAll("#compare-grid .prompt-row").length > 1;
        Object.assign(option, { value: button.dataset.run, textContent: isMany ? `${button.dataset.name} · ${row}` : button.dataset.name });
        return option;
      }));
    }, dialog());
  }

  function choose(side, key) {
    pair.keys[side === "first" ? 0 : 1] = key;
    lay();
  }

  function lay() {
    const [first, second] = pair.keys.map(card), window = dialog();
    if (!first || !second) return;
    for (const [side, one] of [["first", first], ["second", second]]) {
      each(`img[data-of="${side}"]`, (image) => {
        if (image.getAttribute("src") !== one.dataset.src) image.src = one.dataset.src;
        image.alt = one.querySelector("img").alt;
      }, window);
      window.querySelector(`[data-choose="${side}"]`).value = one.dataset.run;
      window.querySelector(`[data-facts="${side}"]`).textContent = one.dataset.facts;
    }
    window.dataset.mode = pair.mode;
    each("[data-act=pair-mode]", (chip) => chip.setAttribute("aria-pressed", String(chip.dataset.value === pair.mode)), window);
    each("[data-act=pair-zoom]", (chip) => chip.setAttribute("aria-pressed", String(chip.dataset.value === pair.zoom)), window);
    size();
    slide(pair.at);
    compared();
  }

  // The same number of screen pixels for each picture pixel in every pane; `fit` is the largest that needs no scrolling.
  function size() {
    const window = dialog(), image = card(pair.keys[0])?.querySelector("img");
    if (!window.open || !image) return;
    const width = image.naturalWidth || Number(image.getAttribute("width")), height = image.naturalHeight || Number(image.getAttribute("height"));
    const stage = window.querySelector(".pair-stage").getBoundingClientRect(), isBeside = pair.mode === "beside";
    const isStacked = isBeside && stage.width < 640;
    const room = [isBeside && !isStacked ? (stage.width - 8) / 2 : stage.width, isStacked ? (stage.height - 8) / 2 : stage.height];
    const zoom = pair.zoom === "fit" ? Math.min(room[0] / width, room[1] / height) : Number(pair.zoom);
    window.style.setProperty("--width", `${Math.floor(width * zoom)}px`);
    window.style.setProperty("--height", `${Math.floor(height * zoom)}px`);
    window.toggleAttribute("data-large", Number(pair.zoom) >= 2);
  }

  addEventListener("resize", () => { if (dialog()?.open) size(); });

  function slide(at) {
    pair.at = Number(at);
    dialog().style.setProperty("--at", `${pair.at}%`);
    const range = handle();
    if (Number(range.value) !== pair.at) range.value = pair.at;
    range.setAttribute("aria-valuetext", `${Math.round(pair.at)} %`);
  }

  document.addEventListener("input", (event) => { if (event.target.matches?.("#pair input[type=range]")) slide(event.target.value); });

  // Panes side by side show the same place.
  document.addEventListener("scroll", (event) => {
    const pane = event.target, side = pane.dataset?.side;
    if (side !== "first" && side !== "second") return;
    const other = dialog().querySelector(`.pane[data-side="${side === "first" ? "second" : "first"}"]`);
    if (other.scrollLeft !== pane.scrollLeft) other.scrollLeft = pane.scrollLeft;
    if (other.scrollTop !== pane.scrollTop) other.scrollTop = pane.scrollTop;
  }, true);

  // How far they are apart, and where, is measured by the server.
  async function compared() {
    const told = document.querySelector("#compare-head [data-comparison]"), window = dialog();
    const [first, second] = pair.keys, asked = `${first} ${second}`;
    if (asked === pair.asked || !told) return;
    pair.asked = asked;
    tell("", null);
    try {
      const answer = await fetch(`/comparisons/${told.dataset.comparison}/pair?` + new URLSearchParams({ first, second }));
      const found = answer.ok ? await answer.json() : null;
      if (pair.asked !== asked) return;
      tell(found ? found.sentence : await answer.text(), found);
    } catch (error) {
      pair.asked = "";
      tell(words.gone, null);
    }
    if (!window.open) pair.asked = "";
  }

  function tell(text, found) {
    const window = dialog(), scale = window.querySelector(".scale"), map = window.querySelector('img[data-of="map"]');
    window.querySelector(".pair-told .text").textContent = text;
    scale.hidden = !found;
    if (found) {
      scale.querySelector("i").style.setProperty("--stops", found.stops);
      scale.lastElementChild.textContent = found.scale;
      map.src = found.map;
    } else map.removeAttribute("src");
  }

  // The timeline -------------------------------------------------------------------------------------------------
  // A moment is a part of the whole, from 0 to 1; null where none is pointed at.
  function point(part) {
    const section = document.querySelector("#compare-figures .timeline"), plot = section?.querySelector(".plot");
    moment = plot ? part : null;
    if (!plot) return;
    const cursor = plot.querySelector(".cursor"), readout = plot.querySelector(".readout");
    cursor.hidden = readout.hidden = part === null;
    if (part === null) return;
    const top = Number(section.dataset.top), lines = [...section.querySelectorAll("polyline")];
    const seconds = (part * Number(section.dataset.end)).toFixed(2) + " s";
    const rows = lines.map((line, number) => {
      const strip = section.querySelectorAll(".strip")[number];
      return { name: line.dataset.column, held: height(line, part, top), phase: phase(strip, part), colour: line.style.stroke };
    });
    cursor.style.left = `${part * 100}%`;
    readout.style.setProperty("--part", part);
    readout.toggleAttribute("data-left", part > 0.5);
    readout.replaceChildren(entry("b", seconds), ...rows.map(({ name, held, phase, colour }) => {
      const row = entry("span", "");
      row.append(entry("i", "", colour), entry("em", name), entry("span", held), entry("small", phase));
      return row;
    }));
    plot.setAttribute("aria-valuenow", String(Math.round(part * 100)));
    plot.setAttribute("aria-valuetext", `${seconds}: ` + rows.map(({ name, held, phase }) => `${name} ${held}${phase ? ", " + phase : ""}`).join("; "));
  }

  function entry(kind, text, colour) {
    const element = document.createElement(kind);
    element.textContent = text;
    if (colour) element.style.background = colour;
    return element;
  }

  // What a line is at then: between two samples it is a straight line; nothing after its end.
  function height(line, part, top) {
    const points = [...line.points], x = part * 1000, next = points.findIndex((one) => one.x >= x);
    if (next < 0) return "–";
    const [a, b] = [points[Math.max(0, next - 1)], points[next]];
    const share = b.x > a.x ? Math.max(0, (x - a.x) / (b.x - a.x)) : 0;
    const held = (1 - (a.y + share * (b.y - a.y)) / 1000) * top;
    return held >= 2 ** 30 ? `${(held / 2 ** 30).toFixed(2)} GiB` : `${(held / 2 ** 20).toFixed(0)} MiB`;
  }

  function phase(strip, part) {
    const band = [...(strip?.querySelectorAll("[data-phase]") || [])].find((one) => {
      const left = Number(one.dataset.left) / 100;
      return part >= left && part <= left + Number(one.dataset.width) / 100;
    });
    return band ? band.dataset.phase : "";
  }

  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.("#compare-figures .plot");
    if (!plot) { if (moment !== null && !document.activeElement?.matches?.(".plot")) point(null); return; }
    const box = plot.getBoundingClientRect();
    point(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
  });

  document.addEventListener("focusin", (event) => {
    if (event.target.matches?.("#compare-figures .plot") && moment === null) point(0.5);
    light(event.target);
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.matches?.("#compare-figures .plot")) point(null);
    light(null);
  });
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.("#compare-figures .plot")) return;
    const step = { ArrowRight: 0.01, ArrowLeft: -0.01, PageUp: 0.1, PageDown: -0.1, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    point(Math.max(0, Math.min(1, (moment ?? 0.5) + step)));
  });

  // One column is lit wherever it stands: its bars, its line, its picture.
  function light(element) {
    const name = element?.closest?.("#compare-figures [data-column], #compare-grid .card[data-column]")?.dataset.column;
    byId("compareplace")?.toggleAttribute("data-lighting", Boolean(name));
    each("#compareplace [data-column]", (one) => one.toggleAttribute("data-lit", one.dataset.column === name));
  }

  document.addEventListener("pointerover", (event) => light(event.target));

  // Esc closes the menu that is open; the window of two pictures closes itself.
  function escape() {
    const menu = document.querySelector("#compareplace details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  }

  return { query, dress, painted, draft, started, escape };
}
