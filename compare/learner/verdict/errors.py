"""What an exception says of a learner's file: its words, and the line."""

import ast
import linecache
import traceback

import numpy as np

from compare.learner.verdict.report import Finding


def in_words(error) -> str:
    try:
        words = str(error)[:300]
    except Exception:  # an exception class of the learner's
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def at_line(file, line) -> list[Finding]:
    return [Finding(line, linecache.getline(str(file), line).strip(), True)] if line else []


def where_raised(error, file) -> list[Finding]:
    """The program's line in a traceback."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return at_line(file, lines[-1] if lines else None)


def shapes_in_words(subject, module, case, error) -> str:
    """The shapes of the two sides of the product that failed: NumPy's message does not name them."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == subject.file]
    if not frames or case is None or "matmul" not in str(error):
        return ""
    last = frames[-1]
    frame = error.__traceback__
    while frame.tb_next is not None and not (
        frame.tb_frame.f_code.co_filename == subject.file
        and frame.tb_lineno == last.lineno
        and frame.tb_next.tb_frame.f_code.co_filename != subject.file
    ):
        frame = frame.tb_next
    names = frame.tb_frame.f_globals | frame.tb_frame.f_locals
    for node in ast.walk(subject.tree):
        place = (last.lineno, last.colno, last.end_lineno, last.end_colno)
        if (
            isinstance(node, ast.BinOp)
            and (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset) == place
        ):
            try:
                sides = [
                    (ast.unparse(side), np.shape(eval(ast.unparse(side), names))) for side in (node.left, node.right)
                ]
            except Exception:
                return ""
            return f" in {' @ '.join(f'{text} {shape}' for text, shape in sides)}"
    return ""
