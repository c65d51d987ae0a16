(page) => {
  // The System tab: its verbs, which two things a conversion joins, and the text for a bug report.
  const { words, byId, press, acts, ask } = page;

  function act(verb, of) {
    press("do-system", of ? `${verb}:${of}` : verb);
  }

  async function gather() {
    const text = byId("logs-text"), prompts = byId("logs-prompts");
    if (!text) return;
    text.hidden = false;
    text.value = words.gathering;
    const query = prompts?.checked ? "?prompts=1" : "";
    try {
      const answer = await fetch("/system/report.txt" + query, { cache: "no-store" });
      text.value = await answer.text();
    } catch (error) {
      text.value = words.lost;
    }
    text.scrollTop = 0;
    offer();
  }

  // Copying and saving make sense once there is something; the buttons lie in a region that is painted anew.
  function offer() {
    const isShown = Boolean(byId("logs-text") && !byId("logs-text").hidden);
    const copy = document.querySelector("[data-act=system-copy]"), save = byId("logs-save");
    if (!copy || !save) return;
    copy.hidden = save.hidden = !isShown;
    save.href = "/system/report.txt?save=1" + (byId("logs-prompts")?.checked ? "&prompts=1" : "");
  }

  // The clipboard is for pages from this machine or over https; elsewhere the marked text is copied the old way.
  async function copy() {
    const text = byId("logs-text");
    try {
      if (navigator.clipboard) await navigator.clipboard.writeText(text.value);
      else {
        text.select();
        if (!document.execCommand("copy")) throw new Error("refused");
      }
      say(words.copied);
    } catch (error) {
      text.select();
      say(words.notCopied);
    }
  }

  function say(text) {
    const toast = document.createElement("div"), line = document.createElement("p");
    toast.className = "toast note";
    toast.setAttribute("role", "status");
    line.textContent = text;
    toast.append(line);
    page.answered(toast.outerHTML);
  }

  Object.assign(acts, {
    system: (data) => (data.ask ? ask(data.ask, () => act(data.verb, data.of)) : act(data.verb, data.of)),
    "system-convert": () => act("convert", `${byId("convert-which").value}:${byId("convert-to").value}`),
    "system-logs": gather,
    "system-copy": copy,
  });

  document.addEventListener("change", (event) => { if (event.target.id === "logs-prompts" && !byId("logs-text").hidden) gather(); });

  return { painted: offer };
}
