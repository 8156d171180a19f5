"""How often `check` finds the line of a mistake, on the programs of learner/programs.tar.xz.

    python tests/measure_check.py developed|earlier|unseen [--two]

The table in compare/learner/README.md is what it says of `unseen`. It takes about ten minutes for 100 mistakes. With
--two, every two mistakes that follow one another in a program are planted together.
"""

import argparse
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from programs import NAMES, Planted, exercise_of, planted, text_of

from compare.learner.child import examined

SECONDS = 60


def checked(folder: Path, name: str, text: str) -> tuple[list, float, float]:
    """The reports, the seconds after which the verdict was known, and those for the whole report."""
    path, told, begin = folder / name.split("/")[-1], [], time.perf_counter()
    path.write_text(text, encoding="utf-8")
    reports = examined(path, exercise_of(name), SECONDS, lambda report: told.append(time.perf_counter()))
    end = time.perf_counter()
    return reports, min([*told, end]) - begin, end - begin


def judged(mistake: Planted, reports: list) -> Counter:
    """What check says of a program with a mistake."""
    report = next((one for one in reports if one.verdict != "right"), reports[0])
    hit = any(finding.line in mistake.lines for finding in report.findings)
    fix = any(finding.after for finding in report.findings)
    certain = bool(report.findings and report.findings[0].certain)
    return Counter(
        {
            "mistakes": 1,
            "called wrong": report.verdict == "wrong",
            "line": hit,
            "line or fix": hit or fix,
            "fix": fix,
            "fix at the line": fix and hit,
            "certain": certain,
            "certain, true": certain and (hit or fix),
        }
    )


def judged_together(folder: Path, first: Planted, second: Planted) -> Counter:
    """What check says of a program with two mistakes."""
    text = first.text.replace(second.right, second.wrong)
    if text == first.text:
        return Counter()
    reports, *_ = checked(folder, first.program, text)
    named = {finding.line for report in reports for finding in report.findings}
    lines = [{k for k, line in enumerate(text.split("\n"), 1) if one.line.strip() in line} for one in (first, second)]
    found = [bool(named & one) for one in lines]
    return Counter({"pairs": 1, "a line": any(found), "both": all(found)})


def measure_pairs(which: str):
    total, mistakes = Counter(), planted(which)
    with tempfile.TemporaryDirectory() as folder:
        for first, second in pairwise(mistakes):
            if first.program == second.program:
                total += judged_together(Path(folder), first, second)
                print(f"{first.program}: {dict(total)}", flush=True)


def main(which: str):
    total, mistakes = Counter(), planted(which)
    right, verdict, whole = [], [], []  # seconds
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in NAMES if name.startswith(which)):
            reports, *_, seconds = checked(Path(folder), name, text_of(name))
            right.append(seconds)
            total["programs"] += 1
            total["called right"] += all(r.verdict == "right" for r in reports)
            for mistake in (one for one in mistakes if one.program == name):
                reports, *seconds = checked(Path(folder), name, mistake.text)
                total += judged(mistake, reports)
                for times, one in zip((verdict, whole), seconds, strict=True):
                    times.append(one)
            print(f"{name}: {dict(total)}", flush=True)
    for what, seconds in (("right programs", right), ("the verdict", verdict), ("the whole report", whole)):
        half, most = (sorted(seconds)[int(part * len(seconds))] for part in (0.5, 0.9))
        print(f"seconds for {what}: half in {half:.1f}, nine in ten in {most:.1f}, all in {max(seconds):.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("developed", "earlier", "unseen"))
    parser.add_argument("--two", action="store_true")
    chosen = parser.parse_args()
    (measure_pairs if chosen.two else main)(chosen.which)
