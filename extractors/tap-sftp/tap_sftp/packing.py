"""Files that are packed with gzip or zip, and what unpacking may cost."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from tap_sftp.errors import BadFileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LARGEST = 20 * 2**30
"""Bytes of a file when it is unpacked, which may be small as a bomb is."""

LARGEST_SPREADSHEET = 2**30
"""Bytes of all parts of a spreadsheet: its texts are held in memory."""

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_SPREADSHEET = "xl/workbook.xml"


class _Limited(io.RawIOBase):
    """What is unpacked, up to a limit."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        room = memoryview(buffer)
        data = self._file.read(len(room))
        self._left -= len(data)
        if self._left < 0:
            raise BadFileError("unpacks to more than a file may hold, as a zip bomb does")
        room[: len(data)] = data
        return len(data)


@contextmanager
def unpacking() -> Iterator[None]:
    """Say of a damaged archive that it is one."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError):
        raise BadFileError("is a damaged archive, or cut short; it must be sent again") from None
    except NotImplementedError:
        raise BadFileError("is packed in a way that is not known; use zip or gzip") from None
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise BadFileError("is an archive with a password, which is not supported") from None


def contents(file: IO[bytes], *, spreadsheets: bool) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield what is to be read: a file itself, unpacked, or the members of a zip archive.

    Args:
        file: A file that can be read from any place.
        spreadsheets: Whether what is packed are spreadsheets, which are archives themselves.

    Yields:
        Name within the archive, or "" where there is none; and the open file.
    """
    start = file.read(4)
    file.seek(0)
    if start[:2] == _GZIP:
        with (
            gzip.open(file) as plain,
            _limited(cast("IO[bytes]", plain), spreadsheets=spreadsheets) as limited,
        ):
            yield "", limited
    elif start == _ZIP and not (spreadsheets and _is_spreadsheet(file)):
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    with (
                        archive.open(member) as unpacked,
                        _limited(unpacked, spreadsheets=spreadsheets) as limited,
                    ):
                        yield member.filename, limited
    else:
        yield "", file


def _is_spreadsheet(file: IO[bytes]) -> bool:
    with zipfile.ZipFile(file) as archive:
        if _SPREADSHEET not in archive.namelist():
            return False
        if sum(member.file_size for member in archive.infolist()) > LARGEST_SPREADSHEET:
            raise BadFileError("unpacks to more than a spreadsheet may hold, as a zip bomb does")
    file.seek(0)
    return True


@contextmanager
def _limited(unpacked: IO[bytes], *, spreadsheets: bool) -> Iterator[IO[bytes]]:
    """Give what can be read within limits; a spreadsheet is not read from its start on."""
    if not spreadsheets:
        yield io.BufferedReader(_Limited(unpacked, LARGEST))
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(io.BufferedReader(_Limited(unpacked, LARGEST_SPREADSHEET)), copy)
        copy.seek(0)
        _is_spreadsheet(copy)
        yield copy
