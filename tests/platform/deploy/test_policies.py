"""`deploy/kubernetes` on a cluster that enforces Pod Security and NetworkPolicy."""

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiException, CoreV1Api
from kubernetes.config import new_client_from_config

from dag_factory.options.catalog import TaskOptions
from dag_factory.runners.kubernetes.pod_failures import is_final, rejection
from dag_factory.runners.kubernetes.pod_spec import pod_name, pod_of_run, pod_template
from dag_factory.runners.prepare import PreparedRun
from dag_factory.settings import read_settings
from tests.support.cluster import Cluster
from tests.support.deployment import FOLDER, MANIFESTS, Deployment
from tests.support.network import PORTS, RunningPod, server, start
from tests.support.plans import PLAN, plans_and_problems
from tests.support.running import CHECKOUT

POLICY = "network-policy.yaml"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
# Of pods in a namespace where they mean nothing to the policy.
LABELS = {"component": "api-server", "k8s-app": "kube-dns"}
SERVERS = ("api-server", "worker", "database", "metadata")
ENDPOINTS = [
    ("dns", "UDP 53"),
    ("dns", "TCP 53"),
    *((name, port) for name in SERVERS for port in PORTS),
]
INTO_TASK = "task TCP 8080"
EVERYTHING = {INTO_TASK, *(f"{name} {port}" for name, port in ENDPOINTS)}
REACHED = {
    "dns UDP 53",
    "dns TCP 53",
    "api-server TCP 443",
    "api-server TCP 8080",
    "worker TCP 443",
    "database TCP 443",
    "database TCP 5432",
}


