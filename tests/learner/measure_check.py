"""How often `check` finds the line, on the programs of attempts/programs.zip: the table in compare/learner/README.md.

74 right programs in four groups, by authors who had not seen the check, and 266 single mistakes in them. Run

    python tests/learner/measure_check.py [--half 0|1]

Half 0 was open while the check was written; half 1 was not. It takes about six minutes per half.
"""

import argparse
import hashlib
import runpy
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

from compare.learner import check, ladder

PROGRAMS = Path(__file__).parent / "attempts" / "programs.zip"
GROUPS = {"courses": "A", "exercises": "B", "layers": "C", "styles": "D"}
SECONDS = 30


def half_of(group: str, name: str) -> int:
    return int(hashlib.sha1(f"{GROUPS[group]}/{name}".encode()).hexdigest(), 16) % 2


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


def main(half: int | None):
    total, seconds = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(PROGRAMS).extractall(folder)
        for group in GROUPS:
            mistakes = runpy.run_path(str(Path(folder) / group / "mistakes.py"))["MISTAKES"]
            for path in sorted((Path(folder) / group).glob("*.py")):
                if path.name == "mistakes.py" or half not in (None, half_of(group, path.name)):
                    continue
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
    parser.add_argument("--half", type=int, choices=(0, 1))
    main(parser.parse_args().half)
