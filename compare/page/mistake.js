// A planted mistake: its lines as a diff, what it makes wrong at which step, and which checks would see it.

let filledFor = null;

function paintMistake() {
  const { mistakes } = cells[state.cell], mistake = mistakes[state.mistake];
  const menu = byId("mistake");
  if (filledFor !== state.cell) {
    filledFor = state.cell;
    const items = Object.keys(mistakes).map((name) => make("option", { value: name, textContent: name.replaceAll("_", " ") }));
    menu.replaceChildren(make("option", { value: "", textContent: "none" }), ...items);
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
  byId("seen").replaceChildren(...checks.map((name, k) => make("li", { className: mistake.checks[k] ? "sees" : "misses" },
    make("b", { textContent: mistake.checks[k] ? "sees it" : "misses it" }), ` ${name}`)));
}

const lineAt = (number) => document.querySelector(`#${state.cell} :is(.forward, .backward) .hand [data-line="${number}"]`);
const codeOf = (text) => text.split("  #")[0].trim();

function showChange([first, last, lines]) {
  for (const number of range(last - first + 1)) lineAt(first + number)?.classList.add("removed");
  const after = lineAt(Math.max(first, last));
  for (const text of lines.toReversed()) {
    after.after(make("div", { className: "line added", style: `--indent:${text.length - text.trimStart().length}` },
      make("span", { className: "no", textContent: "+" }), make("code", { textContent: codeOf(text) })));
  }
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
  const head = make("tr", {}, make("th", { scope: "col", textContent: "number" }),
    ...range(T).map((t) => make("th", { scope: "col", textContent: t })), make("th", { scope: "col", textContent: "all steps" }));
  const startsAt = first === null ? [] : executed[first];
  const rows = names.map((name) => {
    const title = make("th", { scope: "row" });
    title.innerHTML = labelOf(name);
    const count = (row) => (wrong[name][row] ?? []).filter((value) => value !== null).length;
    const starts = (t) => startsAt[2].includes(name) && (startsAt[1] === null || startsAt[1] === t);
    const cell = (n, t) => make("td", { className: n ? starts(t) ? "wrong first" : "wrong" : "", textContent: n || "" });
    const total = add(Object.keys(wrong[name]).map(count));
    const whole = isWhole(name);
    return make("tr", {}, title, ...range(T).map((t) => cell(whole ? 0 : count(t), t)), cell(whole ? total : 0, null));
  });
  byId("spread").querySelector("table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}
