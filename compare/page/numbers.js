// Draws the numbers: the chain of steps, every strip, the loss, dh_t by the loss it came from, dW_hh as a running sum.

function paintChain({ size, wrong }) {
  const { t, loss } = state;
  const largest = Math.max(...size);
  for (const step of all("#chain .step")) {
    const k = Number(step.dataset.t);
    const height = largest ? 44 * size[k] / largest : 0;
    const bar = step.querySelector(".bar");
    bar.setAttribute("height", height);
    bar.setAttribute("y", 62 - height);
    const text = step.querySelector(".size");
    text.textContent = minus(size[k] >= 1e-3 && size[k] < 1e4 ? String(Number(size[k].toPrecision(2))) : size[k].toExponential(0));
    text.setAttribute("y", 58 - height);
    step.classList.toggle("now", k === t);
    step.classList.toggle("wrong", Object.entries(wrong).some(([name, rows]) => !isWhole(name) && k in rows));
    step.querySelector(".read").style.display = loss === "each" || k === T - 1 ? "" : "none";
  }
  for (const arrow of all("#chain .ahead")) arrow.classList.toggle("on", Number(arrow.dataset.t) < t);
  for (const arrow of all("#chain .back")) arrow.classList.toggle("on", Number(arrow.dataset.t) > t);
  const { month, year, spots, next } = steps[t];
  byId("t").setAttribute("aria-valuetext", `${t}, ${month} ${year}`);
  const read = loss === "each" || t === T - 1;
  byId("says").innerHTML = `<b>t = ${t}</b>, ${month} ${year}: ${spots} sunspots, ` +
    `<var>x</var><sub>t</sub> = ${digits(inputsNow()[t][0])}; ` + (read ? `target: ${next} sunspots` : "no loss at this step");
}

function paintNumbers(view) {
  for (const place of all(`#${state.cell} .value`)) {
    const { name } = place.dataset, number = view.numbers[name];
    const row = place.dataset.row ?? state.t;
    for (const strip of all(".strip", place)) {
      const values = number[strip.dataset.side]?.[row];
      const hidden = strip.dataset.side === "hand" && !isComputed(name, row);
      strip.classList.toggle("none", !values);
      paintStrip(strip, hidden ? [] : values ?? [], number.limit, strip.dataset.side === "hand" ? view.wrong[name]?.[row] : null);
    }
    const off = number.off?.[row];
    const wrong = view.wrong[name]?.[row];
    place.querySelector(".off").textContent = wrong ? "wrong" : off === undefined ? "" : off === 0 ? "identical" : `error ${minus(off.toExponential(0))}`;
    place.classList.toggle("wrong", Boolean(wrong));
  }
}

function paintStrip(strip, values, limit, wrong) {
  all("li", strip).forEach((li, k) => {
    const value = values[k];
    const at = li.firstElementChild ?? li;
    at.textContent = value === undefined ? "" : value === "none" ? "none" : digits(value);
    if (at !== li) at.ariaLabel = value === undefined ? "not computed yet" : null;
    const isWrong = value !== undefined && wrong?.[k] !== undefined && wrong[k] !== null;
    li.className = [value > 0 ? "pos" : value < 0 ? "neg" : "", isWrong ? "wrong" : ""].join(" ").trim();
    if (isWrong) at.append(make("span", { className: "unseen", textContent: " wrong" }));
    const depth = typeof value === "number" ? 0.6 * Math.min(1, Math.abs(value) / limit) ** 0.6 : 0;
    li.style.setProperty("--depth", depth.toFixed(3));
  });
}

const minus = (text) => text.replaceAll("-", "−");

function digits(value) {
  const size = Math.abs(value);
  return minus(size === 0 ? "0" : size < 0.001 || size >= 1e4 ? value.toExponential(1) : value.toFixed(size < 100 ? 4 : 1));
}

function paintLoss({ numbers, loss }) {
  const { t } = state, read = numbers.m.hand[t][0] > 0;
  const spots = (value) => (value * std + mean).toFixed(1);
  const [yhat, target] = [numbers.yhat.hand[t][0], numbers.target.hand[t][0]];
  document.querySelector(`#${state.cell} .units`).innerHTML =
    `t = ${t}: <var>ŷ</var><sub>t</sub> = ${digits(yhat)}, that is ${minus(spots(yhat))} sunspots; the target is ${digits(target)}, ` +
    `that is ${spots(target)} sunspots. ` +
    (read ? "" : "The loss does not read this step. ") + `Loss: <b>${digits(loss)}</b>`;
}

// dh_t as a sum of shares, one per step of the loss that reaches it.
function paintSplit({ split, numbers }) {
  const details = document.querySelector(`#${state.cell} .split`);
  details.open = state.split;
  const total = numbers.dh.hand[state.t], length = add(total.map((value) => value ** 2));
  for (const share of all(".share", details)) {
    const s = Number(share.dataset.step), values = split[s][state.t];
    share.hidden = s < state.t || (state.loss === "last" && s < T - 1);
    paintStrip(share.querySelector(".strip"), values, numbers.dh.limit);
    const part = length ? add(values.map((value, k) => value * total[k])) / length : 0;
    share.querySelector(".part").textContent = `${minus((100 * part).toFixed(0))} %`;
    share.querySelector(".part").style.setProperty("--part", `${100 * Math.min(1, Math.abs(part))}%`);
  }
}

// dW_hh from the last step down to t, as a loop with += would have it, and what step t adds.
function paintRunningSum({ sums, numbers, wrong }) {
  const place = document.querySelector(`#${state.cell} .running`), { t } = state;
  const number = numbers.dW_hh, last = T - 1;
  for (const term of all(".term", place)) {
    const row = Number(term.dataset.row);
    const soFar = sums[t][row].map((_, k) => add(sums.slice(t).map((rows) => rows[row][k])));
    const [sum, share] = all(".strip", term);
    paintStrip(sum, isComputed("dW_hh", row) ? t === 0 ? number.hand[row] : soFar : [], number.limit, t === 0 ? wrong.dW_hh?.[row] : null);
    paintStrip(share, sums[t][row], number.limit);
  }
  place.querySelector(".so-far").textContent = t === 0 ? `sum of steps 0 to ${last}: complete` : `sum so far: step${t === last ? "" : "s"} ${t === last ? t : `${t} to ${last}`}`;
  place.querySelector(".adds").textContent = `what step ${t} adds`;
  place.querySelector(".off").textContent = number.off === null ? "" : wrong.dW_hh ? "The complete sum is wrong." :
    `The complete sum differs from torch's by at most ${minus(Math.max(...number.off).toExponential(0))}.`;
}
