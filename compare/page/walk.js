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
  const [number, t, names] = executed[state.line];
  const line = lineAt(number);
  line?.classList.add("at");
  byId("where").textContent = `line ${number}, ${state.line + 1} of ${executed.length}${t === null ? "" : `, t = ${t}`}`;
  byId("code").textContent = line?.querySelector("code").textContent ?? "";
  const values = names.filter((name) => view.numbers[name] && !(isWhole(name) && view.numbers[name].hand.length > 4)).map((name) => {
    const item = make("p");
    const rows = view.numbers[name].hand, at = t ?? state.t;
    const row = isWhole(name) ? rows.flat() : rows[at];
    item.innerHTML = `${labelOf(name)}${isWhole(name) ? "" : ` at t = ${at}`}: ${row.map((v) => v === "none" ? v : digits(v)).join("&ensp;")}`;
    return item;
  });
  byId("results").replaceChildren(...values);
  byId("before").disabled = state.line === 0;
  byId("after").disabled = state.line === executed.length - 1;
}

function walk(to) {
  const { executed } = cells[state.cell];
  const line = Math.min(executed.length - 1, Math.max(0, to));
  const t = executed[line][1] ?? (line > executed.findLastIndex(([, step]) => step !== null) ? 0 : T - 1);
  change({ line, t });
  document.querySelector(".line.at")?.scrollIntoView({ block: "center" });
}
