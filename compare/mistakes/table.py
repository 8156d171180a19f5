"""`byhand gradients --mistakes`: which way of checking sees which mistake of the catalogue."""

import difflib

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

import scratch
from compare.mistakes.catalogue import MISTAKES, Mistake
from compare.mistakes.detectors import WEAK, sees
from compare.mistakes.plant import planted


def main(cell: str | None = None) -> int:
    """Plant each mistake (with `cell`: of that cell) and print which weak ways see it. Returns 0."""
    console = Console()
    mistakes = [mistake for mistake in MISTAKES if cell is None or mistake.file == scratch.file_of(cell)]
    planting = track(mistakes, "planting mistakes", console=console, transient=True, disable=not console.is_terminal)
    seen = {mistake: seen_by(mistake) for mistake in planting}
    console.print(table(seen))
    return 0


def seen_by(mistake: Mistake) -> list[bool]:
    """Which of WEAK see the mistake."""
    package = planted(mistake)
    return [sees(way, package) for way in WEAK.values()]


def table(seen: dict[Mistake, list[bool]]) -> Table:
    """A row per mistake, a mark for each way that sees it, and how many each way sees: at most 80 columns."""
    legend = "\n".join(f"  {k}  {name}" for k, name in enumerate(WEAK, start=1))
    style = dict(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    result = Table(title=f"mistakes, and which way of checking sees them:\n{legend}", **style)
    result.add_column("mistake, why it is made, - right line, + wrong line")
    for k in range(len(WEAK)):
        result.add_column(str(k + 1), justify="right", no_wrap=True)
    for mistake, marks in seen.items():
        result.add_row(described(mistake), *("●" if mark else "" for mark in marks), end_section=True)
    cells = set(map(scratch.file_of, scratch.CELLS))
    in_cells = {mistake: marks for mistake, marks in seen.items() if mistake.file in cells}
    if len(in_cells) < len(seen):
        add_counts(result, "seen in the cells", in_cells)
    add_counts(result, "seen in all", seen)
    return result


def add_counts(result: Table, label: str, seen: dict[Mistake, list[bool]]) -> None:
    counts = [sum(column) for column in zip(*seen.values(), strict=True)]
    result.add_row(f"{label}, of {len(seen)}", *map(str, counts))


def described(mistake: Mistake) -> Text:
    """Its file and name, why people make it, and the change as a diff."""
    text = Text.assemble(f"{mistake.file}.py: ", (mistake.name, "bold"), f"\n{mistake.why}")
    for line in changed_lines(mistake):
        text.append(f"\n{line}", "green" if line.startswith("-") else "red")
    return text


def changed_lines(mistake: Mistake) -> list[str]:
    """The lines that differ, without comments and indentation: "- " before the right ones, "+ " before the wrong."""
    right, wrong = (
        [line.split("  #")[0].strip() for line in text.splitlines()] for text in (mistake.right, mistake.wrong)
    )
    return [line for line in difflib.ndiff(right, wrong) if line.startswith(("- ", "+ "))]
