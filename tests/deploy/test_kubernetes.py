"""`deploy/kubernetes` against a real API server: who may do what, and no more."""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import CHECKOUT

FOLDER = CHECKOUT / "deploy/kubernetes"
RIGHTS = Path(__file__).with_name("rights")
IMAGE = "docker.io/library/python:3.11-slim-bookworm"

FILES = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
MANIFESTS = {name: [*yaml.safe_load_all((FOLDER / name).read_text())] for name in FILES}
OBJECTS = [each for found in MANIFESTS.values() for each in found]
ROLES = {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == "Role"}
RIGHTS_OF = {
    name: [(of, verb) for rule in role["rules"] for of in rule["resources"] for verb in rule["verbs"]]
    for name, role in ROLES.items()
}
SUBJECTS = {
    each["roleRef"]["name"]: each["subjects"][0] for each in OBJECTS if each["kind"] == "RoleBinding"
}
RBAC = "rbac.authorization.k8s.io"
LAUNCHER, WATCHER, SCHEDULER = "task-pods-launcher", "task-pods-watcher", "worker-pods-launcher"


@dataclass(frozen=True)
class Cluster:
    """A cluster, with the rights of the user of a kubeconfig."""

    kubeconfig: str

    def kubectl(self, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        argv = ("kubectl", "--kubeconfig", self.kubeconfig, *argv)
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)

    def ask(self, *argv: str, stdin: str | None = None) -> str:
        done = self.kubectl(*argv, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def as_account(self, name: str, namespace: str, folder: Path) -> "Cluster":
        """Return the cluster with the rights of a ServiceAccount."""
        config = json.loads(self.ask("config", "view", "--raw", "--minify", "-o", "json"))
        token = self.ask("create", "token", name, "-n", namespace).strip()
        config["users"][0]["user"] = {"token": token}
        # A file of ours: the one that the Python client writes, a process that it forks deletes.
        server = config["clusters"][0]["cluster"]
        if encoded := server.pop("certificate-authority-data", None):
            server["certificate-authority"] = str(folder / "ca.crt")
            (folder / "ca.crt").write_bytes(base64.b64decode(encoded))
        path = folder / f"{namespace}.{name}"
        path.write_text(json.dumps(config))
        return Cluster(str(path))


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig or not shutil.which("kubectl"):
        pytest.skip("no cluster: KUBECONFIG is not set, or kubectl is not there")
    found = Cluster(kubeconfig)
    if found.kubectl("get", "--raw", "/readyz", "--request-timeout=5s").returncode:
        pytest.skip("no cluster: that of KUBECONFIG does not answer")
    return found


@dataclass(frozen=True)
class Deployment:
    """The manifests, in namespaces of the test's own."""

    cluster: Cluster
    namespaces: dict[str, str]
    folder: Path

    def manifest(self, objects: list[dict[str, Any]]) -> str:
        """Return objects as YAML, in the namespaces of the test."""
        text = json.dumps(objects)
        for name, own in self.namespaces.items():
            text = text.replace(f'"namespace": "{name}"', f'"namespace": "{own}"')
            text = text.replace(
                f'"kind": "Namespace", "metadata": {{"name": "{name}"',
                f'"kind": "Namespace", "metadata": {{"name": "{own}"',
            )
        return yaml.safe_dump_all(json.loads(text))

    def user(self, role: str) -> Cluster:
        """Return the cluster as whoever has a role may use it."""
        subject = SUBJECTS[role]
        return self.account(subject["name"], subject["namespace"])

    def account(self, name: str, namespace: str) -> Cluster:
        return self.cluster.as_account(name, self.namespaces[namespace], self.folder)


@pytest.fixture(scope="module")
def deployment(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    end = secrets.token_hex(3)
    namespaces = {"airflow": f"airflow-{end}", "meltano": f"meltano-{end}"}
    found = Deployment(cluster, namespaces, tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.ask("apply", "-f", "-", stdin=found.manifest(OBJECTS))
        yield found
    finally:
        cluster.kubectl("delete", "namespace", *namespaces.values(), "--wait=false")


def less(role: str, resource: str, verb: str) -> str:
    """Return a name for a role that lacks a verb, and for who has it."""
    return f"no-{verb}-{resource}-{role}".replace("/", "-")


def lacking(role: str, resource: str, verb: str) -> list[dict[str, Any]]:
    """Return a role that lacks a verb, and a ServiceAccount that has it."""
    rights = [each for each in RIGHTS_OF[role] if each != (resource, verb)]
    rules = [{"apiGroups": [""], "resources": [of], "verbs": [one]} for of, one in rights]
    name = less(role, resource, verb)
    metadata = {"name": name, "namespace": ROLES[role]["metadata"]["namespace"]}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", **metadata}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    return [account, {**ROLES[role], "metadata": metadata, "rules": rules}, binding]


@pytest.fixture(scope="module")
def logs(deployment: Deployment) -> dict[str, dict[str, str]]:
    """What is logged with each role: by who has it (`whole`), and by who lacks a verb of it."""
    rights = [(role, *right) for role, found in RIGHTS_OF.items() for right in found]
    objects = [each for right in rights for each in lacking(*right)]
    deployment.cluster.ask("apply", "-f", "-", stdin=deployment.manifest(objects))
    repository, _, tag = IMAGE.partition(":")
    environ = {
        **os.environ,
        "AIRFLOW_HOME": str(deployment.folder / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(RIGHTS / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": deployment.namespaces["airflow"],
        "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(RIGHTS / "worker_pod.yaml"),
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY": repository,
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG": tag,
        "PYTHONPATH": str(RIGHTS / "dags"),
        "TEST_CONNECTION": connection(),
        "TEST_IMAGE": IMAGE,
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environ, check=True, capture_output=True)
    with ExitStack() as stack:
        running = {}
        for role in ROLES:
            running[role] = stack.enter_context(start_runs(deployment, role, environ))
            stack.callback(end_group, running[role].pid)
        return {role: read_runs(process) for role, process in running.items()}


def end_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def connection() -> str:
    """Return how the values have Airflow connect to Kubernetes."""
    env = yaml.safe_load((FOLDER / "values.yaml").read_text())["env"]
    return next(e["value"] for e in env if e["name"] == "AIRFLOW_CONN_KUBERNETES_DEFAULT")


def start_runs(deployment: Deployment, role: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    namespace = ROLES[role]["metadata"]["namespace"]
    users = {"whole": deployment.user(role)}
    for right in RIGHTS_OF[role]:
        users[less(role, *right)] = deployment.account(less(role, *right), namespace)
    runs = deployment.folder / f"{role}.json"
    runs.write_text(json.dumps({name: user.kubeconfig for name, user in users.items()}))
    home = shutil.copytree(environ["AIRFLOW_HOME"], deployment.folder / role)
    argv = [sys.executable, RIGHTS / "run_as.py", role, deployment.namespaces[namespace]]
    with runs.open() as stdin:
        return subprocess.Popen(
            argv,
            env=environ | {"AIRFLOW_HOME": str(home)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def read_runs(process: subprocess.Popen[str]) -> dict[str, str]:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    sections = [each.partition("\n") for each in f"\n{output}".split("\n== ")[1:]]
    return {name: text.replace("\\", "") for name, _, text in sections}


def texts(objects: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in objects)


def test_kustomize_takes_every_manifest_of_the_folder(cluster):
    built = [*yaml.safe_load_all(cluster.ask("kustomize", str(FOLDER)))]
    assert texts(built) == texts(OBJECTS)
    others = {"kustomization.yaml", *(path.name for path in FOLDER.glob("values*.yaml"))}
    assert {path.name for path in FOLDER.iterdir()} == {*FILES, *others}


@pytest.mark.parametrize("name", FILES)
def test_the_api_server_takes_a_manifest(name, deployment):
    manifest = deployment.manifest(MANIFESTS[name])
    answer = deployment.cluster.ask("apply", "--dry-run=server", "-f", "-", stdin=manifest)
    assert answer.count("(server dry run)") == len(MANIFESTS[name])


def test_a_worker_runs_a_task_pod_and_follows_its_log(logs):
    log = logs[LAUNCHER]["whole"]
    assert "ends_well: success" in log
    assert "[base] uid 50000" in log
    assert "forbidden" not in log


def test_a_task_pod_has_no_token_for_the_api(logs):
    assert "API token False" in logs[LAUNCHER]["whole"]


def test_a_triggerer_waits_for_a_task_pod(logs):
    log = logs[WATCHER]["whole"]
    assert "event: success" in log
    assert "forbidden" not in log


def test_a_scheduler_runs_worker_pods_and_takes_over_those_of_another(logs):
    log = logs[SCHEDULER]["whole"]
    assert "no task and no pod is left" in log
    assert "forbidden" not in log


# Airflow says nothing where it may not read a log: its lines are not there.
UNSAID = {(WATCHER, "pods/log", "get"): "[base] at work"}


@pytest.mark.parametrize(
    ("role", "resource", "verb"),
    [(role, *right) for role, rights in RIGHTS_OF.items() for right in rights],
)
def test_every_verb_of_a_role_is_missed_where_it_lacks(role, resource, verb, logs):
    log = logs[role][less(role, resource, verb)]
    if said := UNSAID.get((role, resource, verb)):
        assert said in logs[role]["whole"]
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
    done = user.kubectl(*argv.format(**deployment.namespaces).split(), stdin="{}")
    assert done.returncode != 0
    assert "forbidden" in done.stderr


def test_the_network_policy_lets_nothing_in_and_only_known_ports_out():
    (policy,) = MANIFESTS["network-policy.yaml"]
    spec = policy["spec"]
    assert spec["podSelector"] == {}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    ports = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 443, 5432, 8080]
    assert all(rule["to"] for rule in spec["egress"])
