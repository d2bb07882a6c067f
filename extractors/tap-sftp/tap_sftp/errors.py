"""The errors that stop a sync and that a user can fix.

TapSftpError
├── BadFileError     a file that cannot be read as its settings say
└── BadRowError      one row of it
"""

from __future__ import annotations


class TapSftpError(Exception):
    """An error whose message says in one line what is wrong, where, and what to do."""


class BadFileError(TapSftpError):
    """A file cannot be read."""


class BadRowError(TapSftpError):
    """A row cannot be read.

    Args:
        row: The number of the line, of the sheet's row or of the XML record.
        problem: What is wrong with it.
    """

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row
