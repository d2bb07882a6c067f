"""What a secret holds is nowhere when its task is over, whatever its tap says or fails with."""

import shutil
import stat
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from local_platform.airflow_server import LocalAirflow
from local_platform.steps import start

from tests.support.aws import REGION, SecretsManager
from tests.support.leaks import (
    AIRFLOWS,
    MARKER,
    PROJECT,
    SECRET,
    TOKEN,
    Processes,
    begin,
    check_mails,
    holding,
    holds,
    marked_connection,
    tell,
    watch,
)
from tests.support.mail_server import MailServer, serving_mail
from tests.support.running import CHECKOUT, finished, free_port, wait_until

# The components are children of this process, and outlive the call that starts them.
pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen"),
]


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
    shutil.copytree(PROJECT, project)
    for folder in ("dags", "tmp"):
        (checkout / folder).mkdir()
    shutil.copy(CHECKOUT / "dags/meltano_jobs.py", checkout / "dags")
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
        "WAIT_IN": str(checkout),
    }
    airflow = LocalAirflow(checkout, variables=variables)
    secrets = SecretsManager(moto_url, REGION)
    with serving_mail() as server:
        secrets.put("acme/dev/airflow/connections/smtp_default", marked_connection(server))
        secrets.put("acme/dev/meltano/tap-a", SECRET)
        airflow.configure(free_port())
        try:
            start(airflow)
            with airflow.api() as api:
                processes = Processes()
                loads = begin(api, "loads")
                watch(processes, (checkout / "waiting").exists, "the tap")
                written = holding(checkout, MARKER)
                mode = stat.S_IMODE((project / ".meltano/run").stat().st_mode)
                (checkout / "go").touch()
                assert watch(processes, lambda: finished(api, loads), "its end") == "success"
                fails = begin(api, "fails")
                assert watch(processes, lambda: finished(api, fails), "its end") == "failed"
                wait_until(lambda: len(server.mails) == 2, 120, "two mails")
                answers = {each: tell(api, each) for each in (loads, fails)}
        finally:
            airflow.stop()
        yield Runs(checkout, written, mode, processes, answers, server)


def test_the_taps_had_the_token_and_said_it(runs):
    received = (runs.checkout / "received").read_text()
    assert sha256(TOKEN.encode()).hexdigest() in received
    for answer in runs.answers.values():
        assert answer.count("the token is ***") >= 4
        assert "in BASE64: ***" in answer
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


def test_what_airflow_reads_of_its_own_is_nowhere_but_in_logs_of_level_debug(runs):
    """As docs/secrets-airflow.md says: botocore writes all answers there."""
    assert {Path(file).suffix for file in holding(runs.checkout, AIRFLOWS)} == {".log"}


def test_the_api_tells_it_nowhere(runs):
    assert "rendered_fields" in "".join(runs.answers.values())
    for answer in runs.answers.values():
        assert not holds(answer.encode(), MARKER)


def test_no_mail_tells_it(runs):
    check_mails(runs.server)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
def test_a_marker_is_found_in_base64_too(before):
    assert holds(b64encode(f"{before}{TOKEN}".encode()), MARKER)
