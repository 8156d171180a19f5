"""A learner's file: its text, and which exercise it is."""

import re
from pathlib import Path

from compare.learner.exercises import ladder
from data import UserError

LARGEST = 1_000_000  # bytes of a learner's file


def source_of(path: Path) -> str:
    """The text of a learner's file. Raises UserError when it cannot be read."""
    if not path.is_file():
        what = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise UserError(f"{path}: {what}; `byhand exercise NAME` writes a file to complete")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(f"{path}: larger than {LARGEST // 10**6} MB; give the file with your code only")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; give a Python file") from None


def exercise_of(path: Path, source: str, name: str | None = None) -> str | None:
    """The exercise that a file is about; None for any other file. Raises UserError when there is none of that name."""
    if name is not None:
        ladder.by_name(name)
    exercise = name or getattr(ladder.named_in(source, path), "name", None)
    heading = re.search(rf"{ladder.MARK} `", source)
    return exercise if name or heading or not is_any_pair(source) else None


def is_any_pair(source: str) -> bool:
    """Whether a file without a heading says by its names that it is no exercise: X_forward, or an example."""
    return re.search(r"^\s*def (example\w*|\w+_forward)\b", source, re.M) is not None
