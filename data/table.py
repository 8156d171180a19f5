"""Read one column of numbers from a CSV file."""

import csv
import io
from itertools import chain

import numpy as np

from data.errors import UserError
from data.reading import read_text


def read_column(path, column=None):
    """-> (column name, (N,) float64 values, N labels).

    The first line names the columns; commas, semicolons or tabs separate them. `column` None takes the only
    column of numbers. Labels are the first column's text, or "1", "2", ... if that is the value column.
    Raises UserError naming the line and the value if one is not a finite number.
    """
    header, rows = read_table(path)
    first = next(rows)
    if column is None:
        column = only_numeric(path, header, first[1])
    index = index_of(path, header, column)
    values, labels = [], []
    for line, row in chain([first], rows):
        values.append(finite(path, line, column, cell(row, index)))
        labels.append(cell(row, 0) if index > 0 else str(len(values)))
    return column, np.array(values), labels


def read_table(path):
    """-> (column names, iterator of (line number in the file, cells)), with at least one row."""
    rows = read_rows(path)
    _, header = next(rows, (0, None))
    if header is None:
        raise UserError(f"{path}: has no line with column names; write them into the first line")
    header = [name.strip() for name in header]
    if all(is_number(name) for name in header):
        raise UserError(f"{path}: its first line is numbers; insert a line with the column names above it")
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path}: has column names but no values; add them below, one row per step")
    return header, within(path, header, chain([first], rows))


def within(path, header, rows):
    """Pass rows on. Raises UserError at the first one with more cells than there are column names."""
    for line, row in rows:
        if any(map(str.strip, row[len(header) :])):
            raise UserError(
                f"{path}: line {line} has {len(row)} cells for {len(header)} column names; "
                "write numbers as 1234.5 and put quotes around text with commas"
            )
        yield line, row


def read_rows(path):
    """Yield (line number in the file, cells); blank lines are skipped."""
    text = read_text(path)
    first_line = text.lstrip(" \n").split("\n", 1)[0]
    delimiter = max(",;\t", key=lambda mark: cells(first_line, mark))
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        for row in reader:
            if any(map(str.strip, row)):
                yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}: is not CSV ({error}); save the table again") from None


def cells(line, mark):
    """The number of cells that the mark separates in a line (unless quoted); 0 if one would be too long."""
    try:
        return len(next(csv.reader([line], delimiter=mark)))
    except csv.Error:
        return 0


def only_numeric(path, header, row):
    """The name of the column that starts with a number, if just one does. row: the first one below the header."""
    numeric = [name for i, name in enumerate(header) if is_number(cell(row, i))]
    # a decimal comma is refused where the values are read, in words that fit
    numeric = numeric or [name for i, name in enumerate(header) if is_number(cell(row, i).replace(",", "."))]
    if len(numeric) != 1:
        found = "more than one column" if numeric else "no column"
        raise UserError(f"{path}: {found} starts with a number; pass --column, one of: {listed(header)}")
    return numeric[0]


def index_of(path, header, column):
    """The place of a column in the header. Raises UserError unless exactly one has this name."""
    if column not in header:
        raise UserError(f"{path}: has no column {column!r}; its columns are: {listed(header)}")
    if header.count(column) > 1:
        raise UserError(f"{path}: has {header.count(column)} columns named {column!r}; rename all but one")
    return header.index(column)


def listed(header):
    """The names of the first twenty columns."""
    return ", ".join(header[:20]) + (f" and {len(header) - 20:,} more" if len(header) > 20 else "")


def cell(row, index):
    """The cell without surrounding blanks, or "" if the row is too short."""
    return row[index].strip() if index < len(row) else ""


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000 as a number, but no table means that


def finite(path, line, column, text):
    """The float that a cell contains. Raises UserError if it is not a number, or nan or infinite."""
    if not text:
        raise UserError(f"{path}: line {line}: {column} is blank; fill in the value or remove the line")
    if not is_number(text):
        raise UserError(f"{path}: line {line}: {column} is {text!r}, not a number; write it as 1234.5")
    if not np.isfinite(float(text)):
        raise UserError(f"{path}: line {line}: {column} is {text!r}; fill in a value or remove the line")
    return float(text)
