from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import structlog

from tests.support.small_project import PLUGINS

Said = Callable[[], str]
WriteProject = Callable[..., Path]


@pytest.fixture
def write_project(tmp_path: Path) -> WriteProject:
    """Write a project with some plugins, the given jobs and schedules, and other files."""

    def write(text: str = "", plugins: str = PLUGINS, **files: str) -> Path:
        (tmp_path / "meltano.yml").write_text(dedent(text) + plugins, encoding="utf-8")
        for name, content in files.items():
            (tmp_path / f"{name}.yml").write_text(dedent(content), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def said() -> Iterator[Said]:
    """Return what an operator has logged, whatever other tests made of logging."""
    with structlog.testing.capture_logs() as lines:
        yield lambda: "\n".join(each["event"] % each.get("positional_args", ()) for each in lines)
