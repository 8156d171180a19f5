"use strict";

// A script that fails leaves its message where a test, or a reader of the page's source, finds it.
window.addEventListener("error", (event) => { document.documentElement.dataset.error = event.message; });

const { steps, cells } = JSON.parse(document.getElementById("values").textContent);
const T = steps.length;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);

// The view is stored in the URL: #cell=lstm&t=3&loss=last&eq=L3
const state = { cell: "rnn", t: 4, loss: "each", eq: [] };

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  if (said.get("cell") in cells) state.cell = said.get("cell");
  if (["each", "last"].includes(said.get("loss"))) state.loss = said.get("loss");
  const t = Number(said.get("t") ?? state.t);
  if (Number.isInteger(t) && t >= 0 && t < T) state.t = t;
  const known = new Set(all(`#${state.cell} [data-eq]`).flatMap(equationsOf));  // not another cell's
  state.eq = (said.get("eq") ?? "").split(" ").filter((e) => known.has(e));
  paint();
  document.querySelector("article:not([hidden]) .lit")?.closest(".row").scrollIntoView();
}

function change(what) {
  if ("cell" in what && what.cell !== state.cell) state.eq = [];
  Object.assign(state, what);
  const eq = state.eq.length ? `&eq=${state.eq.join("+")}` : "";
  history.replaceState(null, "", `#cell=${state.cell}&t=${state.t}&loss=${state.loss}${eq}`);
  paint();
}

function paint() {
  for (const article of all("article")) article.hidden = article.dataset.cell !== state.cell;
  for (const name of ["cell", "loss"]) document.querySelector(`[name=${name}][value=${state[name]}]`).checked = true;
  byId("t").value = state.t;
  paintChain();
  paintValues();
  light(state.eq);
  paintTray();
}

function paintChain() {
  const { t, loss } = state;
  const sizes = cells[state.cell].size[loss];
  const largest = Math.max(...sizes);
  for (const step of all("#chain .step")) {
    const k = Number(step.dataset.t);
    const height = 44 * sizes[k] / largest;
    const bar = step.querySelector(".bar");
    bar.setAttribute("height", height);
    bar.setAttribute("y", 62 - height);
    const size = step.querySelector(".size");
    size.textContent = sizes[k].toPrecision(2).replace("e-", "e−");
    size.setAttribute("y", 58 - height);
    step.classList.toggle("now", k === t);
    step.querySelector(".read").style.display = loss === "each" || k === T - 1 ? "" : "none";
  }
  for (const arrow of all("#chain .ahead")) arrow.classList.toggle("on", Number(arrow.dataset.t) < t);
  for (const arrow of all("#chain .back")) arrow.classList.toggle("on", Number(arrow.dataset.t) > t);
  const { month, year, spots, x, next } = steps[t];
  byId("t").setAttribute("aria-valuetext", `${t}, ${month} ${year}`);
  const read = loss === "each" || t === T - 1;
  byId("says").innerHTML = `<b>t = ${t}</b>, ${month} ${year}: ${spots} sunspots, ` +
    `standardized <var>x</var><sub>t</sub> = ${x}; ` + (read ? `to predict: ${next} sunspots` : "no loss at this step");
}

function paintValues() {
  const { forward, backward } = cells[state.cell];
  const numbers = { ...forward, ...backward[state.loss] };
  for (const place of all(`#${state.cell} .value`)) {
    const number = numbers[place.dataset.name];
    for (const strip of all(".strip", place)) {
      const steps = number[strip.dataset.side];
      strip.classList.toggle("none", !steps);
      all("li", strip).forEach((li, k) => paintNumber(li, steps ? steps[state.t][k] : null, number.limit));
    }
    const off = number.off && number.off[state.t];
    place.querySelector(".off").textContent = off === null ? "" : off === 0 ? "identical" : `error ${off.toExponential(0)}`;
  }
}

function paintNumber(li, value, limit) {
  li.textContent = value === null ? "" : digits(value);
  li.className = value > 0 ? "pos" : value < 0 ? "neg" : "";
  li.style.setProperty("--depth", value === null ? 0 : (0.6 * Math.min(1, Math.abs(value) / limit) ** 0.6).toFixed(3));
}

function digits(value) {
  const size = Math.abs(value);
  return (size === 0 ? "0" : size < 0.001 ? value.toExponential(1) : value.toFixed(4)).replaceAll("-", "−");
}

// Lines and equations

const equationsOf = (element) => element.dataset.eq.split(" ");

function light(equations) {
  for (const element of all("[data-eq]")) {
    element.classList.toggle("lit", equationsOf(element).some((e) => equations.includes(e)));
  }
  for (const chip of all(".chip")) chip.setAttribute("aria-pressed", state.eq.includes(chip.dataset.pin));
}

function pin(equations) {
  const same = equations.join() === state.eq.join();
  change({ eq: same ? [] : equations });
}

// What belongs to an equation may be far apart on the page: the tray shows it together.
function paintTray() {
  byId("tray").hidden = state.eq.length === 0;
  document.body.classList.toggle("tray", state.eq.length > 0);
  const [forward, backward] = all(`#${state.cell} section`);
  const wanted = (element) => equationsOf(element).some((e) => state.eq.includes(e));
  const gather = (title, section, selector) => {
    const part = document.createElement("div");
    part.append(Object.assign(document.createElement("h3"), { textContent: title }));
    for (const element of all(selector, section).filter(wanted)) part.append(copy(element));
    return part;
  };
  byId("found").replaceChildren(...(state.eq.length === 0 ? [] : [
    gather("equation and torch", forward, ".middle[data-eq], .torch [data-eq]"),
    gather("forward, by hand", forward, ".hand [data-eq]"),
    gather("backward, by hand", backward, ".hand [data-eq]"),
  ]));
}

function copy(element) {
  const clone = element.cloneNode(true);
  clone.classList.remove("lit");
  clone.removeAttribute("data-eq");
  for (const chip of all(".chip", clone)) {
    chip.replaceWith(Object.assign(document.createElement("b"), { textContent: `(${chip.dataset.pin}) ` }));
  }
  return clone;
}

for (const element of all("[data-eq]")) {
  element.addEventListener("mouseenter", () => light([...state.eq, ...equationsOf(element)]));
  element.addEventListener("mouseleave", () => light(state.eq));
  element.addEventListener("click", (event) => {
    if (String(getSelection())) return;
    pin(event.target.dataset.pin ? [event.target.dataset.pin] : equationsOf(element));
    element.scrollIntoView({ block: "nearest" });  // the tray may have covered it
  });
}
for (const chip of all(".chip")) {
  chip.addEventListener("focus", () => light([...state.eq, chip.dataset.pin]));
  chip.addEventListener("blur", () => light(state.eq));
}
byId("close").addEventListener("click", () => change({ eq: [] }));
byId("t").addEventListener("input", (event) => change({ t: Number(event.target.value) }));
for (const input of all("[type=radio]")) input.addEventListener("change", () => change({ [input.name]: input.value }));
for (const step of all("#chain .step")) step.addEventListener("click", () => change({ t: Number(step.dataset.t) }));
document.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape") change({ eq: [] });
  if (by && event.target.tagName !== "INPUT" && !event.altKey && !event.ctrlKey && !event.metaKey) {
    change({ t: Math.min(T - 1, Math.max(0, state.t + by)) });
  }
});
window.addEventListener("hashchange", readAddress);
readAddress();
