"""Read a text file that a user named, or say in one line why that is not possible."""

import stat
from contextlib import contextmanager
from pathlib import Path

from data.errors import UserError

LARGEST = 2**28  # bytes; a text takes about thirty times as much memory


def read_text(path):
    """The whole file as a str: UTF-8, without a byte order mark, "\\n" for "\\r\\n".

    Raises UserError for a path that cannot be read, an empty or too large file, or bytes that are not UTF-8.
    """
    path = Path(path)
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it again as UTF-8") from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text:
        raise UserError(f"{path}: the file is empty; give another one")
    return text


def read_bytes(path):
    """The whole file at a Path. Only of a regular file: reading a pipe or a device may never end."""
    with accessible(path, "file"):
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST:
            return path.read_bytes()
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"{path}: is a directory; give a file")
    if stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: has {found.st_size:,} bytes; the limit is {LARGEST:,}, give a part of it")
    raise UserError(f"{path}: is a pipe or a device; save its output to a file first")


@contextmanager
def accessible(path, kind):
    """What the system refuses within, as a UserError. kind: "file" or "directory"."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such {kind}; check the spelling and the folder") from None
    except PermissionError:
        raise UserError(f"{path}: permission denied; make the {kind} readable") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); try a copy of it") from None
    except ValueError as error:  # a zero byte, or what no file system can write
        raise UserError(f"{str(path)!r}: no {kind} can have this name ({error}); check the spelling") from None
