"""The programs of learner/programs.tar.xz: by authors who had not seen `check`, right and with mistakes.

With the set `developed` the check was developed. `earlier` was unseen once, until it was used to develop it further;
nothing of `unseen` was known when its figures were measured.
"""

import tarfile
from dataclasses import dataclass
from pathlib import Path

from compare.learner.exercises import ladder

with tarfile.open(Path(__file__).parent / "learner" / "programs.tar.xz") as archive:
    TEXTS = {one.name: archive.extractfile(one).read().decode() for one in archive}  # set/group/file.py -> the text
NAMES = [name for name in TEXTS if not name.endswith("mistakes.py")]
EXERCISES = ("solutions", "exercises")  # the groups of files that begin with the name of an exercise


def text_of(name: str) -> str:
    return TEXTS[name]


def exercise_of(name: str) -> str | None:
    """The exercise that a program solves; None if it solves none."""
    _, group, file = name.split("/")
    names = sorted(ladder.BY_NAME, key=len, reverse=True)
    return next(one for one in names if file.startswith(one)) if group in EXERCISES else None


@dataclass(frozen=True)
class Planted:
    """A mistake. program: the name of the right one; line: text in the line to point at; name: in the catalogue."""

    program: str
    right: str
    wrong: str
    line: str
    why: str
    name: str = ""

    @property
    def text(self) -> str:
        """The wrong program."""
        return text_of(self.program).replace(self.right, self.wrong)

    @property
    def lines(self) -> set[int]:
        """The lines that its author calls wrong; around a missing statement, those next to it."""
        right = text_of(self.program)
        start = right[: right.index(self.right)].count("\n") + 1
        marked = {k for k, line in enumerate(self.text.split("\n"), 1) if self.line.strip() in line}
        if not self.wrong.strip():
            return marked | {start - 1, start}
        return marked | set(range(start, start + self.wrong.rstrip("\n").count("\n") + 1))


def planted(which: str) -> list[Planted]:
    """All mistakes of a set."""
    found = []
    for path in (name for name in TEXTS if name.startswith(which) and name.endswith("mistakes.py")):
        module = {}
        exec(text_of(path), module)
        for one in module["MISTAKES"]:
            chosen = {field: one[field] for field in ("right", "wrong", "line", "why", "name") if field in one}
            found.append(Planted(path.replace("mistakes.py", one["file"]), **chosen))
    return found
