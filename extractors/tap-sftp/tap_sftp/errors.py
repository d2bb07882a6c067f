"""What stops a sync and can be put right by a person.

TapSftpError
├── BadFileError     a file that cannot be read as its settings say
└── BadRowError      one row of it
"""

from __future__ import annotations


class TapSftpError(Exception):
    """One line that says what is wrong, where, and what to do."""


class BadFileError(TapSftpError):
    """A file as a whole cannot be read."""


class BadRowError(TapSftpError):
    """A row cannot be read.

    Args:
        row: Number of the line, of the sheet's row or of the XML record.
        what: What is wrong with it.
    """

    def __init__(self, row: int, what: str) -> None:
        super().__init__(what)
        self.row = row
