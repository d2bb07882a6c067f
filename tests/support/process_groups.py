"""Keeps the tests that share servers in one process of `pytest -n`, and marks them.

The fixture of a shared server uses `cluster_process`, `platform_process`, `sources_process` or
`loaders_process`. Each test that uses the server, directly or through other fixtures, then gets the
marker of that name; the first of them, if it uses several.

These tests run first, and then the other tests of the platform: they take longest.

The process that schedules tests collects none and knows only their node IDs. So each process that
runs tests writes down their groups before it reports what it has collected. (The `xdist_group` of
pytest-xdist 3.8 has no effect with pytest 9.2: it sets `_nodeid`, which pytest no longer reads.)
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

GROUPS = ("cluster", "platform", "sources", "loaders")
_FOLDER = "process_groups_folder"


@pytest.fixture(scope="session")
def cluster_process() -> None:
    """For the cluster that tests share, and the Airflow of those that use both."""


@pytest.fixture(scope="session")
def platform_process() -> None:
    """For the Airflow that tests without a cluster share."""


@pytest.fixture(scope="session")
def sources_process() -> None:
    """For the source servers that tests share."""


@pytest.fixture(scope="session")
def loaders_process() -> None:
    """For the warehouses that tests share."""


def group_of(item: pytest.Item) -> str | None:
    """Return the group of a test, if it shares a server."""
    used = getattr(item, "fixturenames", ())
    return next((each for each in GROUPS if f"{each}_process" in used), None)


class GroupScheduling(LoadFileScheduling):
    """Leaves each group of tests, and each module of the other tests, to one process."""

    def __init__(self, config: pytest.Config, log: Producer, folder: Path) -> None:
        super().__init__(config, log)
        self._folder = folder
        self._groups: dict[str, str] = {}

    def schedule(self) -> None:
        if not self._groups:
            for file in self._folder.iterdir():
                self._groups |= json.loads(file.read_text())
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._groups.get(nodeid) or super()._split_scope(nodeid)


class _Controller:
    """What the process that schedules tests does."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="process-groups-")

    def pytest_configure_node(self, node: WorkerController) -> None:
        node.workerinput[_FOLDER] = self._folder.name

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> GroupScheduling:
        return GroupScheduling(config, log, Path(self._folder.name))

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None):
        config.option.loadscopereorder = False
        config.pluginmanager.register(_Controller())


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if group := group_of(item):
            item.add_marker(group)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Return a number that is lower for tests that run earlier."""
    if group := group_of(item):
        return GROUPS.index(group)
    return len(GROUPS) + (not item.nodeid.startswith("tests/platform/"))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reports what was collected
def pytest_collection_finish(session: pytest.Session) -> None:
    worker = getattr(session.config, "workerinput", None)
    if worker:
        groups = {each.nodeid: group for each in session.items if (group := group_of(each))}
        Path(worker[_FOLDER], f"{worker['workerid']}.json").write_text(json.dumps(groups))
