// A planted mistake: its lines as a diff, what it makes wrong at which step, and which checks would see it.

let filledFor = null;

function paintMistake() {
  const { mistakes } = cells[state.cell], mistake = mistakes[state.mistake];
  const menu = byId("mistake");
  if (filledFor !== state.cell) {
    filledFor = state.cell;
    fill(menu, [["", "none"], ...Object.keys(mistakes).map((name) => [name, name.replaceAll("_", " ")])], "");
  }
  menu.value = state.mistake;
  document.body.classList.toggle("planted", Boolean(mistake));
  for (const line of all(".added")) line.remove();
  for (const line of all(".removed")) line.classList.remove("removed");
  byId("planted").hidden = !mistake;
  if (!mistake) return;
  mistake.diff.forEach(showChange);
  byId("why").innerHTML = mistake.why;
  byId("diff").replaceChildren(...mistake.diff.flatMap(diffLines));
  byId("notes").replaceChildren(...mistake.notes.map((note) => make("p", { textContent: note })));
  byId("begins").replaceChildren(...beginning(mistake[state.loss]));
  paintSpread(mistake[state.loss]);
  byId("seen").replaceChildren(...checks.map((name, k) => {
    const verdict = mistake.checks[k] ? "sees" : "misses";
    return make("li", { className: verdict }, make("b", { textContent: `${verdict} it` }), ` ${name}`);
  }));
}

const lineAt = (n) => document.querySelector(`#${state.cell} :is(.forward, .backward) .hand [data-line="${n}"]`);
const codeOf = (text) => text.split("  #")[0].trim();

function showChange([first, last, lines]) {
  for (const number of range(last - first + 1)) lineAt(first + number)?.classList.add("removed");
  const after = lineAt(Math.max(first, last));
  after.after(...lines.map((text) => {
    const line = make("div", { className: "line added", style: `--indent:${text.search(/\S/)}` });
    line.append(make("span", { className: "no", textContent: "+" }), make("code", { textContent: codeOf(text) }));
    return line;
  }));
}

function diffLines([first, last, lines]) {
  const old = range(last - first + 1).map((k) => lineAt(first + k)?.querySelector("code").textContent ?? "");
  return [
    ...old.map((code) => make("div", { className: "minus", textContent: `− ${code}` })),
    ...lines.map((text) => make("div", { className: "plus", textContent: `+ ${codeOf(text)}` })),
  ];
}

// The first executed line with a wrong number, as a sentence with a button that goes there.
function beginning({ first, wrong }) {
  if (first === null) return [];
  const [line, t, names] = cells[state.cell].executed[first];
  const name = names.find((n) => wrong[n] && (t === null || t in wrong[n]));
  const where = t === null ? isWhole(name) ? "" : ", before the loop or after it" : ` at t = ${t}`;
  const go = make("button", { type: "button", textContent: `line ${line}` });
  go.addEventListener("click", () => {
    if (t !== null) change({ t });
    lineAt(line).closest(".row").scrollIntoView({ block: "center" });
  });
  const label = make("span");
  label.innerHTML = labelOf(name);
  return ["The first wrong number is ", label, where, ", in ", go, "."];
}

// How a number is called on the page; a term together with its sum.
function labelOf(name) {
  const place = document.querySelector(`#${state.cell} [data-name="${name}"]`);
  if (!place) return name;
  const text = (value) => value.querySelector(".label").innerHTML.replace(/ <i>.*<\/i>$/, "");
  if (place.dataset.sign !== "+") return text(place);
  let sum = place;
  while (sum.dataset.sign !== "=") sum = sum.nextElementSibling;
  return `${text(sum)}: ${text(place)}`;
}

// A row per name in the order of execution, a column per step: how many of its numbers are wrong.
function paintSpread({ wrong, first }) {
  const { executed } = cells[state.cell];
  const names = [...new Set(executed.flatMap(([, , names]) => names))].filter((name) => name in wrong);
  byId("spread").hidden = names.length === 0;
  const heading = (textContent) => make("th", { scope: "col", textContent });
  const head = make("tr", {}, ...["number", ...range(T), "all steps"].map(heading));
  const rows = names.map((name) => spreadOf(name, wrong[name], first === null ? [null, null, []] : executed[first]));
  byId("spread").querySelector("table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

function spreadOf(name, wrong, [, begins, names]) {
  const title = make("th", { scope: "row" });
  title.innerHTML = labelOf(name);
  const count = (row) => (wrong[row] ?? []).filter((value) => value !== null).length;
  const inAll = add(Object.keys(wrong).map(count));
  const counts = isWhole(name) ? [...range(T).fill(0), inAll] : [...range(T).map(count), 0];
  return make("tr", {}, title, ...counts.map((n, t) => {
    const isFirst = n && names.includes(name) && (begins === null || begins === t);
    return make("td", { className: isFirst ? "wrong first" : n ? "wrong" : "", textContent: n || "" });
  }));
}