def make_pod(pod_context: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Return a pod with some security contexts: its own, and that of its container."""
    container = {"name": "base", "image": "any:1", "securityContext": context}
    spec = {"securityContext": pod_context, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}, "spec": spec}


PLAIN = make_pod({}, {})


def task_pod(image: str = "any:1", **override: Any) -> dict[str, Any]:
    """Return the runner's pod, whose command serves HTTP instead of running Meltano."""
    pod_override = {"spec": override} if override else {}
    options = TaskOptions(image=image, service_account="meltano", pod_override=pod_override)
    task = replace(PLAN.tasks[0], options=options)
    run = PreparedRun(("python", "-m", "http.server", "8080"), {})
    pod = pod_of_run(pod_template(PLAN, task), run)
    pod["metadata"]["name"] = "task"
    return pod


def project_pods() -> list[dict[str, Any]]:
    """Return the pods of the repository's own project."""
    environ = {"MELTANO_IMAGE": "any:1"}
    settings = read_settings(CHECKOUT / "meltano", environment="kube", environ=environ)
    pods = []
    for plan in plans_and_problems(settings)[0]:
        for task in plan.tasks:
            pod = pod_of_run(pod_template(plan, task), PreparedRun(task.argv, {}))
            pod["metadata"]["name"] = pod_name(plan, task)
            pods.append(pod)
    return pods


@pytest.fixture(scope="module")
def deployment(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The manifests, but for the network policy."""
    objects = [each for name, found in MANIFESTS.items() for each in found if name != POLICY]
    with cluster.new_namespace() as airflow, cluster.new_namespace() as meltano:
        namespaces = {"airflow": airflow, "meltano": meltano}
        found = Deployment(cluster, namespaces, tmp_path_factory.mktemp("policies"))
        cluster.apply(found.manifest(objects))
        yield found


def try_create(cluster: Cluster, namespace: str, *pods: Any) -> subprocess.CompletedProcess[str]:
    """Ask whether the API server takes some pods."""
    items = {"apiVersion": "v1", "kind": "List", "items": pods}
    return cluster.try_kubectl("create", "--dry-run=server", "-n", namespace, "-f-", stdin=items)


@pytest.fixture(scope="module")
def restricted(cluster: Cluster, deployment: Deployment) -> str:
    """The namespace of task pods, in a cluster that enforces Pod Security."""
    with cluster.new_namespace(**RESTRICTED) as probe:
        if not try_create(cluster, probe, PLAIN).returncode:
            pytest.skip("the cluster does not enforce Pod Security")
    return deployment.namespaces["meltano"]


def test_a_pod_without_a_security_context_is_refused(cluster, restricted):
    refused = try_create(cluster, restricted, PLAIN)
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr
    for violated in ("allowPrivilegeEscalation", "capabilities", "runAsNonRoot", "seccompProfile"):
        assert violated in refused.stderr


@pytest.mark.parametrize(
    ("violated", "override"),
    [
        ("runAsNonRoot != true", {"securityContext": {"runAsNonRoot": False}}),
        ("host namespaces", {"hostNetwork": True}),
        ("hostPath", {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}),
    ],
)
def test_a_task_pod_that_pod_override_loosens_is_refused_for_good(
    violated, override, cluster, restricted
):
    with new_client_from_config(cluster.kubeconfig) as client:
        api = CoreV1Api(client)
        with pytest.raises(ApiException) as refused:
            api.create_namespaced_pod(restricted, task_pod(**override), dry_run="All")
    assert is_final(refused.value)
    assert violated in rejection(refused.value)
    assert rejection(refused.value).endswith("; correct `resources` or `pod_override`")


def test_each_pod_of_the_project_is_taken(cluster, restricted):
    pods = project_pods()
    taken = try_create(cluster, restricted, *pods)
    assert taken.stderr == ""
    assert taken.stdout.count("created (server dry run)") == len(pods) > 10


def test_a_pod_with_the_security_contexts_of_the_values_is_taken(cluster, restricted):
    contexts = yaml.safe_load((FOLDER / "values.yaml").read_text())["securityContexts"]
    pod = make_pod(contexts["pod"], contexts["containers"])
    assert try_create(cluster, restricted, pod).stderr == ""


@pytest.fixture(scope="module")
def task(deployment: Deployment, meltano_image: str) -> RunningPod:
    """A task pod that runs."""
    return start(deployment.cluster, deployment.namespaces["meltano"], task_pod(meltano_image))


def test_a_task_pod_runs_without_any_privilege(restricted, task):
    status = dict(line.split(":\t", 1) for line in task.run("cat", "/proc/1/status").splitlines())
    assert status["Uid"].split() == ["10001"] * 4
    assert {status[name] for name in ("CapEff", "CapBnd")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


@dataclass(frozen=True)
class Network:
    """A task pod, and pods that it may or may not reach.

    Attributes:
        task: The task pod.
        servers: The others, by their names.
    """

    task: RunningPod
    servers: dict[str, RunningPod]

    def reached(self) -> set[str]:
        """Return what the task pod reaches, and the task pod where another pod reaches it."""
        out = [(self.servers[name], port) for name, port in ENDPOINTS]
        return self.task.reached(out) | self.servers["worker"].reached([(self.task, "TCP 8080")])

    def settled(self, expected: set[str]) -> set[str]:
        """Return what is reached as soon as that is what is expected, or else after a minute."""
        end = time.monotonic() + 60
        while (found := self.reached()) != expected and time.monotonic() < end:
            pass
        return found


@contextmanager
def dns(cluster: Cluster, image: str) -> Iterator[RunningPod]:
    """The cluster's DNS; a server in its place if the cluster has none."""
    which = ("--selector=k8s-app=kube-dns", "--field-selector=status.phase=Running")
    pods = json.loads(cluster.kubectl("get", "pods", "-n", "kube-system", *which, "-o=json"))
    # One that is being deleted may be that of another run of these tests.
    there = [each for each in pods["items"] if "deletionTimestamp" not in each["metadata"]]
    if there:
        yield RunningPod(cluster, "kube-system", "dns", there[0]["status"]["podIP"])
        return
    name = f"test-{secrets.token_hex(4)}"
    pod = server(name, image, **{"k8s-app": "kube-dns"})
    try:
        yield replace(start(cluster, "kube-system", pod), name="dns")
    finally:
        delete = ("delete", "pod", name, "--ignore-not-found", "--wait=false")
        cluster.kubectl(*delete, "-n", "kube-system")


def block(pod: RunningPod) -> str:
    """Return the network that has no address but that of a pod."""
    return f"{pod.address}/32"


@pytest.fixture(scope="module")
def network(deployment: Deployment, task: RunningPod, meltano_image: str) -> Iterator[Network]:
    """Pods that reach one another, in a cluster that enforces NetworkPolicy."""
    cluster, airflow = deployment.cluster, deployment.namespaces["airflow"]
    with cluster.new_namespace() as elsewhere, dns(cluster, meltano_image) as resolver:
        servers = [
            resolver,
            start(cluster, airflow, server("api-server", meltano_image, component="api-server")),
            start(cluster, airflow, server("worker", meltano_image, component="worker")),
            start(cluster, elsewhere, server("database", meltano_image, **LABELS)),
            start(cluster, elsewhere, server("metadata", meltano_image, **LABELS)),
        ]
        found = Network(task, {each.name: each for each in servers})
        assert found.settled(EVERYTHING) == EVERYTHING
        skip_unless_enforced(found)
        assert found.settled(EVERYTHING) == EVERYTHING
        yield found


def skip_unless_enforced(network: Network) -> None:
    """Skip the tests if a policy that lets the task pod reach one port does something else."""
    task, database = network.task, network.servers["database"]
    port = {"to": [{"ipBlock": {"cidr": block(database)}}], "ports": [{"port": 5433}]}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "probe", "namespace": task.namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [port]},
    }
    task.cluster.apply(policy)
    expected = {"database TCP 5433"}
    reached = network.settled(expected)
    task.cluster.kubectl("delete", "networkpolicy", "probe", "-n", task.namespace)
    if reached - expected:
        pytest.skip("the cluster has no network plugin that enforces NetworkPolicy")
    if not reached:
        pytest.skip("the cluster's network plugin applies no `ipBlock` to pods")


@pytest.fixture(scope="module")
def reached(deployment: Deployment, network: Network) -> set[str]:
    """What is reached with the policy of the manifest, in which a pod stands for each network."""
    policy = json.dumps(deployment.manifest(MANIFESTS[POLICY]))
    namespace = '"kubernetes.io/metadata.name": "{}"'.format
    for name, own in (
        ("10.0.0.0/8", block(network.servers["database"])),
        ("169.254.0.0/16", block(network.servers["metadata"])),
        (namespace("airflow"), namespace(deployment.namespaces["airflow"])),
    ):
        assert policy.count(name) == 1
        policy = policy.replace(name, own)
    deployment.cluster.apply(json.loads(policy))
    return network.settled(REACHED)


def test_a_task_pod_reaches_what_the_policy_names_and_nothing_else(reached):
    assert reached - {INTO_TASK} == REACHED


def test_no_pod_reaches_a_task_pod(reached):
    assert INTO_TASK not in reached
