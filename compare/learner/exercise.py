"""`byhand exercise`: list the exercises, write a starter file, print hints and solutions, show progress."""

import contextlib
import json
import os
import random
import textwrap
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from compare.learner.child import examined
from compare.learner.exercises import ladder, likely_mistake
from compare.learner.verdict.report import RIGHT
from compare.mistakes.plant import planted_source
from compare.options import seed
from data import UserError

HINTS_SHOWN = ".exercise-hints.json"  # in the learner's folder: how many hints were shown, by exercise

DESCRIPTION = """\
Without NAME: list the exercises. With NAME: write NAME.py, with one piece left
for you to write, into the current folder (an existing file is never
overwritten)."""


def add_arguments(parser):
    parser.epilog = "exit status: 0 done, 2 could not run (reason on stderr)"
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of the exercises")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hint", action="store_true", help="print a hint; repeat for the next one")
    what.add_argument("--solution", action="store_true", help="print the solution (the code of scratch/)")
    what.add_argument(
        "--broken", action="store_true", help="write the solution with one wrong line in it, for you to find and fix"
    )
    what.add_argument(
        "--progress", action="store_true", help="check the files in this folder: what is solved, what is next"
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="with --broken: which mistake (default: at random)")


def run(options):
    if options.broken:
        return write_broken(options.name, options.seed)
    if options.seed is not None:
        raise UserError("--seed chooses the mistake of --broken; add --broken, or drop --seed")
    return main(options.name, hint=options.hint, solution=options.solution, progress=options.progress)


def write_broken(name: str | None, number: int | None) -> int:
    """Write the solution of an exercise with a mistake of the catalogue in it. Returns the exit status."""
    if name is None:
        raise UserError("name the exercise: byhand exercise NAME --broken")
    exercise = ladder.by_name(name)
    mistakes = likely_mistake.fitting(exercise)
    if not mistakes:
        having = [one.name for one in ladder.EXERCISES if likely_mistake.fitting(one)]
        raise UserError(f"the catalogue has no mistake for {name}; choose one of: {', '.join(having)}")
    text = ladder.solution(exercise, planted_source(random.Random(number).choice(mistakes)))
    path = Path(exercise.file_name)
    write_new(path, text.replace("The model solution:", "One mistake is in this file. It was made in"))
    print(f"wrote {path}: the solution with one mistake in it. Find it and fix it.")
    print(f"check it:    byhand check {path}")
    return 0


def main(name: str | None, *, hint: bool, solution: bool, progress: bool) -> int:
    """List the exercises, or do what was asked for one of them. Returns the exit status; raises UserError."""
    if progress:
        if name is not None:
            raise UserError(f"--progress is about all exercises; drop {name}")
        return show_progress(Path())
    if name is None:
        if hint or solution:
            raise UserError(f"name the exercise: byhand exercise NAME --{'hint' if hint else 'solution'}")
        return list_all(Path())
    exercise = ladder.by_name(name)
    if hint:
        return show_hint(exercise, Path(HINTS_SHOWN))
    if solution:
        print(ladder.solution(exercise), end="")
        return 0
    return write_starter(exercise, Path(exercise.file_name))


def list_all(folder):
    table = table_of(
        "the exercises: layers and single steps, then whole sequences, then training",
        "exercise",
        "topic",
        "source",
        "your file",
    )
    for exercise in ladder.EXERCISES:
        here = exercise.file_name if (folder / exercise.file_name).exists() else ""
        table.add_row(exercise.name, exercise.title, f"scratch/{exercise.file}.py", here)
    Console(emoji=False).print(table)
    print("byhand exercise NAME   writes NAME.py, for you to complete, into this folder")
    print("byhand check NAME.py   says whether it is right, and if not, which line is wrong")
    return 0


def table_of(title, *headings):
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    return table


def write_new(path, text):
    """Write a file that must not exist. Raises UserError."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(
            f"{path} exists and was not changed; check it with `byhand check {path}`, or move it to start again"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; run this in a folder of your own") from error


def write_starter(exercise, path):
    write_new(path, ladder.starter(exercise))
    console = Console(highlight=False, markup=False)
    console.print(f"wrote {path}: {exercise.title}\n")
    console.print(exercise.task + "\n")
    print(f"check it:    byhand check {path}")
    print(f"get a hint:  byhand exercise {exercise.name} --hint")
    return 0


def show_hint(exercise, path):
    """Print the hints shown so far and one more."""
    shown = hints_shown(path)
    n = min(shown.get(exercise.name, 0) + 1, len(exercise.hints))
    for k, words in enumerate(exercise.hints[:n], start=1):
        print(textwrap.fill(f"hint {k} of {len(exercise.hints)}: {words}", 80))
    saved = save(shown | {exercise.name: n}, path)
    if not saved:
        print("this folder cannot be written to, so the same hint comes again; run the command in a folder of your own")
    elif n < len(exercise.hints):
        print("run the same command again for the next hint")
    else:
        print(f"that was the last hint; byhand exercise {exercise.name} --solution prints the solution")
    return 0


def save(shown, path) -> bool:
    """Write down how many hints were shown. Returns whether that was possible."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.write_text(json.dumps(shown), encoding="utf-8")
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        return False
    return True


def hints_shown(path):
    """{exercise: how many}; empty when there is no such file, or it cannot be read."""
    if not path.is_file():
        return {}
    try:
        shown = json.loads(path.read_text(encoding="utf-8"))
        return {name: shown[name] for name in ladder.BY_NAME if isinstance(shown.get(name), int) and shown[name] >= 0}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def show_progress(folder):
    """Check every exercise that has a file here. Only the files count: an exercise is solved if its file is right."""
    verdicts = verdicts_in(folder)
    shown = hints_shown(folder / HINTS_SHOWN)
    solved = sum(verdict == RIGHT for verdict in verdicts.values())
    table = table_of(f"{solved} of {len(ladder.EXERCISES)} solved", "exercise", "topic", "status", "hints")
    for exercise in ladder.EXERCISES:
        verdict = verdicts.get(exercise.name, "not started")
        status = "[green]solved[/green]" if verdict == RIGHT else verdict
        table.add_row(exercise.name, exercise.title, status, str(shown.get(exercise.name, "")))
    Console(emoji=False).print(table)
    begun = [one for one in ladder.EXERCISES if verdicts.get(one.name, RIGHT) != RIGHT]
    after = next((one for one in (*begun, *ladder.EXERCISES) if verdicts.get(one.name) != RIGHT), None)
    if after is None:
        print("all solved")
    elif after.name in verdicts:
        print(f"next: byhand check {after.file_name}")
    else:
        print(f"next: byhand exercise {after.name}")
    return 0


def verdicts_in(folder):
    """{exercise: verdict} of the exercises that have a file in the folder."""
    there = [exercise for exercise in ladder.EXERCISES if (folder / exercise.file_name).is_file()]
    verdicts = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(there))
        for exercise in there:
            progress.update(bar, advance=1, description=f"checking {exercise.file_name}")
            reports = examined(folder / exercise.file_name, exercise.name)
            verdicts[exercise.name] = reports[0].verdict
    return verdicts
