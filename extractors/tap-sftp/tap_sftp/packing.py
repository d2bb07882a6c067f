"""Unpacking files from gzip or zip, within limits."""

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

MAX_UNPACKED_SIZE = 20 * 2**30
"""Bytes of an unpacked file, against zip bombs."""

MAX_SPREADSHEET_SIZE = 2**30
"""Bytes of all parts of a spreadsheet, because its texts are kept in memory."""

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_SPREADSHEET = "xl/workbook.xml"


class _LimitedReader(io.RawIOBase):
    """Unpacked data, up to a limit."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._file.read(len(view))
        self._left -= len(data)
        if self._left < 0:
            raise BadFileError("exceeds the size limit for unpacked files, as a zip bomb does")
        view[: len(data)] = data
        return len(data)


@contextmanager
def archive_errors() -> Iterator[None]:
    """Raise BadFileError for an archive that cannot be unpacked."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError):
        raise BadFileError("is a damaged or incomplete archive; it must be sent again") from None
    except NotImplementedError:
        raise BadFileError("is packed with an unsupported method; use zip or gzip") from None
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise BadFileError("is an archive with a password, which is not supported") from None


def contents(file: IO[bytes], *, spreadsheets: bool) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files to read: the file itself, unpacked, or the members of a zip archive.

    Args:
        file: A seekable file.
        spreadsheets: Whether the files are spreadsheets, which are zip archives themselves.

    Yields:
        The name within the archive, or "" without an archive; and the open file.
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
        if sum(member.file_size for member in archive.infolist()) > MAX_SPREADSHEET_SIZE:
            raise BadFileError(
                "exceeds the size limit for unpacked spreadsheets, as a zip bomb does"
            )
    file.seek(0)
    return True


@contextmanager
def _limited(unpacked: IO[bytes], *, spreadsheets: bool) -> Iterator[IO[bytes]]:
    """Yield an unpacked file with a size limit; a spreadsheet as a copy, which is seekable."""
    if not spreadsheets:
        yield io.BufferedReader(_LimitedReader(unpacked, MAX_UNPACKED_SIZE))
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(io.BufferedReader(_LimitedReader(unpacked, MAX_SPREADSHEET_SIZE)), copy)
        copy.seek(0)
        _is_spreadsheet(copy)
        yield copy
