(page) => {
  // The queue's list: what is selected and what can be done with it, its filter, pages and folds, times, messages.
  // Selection, filter and scroll position belong to this browser; all else is the server's.
  const { words, byId, kept, show, press, poll, acts } = page;
  const LISTS = "#queue-list .jobs, #queue-ended .jobs";
  const picked = new Set();
  const view = {
    page: Number(kept(sessionStorage, "list-page")) || 1,
    state: kept(sessionStorage, "list-state") || "open",
    text: kept(sessionStorage, "list-text"),
    folds: new Set(kept(sessionStorage, "list-folds").split(",").filter(Boolean)),
  };
  // Whether all pages of the list are meant, beyond the rows that are here.
  let isWhole = false;
  let anchor = "", skew = 0, fading = 0, searching = 0;

  const rows = () => [...document.querySelectorAll("#list .job")];
  const row = (key) => document.querySelector(`#list .job[data-key="${key}"]`);
  const pick = (element) => element?.querySelector(".pick");
  const now = () => Date.now() / 1000 + skew;

  // What the list shows ------------------------------------------------------------------------------------------
  function query() {
    return { page: view.page, state: view.state, text: view.text, folds: [...view.folds].join() };
  }

  function turn(changes) {
    Object.assign(view, changes);
    for (const key of ["page", "state", "text"]) kept(sessionStorage, "list-" + key, String(view[key]));
    unselect();
    poll();
  }

  Object.assign(acts, {
    filter: (data) => turn({ state: data.state, page: 1 }),
    page: (data) => { turn({ page: Number(data.page) }); byId("list").scrollIntoView({ block: "start" }); },
    queue: (data) => (data.ask ? ask(data.ask, () => act(data.verb, data.jobs)) : act(data.verb, data.jobs)),
    selected: (data) => act(data.verb, isWhole ? `*${view.state}:${view.text}` : fitting(data.for).join()),
    "select-whole": () => { isWhole = true; reflect(); },
    "open-selected": () => acts.open({ batch: row([...picked][0])?.dataset.batch, job: [...picked][0] }),
    edit: () => press("do-edit", [...picked][0]),
    unselect: () => { const first = row([...picked][0]); unselect(); pick(first)?.focus(); },
    dismiss: () => answered(""),
    ways: (data, button) => {
      const isOpen = byId("queueplace").toggleAttribute("data-open");
      button.setAttribute("aria-expanded", String(isOpen));
    },
  });

  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("#queue-search input")) return;
    clearTimeout(searching);
    searching = setTimeout(() => turn({ text: event.target.value, page: 1 }), 200);
  });

  // A fold's jobs are asked for when it is opened.
  document.addEventListener("toggle", (event) => {
    const fold = event.target.dataset?.fold;
    if (!fold || event.target.open === view.folds.has(fold)) return;
    view.folds[event.target.open ? "add" : "delete"](fold);
    kept(sessionStorage, "list-folds", [...view.folds].join());
    poll();
  }, true);

  // Where the focus is in the list, for when its row leaves.
  function place() {
    const focused = document.activeElement?.closest?.("#queue-list .job, #queue-ended .job, #queue-bar");
    return !focused ? -1 : focused.id ? rows().indexOf(row([...picked][0])) : rows().indexOf(focused);
  }

  function painted(place) {
    const shown = byId("queue-list")?.querySelector("[data-page]");
    if (!shown) return;
    view.page = Number(shown.dataset.page);
    const search = byId("queue-search")?.querySelector("input");
    if (search && search !== document.activeElement && search.value !== view.text) search.value = view.text;
    for (const fold of document.querySelectorAll("details.fold")) fold.open = view.folds.has(fold.dataset.fold);
    const here = rows();
    const keys = new Set(here.map((element) => element.dataset.key));
    for (const key of picked) if (!keys.has(key)) picked.delete(key);
    if (isWhole) selectPage();
    reflect();
    const isLost = place >= 0 && (document.activeElement === document.body || document.activeElement?.closest("[hidden]"));
    if (isLost) pick(here[Math.min(place, here.length - 1)])?.focus({ preventScroll: true });
  }

  // What is selected ---------------------------------------------------------------------------------------------
  // Ticks and the bar say what `picked` says; one row of each list can be reached with Tab, the arrows do the rest.
  function reflect() {
    for (const element of rows()) pick(element).checked = picked.has(element.dataset.key);
    for (const list of document.querySelectorAll(LISTS)) {
      const home = list.querySelector(".pick:focus") || list.querySelector(".pick[tabindex='0']") || pick(row(anchor)) || list.querySelector(".pick");
      for (const box of list.querySelectorAll(".pick")) box.tabIndex = box === home ? 0 : -1;
    }
    const bar = document.querySelector("#queue-bar .bar"), every = document.querySelector("#queue-all .pick-all");
    if (!bar || !every) return;
    every.checked = picked.size > 0 && [...document.querySelectorAll("#queue-list .job")].every((element) => picked.has(element.dataset.key));
    every.indeterminate = picked.size > 0 && !every.checked;
    const total = Number(byId("queue-list")?.querySelector("[data-total]")?.dataset.total || 0);
    bar.hidden = picked.size === 0;
    bar.querySelector(".num").textContent = words.selected.replace("{count}", (isWhole ? total : picked.size).toLocaleString("en"));
    bar.querySelector("[data-whole]").hidden = isWhole || total <= picked.size || !every.checked;
    for (const verb of bar.querySelectorAll("[data-for]")) {
      const count = fitting(verb.dataset.for).length;
      verb.hidden = verb.dataset.one === undefined ? count === 0 : count !== 1 || picked.size !== 1 || isWhole;
    }
    const wanted = isWhole ? { state: view.state, text: view.text } : { jobs: fitting("done").join() };
    bar.querySelector("[data-zip]").href = "/archive.zip?" + new URLSearchParams(wanted);
  }

  function fitting(states) {
    const among = states.split(" ");
    return [...picked].filter((key) => among.includes(row(key)?.dataset.state));
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

  function selectAll(isOn) {
    unselect();
    if (isOn) selectPage();
    reflect();
  }

  function selectPage() {
    for (const element of document.querySelectorAll("#queue-list .job")) picked.add(element.dataset.key);
  }

  function range(from, to) {
    const keys = rows().map((element) => element.dataset.key);
    const ends = [keys.indexOf(from), keys.indexOf(to)].sort((a, b) => a - b);
    return ends[0] < 0 ? [to] : keys.slice(ends[0], ends[1] + 1);
  }

  function focus(element) {
    const box = pick(element);
    if (!box) return;
    for (const other of element.parentElement.querySelectorAll(".pick")) other.tabIndex = other === box ? 0 : -1;
    box.focus();
  }

  // With Shift a press would select text as well.
  document.addEventListener("mousedown", (event) => {
    if (event.shiftKey && event.target.closest?.("#list .job")) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target) || event.target.closest("a")) menu.open = false;
    if (event.target.matches?.(".pick-all")) selectAll(event.target.checked);
    const element = event.target.closest?.("#list .job");
    if (!element || event.target.closest("button, a")) return;
    const key = element.dataset.key, isBox = event.target.matches(".pick");
    if (!isBox && !event.shiftKey && String(getSelection())) return; // text was marked, to copy it
    select(event.shiftKey && anchor ? range(anchor, key) : [key], isBox ? event.target.checked : event.shiftKey || !picked.has(key));
    anchor = key;
    focus(element);
  });

  document.addEventListener("dblclick", (event) => {
    const element = event.target.closest?.("#list .job");
    if (element && !event.target.closest("input, button, a")) acts.open({ batch: element.dataset.batch, job: element.dataset.key });
  });

  // Keys in the list: arrows, Shift with arrows, Ctrl+A, Enter opens, Del cancels, Alt with arrows moves ----------
  document.addEventListener("keydown", (event) => {
    const element = event.target.matches?.("#list .pick") && event.target.closest(".job");
    if (!element || event.key === "Tab") return;
    const all = [...element.parentElement.children], isCommand = event.ctrlKey || event.metaKey;
    const next = { ArrowDown: 1, ArrowUp: -1, Home: -all.length, End: all.length }[event.key];
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      chosen(element, event.key === "ArrowUp" ? "up" : "down", "queued next");
    } else if (next && !event.altKey && !isCommand) {
      const target = all[Math.max(0, Math.min(all.length - 1, all.indexOf(element) + next))];
      if (event.shiftKey) select([element.dataset.key, target.dataset.key], true);
      anchor = target.dataset.key;
      focus(target);
    } else if (isCommand && event.key.toLowerCase() === "a") {
      select(all.map((each) => each.dataset.key), true);
    } else if (event.key === "Enter" && !isCommand) {
      acts.open({ batch: element.dataset.batch, job: element.dataset.key });
    } else if (event.key === "Delete") {
      chosen(element, "cancel", "queued next running");
    } else return;
    event.preventDefault();
  });

  // The selected jobs, or the one in focus where none is.
  function chosen(element, verb, states) {
    if (!picked.size) select([element.dataset.key], true);
    const keys = fitting(states);
    if (keys.length) act(verb, keys.join());
  }

  // What is done, and what came of it ----------------------------------------------------------------------------
  // Thousands of jobs take a moment.
  document.addEventListener("click", (event) => {
    const add = event.target.closest?.("#add:not(:disabled)");
    add?.setAttribute("aria-busy", "true");
    setTimeout(() => add?.removeAttribute("aria-busy"), 20_000); // no answer ever came
  });

  function act(verb, jobs) {
    press("do-queue", `${verb}:${jobs || ""}`);
  }

  function answered(html) {
    clearTimeout(fading);
    byId("add")?.removeAttribute("aria-busy");
    show("toast", html);
    if (html && !html.includes('role="alert"')) fading = setTimeout(fade, 8000);
    poll();
  }

  // Whoever is about to press it is given time.
  function fade() {
    if (document.querySelector("#toast :is(:hover, :focus-visible)")) fading = setTimeout(fade, 2000);
    else show("toast", "");
  }

  function ask(question, then) {
    const dialog = document.createElement("dialog"), text = document.createElement("p");
    dialog.className = "ask";
    text.textContent = question;
    dialog.append(text);
    for (const [label, isYes] of [[words.no, false], [words.yes, true]]) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: label, className: isYes ? "quiet danger" : "quiet", autofocus: !isYes });
      button.onclick = () => { dialog.close(); if (isYes) then(); };
      dialog.append(button);
    }
    dialog.onclose = () => dialog.remove();
    document.querySelector(".gradio-container").append(dialog);
    dialog.showModal();
  }

  // Times, in the words and the time zone of who looks ------------------------------------------------------------
  function dress(content) {
    for (const time of content.querySelectorAll("time")) say(time);
  }

  function tick(date) {
    if (date) skew = Math.round(Date.parse(date) / 1000 - Date.now() / 1000);
    if (Math.abs(skew) < 2) skew = 0; // the header counts whole seconds
    if (byId("queue-list")?.offsetParent) dress(byId("list"));
  }

  function say(time) {
    const { starts, ends, ended } = time.dataset;
    const text = ends ? soon(Number(ends)) : Number(ended) ? clock(Number(ended)) : "";
    if (time.textContent !== text) time.textContent = text;
    if (ends) time.title = words.span.replace("{starts}", clock(Number(starts))).replace("{ends}", clock(Number(ends)));
  }

  function soon(at) {
    const left = at - now();
    if (left < 1) return words.soon;
    if (left < 59.5) return words.seconds.replace("{n}", Math.round(left));
    if (left < 3600) return words.minutes.replace("{n}", Math.round(left / 60));
    return words.at.replace("{time}", clock(at));
  }

  function clock(at) {
    const date = new Date(at * 1000), hour = { hour: "numeric", minute: "2-digit" };
    const days = Math.abs(date - Date.now()) / 86_400_000, isToday = date.toDateString() === new Date().toDateString();
    const day = isToday ? {} : days < 6 ? { weekday: "short" } : { day: "numeric", month: "short" };
    return date.toLocaleString(undefined, { ...day, ...hour });
  }

  // Esc closes what is open, then lets the selection go.
  function escape() {
    const menu = document.querySelector("details.menu[open]");
    if (menu) menu.open = false;
    else if (document.querySelector("#toast .toast")) answered("");
    else unselect();
  }

  return { query, place, painted, dress, tick, answered, ask, escape };
}
