"""Batch files: their location, compression and records."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from singer_sdk.singerlib.json import deserialize_json
from upath import UPath

if TYPE_CHECKING:
    from collections.abc import Iterator

GZIP_MAGIC = b"\x1f\x8b"


def local_path(url: str) -> Path | None:
    """Return the path of a batch file on this machine, or None if it is elsewhere."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(url)


@contextlib.contextmanager
def local_file(url: str) -> Iterator[Path]:
    """Yield the path of a batch file on this machine, after fetching it if it is elsewhere."""
    if path := local_path(url):
        yield path
        return
    with UPath(url).open("rb") as remote, tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(remote, copy)
        copy.flush()
        yield Path(copy.name)


def compression(path: Path) -> str:
    """Return `gzip` or `uncompressed` by the file's content: some taps name the wrong one."""
    with path.open("rb") as file:
        return "gzip" if file.read(len(GZIP_MAGIC)) == GZIP_MAGIC else "uncompressed"


def open_lines(path: Path) -> IO[bytes]:
    """Open a file of lines, compressed or not."""
    return cast("IO[bytes]", gzip.open(path)) if compression(path) == "gzip" else path.open("rb")


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a file, which has one per line."""
    with open_lines(path) as lines:
        for line in lines:
            yield deserialize_json(line)
