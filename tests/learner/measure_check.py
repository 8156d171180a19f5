"""How often `check` finds the line, on the programs of attempts/programs.zip: the table in compare/learner/README.md.

By authors who had not seen the check, in two sets: with `developed` (74 right programs, 266 single mistakes) the
check was developed; `unseen` (38 and 123) was written afterwards, for a last measurement. Run

    python tests/learner/measure_check.py developed|unseen

It takes about six minutes for 100 mistakes.
"""

import argparse
import runpy
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

from compare.learner import check, ladder

PROGRAMS = Path(__file__).parent / "attempts" / "programs.zip"
SECONDS = 30


def exercise_of(group: str, name: str) -> str | None:
    names = sorted(ladder.BY_NAME, key=len, reverse=True)
    return next((one for one in names if name.startswith(one)), None) if group == "exercises" else None


def wanted_lines(text: str, mistake: dict) -> set[int]:
    """The lines that the author of a mistake calls wrong; around a missing statement, those next to it."""
    start = text[: text.index(mistake["right"])].count("\n") + 1
    wrong = text.replace(mistake["right"], mistake["wrong"])
    marked = {k for k, line in enumerate(wrong.split("\n"), 1) if mistake["line"].strip() in line}
    if not mistake["wrong"].strip():
        return marked | {start - 1, start}
    return marked | set(range(start, start + mistake["wrong"].rstrip("\n").count("\n") + 1))


def judged(path: Path, text: str, mistake: dict, exercise: str | None) -> Counter:
    """What check says of a program with a mistake."""
    path.write_text(text.replace(mistake["right"], mistake["wrong"]), encoding="utf-8")
    reports = check.examined(path, exercise, SECONDS)
    report = next((one for one in reports if one.verdict != "right"), reports[0])
    lines = wanted_lines(text, mistake)
    hit = any(finding.line in lines for finding in report.findings)
    fix = bool(report.findings and report.findings[0].after)
    certain = bool(report.findings and report.findings[0].certain)
    found = {
        "mistakes": 1,
        "called wrong": report.verdict == "wrong",
        "line": hit,
        "line or fix": hit or fix,
        "fix": fix,
    }
    return Counter(
        found | {"fix at the line": fix and hit, "certain": certain, "certain, true": certain and (hit or fix)}
    )


def main(which: str):
    total, seconds = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(PROGRAMS).extractall(folder)
        for mistakes_file in sorted((Path(folder) / which).glob("*/mistakes.py")):
            mistakes, group = runpy.run_path(str(mistakes_file))["MISTAKES"], mistakes_file.parent.name
            for path in sorted(set(mistakes_file.parent.glob("*.py")) - {mistakes_file}):
                text, exercise = path.read_text(encoding="utf-8"), exercise_of(group, path.name)
                total["programs"] += 1
                total["called right"] += all(r.verdict == "right" for r in check.examined(path, exercise, SECONDS))
                for mistake in (one for one in mistakes if one["file"] == path.name):
                    begin = time.perf_counter()
                    total += judged(path, text, mistake, exercise)
                    seconds.append(time.perf_counter() - begin)
                print(f"{group}/{path.name}: {dict(total)}", flush=True)
    print(f"seconds to the line: median {sorted(seconds)[len(seconds) // 2]:.1f}, most {max(seconds):.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("developed", "unseen"))
    main(parser.parse_args().which)
