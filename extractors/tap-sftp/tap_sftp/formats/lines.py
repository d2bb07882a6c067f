"""Text files as lines."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

from tap_sftp.errors import BadRowError

MAX_LINE_LENGTH = 2**20
"""Characters. A file without line breaks must not fill the memory."""


class Lines(Iterator[str]):
    """The lines of a text file with their line breaks, and the number of the latest line.

    Args:
        file: The binary file.
        encoding: The encoding of its text.
    """

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        # A byte order mark, as Windows writes it, is not part of the first column.
        self._encoding = "utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding
        self._text = io.TextIOWrapper(file, encoding=self._encoding, newline="")
        self.number = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        # The caller opened the file and closes it.
        self._text.detach()

    def __next__(self) -> str:
        """Return the next line.

        Raises:
            BadRowError: The line is not in the encoding, or is too long.
        """
        try:
            line = self._text.readline(MAX_LINE_LENGTH)
        except UnicodeDecodeError as error:
            row = self.number + 1 + error.object[: error.start].count(b"\n")
            problem = f"is not {error.encoding}; set encoding to the file's, such as cp1252"
            raise BadRowError(row, problem) from None
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MAX_LINE_LENGTH:
            raise BadRowError(
                self.number, f"is longer than {MAX_LINE_LENGTH} characters; is it a text file?"
            )
        return line
