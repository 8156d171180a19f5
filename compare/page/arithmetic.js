// The arithmetic: the equations on the page, computed. An equation's right side is a tree of nested lists, the kind
// first; equations.py says which. t is a step, k the place in a vector, or in a matrix counted along its rows.

function evaluate(tree, t, k, known) {
  const [kind, a, b] = tree;
  const of = (part) => evaluate(part, t, k, known);
  switch (kind) {
    case "number": return a;
    case "weight": return known.weights[a][k];
    case "at": return known.numbers[a][t + b]?.[k] ?? 0;  // 0 before the first step and after the last
    case "first": return known.numbers[a][0][k];
    case "+": return of(a) + of(b);
    case "-": return of(a) - of(b);
    case "*": return of(a) * of(b);
    case "^2": return of(a) ** 2;
    case "tanh": return Math.tanh(of(a));
    case "sigmoid": return 1 / (1 + Math.exp(-of(a)));
    case "@": return add(known.weights[a][k].map((w, j) => w * evaluate(b, t, j, known)));
    case "T@": return add(known.weights[a].map((row, j) => row[k] * evaluate(b, t, j, known)));
    case "outer": {
      const columns = known.numbers[b[1]][0].length;
      return evaluate(a, t, Math.floor(k / columns), known) * evaluate(b, t, k % columns, known);
    }
    case "sum": return add(known.numbers.x.map((_, step) => evaluate(a, step, k, known)));
  }
  throw new Error(`unknown kind ${kind}`);
}

const add = (terms) => terms.reduce((sum, term) => sum + term, 0);
const range = (n) => Array.from({ length: n }, (_, k) => k);

// Everything that a cell computes: "numbers", name -> one list per step, or for the whole sequence a list of one list.
// `cell` holds the equations; x, target and m (T, 1) are lists of lists.
function compute(cell, weights, { x, target, m }) {
  const known = { weights, numbers: { x, target, m } };
  const when = (name) => cell.equations.filter((equation) => equation.when === name);
  for (const { name } of cell.equations) known.numbers[name] = [];
  for (const name of Object.keys(cell.blocks)) known.numbers[`d${name}`] = [];
  for (const names of Object.values(cell.blocks)) for (const name of names) known.numbers[name] ??= [];
  for (const t of range(x.length)) forwardStep(when("forward"), t, known, cell.blocks);
  for (const t of range(x.length)) forwardStep(when("loss"), t, known, {});
  backwardSteps(when("backward"), known, cell.blocks);
  for (const { name, size, tree } of when("whole")) {
    known.numbers[name][0] = range(size).map((k) => evaluate(tree, null, k, known));
  }
  return known;
}

function forwardStep(equations, t, known, blocks) {
  for (const { name, size, tree } of equations) {
    const values = range(size).map((k) => evaluate(tree, t, k, known));
    known.numbers[name][t] = values;
    const parts = blocks[name] ?? [], H = size / parts.length;
    parts.forEach((part, j) => { known.numbers[part][t] = values.slice(j * H, (j + 1) * H); });
  }
}

// From the last step to the first. A sum of several gates, da, is put together as soon as all its blocks are known.
function backwardSteps(equations, known, blocks) {
  for (const t of range(known.numbers.x.length).reverse()) {
    for (const { name, size, tree } of equations) {
      known.numbers[name][t] = range(size).map((k) => evaluate(tree, t, k, known));
      for (const [whole, parts] of Object.entries(blocks)) {
        const gradients = parts.map((part) => known.numbers[`d${part}`][t]);
        if (gradients.every(Boolean)) known.numbers[`d${whole}`][t] = gradients.flat();
      }
    }
  }
}

// [s][t]: the share of dh_t that comes from the loss at step s.
function splitByLoss(cell, known) {
  const backward = cell.equations.filter((equation) => equation.when === "backward");
  return known.numbers.dy.map((_, s) => {
    const alone = { weights: known.weights, numbers: { ...known.numbers } };
    for (const name of [...backward.map(({ name }) => name), ...Object.keys(cell.blocks).map((name) => `d${name}`)]) {
      alone.numbers[name] = [];
    }
    alone.numbers.dy = known.numbers.dy.map((dy, t) => dy.map((value) => t === s ? value : 0));
    backwardSteps(backward, alone, cell.blocks);
    return alone.numbers.dh;
  });
}

// [t]: what step t adds to the gradient that is shown as a running sum, along its rows.
function addedBySteps(cell, known) {
  const { size, tree } = cell.equations.find(({ name }) => name === cell.summed);
  return known.numbers.x.map((_, t) => range(size).map((k) => evaluate(tree[1], t, k, known)));
}
