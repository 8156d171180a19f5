// What is chosen, and the numbers that follow from it. All that is chosen is stored in the URL.

// A script that fails leaves its message where a test, or a reader of the page's source, finds it.
window.addEventListener("error", (event) => { document.documentElement.dataset.error = event.message; });

const { steps, x, targets, mean, std, checks, cells } = JSON.parse(document.getElementById("values").textContent);
const T = steps.length;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// A number holds "hand", its rows, and "difference", what torch adds to them; from these follow torch's rows, and
// "off", the largest difference in each row.
for (const cell of Object.values(cells)) {
  for (const number of [cell.numbers, cell.each, cell.last].flatMap(Object.values)) {
    const { hand, difference } = number;
    number.torch = difference && hand.map((row, r) => row.map((value, k) => value + difference[r][k]));
    number.off = difference && difference.map((row) => Math.max(...row.map(Math.abs)));
  }
}

// t: step; loss: "each" or "last"; eq: highlighted equations; mistake: its name; preset: its label; entry and to: a
// changed number, such as "W_hh.5.2", and its value; ask: a number, such as "dc.2"; line: which executed line of
// backward; split: is dh_t split?
const NOTHING = { eq: [], mistake: "", preset: "", entry: "", to: null, ask: "", line: null, split: false };
const state = { cell: Object.keys(cells)[0], t: 4, loss: "each", ...NOTHING };

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  if (said.get("cell") in cells) state.cell = said.get("cell");
  if (["each", "last"].includes(said.get("loss"))) state.loss = said.get("loss");
  const whole = (name, below, otherwise) => {
    const n = said.has(name) ? Number(said.get(name)) : otherwise;
    return Number.isInteger(n) && n >= 0 && n < below ? n : otherwise;
  };
  state.t = whole("t", T, state.t);
  Object.assign(state, NOTHING);
  const cell = cells[state.cell];
  const known = new Set(all(`#${state.cell} [data-eq]`).flatMap(equationsOf));  // not another cell's
  state.eq = (said.get("eq") ?? "").split(" ").filter((e) => e && known.has(e));
  if (said.get("mistake") in cell.mistakes) state.mistake = said.get("mistake");
  else {
    if (said.get("preset") in cell.presets) state.preset = said.get("preset");
    const to = Number(said.get("to") ?? NaN);
    if (Number.isFinite(to) && isEntry(said.get("entry") ?? "")) Object.assign(state, { entry: said.get("entry"), to });
  }
  if (canAsk(said.get("ask") ?? "")) state.ask = said.get("ask");
  state.line = whole("line", cell.executed.length, null);
  state.split = said.get("split") === "1";
  paint();
  const first = document.querySelector("article:not([hidden]) :is(.at, .asked, .lit, .added)");
  first?.closest(".row").scrollIntoView();
  first?.scrollIntoView({ block: "nearest" });  // a row may be higher than the window
}

function change(what) {
  if ("cell" in what && what.cell !== state.cell) Object.assign(state, NOTHING, { split: state.split });
  if (what.mistake) Object.assign(state, { preset: "", entry: "", to: null });  // it is planted in the page's numbers
  if (what.preset || what.entry) state.mistake = "";
  if (what.eq?.length) state.ask = "";
  if (what.ask) state.eq = [];
  Object.assign(state, what);
  const said = { cell: state.cell, t: state.t, loss: state.loss };
  if (state.eq.length) said.eq = state.eq.join("+");
  for (const name of ["mistake", "preset", "entry", "ask"]) {
    if (state[name]) said[name] = encodeURIComponent(state[name]);
  }
  if (state.entry) said.to = state.to;
  if (state.line !== null) said.line = state.line;
  if (state.split) said.split = 1;
  history.replaceState(null, "", `#${Object.entries(said).map((pair) => pair.join("=")).join("&")}`);
  paint();
}

function paint() {
  const view = viewNow();
  for (const article of all("article")) article.hidden = article.dataset.cell !== state.cell;
  for (const name of ["cell", "loss"]) document.querySelector(`[name=${name}][value=${state[name]}]`).checked = true;
  byId("t").value = state.t;
  paintChain(view);
  paintNumbers(view);
  paintLoss(view);
  paintSplit(view);
  paintRunningSum(view);
  paintMistake();
  paintChange(view);
  light(state.eq);
  paintTray(view);
}

// The numbers to show: those of Python; with a mistake, those that it makes wrong in their place; or, where a weight
// or an input has been changed, those computed here. `wrong`: name -> row -> the wrong numbers, null where right.
function viewNow() {
  const cell = cells[state.cell], known = computeNow();
  const { hand } = cell[state.loss][cell.summed];
  const view = {
    numbers: numbersOf(state.loss), wrong: {}, loss: known.numbers.loss[0][0],
    split: splitByLoss(cell, known),
    sums: addedBySteps(cell, known).map((values) => inRows(values, hand)),
  };
  const planted = cell.mistakes[state.mistake]?.[state.loss];
  if (state.preset || state.entry) Object.assign(view, { numbers: recomputed(cell, known), recomputed: true });
  else if (planted) {
    for (const [name, wrong] of Object.entries(planted.wrong)) {
      view.numbers[name] = { ...view.numbers[name], hand: replaced(view.numbers[name].hand, wrong) };
    }
    view.wrong = planted.wrong;
    view.split = view.split.map((rows, s) => replaced(rows, planted.split[s]));
    view.sums = view.sums.map((rows, t) => replaced(rows, planted.sums[t]));
  }
  view.size = view.numbers.dh.hand.map((row) => Math.hypot(...row));
  return view;
}

const numbersOf = (loss) => ({ ...cells[state.cell].numbers, ...cells[state.cell][loss] });
const inRows = (values, like) => like.map((row, r) => values.slice(r * row.length, (r + 1) * row.length));

function replaced(rows, wrong = {}) {
  return rows.map((row, r) => row.map((value, k) => wrong[r]?.[k] ?? value));
}

function recomputed(cell, known) {
  const base = numbersOf(state.loss), numbers = {};
  for (const [name, { hand }] of Object.entries(base)) {
    const values = known.numbers[name];
    numbers[name] = { hand: isWhole(name) ? inRows(values[0], hand) : values, torch: null, off: null };
  }
  const largest = (names) => Math.max(...names.flatMap((name) => numbers[name].hand.flat().map(Math.abs)));
  const gradients = Object.keys(numbers).filter((name) => base[name].torch && name[0] === "d" && !isWhole(name));
  for (const name of Object.keys(numbers)) {
    numbers[name].limit = gradients.includes(name) ? largest(gradients) : Math.max(1, largest([name]));
  }
  return numbers;
}

// Is there one of them for all steps?
function isWhole(name) {
  return cells[state.cell].equations.some((equation) => equation.name === name && equation.when === "whole");
}
