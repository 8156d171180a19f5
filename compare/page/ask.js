// Asks a number: its equation with the numbers filled in. Each of these can be asked in turn.

// Numbers without an equation.
const GIVEN = {
  target: "Given: it is x of the next month.",
  m: "1/N if the loss reads step t, otherwise 0. N is the number of steps that it reads.",
};

function canAsk(ask) {
  const [name, k] = ask.split(".");
  const hand = numbersOf("each")[name]?.hand;
  return hand !== undefined && /^\d+$/.test(k) && Number(k) < (isWhole(name) ? hand.flat() : hand[0]).length;
}

// The equation that defines a number, and its place in what that defines: a_f is a block of a.
function equationOf(name, k) {
  const { equations, blocks, weights } = cells[state.cell];
  const own = equations.find((equation) => equation.name === name);
  if (own) return { ...own, k };
  const [whole, parts] = Object.entries(blocks).find(([, parts]) => parts.includes(name)) ?? [];
  return whole && { ...equations.find((e) => e.name === whole), k: parts.indexOf(name) * weights.w[0].length + k };
}

// The other way round: number 6 of da is number 2 of da_f.
function blockOf(name, k) {
  const { blocks, weights } = cells[state.cell], H = weights.w[0].length;
  const d = name[0] === "d" && name.slice(1) in blocks ? "d" : "";
  const parts = blocks[name.slice(d.length)];
  return parts ? [d + parts[Math.floor(k / H)], k % H] : [name, k];
}

function answer(view) {
  const [name, place] = state.ask.split(".");
  if (name in GIVEN) return [make("p", { className: "arithmetic", textContent: GIVEN[name] })];
  const { tree, html, k } = equationOf(name, Number(place)), known = computeNow();
  const label = labelOf(name), t = isWhole(name) ? null : state.t;
  const width = view.numbers[name].hand[0].length;
  const row = t ?? Math.floor(place / width), column = place % width;
  const title = make("h3"), general = make("p", { className: "general" });
  const which = cells[state.cell].weights[name.slice(1)]?.[0].length > 1 ? `${row}, ${column}` : place;
  title.innerHTML = t === null ? `${label} [${which}], all steps` : `${label} at t = ${t}, unit ${place}`;
  general.innerHTML = `${label} = ${html}`;
  const result = make("b", { textContent: digits(evaluate(tree, t, k, known)) });
  const filled = make("p", { className: "filled" }, "= ", ...filledIn(tree, t, k, known), " = ", result);
  const wrong = view.wrong[name]?.[row]?.[column] ?? null;
  const says = wrong === null ? [] : [make("p", { className: "wrong", textContent: withMistake(wrong) })];
  return [make("div", { className: "arithmetic" }, title, general, filled, ...says)];
}

const withMistake = (value) => `With the mistake it is ${value === "none" ? "not computed" : digits(value)}.`;

function markAsked() {
  for (const number of all(".asked")) number.classList.remove("asked");
  const [name, place] = state.ask.split(".");
  all(`#${state.cell} [data-name="${name}"] .ask`)[place]?.classList.add("asked");
}

// A tree with numbers in place of names.
function filledIn(tree, t, k, known) {
  const [kind, a, b] = tree;
  const of = (part) => filledIn(part, t, k, known);
  const bracketed = (part) => ["+", "-"].includes(part[0]) ? ["(", ...of(part), ")"] : of(part);
  const vector = (j) => filledIn(b, t, j, known);
  switch (kind) {
    case "number": return [String(a)];
    case "weight": return [leaf(known.weights[a][k], `${a}[${k}]`)];
    case "at": return [numberAt(a, t + b, k, known)];
    case "first": return [numberAt(a, 0, k, known)];
    case "+": return [...of(a), " + ", ...of(b)];
    case "-": return [...of(a), " − ", ...bracketed(b)];
    case "*": return [...bracketed(a), " · ", ...bracketed(b)];
    case "^2": return [...(a[0] === "tanh" ? of(a) : ["(", ...of(a), ")"]), make("sup", { textContent: "2" })];
    case "tanh": return ["tanh(", ...of(a), ")"];
    case "sigmoid": return ["σ(", ...of(a), ")"];
    case "@": return products(known.weights[a][k].map((w, j) => [leaf(w, `${a}[${k}, ${j}]`), vector(j)]));
    case "T@": return products(known.weights[a].map((row, j) => [leaf(row[k], `${a}[${j}, ${k}]`), vector(j)]));
    case "outer": {
      const columns = known.numbers[b[1]][0].length;
      return [...filledIn(a, t, Math.floor(k / columns), known), " · ", ...vector(k % columns)];
    }
    case "sum": return range(T).flatMap((step) => [...(step ? [" + "] : []), ...filledIn(a, step, k, known)]);
  }
}

function products(pairs) {
  const terms = pairs.flatMap(([weight, number], j) => [...(j ? [" + "] : []), weight, " · ", ...number]);
  return pairs.length > 1 ? ["(", ...terms, ")"] : terms;
}

const leaf = (value, title) => make("span", { title, textContent: signed(value) });
const signed = (value) => value < 0 ? `(${digits(value)})` : digits(value);

// A number of the page as a button that asks it.
function numberAt(whole, t, k, known) {
  const [name, unit] = blockOf(whole, k);
  const value = known.numbers[name][t]?.[unit] ?? 0, title = `${name} at t = ${t}, unit ${unit}`;
  if (!(0 <= t && t < T) || !canAsk(`${name}.${unit}`)) return leaf(value, title);
  const button = make("button", { type: "button", className: "term", textContent: signed(value), title });
  Object.assign(button.dataset, { ask: `${name}.${unit}`, at: t });
  return button;
}
