// Changed numbers: one weight, input or bias, or a preset. The page computes everything again, and compares the gradient
// with the slope of the loss, from two more forward passes.

const STEP = 1e-5;  // of the central difference

// The weights and x by name, where an entry has been changed.
function arraysNow(entry = state.entry, to = state.to) {
  const { weights, presets, gates, keeps } = cells[state.cell];
  const now = structuredClone({ ...weights, ...presets[state.preset], x: x.flat() });
  const [name, row, column] = entry.split(".");
  if (name === "shift") {
    const H = now.w[0].length, from = gates.indexOf(keeps) * H;
    for (const k of range(H)) now.b_ih[from + k] += to;
  } else if (column !== undefined) now[name][row][column] = to;
  else if (name in now) now[name][row] = to;
  return now;
}

const givenTo = (inputs) => ({ x: inputs, target: targets, m: numbersOf(state.loss).m.hand });

function computeNow(entry = state.entry, to = state.to) {
  const { x, ...weights } = arraysNow(entry, to);
  return compute(cells[state.cell], weights, givenTo(x.map((value) => [value])));
}

// The number that an entry has now, before it is changed.
function valueOf(entry) {
  const [name, row, column] = entry.split(".");
  if (name === "shift") return 0;
  const found = arraysNow("")[name][row];
  return column === undefined ? found : found[column];
}

function isEntry(entry) {
  const [name] = entry.split(".");
  return name in arrays() && entriesOf(name).some(([key]) => key === entry);
}

function arrays() {
  const { keeps, weights } = cells[state.cell];
  const own = Object.keys(weights).filter((name) => isWhole(`d${name}`)).sort();
  const names = { ...Object.fromEntries(own.map((name) => [name, name])), x: "x, the inputs" };
  return keeps ? { ...names, shift: `bias of gate ${keeps}` } : names;
}

// [key, words] of every number of an array.
function entriesOf(name) {
  const { weights, gates } = cells[state.cell], H = weights.w[0].length;
  if (name === "shift") return [["shift", "all units"]];
  if (name === "x") return steps.map(({ month }, t) => [`x.${t}`, `step ${t}, ${month}`]);
  const unit = (row) => `${gates.length > 1 ? `${gates[Math.floor(row / H)]}, ` : ""}unit ${row % H}`;
  const from = (column) => name === "W_hh" ? `unit ${column}` : "x";
  return weights[name].flatMap((row, r) => Array.isArray(row)
    ? row.map((_, c) => [`${name}.${r}.${c}`, `${unit(r)}, from ${from(c)}`])
    : [[`${name}.${r}`, unit(r)]]);
}

// dLoss by the chosen number, from the backward pass.
function gradientOf(entry, numbers) {
  const [name, row, column] = entry.split("."), { gates, keeps, weights } = cells[state.cell];
  if (name === "shift") return add(numbers.db_ih.hand[gates.indexOf(keeps)]);
  const columns = weights[name]?.[0].length ?? 1;  // of a bias or x: 1
  return numbers[`d${name}`].hand.flat()[row * columns + Number(column ?? 0)];
}

function centralDifference(entry, value) {
  const lossAt = (to) => computeNow(entry, to).numbers.loss[0][0];
  return (lossAt(value + STEP) - lossAt(value - STEP)) / (2 * STEP);
}

let chosen = { cell: null, entry: null };  // what the menus show; it is changed with the slider

function paintChange(view) {
  if (chosen.cell !== state.cell) chosen = { cell: state.cell, entry: entriesOf(Object.keys(arrays())[0])[0][0] };
  if (state.entry) chosen.entry = state.entry;
  const [array] = chosen.entry.split(".");
  fill(byId("array"), Object.entries(arrays()), array);
  fill(byId("entry"), entriesOf(array), chosen.entry);
  const value = state.entry ? state.to : valueOf(chosen.entry);
  byId("to").value = value;
  byId("to").setAttribute("aria-valuetext", digits(value));
  if (document.activeElement !== byId("exact")) byId("exact").value = Number(value.toPrecision(6));
  document.body.classList.toggle("changed", Boolean(view.recomputed));
  paintPresets();
  paintSlopes(view, value);
}

function fill(menu, items, selected) {
  menu.replaceChildren(...items.map(([value, textContent]) => make("option", { value, textContent })));
  menu.value = selected;
}

function paintPresets() {
  const labels = ["", ...Object.keys(cells[state.cell].presets)], place = byId("presets");
  if (labels.join() !== all("button", place).map((button) => button.dataset.preset).join()) {
    place.replaceChildren(...labels.map((label) => {
      const button = make("button", { type: "button", textContent: label || "as it is" });
      button.dataset.preset = label;
      return button;
    }));
  }
  for (const button of all("button", place)) {
    const { preset } = button.dataset;
    button.setAttribute("aria-pressed", preset === state.preset && (preset !== "" || !state.entry));
  }
}

// The gradient of the chosen number next to the slope of the loss.
function paintSlopes(view, value) {
  const gradient = gradientOf(chosen.entry, view.numbers), slope = centralDifference(chosen.entry, value);
  const wrong = Boolean(state.mistake) && Math.abs(gradient - slope) > 1e-6 * Math.max(1, Math.abs(slope));
  byId("gradient").textContent = minus(gradient.toPrecision(8));
  byId("slope").textContent = minus(slope.toPrecision(8));
  byId("apart").textContent = `${oneDigit(gradient - slope)}${wrong ? ": the gradient is wrong" : ""}`;
  byId("apart").classList.toggle("wrong", wrong);
  byId("loss-now").textContent = digits(view.loss);
}
