// Steps through the lines of backward in the order of execution.

// Is a number known after the line that is shown? Without a line: yes.
function isComputed(name, row) {
  if (state.line === null || name === "dy") return true;  // dy is what backward is given
  const { executed } = cells[state.cell];
  const at = executed.findIndex(([, t, names]) => names.includes(name) && (t === null || t === Number(row)));
  return at <= state.line;
}

function paintWalk(view) {
  for (const line of all(".line.at")) line.classList.remove("at");
  byId("walking").hidden = state.line === null;
  if (state.line === null) return;
  const { executed } = cells[state.cell];
  const [number, t, names] = executed[state.line], line = lineAt(number);
  line.classList.add("at");
  const step = t === null ? "" : `, t = ${t}`;
  byId("where").textContent = `line ${number}, ${state.line + 1} of ${executed.length}${step}`;
  byId("code").textContent = line.querySelector("code").textContent;
  const short = names.filter((name) => !isWhole(name) || view.numbers[name].hand.length <= 4);
  byId("results").replaceChildren(...short.map((name) => result(name, t ?? state.t, view.numbers[name].hand)));
  byId("before").disabled = state.line === 0;
  byId("after").disabled = state.line === executed.length - 1;
}

function result(name, t, rows) {
  const values = isWhole(name) ? rows.flat() : rows[t];
  const item = make("p");
  item.innerHTML = `${labelOf(name)}${isWhole(name) ? "" : ` at t = ${t}`}: ${values.map(digits).join("&ensp;")}`;
  return item;
}

// Lines before the loop show the last step, with which it begins; lines after it the first; without a loop t stays.
function walk(line) {
  const { executed } = cells[state.cell];
  const lastInLoop = executed.findLastIndex(([, t]) => t !== null);
  const outside = lastInLoop === -1 ? state.t : line > lastInLoop ? 0 : T - 1;
  change({ line, t: executed[line][1] ?? outside });
  document.querySelector(".line.at").scrollIntoView({ block: "center" });
}
