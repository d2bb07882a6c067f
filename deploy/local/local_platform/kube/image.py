"""The name of the image of Meltano that a checkout builds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

_REPOSITORY = "localhost/meltano-dag-factory/meltano"
_COPY = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)
# The same files as in .dockerignore.
_IGNORED = re.compile(r"\.env(\..*)?|\.meltano|output|__pycache__|.*\.egg-info")


def image_tag(checkout: Path) -> str:
    """Return a name that changes with any file of a checkout that the image is built from."""
    digest = hashlib.sha256()
    for file in _sources(checkout):
        digest.update(str(file.relative_to(checkout)).encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{_REPOSITORY}:{digest.hexdigest()[:16]}"


def _sources(checkout: Path) -> Iterator[Path]:
    dockerfile = checkout / "images/meltano/Dockerfile"
    copied = " ".join(_COPY.findall(dockerfile.read_text())).replace("${PROJECT}", "meltano")
    for name in ("images/meltano/Dockerfile", "setup.cfg", *copied.split()):
        yield from _files(checkout / name)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for each in sorted(path.iterdir()):
            if not _IGNORED.fullmatch(each.name):
                yield from _files(each)
    else:
        yield path
