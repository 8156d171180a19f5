"""Read columns of numbers from a CSV file."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import NamedTuple

import numpy as np

from data.dates import out_of_order
from data.errors import UserError
from data.reading import read_text

# How tables write that there is no value.
MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "missing", "-", "?", "."}
WAYS = ("drop", "repeat")  # what can be done about it
# The number by its decimal mark, with or without marks between groups of three digits: 1,234,567.8 or 1.234.567,8.
NUMBER = {
    decimal: re.compile(
        rf"[+-]?(\d+|[1-9]\d{{0,2}}(?P<mark>[{group}'\u00a0\u202f ])\d{{3}}((?P=mark)\d{{3}})*)?"
        rf"([{decimal}]\d*)?([eE][+-]?\d+)?"
    )
    for decimal, group in ((".", ","), (",", "."))
}


@dataclass(frozen=True)
class Columns:
    """Some columns of a table, in time order.

    names    of the columns, the targets first
    targets  how many of them are to be predicted
    values   (N, number of columns) float64
    known    (N, number of columns) bool: False where the file has no value and `values` repeats an earlier one
    labels   N str for the x axis: the file's first column, or "1", "2", ... if that is one of the columns
    """

    names: tuple[str, ...]
    targets: int
    values: np.ndarray
    known: np.ndarray
    labels: list[str]


class Opened(NamedTuple):
    """A CSV file whose first line has been read."""

    header: list[str]
    rows: Iterator[tuple[int, list[str]]]  # (line number in the file, cells)
    delimiter: str


def read_columns(path, column: str | None = None, inputs: str | None = None, missing: str | None = None) -> Columns:
    """The columns that two lists name, separated by commas: those to be predicted, and others.

    The first line names the columns; commas, semicolons or tabs separate them. `column` None: the only column of
    numbers. `missing`: what to do about missing values: "drop" those rows, or "repeat" the last value before each.
    None refuses them. Raises UserError for what cannot be used, with the line and the value if one is not a number.
    """
    if missing not in (None, *WAYS):
        reveals = "would use the next value, which the models are to predict"
        reason = reveals if missing == "interpolate" else "is unknown"
        raise UserError(f"--missing {missing} {reason}; use --missing {' or '.join(WAYS)}")
    header, rows, delimiter = read_table(path)
    first = next(rows)
    target = only_numeric(path, header, first[1]) if column is None else column
    targets = indices_of(path, header, target)
    indices = list(dict.fromkeys([*targets, *(indices_of(path, header, inputs) if inputs is not None else [])]))
    label, lines, labels, cells = 0 not in indices, [], [], [[] for _ in indices]
    for line, row in chain([first], rows):
        lines.append(line)
        labels.append(cell(row, 0) if label else str(len(lines)))
        for index, texts in zip(indices, cells, strict=True):
            texts.append(cell(row, index))
    if label and (pair := out_of_order(labels)):
        raise UserError(f"{path}: {pair[1]} comes after {pair[0]}; sort the rows by time, the oldest first")
    names = tuple(header[index] for index in indices)
    values = np.stack([numbers(path, n, lines, c, delimiter) for n, c in zip(names, cells, strict=True)], axis=1)
    known = ~np.isnan(values)
    if missing is None:
        for name, texts in zip(names, cells, strict=True):
            refuse_missing(path, name, lines, texts, f"fill in what is missing, or pass --missing {' or '.join(WAYS)}")
    if missing == "drop":
        kept = known.all(axis=1)
        values, known, labels = values[kept], known[kept], [text for text, k in zip(labels, kept, strict=True) if k]
    if missing == "repeat":
        values = np.stack([repeated(*pair) for pair in zip(values.T, known.T, strict=True)], axis=1)
    return Columns(names, len(targets), values, known, labels)


def repeated(values, known):
    """(N,) values in which each unknown one is that before it; at the start, the first known one. One is known."""
    before = np.maximum.accumulate(np.where(known, np.arange(len(values)), known.argmax()))
    return values[before]


def read_table(path) -> Opened:
    """Read the line with the column names; there is at least one row below it. Raises UserError if not."""
    text = read_text(path).replace("\r", "\n")
    first_line = text.lstrip(" \n").split("\n", 1)[0]
    delimiter = max(",;\t", key=lambda mark: number_of_cells(first_line, mark))
    rows = read_rows(path, text, delimiter)
    _, header = next(rows, (0, None))
    if header is None:
        raise UserError(f"{path}: has no line with column names; write them into the first line")
    header = [name.strip() for name in header]
    if all(is_number(name) for name in header):
        raise UserError(f"{path}: its first line is numbers; insert a line with the column names above it")
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path}: has column names but no values; add them below, one row per step")
    return Opened(header, within(path, header, chain([first], rows)), delimiter)


def within(path, header, rows):
    """Pass rows on. Raises UserError at the first one with more cells than there are column names."""
    for line, row in rows:
        if any(map(str.strip, row[len(header) :])):
            raise UserError(
                f"{path}: line {line} has {len(row)} cells for {len(header)} column names; "
                "write numbers as 1234.5 and put quotes around text with commas"
            )
        yield line, row


def read_rows(path, text, delimiter):
    """Yield (line number in the file, cells); blank lines are skipped."""
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        for row in reader:
            if any(map(str.strip, row)):
                yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}: is not CSV ({error}); save the table again") from None


def number_of_cells(line, mark):
    """The number of cells that the mark separates in a line (unless quoted); 0 if one would be too long."""
    try:
        return len(next(csv.reader([line], delimiter=mark)))
    except csv.Error:
        return 0


def only_numeric(path, header, row):
    """The name of the column that starts with a number, if just one does. row: the first one below the header."""
    numeric = [name for i, name in enumerate(header) if is_number(cell(row, i))]
    if len(numeric) != 1:
        found = "more than one column" if numeric else "no column"
        raise UserError(f"{path}: {found} starts with a number; pass --column, one of: {listed(header)}")
    return numeric[0]


def indices_of(path, header, columns):
    """The places of the columns that a list separated by commas names; one name may itself contain commas."""
    if columns.casefold() in map(str.casefold, header):
        return [index_of(path, header, columns)]
    return list(dict.fromkeys(index_of(path, header, name.strip()) for name in columns.split(",")))


def index_of(path, header, column):
    """The place of a column in the header; case counts only where names differ in nothing else.

    Raises UserError unless exactly one column has this name.
    """
    same = [i for i, name in enumerate(header) if name == column]
    same = same or [i for i, name in enumerate(header) if name.casefold() == column.casefold()]
    if not same:
        close = get_close_matches(column.casefold(), map(str.casefold, header), 1)
        ask = [f"did you mean {name!r}? " for name in header if name.casefold() in close][:1]
        raise UserError(f"{path}: has no column {column!r}; {''.join(ask)}its first line names: {listed(header)}")
    if len(same) > 1:
        raise UserError(f"{path}: has {len(same)} columns named {column!r}; rename all but one")
    return same[0]


def listed(header):
    """The names of the first twenty columns."""
    return ", ".join(header[:20]) + (f" and {len(header) - 20:,} more" if len(header) > 20 else "")


def cell(row, index):
    """The cell without surrounding blanks, or "" if the row is too short."""
    return row[index].strip() if index < len(row) else ""


def numbers(path, column, lines, cells, delimiter):
    """(N,) float64 of the cells of a column, nan where one is missing. Raises UserError if one is no finite number.

    Does a point or a comma mark the decimals? Whichever makes numbers of all cells. If both do ("1,234" alone), the
    file decides: separated by commas it means 1234, separated by semicolons 1.234.
    """
    present = np.array([text.casefold() not in MISSING for text in cells], bool)
    if cells and not present.any():
        raise UserError(f"{path}: {column} has no values; use another column")
    texts = [text for text, is_there in zip(cells, present, strict=True) if is_there]
    read = {decimal: [number(text, decimal) for text in texts] for decimal in NUMBER}
    fitting = [decimal for decimal in NUMBER if None not in read[decimal]]
    if not fitting:
        kinds = [2 * (number(text, ".") is None) + (number(text, ",") is None) for text in cells] * present
        k = kinds.argmax()  # the first that is no number at all, or else the first that has a decimal comma
        raise UserError(f"{path}: line {lines[k]}: {column} is {cells[k]!r}, not a number; write it as 1234.5")
    decimal = fitting[0]
    if len(fitting) == 2 and any("," in text for text in texts):
        if delimiter == "\t":
            raise UserError(f"{path}: {column}: is the comma in {texts[0]!r} a decimal comma? write 1234.5")
        decimal = "," if delimiter == ";" else "."
    found = np.full(len(cells), np.nan)
    found[present] = read[decimal]
    if np.isinf(found).any():
        k = np.isinf(found).argmax()
        raise UserError(f"{path}: line {lines[k]}: {column} is {cells[k]!r}; fill in a value or remove the line")
    return found


def refuse_missing(path, column, lines, cells, fix="fill in what is missing"):
    """Raise UserError if cells are missing: how many, and the first."""
    missing = [k for k, text in enumerate(cells) if text.casefold() in MISSING]
    if missing:
        k = missing[0]
        where = f"line {lines[k]}: {column} is {repr(cells[k]) if cells[k] else 'blank'}"
        count = f"{len(missing):,} of {len(cells):,} values are missing" if len(missing) > 1 else "a value is missing"
        raise UserError(f"{path}: {where}, {count}; {fix}")


def number(text, decimal):
    """The float that a cell contains, None if it is no number with this decimal mark."""
    if text.isascii() and text.isdecimal():
        return float(text)
    match = NUMBER[decimal].fullmatch(text)
    if match:
        text = text.replace(match["mark"] or "", "").replace(decimal, ".")
    elif decimal == "," and "." in text:
        return None
    try:
        return float(text) if "_" not in text else None  # Python reads 1_000 as a number, but no table means that
    except ValueError:
        return None


def is_number(text):
    return any(number(text, decimal) is not None for decimal in NUMBER)
