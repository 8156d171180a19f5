// What the reader does, and the first view.

for (const element of all("[data-eq]")) {
  element.addEventListener("mouseenter", () => light([...state.eq, ...equationsOf(element)]));
  element.addEventListener("mouseleave", () => light(state.eq));
  element.addEventListener("click", (event) => {
    if (String(getSelection())) return;
    const equations = event.target.dataset.pin ? [event.target.dataset.pin] : equationsOf(element);
    openTray(event, { eq: equations.join() === state.eq.join() ? [] : equations });
    element.scrollIntoView({ block: "nearest" });  // the tray may have covered it
  });
}
for (const chip of all(".chip")) {
  chip.addEventListener("focus", () => light([...state.eq, chip.dataset.pin]));
  chip.addEventListener("blur", () => light(state.eq));
}
document.querySelector("main").addEventListener("focusin", ({ target }) => {
  if (target.matches(":focus-visible")) target.scrollIntoView({ block: "nearest" });  // the bar may cover a part of it
});
byId("close").addEventListener("click", closeTray);
byId("t").addEventListener("input", (event) => change({ t: Number(event.target.value) }));
for (const input of all("[type=radio]")) input.addEventListener("change", () => change({ [input.name]: input.value }));
for (const step of all("#chain .step")) step.addEventListener("click", () => change({ t: Number(step.dataset.t) }));
for (const details of all(".split")) {
  details.addEventListener("toggle", () => { if (details.open !== state.split) change({ split: details.open }); });
}

// Mistakes and changed numbers
byId("mistake").addEventListener("change", (event) => change({ mistake: event.target.value }));
byId("array").addEventListener("change", (event) => choose(entriesOf(event.target.value)[0][0]));
byId("entry").addEventListener("change", (event) => choose(event.target.value));
byId("to").addEventListener("input", (event) => change({ entry: chosen.entry, to: Number(event.target.value) }));
byId("exact").addEventListener("input", (event) => {
  const { value } = event.target;
  if (value !== "" && Number.isFinite(Number(value))) change({ entry: chosen.entry, to: Number(value) });
});
byId("presets").addEventListener("click", (event) => {
  const { preset } = event.target.dataset;
  if (preset !== undefined) change({ preset, entry: "", to: null });
});
byId("lab").addEventListener("submit", (event) => event.preventDefault());

function choose(entry) {
  chosen.entry = entry;
  change({ entry: "", to: null });
}

// Asking numbers: a strip is one stop of the Tab key, the arrow keys go along it
for (const strip of all(".strip")) {
  for (const _ of range(Number(strip.dataset.size))) strip.append(make("li"));
  if (strip.dataset.side !== "hand") continue;
  const buttons = all("li", strip).map((li) => {
    li.append(make("button", { type: "button", className: "ask", tabIndex: -1 }));
    return li.firstElementChild;
  });
  const { name, row } = strip.closest("[data-name]").dataset;
  buttons[0].tabIndex = 0;
  buttons.forEach((button, k) => {
    const place = Number(row ?? strip.closest("[data-row]")?.dataset.row ?? 0) * buttons.length + k;
    button.addEventListener("click", (event) => openTray(event, { ask: `${name}.${place}` }));
    button.addEventListener("keydown", (event) => {
      const next = buttons[k + ({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? NaN)];
      if (!next) return;
      button.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });
}
byId("found").addEventListener("click", (event) => {
  const { ask, at } = event.target.dataset;
  if (ask) change({ ask, t: Number(at) });
});

// Stepping through the lines
for (const button of all(".begin")) {
  button.addEventListener("click", () => {
    opener = button;
    walk(0);
    byId("after").focus();
  });
}
byId("before").addEventListener("click", () => walk(state.line - 1));
byId("after").addEventListener("click", () => walk(state.line + 1));

document.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape") closeTray();
  const takesArrows = event.target.closest?.("input, select, .strip");
  if (by && !takesArrows && !event.altKey && !event.ctrlKey && !event.metaKey) {
    change({ t: Math.min(T - 1, Math.max(0, state.t + by)) });
  }
});
window.addEventListener("hashchange", readAddress);
readAddress();
