// Highlights the lines that belong to an equation, and gathers them in the tray at the bottom.

const equationsOf = (element) => element.dataset.eq.split(" ");

function light(equations) {
  for (const element of all("[data-eq]")) {
    element.classList.toggle("lit", equationsOf(element).some((e) => equations.includes(e)));
  }
  for (const chip of all(".chip")) chip.setAttribute("aria-pressed", state.eq.includes(chip.dataset.pin));
}

// What belongs to an equation may be far apart on the page: the tray shows it together.
function gathered() {
  const wanted = (element) => equationsOf(element).some((e) => state.eq.includes(e));
  const gather = (title, selector) => {
    const found = all(`#${state.cell} ${selector}`).filter(wanted).map(copy);
    return found.length ? [make("div", {}, make("h3", { textContent: title }), ...found)] : [];
  };
  return [
    ...gather("equation and torch", ":is(.forward, .loss) :is(.above[data-eq], .torch [data-eq])"),
    ...gather("forward, by hand", ":is(.forward, .loss) .hand [data-eq]"),
    ...gather("backward, by hand", ".backward .hand [data-eq]"),
  ];
}

function copy(element) {
  const clone = element.cloneNode(true);
  clone.classList.remove("lit");
  clone.removeAttribute("data-eq");
  for (const chip of all(".chip", clone)) chip.replaceWith(make("b", { textContent: `(${chip.dataset.pin}) ` }));
  return clone;
}

let opener = null;  // what opened the tray by the keyboard: it gets the focus back

function paintTray(view) {
  const found = state.ask ? answer(view) : gathered();
  const open = found.length > 0 || state.line !== null;
  byId("tray").hidden = !open;
  document.body.classList.toggle("tray", open);
  byId("found").replaceChildren(...found);
  byId("found").classList.toggle("wide", Boolean(state.ask));
  markAsked();
  paintWalk(view);
}

function openTray(event, what) {
  change(what);
  if (event.detail === 0 && !byId("tray").hidden) {  // by a key: on a phone or with a mouse the focus may stay
    opener = event.target;
    byId("close").focus();
  }
}

function closeTray() {
  change({ eq: [], ask: "", line: null });
  opener?.focus();
  opener = null;
}
