"""Read one column of numbers from a CSV file."""

import csv
import io
from itertools import chain

import numpy as np

from data.errors import UserError
from data.reading import read_text


def read_column(path, column=None):
    """-> (column name, (N,) float64 values, N labels).

    The first line names the columns; commas, semicolons or tabs part them. `column` None takes the only
    column of numbers. Labels are the first column's text, or "1", "2", ... when that is the value column.
    Raises UserError naming the line and the value when one is not a finite number.
    """
    header, rows = read_table(path)
    first = next(rows)
    if column is None:
        column = only_numeric(path, header, first[1])
    if column not in header:
        raise UserError(f"{path}: has no column {column!r}; its columns are: {listed(header)}")
    if header.count(column) > 1:
        raise UserError(f"{path}: has {header.count(column)} columns named {column!r}; rename all but one")
    index = header.index(column)
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
        raise UserError(f"{path}: has no line with column names; write them in the first line")
    header = [name.strip() for name in header]
    if all(is_number(name) for name in header):
        raise UserError(f"{path}: its first line is numbers; put a line with the column names above it")
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path}: has column names but no values; add them below, one row a step")
    return header, chain([first], rows)


def read_rows(path):
    """Yield (line number in the file, cells); blank lines are passed over."""
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
    """Into how many cells the mark cuts the line (a quoted one does not cut); 0 when one would be too long."""
    try:
        return len(next(csv.reader([line], delimiter=mark)))
    except csv.Error:
        return 0


def only_numeric(path, header, row):
    """The name of the column that starts with a number, when just one does. row: the first under the header."""
    numeric = [name for i, name in enumerate(header) if is_number(cell(row, i))]
    if len(numeric) != 1:
        found = "more than one column" if numeric else "no column"
        raise UserError(f"{path}: {found} starts with a number; pass --column, one of: {listed(header)}")
    return numeric[0]


def listed(header):
    """The columns' names, the first twenty of them."""
    return ", ".join(header[:20]) + (f" and {len(header) - 20:,} more" if len(header) > 20 else "")


def cell(row, index):
    """The cell without blanks around it, or "" where a short row has none."""
    return row[index].strip() if index < len(row) else ""


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
