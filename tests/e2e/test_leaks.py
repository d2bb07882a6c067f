"""What a secret holds is nowhere when its task is over, though its tap says it and fails with it."""

import json
import os
import shutil
import stat
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from airflow_server import LocalAirflow
from aws import REGION, SecretsManager
from mail_server import MailServer, serving_mail
from platform_cli import start
from running import CHECKOUT, finished, free_port, shown, wait_until
from shell_project import write_script

# The components are children of this process, and outlive the call that starts them.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen")
# Quoting changes what is around the marker, but never the marker.
MARKER, AIRFLOWS = "Qz7PlantedMarker", "Qz8PlantedMarker"
TOKEN = f"""a/"b" & 'c' $d\\é {MARKER} 100%"""
PROJECT = """
default_environment: dev
project_id: test
environments: [{name: dev}]
plugins:
  extractors:
  - name: tap-a
    namespace: tap_a
    executable: ./tap
    capabilities: []
    settings:
    - {name: token, kind: password}
    - {name: account, kind: object}
    - {name: fails, kind: boolean, value: false}
  - {name: tap-b, inherit_from: tap-a, config: {fails: true}}
  loaders:
  - {name: target-x, namespace: target_x, executable: ./target}
jobs:
- name: loads
  tasks: [tap-a target-x]
- name: fails
  tasks: [tap-b target-x]
  annotations:
    airflow: {retries: 1, retry_delay: 1s, email: [a@example.com], email_on: [failure, retry]}
"""
TAP = f"""#!{sys.executable}
import json, os, sys, time
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, quote_plus

config = json.loads(Path(sys.argv[2]).read_text())
token = config["token"]
for form in (token, quote(token), quote(token, safe=""), quote_plus(token), repr(token)):
    print("the token is", form, file=sys.stderr)
print("the configuration is", json.dumps(config), file=sys.stderr)
print("the configuration is", json.dumps(config, ensure_ascii=False), file=sys.stderr)
print("the configuration is", config, file=sys.stderr, flush=True)
if config["fails"]:
    raise ValueError("no such token: " + token)
Path("tap.pid.new").write_text(str(os.getpid()))
Path("tap.pid.new").rename("tap.pid")
while not Path("go").exists():
    time.sleep(0.1)
record = {{"digest": sha256(token.encode()).hexdigest()}}
print(json.dumps({{"type": "RECORD", "stream": "s", "record": record}}))
"""


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


@dataclass(frozen=True)
class Runs:
    """What is left of two runs at log level DEBUG: one that succeeded, and one that failed.

    Attributes:
        checkout: All that Airflow and Meltano wrote, who have been stopped.
        written: Which files held the token while its tap ran.
        mode: That of `.meltano/run`.
        processes: Who had the token meanwhile.
        answers: What Airflow's API tells of the runs: their tasks, rendered fields, XCom, logs.
        server: The mails.
    """

    checkout: Path
    written: set[str]
    mode: int
    processes: Processes
    answers: dict[str, str]
    server: MailServer


@pytest.fixture(scope="module")
def runs(moto_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Both jobs, run by an Airflow of their own that logs all it can."""
    checkout = tmp_path_factory.mktemp("checkout")
    project = checkout / "meltano"
    for folder in ("dags", "meltano", "tmp"):
        (checkout / folder).mkdir()
    shutil.copy(CHECKOUT / "dags/meltano_jobs.py", checkout / "dags")
    (project / "meltano.yml").write_text(PROJECT)
    write_script(project / "target", "cat >> received")
    (project / "tap").write_text(TAP)
    (project / "tap").chmod(0o755)
    variables = {
        "DAG_FACTORY_SECRETS_PREFIX": "acme",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "MELTANO_CLI_LOG_LEVEL": "debug",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": moto_url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "XDG_STATE_HOME": str(checkout / "state"),
        "TMPDIR": str(checkout / "tmp"),
    }
    airflow = LocalAirflow(checkout, variables=variables)
    secrets = SecretsManager(moto_url, REGION)
    with serving_mail() as server:
        secrets.put("acme/dev/airflow/connections/smtp_default", connection(server))
        held = {"token": TOKEN, "account": {"key": f"key/{MARKER}", "id": 1}}
        secrets.put("acme/dev/meltano/tap-a", held)
        airflow.configure(free_port())
        try:
            start(airflow)
            with airflow.api() as api:
                processes = Processes()
                loads = begin(api, "loads")
                tap = project / "tap.pid"
                watch(processes, tap.exists, "the tap")
                written = holding(checkout, MARKER)
                mode = stat.S_IMODE((project / ".meltano/run").stat().st_mode)
                (project / "go").touch()
                assert watch(processes, lambda: finished(api, loads), "its end") == "success"
                fails = begin(api, "fails")
                assert watch(processes, lambda: finished(api, fails), "its end") == "failed"
                wait_until(lambda: len(server.mails) == 2, 120, "two mails")
                answers = {each: tell(api, each) for each in (loads, fails)}
        finally:
            airflow.stop()
        yield Runs(checkout, written, mode, processes, answers, server)


def connection(server: MailServer) -> dict[str, Any]:
    """Return the connection of a mail server, with a password that it does not ask for."""
    return {**server.connection, "extra": {**server.connection["extra"], "key": AIRFLOWS}}


def begin(api: httpx.Client, dag_id: str) -> str:
    """Start a job; return the path of its run."""
    wait_until(lambda: shown(api, dag_id), 180, f"the DAG {dag_id}")
    made = api.post(f"dags/{dag_id}/dagRuns", json={"logical_date": None}).raise_for_status()
    return f"dags/{dag_id}/dagRuns/{made.json()['dag_run_id']}"


def watch(processes: Processes, look: Any, what: str) -> Any:
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


def test_the_taps_had_the_token_and_said_it(runs):
    received = (runs.checkout / "meltano/received").read_text()
    assert sha256(TOKEN.encode()).hexdigest() in received
    for answer in runs.answers.values():
        assert answer.count("the token is ***") >= 4
        assert "the configuration is {" in answer
    assert "no such token: ***" in [*runs.answers.values()][1]


def test_it_was_in_a_private_folder_alone_while_the_tap_ran(runs):
    assert {file.split("/")[0] for file in runs.written} == {"meltano", "tmp"}
    assert runs.mode == 0o700


def test_only_meltano_and_its_plugins_had_it_in_their_environment(runs):
    assert any("./tap" in argv or "/tap" in " ".join(argv) for _, argv in runs.processes.seen)
    assert runs.processes.others == []


def test_no_file_of_airflow_or_meltano_holds_it(runs):
    database = runs.checkout / ".local/airflow/airflow.db"
    assert b"the token is" not in database.read_bytes()
    assert holding(runs.checkout, "the token is ***")
    assert holding(runs.checkout, MARKER) == set()


def test_no_file_holds_what_airflow_reads_of_its_own(runs):
    assert holding(runs.checkout, AIRFLOWS) == set()


def test_the_api_tells_it_nowhere(runs):
    assert "rendered_fields" in "".join(runs.answers.values())
    for answer in runs.answers.values():
        assert not holds(answer.encode(), MARKER)
        assert not holds(answer.encode(), AIRFLOWS)


def test_no_mail_tells_it(runs):
    for mail in runs.server.mails:
        parts = [part.get_content() for part in mail.walk() if not part.is_multipart()]
        assert any("no such token: ***" in part for part in parts)
        for text in (*parts, mail.as_string(), str(mail.items())):
            assert not holds(text.encode(), MARKER)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
def test_a_marker_is_found_in_base64_too(before):
    assert holds(b64encode(f"{before}{TOKEN}".encode()), MARKER)
