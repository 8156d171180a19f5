// Draws the numbers: the chain of steps, every strip, the loss, dh_t by the loss it came from, and dW_hh (or dW_ih) as
// a running sum.

function paintChain({ size, wrong }) {
  const largest = Math.max(...size);
  for (const step of all("#chain .step")) {
    const k = Number(step.dataset.t);
    const height = largest ? 44 * size[k] / largest : 0;
    step.querySelector(".bar").setAttribute("height", height);
    step.querySelector(".bar").setAttribute("y", 62 - height);
    step.querySelector(".size").textContent = twoDigits(size[k]);
    step.querySelector(".size").setAttribute("y", 58 - height);
    step.classList.toggle("now", k === state.t);
    step.classList.toggle("wrong", Object.entries(wrong).some(([name, rows]) => !isWhole(name) && k in rows));
    step.querySelector(".read").style.display = isRead(k) ? "" : "none";
  }
  for (const arrow of all("#chain .ahead")) arrow.classList.toggle("on", Number(arrow.dataset.t) < state.t);
  for (const arrow of all("#chain .back")) arrow.classList.toggle("on", Number(arrow.dataset.t) > state.t);
  paintCaption();
}

const isRead = (t) => state.loss === "each" || t === T - 1;

function paintCaption() {
  const { t } = state, { month, year, spots, next } = steps[t];
  byId("t").setAttribute("aria-valuetext", `${t}, ${month} ${year}`);
  byId("says").innerHTML = `<b>t = ${t}</b>, ${month} ${year}: ${spots} sunspots, ` +
    `<var>x</var><sub>t</sub> = ${digits(arraysNow().x[t])}; ` +
    (isRead(t) ? `target: ${next} sunspots` : "no loss at this step");
}

function paintNumbers(view) {
  for (const place of all(`#${state.cell} .value`)) {
    const { name } = place.dataset, row = place.dataset.row ?? state.t;
    const { hand, torch, off, limit } = view.numbers[name];
    const known = isComputed(name, row), wrong = known ? view.wrong[name]?.[row] : undefined;
    const [ours, theirs] = all(".strip", place);
    paintStrip(ours, known ? hand[row] : [], limit, wrong);
    paintStrip(theirs, torch?.[row] ?? [], limit);
    theirs.classList.toggle("none", !torch);
    place.classList.toggle("wrong", Boolean(wrong));
    place.querySelector(".off").textContent = wrong ? "wrong" : off && known ? distance(off[row]) : "";
  }
}

const distance = (off) => off === 0 ? "identical" : `error ${oneDigit(off)}`;

function paintStrip(strip, values, limit, wrong = []) {
  all("li", strip).forEach((li, k) => {
    const value = values[k], at = li.firstElementChild ?? li;
    const isWrong = value !== undefined && typeof (wrong[k] ?? null) !== "object";
    at.textContent = value === undefined ? "" : digits(value);
    if (at !== li) at.ariaLabel = value === undefined ? "not computed yet" : null;
    if (isWrong) at.append(make("span", { className: "unseen", textContent: " wrong" }));
    li.className = [value > 0 ? "pos" : value < 0 ? "neg" : "", isWrong ? "wrong" : ""].join(" ").trim();
    const depth = typeof value === "number" ? 0.6 * Math.min(1, Math.abs(value) / limit) ** 0.6 : 0;
    li.style.setProperty("--depth", depth.toFixed(3));
  });
}

// Numbers as text

const minus = (text) => text.replaceAll("-", "−");
const oneDigit = (value) => minus(value.toExponential(0));

function twoDigits(value) {
  return value >= 1e-3 && value < 1e4 ? String(Number(value.toPrecision(2))) : oneDigit(value);
}

function digits(value) {
  if (value === "none") return value;  // a wrong backward does not compute it
  const size = Math.abs(value);
  if (size === 0) return "0";
  return minus(size < 0.001 || size >= 1e4 ? value.toExponential(1) : value.toFixed(size < 100 ? 4 : 1));
}

// The loss and the gradients, split

function paintLoss({ numbers, loss }) {
  const { t } = state;
  const inSpots = (value) => `${digits(value)}, that is ${minus((value * std + mean).toFixed(1))} sunspots`;
  document.querySelector(`#${state.cell} .units`).innerHTML =
    `t = ${t}: <var>ŷ</var><sub>t</sub> = ${inSpots(numbers.yhat.hand[t][0])}; ` +
    `the target is ${inSpots(numbers.target.hand[t][0])}. ` +
    `${isRead(t) ? "" : "The loss does not read this step. "}Loss: <b>${digits(loss)}</b>`;
}

// dh_t as a sum of shares, one per step of the loss that reaches it.
function paintSplit({ split, numbers }) {
  const details = document.querySelector(`#${state.cell} .split`);
  details.open = state.split;
  const total = numbers.dh.hand[state.t], squared = add(total.map((value) => value ** 2));
  for (const share of all(".share", details)) {
    const s = Number(share.dataset.step), values = split[s][state.t];
    share.hidden = s < state.t || !isRead(s);
    paintStrip(share.querySelector(".strip"), values, numbers.dh.limit);
    const percent = squared ? 100 * add(values.map((value, k) => value * total[k])) / squared : 0;
    const part = share.querySelector(".part");
    part.textContent = `${minus(percent.toFixed(0))} %`;
    part.style.setProperty("--part", `${Math.min(100, Math.abs(percent))}%`);
  }
}

// A weight's gradient from the last step down to t, as a loop with += would have it, and what step t adds.
function paintRunningSum({ sums, numbers, wrong }) {
  const place = document.querySelector(`#${state.cell} .running`), { t } = state, last = T - 1;
  const { name } = place.dataset, { hand, limit, off } = numbers[name], known = isComputed(name, 0);
  for (const term of all(".term", place)) {
    const { row } = term.dataset, [sum, share] = all(".strip", term);
    const soFar = t === 0 ? hand[row] : sums[t][row].map((_, k) => add(sums.slice(t).map((step) => step[row][k])));
    paintStrip(sum, known ? soFar : [], limit, t === 0 ? wrong[name]?.[row] : []);
    paintStrip(share, known ? sums[t][row] : [], limit);
  }
  const which = t === 0 ? `sum of steps 0 to ${last}: complete` : t === last ? `sum so far: step ${t}` :
    `sum so far: steps ${t} to ${last}`;
  place.querySelector(".so-far").textContent = which;
  place.querySelector(".adds").textContent = `what step ${t} adds`;
  place.querySelector(".off").textContent = !known ? "" : wrong[name] ? "The complete sum is wrong." :
    off ? `The complete sum differs from torch's by at most ${oneDigit(Math.max(...off))}.` : "";
}
