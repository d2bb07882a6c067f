"""What a secret holds is nowhere around a pod, though its tap says it, and fails with it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from local_platform.airflow_server import LocalAirflow
from local_platform.steps import start
from ruamel.yaml import YAML

from tests.support.aws import REGION, SecretsManager, running_moto
from tests.support.cluster import Cluster
from tests.support.leaks import (
    MARKER,
    PROJECT,
    SECRET,
    Processes,
    begin,
    check_mails,
    holding,
    holds,
    image_files,
    marked_connection,
    tell,
    watch,
)
from tests.support.mail_server import MailServer, serving_mail
from tests.support.running import CHECKOUT, copy_checkout, finished, free_port, wait_until

pytestmark = [
    pytest.mark.faults,
    # The components are children of this process, and outlive the call that starts them.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen"),
]
OBJECTS = "pods,events,secrets,configmaps,serviceaccounts"


@dataclass(frozen=True)
class Runs:
    """What is left of two runs at log level DEBUG: one that succeeded, and one that failed.

    Attributes:
        checkout: All that Airflow wrote, which has been stopped.
        processes: Who of this machine had the token meanwhile.
        objects: What Kubernetes told of the namespace at every look.
        log: What Kubernetes has of the logs of the pods that failed.
        answers: What Airflow's API tells of the runs.
        server: The mails.
    """

    checkout: Path
    processes: Processes
    objects: list[str]
    log: str
    answers: dict[str, str]
    server: MailServer


@pytest.fixture(scope="module")
def image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of the project, whose checkout has the token where a developer would have it."""
    checkout = copy_checkout(tmp_path_factory.mktemp("source"))
    project = PROJECT.relative_to(CHECKOUT)
    for name in (".env", ".meltano/run/tap-a/tap.config.json"):
        file = checkout / project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"TAP_A_TOKEN='{MARKER}'\n")
    return cluster.image("meltano", str(project), "TEST_LEAKS_IMAGE", checkout)


@pytest.fixture(scope="module")
def runs(
    cluster: Cluster, namespace: str, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """Both jobs, run as pods by an Airflow of their own that logs all it can."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(PROJECT, checkout / "meltano")
    (checkout / "dags").mkdir()
    shutil.copy(CHECKOUT / "dags/meltano_jobs.py", checkout / "dags")
    with running_moto(cluster.host) as url, serving_mail() as server:
        aws = {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        launcher = cluster.launcher(namespace, tmp_path_factory.mktemp("launcher") / "kubeconfig")
        launching = {"config_file": str(launcher), "namespace": namespace}
        annotate(checkout / "meltano/meltano.yml", image, launching, aws)
        own = {"DAG_FACTORY_SECRETS_PREFIX": "acme", "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"}
        airflow = LocalAirflow(checkout, variables=aws | own)
        secrets = SecretsManager(url, REGION)
        secrets.put("acme/dev/airflow/connections/smtp_default", marked_connection(server))
        secrets.put("acme/dev/meltano/tap-a", SECRET)
        airflow.configure(free_port())
        processes, objects, answers = Processes(), [], {}

        def look() -> None:
            objects.append(cluster.kubectl("get", OBJECTS, "-n", namespace, "--output=json"))

        def end(api: httpx.Client, run: str) -> str | None:
            look()
            return finished(api, run)

        try:
            start(airflow)
            with airflow.api() as api:
                for job, state in (("loads", "success"), ("fails", "failed")):
                    run = begin(api, job)
                    assert watch(processes, partial(end, api, run), job) == state, tell(api, run)
                    answers[job] = tell(api, run)
                wait_until(lambda: len(server.mails) == 2, 120, "two mails")
            look()
            selector = ("--selector=meltano_job=fails", "--tail=-1")
            log = cluster.kubectl("logs", "-n", namespace, *selector)
        finally:
            airflow.stop()
        yield Runs(checkout, processes, objects, log, answers, server)


def annotate(file: Path, image: str, launching: dict[str, str], environ: dict[str, str]) -> None:
    """Let all tasks be pods that reach moto; Meltano is to write into memory alone."""
    environ = environ | {
        "MELTANO_SYS_DIR_ROOT": "/run/meltano",
        "MELTANO_DATABASE_URI": "sqlite:////run/meltano/meltano.db",
        "MELTANO_CLI_LOG_LEVEL": "debug",
    }
    variables = [{"name": name, "value": value} for name, value in environ.items()]
    yaml = YAML()
    data = yaml.load(file)
    data["annotations"] = {
        "airflow": {
            "runner": "kubernetes",
            "image": image,
            "operator": launching,
            "pod_override": {"spec": {"containers": [{"name": "base", "env": variables}]}},
        }
    }
    with file.open("w") as stream:
        yaml.dump(data, stream)


def test_the_taps_had_the_token_and_said_it(runs):
    for answer in (*runs.answers.values(), runs.log):
        assert answer.count("the token is ***") >= 4
        assert "in BASE64: ***" in answer
    assert "no such token: ***" in runs.log


def test_kubernetes_tells_it_nowhere(runs):
    told = "".join(runs.objects)
    for part in ("tap-a-to-target-x", "tap-b-to-target-x", "acme/dev/meltano/tap-a", "Scheduled"):
        assert part in told
    failed = [each for each in json.loads(runs.objects[-1])["items"] if each["kind"] == "Pod"]
    statuses = [status for each in failed for status in each["status"]["containerStatuses"]]
    assert statuses
    for status in statuses:
        assert "no such token: ***" in status["state"]["terminated"]["message"]
    assert not holds(told.encode(), MARKER)
    assert not holds(runs.log.encode(), MARKER)


def test_airflow_tells_it_nowhere(runs):
    assert holding(runs.checkout, "the token is ***")
    assert holding(runs.checkout, MARKER) == set()
    for answer in runs.answers.values():
        assert not holds(answer.encode(), MARKER)


def test_no_layer_of_the_image_holds_it(cluster, image, tmp_path):
    cluster.check_is_here()
    if not shutil.which("buildah"):
        pytest.skip("needs an image that buildah has built: set IMAGE_BUILDER")
    archive = tmp_path / "image.tar"
    subprocess.run(["buildah", "push", "--quiet", image, f"docker-archive:{archive}"], check=True)
    taps, leaks = [], []
    for name, content in image_files(archive):
        taps += [name] * (b"Says its token, and sends" in content)
        leaks += [name] * holds(content, MARKER)
    archive.unlink()
    assert [each.partition(":")[2] for each in taps] == [f"app/{PROJECT.relative_to(CHECKOUT)}/tap"]
    assert leaks == []


def test_no_mail_tells_it(runs):
    check_mails(runs.server)


def test_only_meltano_and_its_plugins_had_it_in_their_environment(runs):
    assert runs.processes.others == []
