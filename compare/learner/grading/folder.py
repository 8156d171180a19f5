"""`byhand check FOLDER`: check every exercise in a folder, in sandboxes, and print a table."""

import json
import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.learner.exercises import ladder
from compare.learner.files import exercise_of, source_of
from compare.learner.grading import judge
from compare.learner.grading.isolation import LEVELS, isolation
from compare.learner.program.gradient_names import CannotRun
from compare.learner.verdict.report import COULD_NOT_RUN, RIGHT, RUNS, Report
from data import UserError
from data.errors import printable


def grade(folder: Path, options) -> int:
    """Check every Python file in a folder and its subfolders, in sandboxes; print a table. Returns the exit status."""
    files = sorted(path for path in folder.rglob("*.py") if not path.is_dir() and not hidden(path.relative_to(folder)))
    if not files:
        raise UserError(f"{folder}: no Python file in it")
    level, reports = isolation(), []
    with Console(stderr=True).status("") as status:
        for path in files:
            status.update(Text(f"checking {printable(path.name)}"))
            reports.append(graded(path, options))
    if not any(reports):
        which = (
            f"none of its {len(files)} Python files names" if len(files) > 1 else "its only Python file does not name"
        )
        raise UserError(f"{folder}: {which} an exercise; name a file after one (gru.py), or add --exercise gru")
    if options.json:
        print(json.dumps([report.as_json() for report in reports if report], indent=2))
    else:
        print_table(folder, files, reports)
    print(f"isolation: {LEVELS[level]}", file=sys.stderr if options.json else sys.stdout)
    return 0 if all(report.verdict == RIGHT for report in reports if report) else 1


def graded(path: Path, options) -> Report | None:
    """The report on somebody else's file; None if it is no exercise."""
    try:
        if path.is_symlink():
            raise UserError("a symbolic link, which is not followed here")
        source = source_of(path)
        exercise = exercise_of(path, source, options.exercise)
        if ladder.is_the_solution(path, exercise):
            raise UserError("it is the solution of its own exercise; check this file by itself")
        return judge.graded(path, source, exercise, options.seconds, own_modules(path, source)) if exercise else None
    except (UserError, OSError, CannotRun) as error:
        report = Report(str(path), "", "?")
        report.failed(RUNS, str(error), COULD_NOT_RUN)
        return report


def own_modules(path: Path, source: str) -> dict[str, str]:
    """The modules next to a file that it imports, and those that they import, by file name; exercises are left out."""
    found, todo = {}, [source]
    for text in todo:  # grows
        for name in re.findall(r"^\s*(?:from|import)\s+(\w+)", text, re.M):
            module = path.with_name(f"{name}.py")
            if module.name not in found and module != path and module.is_file() and not module.is_symlink():
                more = source_of(module)
                if exercise_of(module, more) is None:
                    found[module.name] = more
                    todo.append(more)
    return found


def hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def print_table(folder, files, reports):
    right = sum(report.verdict == RIGHT for report in reports if report)
    title, unchecked = f"{printable(str(folder))}: {right} of {sum(map(bool, reports))} right", reports.count(None)
    if unchecked:
        title += f", {unchecked} file{'s' * (unchecked > 1)} not checked (which exercise?)"
    table = Table(title=Text(title), title_justify="left")
    for heading in ("file", "exercise", "verdict", "line", "what is wrong"):
        table.add_column(heading, overflow="fold")
    for path, report in zip(files, reports, strict=True):
        cells = (
            [report.exercise, report.verdict, str(report.line or ""), report.sentence]
            if report
            else ["", "no exercise", "", ""]
        )
        table.add_row(*(printable(cell) for cell in (os.path.relpath(path, folder), *cells)))
    Console(markup=False, emoji=False, highlight=False).print(table)
