"""Listing the files on the server."""

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
    """A file as it was when it was listed; older files sort first."""

    modified: int
    path: str
    size: int

    def age(self) -> float:
        """Return how many seconds ago it was changed, if the server's clock is correct."""
        return time.time() - self.modified

    def is_unchanged(self, now: paramiko.SFTPAttributes) -> bool:
        """Return whether the file has not changed since it was listed."""
        return (now.st_mtime, now.st_size) == (self.modified, self.size)


def list_files(sftp: paramiko.SFTPClient, pattern: str) -> Iterator[RemoteFile]:
    """Yield the files whose path matches a pattern.

    Args:
        sftp: A connection.
        pattern: A path, each part of which may contain `*`, `?` and `[...]`. A part matches names
            that begin with a dot only if it begins with a dot itself, as in a shell.

    Yields:
        The files, in no particular order.

    Raises:
        TapSftpError: A folder that the pattern names does not exist or cannot be listed.
    """
    *folders, last = [part for part in pattern.split("/") if part not in {"", "."}]
    paths = ["/" if pattern.startswith("/") else "."]
    must_exist = True
    for part in folders:
        if _is_glob(part):
            paths = [
                path
                for parent in paths
                for path, found in _matches(sftp, parent, part, must_exist=must_exist)
                if stat.S_ISDIR(found.st_mode or 0)
            ]
            must_exist = False
        else:
            paths = [_join(parent, part) for parent in paths]
    for parent in paths:
        for path, found in _matches(sftp, parent, last, must_exist=must_exist):
            if stat.S_ISREG(found.st_mode or 0):
                yield RemoteFile(found.st_mtime or 0, path, found.st_size or 0)


def _matches(
    sftp: paramiko.SFTPClient, folder: str, part: str, *, must_exist: bool
) -> Iterator[tuple[str, paramiko.SFTPAttributes]]:
    """Yield the entries of a folder that match. The folder may be missing unless it must exist."""
    try:
        found = sftp.listdir_attr(folder)
    except FileNotFoundError:
        if must_exist:
            raise TapSftpError(f"folder {folder} does not exist: is path correct?") from None
        return
    except PermissionError:
        raise TapSftpError(f"the user may not list folder {folder}") from None
    except UnicodeDecodeError:
        raise TapSftpError(
            f"folder {folder} contains a file whose name is not UTF-8; rename the file"
        ) from None
    for each in found:
        if fnmatch.fnmatchcase(each.filename, part) and (
            part.startswith(".") or not each.filename.startswith(".")
        ):
            path = _join(folder, each.filename)
            try:
                # The target of a link is needed, and some servers list names only.
                is_file = each.st_mode is not None and not stat.S_ISLNK(each.st_mode)
                yield path, each if is_file else sftp.stat(path)
            except FileNotFoundError:
                continue


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder.rstrip('/')}/{name}"


def _is_glob(part: str) -> bool:
    return any(character in part for character in "*?[")
