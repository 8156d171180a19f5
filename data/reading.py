"""Read a text file that a user named, or say in one line why that does not work."""

from pathlib import Path

from data.errors import UserError


def read_text(path):
    """The whole file as a str: UTF-8, a byte order mark dropped, "\\r\\n" turned into "\\n".

    Raises UserError for a path that cannot be read, an empty file, or bytes that are not UTF-8.
    """
    try:
        if Path(path).is_fifo():  # reading one would wait for a writer, perhaps for ever
            raise UserError(f"{path}: is a pipe; save what comes out of it in a file first")
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the spelling and the folder") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory; name a file in it") from None
    except PermissionError:
        raise UserError(f"{path}: permission denied; make the file readable for you") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); try a copy of it") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it again as UTF-8") from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text:
        raise UserError(f"{path}: the file is empty; give one with something in it")
    return text
