// Asks a number: its equation with the numbers filled in. Each of these can be asked in turn.

// Numbers without an equation.
const GIVEN = {
  target: "Given: it is x of the next month.",
  m: "1/N if the loss reads step t, otherwise 0. N is the number of steps that it reads.",
};

function canAsk(ask) {
  const [name, k] = ask.split(".");
  const number = numbersOf("each")[name];
  const size = number && (isWhole(name) ? number.hand.flat() : number.hand[0]).length;
  return number !== undefined && /^\d+$/.test(k) && Number(k) < size;
}

// The block of a sum of several gates: da, 6 -> da_f, 2.
function blockOf(name, k) {
  const { blocks } = cells[state.cell];
  const gradient = name[0] === "d" && name.slice(1) in blocks;
  const parts = blocks[gradient ? name.slice(1) : name];
  if (!parts) return [name, k];
  const H = cells[state.cell].weights.W_hh[0].length;
  return [(gradient ? "d" : "") + parts[Math.floor(k / H)], k % H];
}

// An equation of the page that defines a name; for a block, that of the sum it is a block of.
function equationOf(name, k) {
  const { equations, blocks, weights } = cells[state.cell];
  const own = equations.find((equation) => equation.name === name);
  if (own) return { ...own, k };
  const [whole, parts] = Object.entries(blocks).find(([, parts]) => parts.includes(name)) ?? [];
  return whole && { ...equations.find((e) => e.name === whole), k: parts.indexOf(name) * weights.W_hh[0].length + k };
}

function answer(view) {
  const [name, place] = state.ask.split(".");
  if (name in GIVEN) return [make("p", { className: "arithmetic", textContent: GIVEN[name] })];
  const { tree, html, k } = equationOf(name, Number(place));
  const known = computeNow(), whole = isWhole(name), t = whole || name === "loss" ? null : state.t;
  const width = view.numbers[name]?.hand[0].length ?? 1;
  const row = whole ? Math.floor(place / width) : t;
  const value = view.numbers[name] ? view.numbers[name].hand[row]?.[place % width] : known.numbers[name][t][place];
  const right = evaluate(tree, t, k, known);
  const title = make("h3");
  title.innerHTML = whole ? `${labelOf(name)}, number ${place}` : `${labelOf(name)} at t = ${t}, unit ${place}`;
  const general = make("p", { className: "general" });
  general.innerHTML = `${labelOf(name)} = ${html}`;
  const filled = make("p", { className: "filled" }, "= ", ...filledIn(tree, t, k, known), " = ", make("b", { textContent: digits(right) }));
  const wrong = (view.wrong[name]?.[row] ?? [])[place % width] ?? null;
  const says = wrong === null ? [] : [make("p", { className: "wrong", textContent: `With the mistake it is ${typeof value === "number" ? digits(value) : "not computed"}.` })];
  return [make("div", { className: "arithmetic" }, title, general, filled, ...says)];
}

// A tree with numbers in place of names.
function filledIn(tree, t, k, known) {
  const [kind, a, b] = tree;
  const of = (part) => filledIn(part, t, k, known);
  const inBrackets = (part) => ["+", "-"].includes(part[0]) ? ["(", ...of(part), ")"] : of(part);
  const joined = (terms, sign) => terms.flatMap((term, j) => j ? [sign, ...term] : term);
  const times = (left, right) => [...left, " · ", ...right];
  switch (kind) {
    case "number": return [String(a)];
    case "weight": return [leaf(known.weights[a][k], `${a}, place ${k}`)];
    case "at": return [numberAt(a, t + b, k, known)];
    case "first": return [numberAt(a, 0, k, known)];
    case "+": return [...of(a), " + ", ...of(b)];
    case "-": return [...of(a), " − ", ...inBrackets(b)];
    case "*": return times(inBrackets(a), inBrackets(b));
    case "^2": return [...(a[0] === "tanh" ? of(a) : ["(", ...of(a), ")"]), make("sup", { textContent: "2" })];
    case "tanh": return ["tanh(", ...of(a), ")"];
    case "sigmoid": return ["σ(", ...of(a), ")"];
    case "@": return product(known.weights[a][k], (j) => `${a}[${k}, ${j}]`, (j) => filledIn(b, t, j, known));
    case "T@": return product(known.weights[a].map((row) => row[k]), (j) => `${a}[${j}, ${k}]`, (j) => filledIn(b, t, j, known));
    case "outer": {
      const columns = known.numbers[b[1]][0].length;
      return times(filledIn(a, t, Math.floor(k / columns), known), filledIn(b, t, k % columns, known));
    }
    case "sum": return joined(range(T).map((step) => filledIn(a, step, k, known)), " + ");
  }
  function product(weights, title, vector) {
    const terms = weights.map((w, j) => times([leaf(w, title(j))], vector(j)));
    return terms.length > 1 ? ["(", ...joined(terms, " + "), ")"] : terms[0];
  }
}

function leaf(value, title) {
  return make("span", { className: "weight", title, textContent: signed(value) });
}

const signed = (value) => value < 0 ? `(${digits(value)})` : digits(value);

function numberAt(name, t, k, known) {
  const value = known.numbers[name][t]?.[k] ?? 0;
  const [part, unit] = blockOf(name, k);
  if (t < 0 || t >= T || !equationOf(part, unit)) return leaf(value, `${name} at t = ${t}, unit ${k}`);
  const button = make("button", { type: "button", className: "term", textContent: signed(value), title: `${part} at t = ${t}, unit ${unit}` });
  button.dataset.ask = `${part}.${unit}`;
  button.dataset.at = t;
  return button;
}
