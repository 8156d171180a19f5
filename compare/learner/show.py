"""Print the report on a learner's file."""

import textwrap

from rich.console import Console
from rich.markup import escape

from compare.learner import ladder

RIGHT, WRONG, COULD_NOT_RUN = "right", "wrong", "could not run"
LINES_PRINTED = 12  # of the output of the learner's code


class Screen(Console):
    """A Console that raises BrokenPipeError, instead of ending the program, when its output is no longer read."""

    def on_broken_pipe(self):
        raise BrokenPipeError


def show(report, exercise):
    """Print a report."""
    console = Screen(highlight=False, emoji=False)
    console.print(f"[bold]{escape(report['file'])}[/bold]: exercise {exercise.name}, {exercise.title}")
    show_stages(console, report)
    if report.get("printed"):
        console.print("\nit printed:")
        lines = escape(report["printed"]).rstrip().split("\n")[-LINES_PRINTED:]
        console.print("\n".join(f"  {line}" for line in lines))
    console.print()
    if report.get("unsolved"):
        console.print(f"{escape(exercise.task)}\n\nhint: byhand exercise {exercise.name} --hint")
    elif report["verdict"] == RIGHT:
        show_right(console, report, exercise)
    else:
        show_wrong(console, report)


def show_stages(console, report):
    for stage, outcome in report["stages"]:
        if outcome == "ok":
            console.print(f"  [green]ok[/green]     {stage}")
        elif report.get("unsolved"):
            console.print(f"  [red]unsolved[/red]: {escape(outcome)}")
        else:
            word = "wrong " if report["verdict"] == WRONG else "failed"
            words = textwrap.fill(f"{stage}: {outcome}", console.width - 9).replace("\n", "\n" + 9 * " ")
            console.print(f"  [red]{word}[/red] {escape(words)}")


def show_right(console, report, exercise):
    error = ""
    if report["arrays"]:
        worst = max(report["arrays"], key=lambda row: row["eps"])
        error = f": the largest error, in {worst['name']}, is {worst['eps']:.1f} eps of its largest entry"
    console.print(f"[bold green]right[/bold green]{error}")
    show_remarks(console, report)
    after = ladder.EXERCISES.index(exercise) + 1
    if after < len(ladder.EXERCISES):
        console.print(f"next: byhand exercise {ladder.EXERCISES[after].name}")
    else:
        console.print("That was the last exercise.")


def show_remarks(console, report):
    for remark in report["remarks"]:
        console.print(escape(textwrap.fill(remark, 78, initial_indent="  - ", subsequent_indent="    ")))


def show_wrong(console, report):
    if "line" in report:
        certain = report.get("fixes_all", True)
        console.print(f"[bold]line {report['line']}[/bold]{'' if certain else ' (not certain)'}{step_of(report)}")
        text, (start, stop) = cut_out(report["text"], *marked_columns(report), width=console.width - 2)
        console.print(f"  {escape(text)}")
        if stop > start:
            console.print(f"  [red]{' ' * start}{'^' * (stop - start)}[/red]")
    for sentence in sentences(report):
        console.print(escape(sentence))
    for verdict in ("wrong", "right"):
        names = [row["name"] for row in report["arrays"] if row["verdict"] == verdict]
        if names:
            console.print(f"{verdict}: {', '.join(names)}")
    if report.get("problem"):
        console.print(f"(problem: {report['problem']})")
    show_remarks(console, report)


def step_of(report):
    """At which step the line is wrong first: in a backward pass, the loop starts at the last step."""
    if report.get("last_step", 0) == 0:
        return ""
    step, start, last = report["step"], report["from_step"], report["last_step"]
    if step < 0:  # the gradient of the initial state
        return ", first wrong after step 0"
    if step == start:
        return f", first wrong at step {step}, the {'last' if step == last else 'first'} step"
    return f", first wrong at step {step} (going {'backwards' if start == last else 'forwards'} from step {start})"


def marked_columns(report):
    """The first and last column of the wrong part in the line that is shown; equal when no part is to be marked."""
    if "shows_in_line" in report or not report.get("columns"):
        return 0, 0
    return [len(report["text"].encode()[:column].decode(errors="ignore")) for column in report["columns"]]  # from bytes


def cut_out(text, start, stop, width):
    """As much of a line as fits, with the part from `start` to `stop` in it, and where that part is in the result."""
    if len(text) <= width:
        return text, (start, stop)
    first = max(0, min((start + stop - width) // 2, start - 3, len(text) - width))
    piece = text[first : first + width]
    if first > 0:
        piece = "..." + piece[3:]
    if first + width < len(text):
        piece = piece[:-3] + "..."
    return piece, (start - first, min(stop - first, width))


def sentences(report):
    """What is known, the most certain first."""
    if "shows_in_line" in report:
        yield f"The first wrong value appears in line {report['shows_in_line']}: {report['shows_in_text'].strip()}"
    if "last_stored" in report and "line" in report:
        yield (
            "No single line was found whose correction fixes a result. This line was the last to store "
            f"{report['last_stored']}, which is wrong."
        )
    yield from map(sentence, report.get("sentences", []))
    if "quantity" in report:
        yield from found_and_expected(report)
    if "mistake" in report:
        yield f"Likely mistake ({report['mistake']}): {report['why']}"
    if report.get("equation"):
        yield f"See equation ({report['equation']}) in scratch/README.md."


def found_and_expected(report):
    equation = f" ({report['equation']})" if report["equation"] else ""
    place = "there" if "shows_in_line" in report else "here"
    yield " ".join([f"Expected {place}: {report['quantity']}{equation}.", *map(sentence, report["evidence"])])
    entry = f"Entry {report['entry']}" if report["entry"] else "The value"
    got, expected = with_enough_digits(report["got"], report["expected"])
    yield f"{entry} is {got}; it should be {expected}."
    tried = f"read in line {report['read_in_line']}" if "read_in_line" in report else place
    if report["fixes_all"]:
        yield f"With the right values {tried}, every {report['judged_by']} becomes right."
    else:
        yield (
            f"With the right values {tried}, some results become right and others stay wrong: there is another "
            "mistake, or the cause is elsewhere."
        )


def sentence(words):
    return f"{words[0].upper()}{words[1:]}."


def with_enough_digits(a, b):
    """Two numbers as text, with as many digits as it takes to tell them apart."""
    for digits in range(6, 18):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            break
    return f"{a:.{digits}g}", f"{b:.{digits}g}"
