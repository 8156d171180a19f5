"""Read a text file that a user named, or say in one line why that does not work."""

import stat
from pathlib import Path

from data.errors import UserError

LARGEST = 2**28  # bytes; a text takes some thirty times as much memory


def read_text(path):
    """The whole file as a str: UTF-8, a byte order mark dropped, "\\r\\n" turned into "\\n".

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
        raise UserError(f"{path}: the file is empty; give one with something in it")
    return text


def read_bytes(path):
    """The whole file at a Path. Only of a true file: reading a pipe or a device may have no end."""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST:
            return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the spelling and the folder") from None
    except PermissionError:
        raise UserError(f"{path}: permission denied; make the file readable for you") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); try a copy of it") from None
    except ValueError as error:  # a zero byte, or what no file system can write
        raise UserError(f"{str(path)!r}: no file can have this name ({error}); check the spelling") from None
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"{path}: is a directory; a file is needed there")
    if stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: has {found.st_size:,} bytes; more than {LARGEST:,} are too many, give a part of it")
    raise UserError(f"{path}: is a pipe or a device; save what comes out of it in a file first")
