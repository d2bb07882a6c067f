"""Batch files: where they are, how they are packed, what is in them."""

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


def path_here(url: str) -> Path | None:
    """Return a batch file's path, if it is on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(url)


@contextlib.contextmanager
def local_file(url: str) -> Iterator[Path]:
    """Give a batch file's path on this machine, and fetch it first if it is elsewhere."""
    if path := path_here(url):
        yield path
        return
    with UPath(url).open("rb") as remote, tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(remote, copy)
        copy.flush()
        yield Path(copy.name)


def compression(path: Path) -> str:
    """Return `gzip` or `uncompressed`, by the file itself: taps name one and write the other."""
    with path.open("rb") as file:
        return "gzip" if file.read(len(GZIP_MAGIC)) == GZIP_MAGIC else "uncompressed"


def open_lines(path: Path) -> IO[bytes]:
    """Open a file of lines, packed or not."""
    return cast("IO[bytes]", gzip.open(path)) if compression(path) == "gzip" else path.open("rb")


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Read the records of a file, one a line."""
    with open_lines(path) as lines:
        for line in lines:
            yield deserialize_json(line)
