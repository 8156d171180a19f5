"""`exercise`: the ladder, a starter file for one rung, its hints, its solution, and how far one has come."""

import json
import os
import textwrap
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from compare.learner import check, ladder
from data import UserError

TAKEN = ".exercise-hints.json"  # in the learner's folder: how many hints were shown, by rung


DESCRIPTION = """\
Without NAME: list the exercises. With NAME: write NAME.py, with one piece left
for you to write, into the current folder (an existing file is never
overwritten)."""


def add_arguments(parser):
    parser.epilog = "exit status: 0; 2 could not run (reason on stderr)"
    parser.add_argument("name", nargs="?", metavar="NAME", help="the exercise")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hint", action="store_true", help="print a hint; repeat for the next one")
    what.add_argument("--solution", action="store_true", help="print the solution, which is the project's own code")
    what.add_argument("--progress", action="store_true", help="check the files here: what is solved, what is next")


def run(options):
    return main(options.name, options.hint, options.solution, options.progress)


def main(name, hint, solution, progress):
    """Returns the exit status."""
    if progress:
        return show_progress(Path())
    if name is None:
        if hint or solution:
            raise UserError("say which exercise: byhand exercise NAME --hint")
        return list_all(Path())
    if name not in ladder.BY_NAME:
        raise UserError(f"there is no exercise {name!r}; choose one of: {', '.join(ladder.BY_NAME)}")
    rung = ladder.BY_NAME[name]
    if hint:
        return show_hint(rung, Path(TAKEN))
    if solution:
        print(ladder.solution(rung), end="")
        return 0
    return write_starter(rung, Path(rung.file_name))


def list_all(folder):
    table = Table(title="the ladder, easy to hard", title_justify="left")
    for heading in ("exercise", "what it is", "from", "here"):
        table.add_column(heading)
    for rung in ladder.RUNGS:
        here = rung.file_name if (folder / rung.file_name).exists() else ""
        table.add_row(rung.name, rung.title, f"scratch/{rung.file}.py", here)
    check.Screen(emoji=False).print(table)
    print("byhand exercise NAME   writes NAME.py, to be completed, into this folder")
    print("byhand check NAME.py   says whether it is right, and if not, which line is wrong")
    return 0


def write_starter(rung, path):
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(ladder.starter(rung))
    except FileExistsError:
        raise UserError(
            f"{path} is there already and stays as it is; check it with `byhand check {path}`, or move it"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; go to a folder of your own") from error
    console = Console(highlight=False, markup=False)
    console.print(f"{path}: {rung.title}\n")
    console.print(rung.task + "\n")
    print(f"check it:  byhand check {path}")
    print(f"a hint:    byhand exercise {rung.name} --hint")
    return 0


def show_hint(rung, path):
    taken = hints_taken(path)
    n = min(taken.get(rung.name, 0), len(rung.hints) - 1)
    for k, words in enumerate(rung.hints[: n + 1], start=1):
        print(textwrap.fill(f"hint {k} of {len(rung.hints)}: {words}", 80))
    if n + 1 < len(rung.hints):
        print("the same command again gives the next one")
    else:
        print(f"that was the last one; byhand exercise {rung.name} --solution shows the project's own code")
    taken[rung.name] = n + 1
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.write_text(json.dumps(taken), encoding="utf-8")
        os.replace(new, path)
    except OSError:  # a folder that cannot be written to: the next hint will be this one again
        new.unlink(missing_ok=True)
    return 0


def hints_taken(path):
    """{rung: how many}; empty when nothing is noted, or what is noted cannot be read."""
    if not path.is_file():
        return {}
    try:
        taken = json.loads(path.read_text(encoding="utf-8"))
        return {name: taken[name] for name in ladder.BY_NAME if isinstance(taken.get(name), int) and taken[name] >= 0}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def show_progress(folder):
    """Check every exercise that has a file here: what is solved is what is right now, whatever it was before."""
    there = [rung for rung in ladder.RUNGS if (folder / rung.file_name).is_file()]
    verdicts = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(there))
        for rung in there:
            progress.update(bar, advance=1, description=f"checking {rung.file_name}")
            report = check.examined(folder / rung.file_name, rung, check.SECONDS)
            verdicts[rung.name] = "unsolved" if report.get("unsolved") else report["verdict"]
    taken = hints_taken(folder / TAKEN)
    solved = sum(verdict == check.RIGHT for verdict in verdicts.values())
    table = Table(title=f"{solved} of {len(ladder.RUNGS)} solved", title_justify="left")
    for heading in ("exercise", "what it is", "now", "hints"):
        table.add_column(heading)
    for rung in ladder.RUNGS:
        verdict = verdicts.get(rung.name, "not begun")
        table.add_row(
            rung.name,
            rung.title,
            "[green]solved[/green]" if verdict == check.RIGHT else verdict,
            str(taken.get(rung.name, "")),
        )
    check.Screen(emoji=False).print(table)
    after = next((rung for rung in ladder.RUNGS if verdicts.get(rung.name) != check.RIGHT), None)
    if after is None:
        print("all solved")
    elif after.name in verdicts:
        print(f"next: byhand check {after.file_name}")
    else:
        print(f"next: byhand exercise {after.name}")
    return 0
