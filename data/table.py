"""Read one column of numbers from a CSV file."""

import csv
import io

import numpy as np

from data.errors import UserError
from data.reading import read_text


def read_column(path, column=None):
    """-> (column name, (N,) float64 values, N labels).

    The first line names the columns; commas, semicolons or tabs part them. `column` None takes the only
    column of numbers. Labels are the first column's text, or "1", "2", ... when that is the value column.
    Raises UserError naming the line and the value when one is not a finite number.
    """
    header, rows = read_rows(path)
    if column is None:
        column = only_numeric(path, header, rows)
    if column not in header:
        raise UserError(f"{path}: has no column {column!r}; its columns are: {', '.join(header)}")
    if header.count(column) > 1:
        raise UserError(f"{path}: has {header.count(column)} columns named {column!r}; rename all but one")
    index = header.index(column)
    values = np.array([finite(path, line, column, cell(row, index)) for line, row in rows])
    labels = [cell(row, 0) if index > 0 else str(i) for i, (_, row) in enumerate(rows, start=1)]
    return column, values, labels


def read_rows(path):
    """-> (column names, list of (line number in the file, cells)); blank lines are passed over."""
    text = read_text(path)
    first_line = text.lstrip("\n").split("\n", 1)[0]
    try:
        # The delimiter is the one that cuts the first line into most cells (a quoted one does not cut).
        delimiter = max(",;\t", key=lambda mark: len(next(csv.reader([first_line], delimiter=mark))))
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, [value.strip() for value in row]) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}: is not CSV ({error}); save the table again") from None
    lines = [(line, row) for line, row in lines if any(row)]
    if not lines:
        raise UserError(f"{path}: has no line with column names; write them in the first line")
    header, rows = lines[0][1], lines[1:]
    if all(is_number(name) for name in header):
        raise UserError(f"{path}: its first line is numbers; put a line with the column names above it")
    if not rows:
        raise UserError(f"{path}: has column names but no values; add them below, one row a step")
    return header, rows


def only_numeric(path, header, rows):
    """The name of the column that starts with a number, when just one does."""
    numeric = [name for i, name in enumerate(header) if is_number(cell(rows[0][1], i))]
    if len(numeric) != 1:
        found = "more than one column" if numeric else "no column"
        raise UserError(f"{path}: {found} starts with a number; pass --column, one of: {', '.join(header)}")
    return numeric[0]


def cell(row, index):
    """The cell, or "" where a short row has none."""
    return row[index] if index < len(row) else ""


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000 as a number, a table does not mean one


def finite(path, line, column, text):
    """The float that `text` writes. Raises UserError when it is none, or nan or infinite."""
    if not text:
        raise UserError(f"{path}: line {line}: {column} is blank; fill the value in or take the line out")
    if not is_number(text):
        raise UserError(f"{path}: line {line}: {column} is {text!r}, not a number (decimals take a point)")
    if not np.isfinite(float(text)):
        raise UserError(f"{path}: line {line}: {column} is {text!r}; fill the value in or take the line out")
    return float(text)
