"""What check knows about one program, and how it says it."""

import dataclasses
import math
import textwrap
from dataclasses import dataclass, field

from compare.agreement import ALLOWED_EPS

RIGHT, WRONG, COULD_NOT_RUN, UNSOLVED = "right", "wrong", "could not run", "unsolved"
RUNS, SHAPES, VALUES = "runs", "shapes and dtypes", "values"
CLEAN, SEPARATE = "inputs unmodified, repeatable", "no aliased outputs"
IF_WRONG = {RUNS: "to run", CLEAN: "inputs or second call", SEPARATE: "aliased outputs"}  # what a stage is called then
MARKS = {RIGHT: "note", WRONG: "wrong", COULD_NOT_RUN: "failed", UNSOLVED: "failed"}
WIDTH = 80
NOT_FOUND = "No change of a single line was found after which everything is right."
SEVERAL = "There are probably several mistakes."  # only known where values were compared


@dataclass
class Row:
    """An output: its largest error in eps of its largest entry, and the entry where it is largest."""

    name: str
    shape: tuple
    verdict: str
    eps: float = math.nan
    entry: tuple = ()
    got: float = math.nan
    expected: float = math.nan

    @property
    def is_right(self) -> bool:
        return self.verdict == "within rounding"


@dataclass
class Finding:
    """The line to look at.

    certain: whether changing it was seen to make everything right; kind: what is wrong with it, in words; evidence:
    sentences on what it holds and what is expected there; also: other lines where a change makes everything right;
    before, after: the edit that does, as source lines.
    """

    line: int
    text: str
    certain: bool
    kind: str = ""
    columns: tuple = ()
    evidence: list[str] = field(default_factory=list)
    also: list[int] = field(default_factory=list)
    before: str = ""
    after: str = ""


@dataclass
class Report:
    """The answer on one forward and backward pass.

    stages: (what was checked, "ok" or what is wrong or worth a note); partly: whether something was not checked, such
    as a parameter's gradient or a kink; not_searched: why the line was not looked for, or why that did not end, in a
    sentence.
    """

    file: str
    title: str
    exercise: str | None = None
    verdict: str = RIGHT
    stages: list[tuple[str, str]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problem: str = ""
    printed: str = ""
    mistake: str = ""
    not_searched: str = ""
    partly: bool = False

    def failed(self, stage: str, sentence: str, verdict: str = WRONG):
        self.stages.append((stage, sentence))
        self.verdict = verdict

    @property
    def sentence(self) -> str:
        return next((words for _, words in self.stages if words != "ok"), "")

    @property
    def line(self) -> int | None:
        return self.findings[0].line if self.findings else None

    def as_json(self) -> dict:
        return plain(dataclasses.asdict(self) | {"sentence": self.sentence, "line": self.line})


def plain(value):
    """JSON has no nan and inf: they become strings."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(data: dict) -> Report:
    known = {f.name for f in dataclasses.fields(Report)}
    data = {key: value for key, value in data.items() if key in known}
    rows = [Row(**row | {k: float(row[k]) for k in ("eps", "got", "expected")}) for row in data.pop("rows")]
    findings = [Finding(**one) for one in data.pop("findings")]
    return Report(**data | {"stages": [tuple(one) for one in data["stages"]]}, rows=rows, findings=findings)


# ---- in words ----


def head(report: Report) -> str:
    """What is known at once: the stages and the arrays."""
    lines = [f"{report.file}: {report.title}"]
    for stage, words in report.stages:
        mark = "ok" if words == "ok" else MARKS[report.verdict]
        lines += wrapped(stage if words == "ok" else f"{IF_WRONG.get(stage, stage)}: {words}", f"  {mark:<5} ", 8)
    wrong = [row for row in report.rows if not row.is_right]
    if wrong:
        width = max(len(row.name) for row in report.rows)
        lines.append("")
        lines += [row_in_words(row, width) for row in wrong]
        good = [row.name for row in report.rows if row.is_right]
        lines += wrapped(f"within rounding: {', '.join(good)}", "", 2) if good else []
    return "\n".join(lines)


def row_in_words(row: Row, width: int) -> str:
    if math.isnan(row.eps) and not row.entry and math.isnan(row.got):
        return f"{row.name:<{width}}  {row.verdict}"
    got, expected = enough_digits(row.got, row.expected)
    where = f", most at {list(row.entry)}" if row.entry else ""
    return f"{row.name:<{width}}  {row.verdict}{where}: {got}, expected {expected}"


def tail(report: Report, *, fix: bool = False) -> str:
    """What was found out about the cause."""
    lines = []
    if report.verdict == WRONG and not report.findings:
        several = f" {SEVERAL}" if (SHAPES, "ok") in report.stages else ""
        lines += ["", *wrapped(report.not_searched or NOT_FOUND + several, "", 0)]
    for k, finding in enumerate(report.findings):
        lines += ["", *finding_in_words(finding, fix=fix, another=k > 0)]
    if fix and report.verdict == WRONG and report.findings and not any(one.after for one in report.findings):
        lines.append("No change was found after which everything is right.")
    if report.verdict == RIGHT and report.rows:
        worst = max(report.rows, key=lambda row: (math.isfinite(row.eps), row.eps))
        right = "right as far as checked" if report.partly else "right"
        words = f"{right}: the largest error, in {worst.name}, is {worst.eps:.2g} eps of its largest entry"
        lines += ["", *wrapped(words, "", 0)]
        if not report.exercise and worst.eps > ALLOWED_EPS:
            lines.append("(the expected gradient is itself only as exact as finite differences)")
    for remark in report.remarks:
        lines += wrapped(remark, "  * ", 4)
    if report.printed:
        lines += ["", "your code printed:", textwrap.indent(report.printed, "    ")]
    if report.problem and report.verdict == WRONG:
        lines += wrapped(f"(tried on: {report.problem})", "", 1)
    return "\n".join(lines)


def finding_in_words(finding: Finding, *, fix: bool, another: bool) -> list[str]:
    sure = "" if finding.certain else " (not certain)"
    lines = [f"{'and, after that change, ' if another else ''}line {finding.line}{sure}", f"    {finding.text}"]
    if finding.columns:
        start, end = finding.columns
        lines.append("    " + " " * start + "^" * (end - start))
    for sentence in [finding.kind, *finding.evidence]:
        lines += wrapped(sentence, "", 0) if sentence else []
    if finding.also:
        others = " or ".join(f"line {line}" for line in finding.also)
        lines += wrapped(f"The mistake could also be fixed in {others}.", "", 0)
    if fix and finding.after:
        lines += [
            "",
            *(f"  - {line}" for line in finding.before.split("\n") if line),
            *(f"  + {line}" for line in finding.after.split("\n")),
        ]
    return lines


def wrapped(text: str, first: str, indent: int) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * indent, break_long_words=False) or [
        first
    ]


def enough_digits(a: float, b: float) -> tuple[str, str]:
    """Two numbers as text, with as many digits as it takes to tell them apart."""
    digits = next((d for d in range(6, 18) if f"{a:.{d}g}" != f"{b:.{d}g}"), 17)
    return f"{a:.{digits}g}", f"{b:.{digits}g}"
