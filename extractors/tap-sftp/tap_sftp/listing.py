"""Which files there are on the server."""

from __future__ import annotations

import fnmatch
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

import paramiko

from tap_sftp.errors import TapSftpError


@dataclass(frozen=True, order=True)
class RemoteFile:
    """A file as it was when it was listed; older ones come first."""

    modified: int
    path: str
    size: int

    def age(self) -> float:
        """Return how many seconds ago it was changed, if the server's clock is right."""
        return time.time() - self.modified

    def is_like(self, now: paramiko.SFTPAttributes) -> bool:
        """Return whether the file has not changed since."""
        return (now.st_mtime, now.st_size) == (self.modified, self.size)


def list_files(sftp: paramiko.SFTPClient, pattern: str) -> Iterator[RemoteFile]:
    """Yield the files whose path matches.

    Args:
        sftp: A connection.
        pattern: A path, each part of which may hold `*`, `?` and `[...]`. A part matches names
            that begin with a dot only if it does so itself, as in a shell.

    Yields:
        The files, in no order.

    Raises:
        TapSftpError: A folder that the pattern names is not there.
    """
    *folders, last = [part for part in pattern.split("/") if part not in {"", "."}]
    paths = ["/" if pattern.startswith("/") else "."]
    certain = True
    for part in folders:
        if _is_glob(part):
            paths = [
                path
                for parent in paths
                for path, found in _matches(sftp, parent, part, certain=certain)
                if stat.S_ISDIR(found.st_mode or 0)
            ]
            certain = False
        else:
            paths = [_join(parent, part) for parent in paths]
    for parent in paths:
        for path, found in _matches(sftp, parent, last, certain=certain):
            if stat.S_ISREG(found.st_mode or 0):
                yield RemoteFile(found.st_mtime or 0, path, found.st_size or 0)


def _matches(
    sftp: paramiko.SFTPClient, folder: str, part: str, *, certain: bool
) -> Iterator[tuple[str, paramiko.SFTPAttributes]]:
    """Yield what is in a folder and matches; a folder may be missing if others are not certain."""
    try:
        found = sftp.listdir_attr(folder)
    except FileNotFoundError:
        if certain:
            raise TapSftpError(f"there is no folder {folder}: is path right?") from None
        return
    except PermissionError:
        raise TapSftpError(f"the user may not list the folder {folder}") from None
    except UnicodeDecodeError:
        raise TapSftpError(
            f"the folder {folder} holds a file whose name is not UTF-8; it must be renamed"
        ) from None
    for each in found:
        if fnmatch.fnmatchcase(each.filename, part) and (
            part.startswith(".") or not each.filename.startswith(".")
        ):
            path = _join(folder, each.filename)
            try:
                # Of a link, what it leads to counts; and some servers list names only.
                is_file = each.st_mode is not None and not stat.S_ISLNK(each.st_mode)
                yield path, each if is_file else sftp.stat(path)
            except FileNotFoundError:
                continue


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder.rstrip('/')}/{name}"


def _is_glob(part: str) -> bool:
    return any(character in part for character in "*?[")
