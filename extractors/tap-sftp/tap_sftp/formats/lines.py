"""Text files as lines."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

from tap_sftp.errors import BadRowError

LONGEST = 2**20
"""Characters; a file without line ends must not fill the memory."""


class Lines(Iterator[str]):
    """The lines of a text file, with their ends, and the number of the latest.

    Args:
        file: The file, in bytes.
        encoding: How its characters are encoded.
    """

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        # A mark of the byte order, as Windows writes it, is no part of the first column.
        self._encoding = "utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding
        self._text = io.TextIOWrapper(file, encoding=self._encoding, newline="")
        self.number = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever opened the file closes it.
        self._text.detach()

    def __next__(self) -> str:
        """Return the next line.

        Raises:
            BadRowError: It is not in that encoding, or too long to be a line.
        """
        try:
            line = self._text.readline(LONGEST)
        except UnicodeDecodeError as error:
            row = self.number + 1 + error.object[: error.start].count(b"\n")
            what = f"is not {error.encoding}; set encoding to that of the file, such as cp1252"
            raise BadRowError(row, what) from None
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST:
            raise BadRowError(self.number, f"is a line of over {LONGEST} characters; is it text?")
        return line
