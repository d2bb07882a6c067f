"""`deploy/kubernetes` against a real API server: who may do what, and no more."""

import base64
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from tests.support.cluster import Cluster
from tests.support.deployment import (
    FILES,
    FOLDER,
    MANIFESTS,
    OBJECTS,
    RIGHTS_OF,
    ROLES,
    Deployment,
    lacking,
    less,
)
from tests.support.running import CHECKOUT

GUIDE = (CHECKOUT / "docs/kubernetes.md").read_text()
RIGHTS = Path(__file__).with_name("rights")

LAUNCHER, WATCHER, SCHEDULER = "task-pods-launcher", "task-pods-watcher", "worker-pods-launcher"


@pytest.fixture(scope="module")
def deployment(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    end = secrets.token_hex(3)
    namespaces = {"airflow": f"airflow-{end}", "meltano": f"meltano-{end}"}
    found = Deployment(cluster, namespaces, tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.kubectl("apply", "-f", "-", stdin=found.manifest(OBJECTS))
        yield found
    finally:
        cluster.kubectl("delete", "namespace", *namespaces.values(), "--wait=false")


@pytest.fixture(scope="module")
def environ(deployment: Deployment, meltano_image: str) -> dict[str, str]:
    """The environment of an Airflow that uses the cluster."""
    repository, _, tag = meltano_image.rpartition(":")
    found = {
        **os.environ,
        "KUBECONFIG": deployment.cluster.kubeconfig,
        "AIRFLOW_HOME": str(deployment.folder / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(RIGHTS / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": deployment.namespaces["airflow"],
        "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(RIGHTS / "worker_pod.yaml"),
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY": repository,
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG": tag,
        "PYTHONPATH": str(RIGHTS / "dags"),
        "PYTHONUNBUFFERED": "1",
        "TEST_CONNECTION": connection(),
        "TEST_IMAGE": meltano_image,
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=found, check=True, capture_output=True)
    return found


@pytest.fixture(scope="module")
def logs(deployment: Deployment, environ: dict[str, str]) -> dict[str, str]:
    """What is logged with each role, by whoever has it."""
    users = {role: {"whole": deployment.user(role)} for role in ROLES}
    return {role: found["whole"] for role, found in run_all(users, deployment, environ).items()}


@pytest.fixture(scope="module")
def logs_of_less(deployment: Deployment, environ: dict[str, str]) -> dict[str, dict[str, str]]:
    """What is logged with each role that lacks a verb."""
    rights = [(role, *right) for role, found in RIGHTS_OF.items() for right in found]
    objects = [each for right in rights for each in lacking(*right)]
    deployment.cluster.kubectl("apply", "-f", "-", stdin=deployment.manifest(objects))
    users: dict[str, dict[str, Cluster]] = {role: {} for role in ROLES}
    for role, *right in rights:
        name = less(role, *right)
        users[role][name] = deployment.account(name, ROLES[role]["metadata"]["namespace"])
    return run_all(users, deployment, environ)


def run_all(
    users: dict[str, dict[str, Cluster]], deployment: Deployment, environ: dict[str, str]
) -> dict[str, dict[str, str]]:
    """Do what each role is for as each of its users, the roles beside one another."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(start_runs(deployment, role, found, environ))
            for role, found in users.items()
        ]
        return {role: read_runs(run) for role, run in zip(users, started, strict=True)}


def connection() -> str:
    """Return how the values have Airflow connect to Kubernetes."""
    env = yaml.safe_load((FOLDER / "values.yaml").read_text())["env"]
    return next(e["value"] for e in env if e["name"] == "AIRFLOW_CONN_KUBERNETES_DEFAULT")


@dataclass(frozen=True)
class Runs:
    """The runs of one role: the process that does them, and the file that it writes."""

    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def start_runs(
    deployment: Deployment, role: str, users: dict[str, Cluster], environ: dict[str, str]
) -> Iterator[Runs]:
    namespace = ROLES[role]["metadata"]["namespace"]
    folder = Path(tempfile.mkdtemp(dir=deployment.folder))
    runs, log = folder / "runs.json", folder / "log"
    runs.write_text(json.dumps({name: user.kubeconfig for name, user in users.items()}))
    home = shutil.copytree(environ["AIRFLOW_HOME"], folder / "home")
    argv = [sys.executable, RIGHTS / "run_as.py", role, deployment.namespaces[namespace]]
    with (
        runs.open() as stdin,
        log.open("w") as stdout,
        subprocess.Popen(
            argv,
            env=environ | {"AIRFLOW_HOME": str(home)},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Runs(process, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_runs(runs: Runs) -> dict[str, str]:
    code = runs.process.wait(timeout=500)
    output = runs.log.read_text()
    assert code == 0, output
    sections = [each.partition("\n") for each in f"\n{output}".split("\n== ")[1:]]
    return {name: text.replace("\\", "") for name, _, text in sections}


def texts(objects: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in objects)


def test_kustomize_takes_every_manifest_of_the_folder(cluster):
    built = [*yaml.safe_load_all(cluster.kubectl("kustomize", str(FOLDER)))]
    assert texts(built) == texts(OBJECTS)
    others = {"kustomization.yaml", *(path.name for path in FOLDER.glob("values*.yaml"))}
    assert {path.name for path in FOLDER.iterdir()} == {*FILES, *others}


@pytest.mark.parametrize("name", FILES)
def test_the_api_server_takes_a_manifest(name, deployment):
    manifest = deployment.manifest(MANIFESTS[name])
    answer = deployment.cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest)
    assert answer.count("(server dry run)") == len(MANIFESTS[name])


def test_a_worker_runs_a_task_pod_and_follows_its_log(logs):
    log = logs[LAUNCHER]
    assert "ends_well: success" in log
    assert "fails: failed" in log
    assert "uid 50000" in log
    assert "forbidden" not in log


def test_a_task_pod_has_no_token_for_the_api(logs):
    assert "API token False" in logs[LAUNCHER]


def test_a_triggerer_waits_for_a_task_pod(logs):
    log = logs[WATCHER]
    assert "event: success" in log
    assert "forbidden" not in log


def test_a_scheduler_runs_worker_pods_and_takes_over_those_of_another(logs):
    log = logs[SCHEDULER]
    assert "no task and no pod is left" in log
    assert "forbidden" not in log


# Airflow says nothing where it may not read a log: its lines are not there.
UNSAID = {(WATCHER, "pods/log", "get"): "[base] at work"}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("role", "resource", "verb"),
    [(role, *right) for role, rights in RIGHTS_OF.items() for right in rights],
)
def test_every_verb_of_a_role_is_missed_where_it_lacks(role, resource, verb, logs, logs_of_less):
    log = logs_of_less[role][less(role, resource, verb)]
    if said := UNSAID.get((role, resource, verb)):
        assert said in logs[role]
        assert said not in log
    else:
        assert f'cannot {verb} resource "{resource}"' in log


@pytest.mark.parametrize(
    ("role", "argv"),
    [
        (LAUNCHER, "get secrets -n {meltano}"),
        (LAUNCHER, "get secrets -n {airflow}"),
        (LAUNCHER, "get configmaps -n {meltano}"),
        (LAUNCHER, "create --raw /api/v1/namespaces/{meltano}/pods/any/exec?command=id -f -"),
        (LAUNCHER, "run any --image=any -n {airflow}"),
        (LAUNCHER, "get pods -n default"),
        (WATCHER, "run any --image=any -n {meltano}"),
        (WATCHER, "get pods -n {meltano}"),
        (WATCHER, "get secrets -n {meltano}"),
        (SCHEDULER, "run any --image=any -n {meltano}"),
        (SCHEDULER, "get secrets -n {airflow}"),
        (SCHEDULER, "create --raw /api/v1/namespaces/{airflow}/pods/any/exec?command=id -f -"),
        ("meltano", "get pods -n {meltano}"),
    ],
)
def test_what_no_role_gives_is_refused(role, argv, deployment):
    user = deployment.user(role) if role in ROLES else deployment.account(role, "meltano")
    done = user.try_kubectl(*argv.format(**deployment.namespaces).split(), stdin={})
    assert done.returncode != 0
    assert "forbidden" in done.stderr


def test_the_commands_of_the_guide_make_the_secrets(deployment, tmp_path):
    blocks = re.findall(r"^ *```(?:ba)?sh\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
    script = "\n".join(block for block in blocks if "secret " in block)
    for name, own in deployment.namespaces.items():
        script = script.replace(f"secret {name} ", f"secret {own} ")
    (tmp_path / "deploy_key").write_text("a key")
    environ = os.environ | {"KUBECONFIG": deployment.cluster.kubeconfig}
    argv = ["bash", "-euo", "pipefail", "-c", script]
    uris = "postgresql://one\npostgresql://two\n"
    subprocess.run(argv, input=uris, text=True, env=environ, cwd=tmp_path, check=True)

    made = {}
    for own in deployment.namespaces.values():
        asked = deployment.cluster.kubectl("get", "secrets", "-n", own, "-o", "json")
        for item in json.loads(asked)["items"]:
            made[item["metadata"]["name"]] = {
                key: base64.b64decode(value) for key, value in item["data"].items()
            }
    Fernet(made["airflow-fernet-key"]["fernet-key"])
    assert made["airflow-metadata"] == {"connection": b"postgresql://one"}
    assert made["meltano"] == {"MELTANO_DATABASE_URI": b"postgresql://two"}
    password = made["airflow-redis"]["password"].decode()
    assert made["airflow-broker"]["connection"].decode().startswith(f"redis://:{password}@")
    assert {len(made[name][key]) for name, key in LONG_KEYS.items()} == {64, 128}


LONG_KEYS = {"airflow-api-secret-key": "api-secret-key", "airflow-jwt": "jwt-secret"}


def test_the_network_policy_lets_nothing_in_and_only_known_ports_out():
    (policy,) = MANIFESTS["network-policy.yaml"]
    spec = policy["spec"]
    assert spec["podSelector"] == {}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    ports = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 443, 5432, 8080]
    assert all(rule["to"] for rule in spec["egress"])
