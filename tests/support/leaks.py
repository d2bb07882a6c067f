"""A secret with a marker, a project that says it, and where it is looked for."""

import json
import os
import tarfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.mail_server import MailServer
from tests.support.running import CHECKOUT, shown, wait_until

PROJECT = CHECKOUT / "tests/platform/kubernetes/leaky_project"
# Quoting changes what is around the marker, but never the marker.
MARKER, AIRFLOWS = "Qz7PlantedMarker", "Qz8PlantedMarker"
TOKEN = f"""a/"b" & 'c' $d\\é {MARKER} 100%"""
SECRET = {"token": TOKEN, "account": {"key": f"key/{MARKER}", "id": 1}}
"""What the secret of tap-a holds, whom tap-b inherits from."""


def traces(marker: str) -> tuple[bytes, ...]:
    """Return what a marker may look like: itself, and in BASE64 wherever in a text it stands."""
    encoded = []
    for before in range(3):
        text = b64encode(b"-" * before + marker.encode()).decode()
        encoded.append(text[before and before + 1 : -4].encode())
    return (marker.encode(), *encoded)


def holds(content: bytes, marker: str) -> bool:
    return any(trace in content for trace in traces(marker))


def holding(folder: Path, marker: str) -> set[str]:
    """Return the files below a folder that hold a marker."""
    found = set()
    for file in folder.rglob("*"):
        try:
            if file.is_file() and holds(file.read_bytes(), marker):
                found.add(str(file.relative_to(folder)))
        except FileNotFoundError:
            continue
    return found


def image_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what a saved image consists of: its configuration, and the files of its layers.

    A file that a later layer removes is in an earlier one still.
    """
    with tarfile.open(archive) as image:
        for saved in filter(tarfile.TarInfo.isfile, image):
            content = image.extractfile(saved)
            assert content
            if not saved.name.endswith(".tar"):
                yield saved.name, content.read()
                continue
            with tarfile.open(fileobj=content) as layer:
                for file in filter(tarfile.TarInfo.isfile, layer):
                    stream = layer.extractfile(file)
                    assert stream
                    yield f"{saved.name}:{file.name}", stream.read()


def check_mails(server: MailServer) -> None:
    """Check that every mail has the error, and none the marker."""
    for mail in server.mails:
        parts = [part.get_content() for part in mail.walk() if not part.is_multipart()]
        assert any("no such token: ***" in part for part in parts)
        for text in (*parts, mail.as_string(), str(mail.items())):
            assert not holds(text.encode(), MARKER)


@dataclass
class Processes:
    """Which processes had the token in their arguments or their environment, at every look.

    Attributes:
        seen: The session and the arguments of each; a session has the number of its first process.
        meltanos: The sessions of Meltano, in which its plugins are.
    """

    seen: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)
    meltanos: set[int] = field(default_factory=set)

    def look(self) -> None:
        for process in psutil.process_iter():
            try:
                session, argv = os.getsid(process.pid), tuple(process.cmdline())
                told = json.dumps([argv, process.environ()], ensure_ascii=False)
            except (ProcessLookupError, psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if session == process.pid and "meltano" in (Path(word).name for word in argv[:2]):
                self.meltanos.add(session)
            if holds(told.encode(errors="replace"), MARKER):
                self.seen.add((session, argv))

    @property
    def others(self) -> list[tuple[str, ...]]:
        """The arguments of those that are neither Meltano nor its plugins."""
        return [argv for session, argv in self.seen if session not in self.meltanos]


def marked_connection(server: MailServer) -> dict[str, Any]:
    """Return the connection of a mail server, with a marker of its own."""
    return {**server.connection, "extra": {**server.connection["extra"], "key": AIRFLOWS}}


def begin(api: httpx.Client, dag_id: str) -> str:
    """Start a job; return the path of its run."""
    wait_until(lambda: shown(api, dag_id), 180, f"the DAG {dag_id}")
    made = api.post(f"dags/{dag_id}/dagRuns", json={"logical_date": None}).raise_for_status()
    return f"dags/{dag_id}/dagRuns/{made.json()['dag_run_id']}"


def watch(processes: Processes, look: Callable[[], Any], what: str) -> Any:
    """Wait for something, with an eye on all processes."""

    def both() -> Any:
        processes.look()
        return look()

    return wait_until(both, 300, what)


def tell(api: httpx.Client, run: str) -> str:
    """Return all that the API tells of a run."""
    told = [api.get(run).text, api.get("eventLogs").text]
    for task in api.get(f"{run}/taskInstances").raise_for_status().json()["task_instances"]:
        path = f"{run}/taskInstances/{task['task_id']}"
        told += [json.dumps(task), api.get(f"{path}/tries").text]
        entries = api.get(f"{path}/xcomEntries").raise_for_status().json()["xcom_entries"]
        told += [api.get(f"{path}/xcomEntries/{each['key']}").text for each in entries]
        for attempt in range(1, task["try_number"] + 1):
            log = api.get(f"{path}/logs/{attempt}").raise_for_status().json()["content"]
            told.append(json.dumps(log, ensure_ascii=False))
    return "\n".join(told)
