"""The pod of a task: what the options say, laid over what is safe."""

import json
import re
from dataclasses import replace

import pytest

from dag_factory.options.catalog import TaskOptions
from dag_factory.options.pod_values import MANAGED_BY
from dag_factory.options.values import Secrets
from dag_factory.planning.secret_names import SecretName, SecretPlan
from dag_factory.runners.kubernetes.pod_spec import pod_name, pod_of_run, pod_template
from dag_factory.runners.prepare import PreparedRun
from tests.support.plans import PLAN

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,52}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
SECRET = {"secretKeyRef": {"name": "meltano", "key": "k"}}


def template(**options):
    task = replace(PLAN.tasks[0], options=TaskOptions(image="meltano:1.4.2", **options))
    return pod_template(PLAN, task)


def base(pod):
    return next(each for each in pod["spec"]["containers"] if each["name"] == "base")


def variables(pod):
    return {each["name"]: each.get("value") for each in base(pod)["env"]}


def test_a_pod_is_safe_unless_it_says_otherwise():
    pod = template()
    assert pod["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert base(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["enableServiceLinks"] is False
    assert pod["spec"]["restartPolicy"] == "Never"


def test_only_three_folders_can_be_written_and_secrets_only_to_memory():
    pod = template()
    volumes = {each["name"]: each["emptyDir"] for each in pod["spec"]["volumes"]}
    mounts = {each["mountPath"]: volumes[each["name"]] for each in base(pod)["volumeMounts"]}
    assert len(mounts) == 3
    assert mounts["/run/meltano"] == {"medium": "Memory"}


def test_the_options_are_in_the_pod():
    toleration = {"key": "spot", "operator": "Exists"}
    pod = template(
        service_account="meltano",
        node_selector={"disk": "ssd"},
        tolerations=(toleration,),
    )
    assert pod["spec"]["serviceAccountName"] == "meltano"
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert pod["spec"]["tolerations"] == [toleration]
    assert base(pod)["image"] == "meltano:1.4.2"
    assert variables(pod) == {"MELTANO_ENVIRONMENT": "dev"}


def test_without_options_kubernetes_decides():
    assert {"serviceAccountName", "nodeSelector", "tolerations"} & set(template()["spec"]) == set()


@pytest.mark.parametrize(
    ("resources", "requests"),
    [
        ({}, {"cpu": "100m", "memory": "512Mi"}),
        ({"requests": {"memory": "2Gi"}}, {"cpu": "100m", "memory": "2Gi"}),
        ({"limits": {"memory": "256Mi"}}, {"cpu": "100m"}),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            {"cpu": "500m"},
        ),
    ],
)
def test_a_pod_requests_something_and_never_more_than_its_limits(resources, requests):
    found = base(template(resources=resources))["resources"]
    assert found["requests"] == requests
    assert found.get("limits") == resources.get("limits")


def test_an_override_is_laid_over_all_of_it():
    override = {
        "metadata": {"labels": {"team": "crm"}, "annotations": {"a": "b"}},
        "spec": {
            "securityContext": {"fsGroup": 1},
            "containers": [
                {"name": "proxy", "image": "proxy:1"},
                {"name": "base", "env": [{"name": "A", "valueFrom": SECRET}]},
            ],
        },
    }
    pod = template(pod_override=override)
    assert pod["metadata"]["labels"]["team"] == "crm"
    assert pod["metadata"]["labels"].items() >= MANAGED_BY.items()
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert [each["name"] for each in pod["spec"]["containers"]] == ["base", "proxy"]
    assert set(variables(pod)) == {"MELTANO_ENVIRONMENT", "A"}


@pytest.mark.parametrize(
    "image", ["meltano:1.4.2", f"m@sha256:{'a' * 64}", f"m:{'x' * 128}", "m:1_", "m:_"]
)
@pytest.mark.parametrize("name", ["load", "été 🚀", "-", "CRM: contacts (daily)", "x" * 300, "5"])
def test_names_and_labels_are_legal_whatever_the_job_is_called(name, image):
    plan = replace(PLAN, name=name, job=name, environment=name)
    task = replace(plan.tasks[0], task_id="t" * 63, options=TaskOptions(image=image))
    assert NAME.fullmatch(pod_name(plan, task))
    labels = pod_template(plan, task)["metadata"]["labels"]
    assert [value for value in labels.values() if not LABEL.fullmatch(value)] == []


def test_the_version_of_the_image_is_a_label():
    assert template()["metadata"]["labels"]["app.kubernetes.io/version"] == "1.4.2"


def test_a_run_has_its_command_and_its_variables():
    run = PreparedRun(
        ("meltano", "run", "tap-a"),
        {"A": "b", "MELTANO_ENVIRONMENT": "prod"},
        extractors=("tap-a", "tap-b"),
        bookmarked=("dev:a",),
        digest="0123",
    )
    pod = pod_of_run(template(), run)
    assert base(pod)["args"] == [
        *("--patience=20", "--digest=0123"),
        *("--extractor=tap-a", "--extractor=tap-b", "--bookmark=dev:a"),
        *("--", "meltano", "run", "tap-a"),
    ]
    assert variables(pod) == {"A": "b", "MELTANO_ENVIRONMENT": "prod"}
    assert base(pod)["image"] == "meltano:1.4.2"


def test_a_variable_of_the_run_goes_before_one_of_the_override():
    env = [{"name": "A", "valueFrom": SECRET}, {"name": "B", "valueFrom": SECRET}]
    override = {"spec": {"containers": [{"name": "base", "env": env}]}}
    pod = pod_of_run(template(pod_override=override), PreparedRun(("x",), {"A": "b"}))
    assert base(pod)["env"][1:] == [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": SECRET}]


def named(name):
    return SecretName("Acme", "prod", name)


def plugin_secret(*names):
    return SecretPlan(tuple(map(named, names)), of_plugin=True)


SECRETS = (
    plugin_secret("tap_b", "tap-a"),
    plugin_secret("target-x"),
    SecretPlan((named("shared/proxy"),), of_plugin=False),
)


def test_a_run_has_the_names_of_its_secrets_in_its_arguments():
    pod = pod_of_run(template(), PreparedRun(("meltano",), {}, sensitive=("K",), secrets=SECRETS))
    assert base(pod)["args"] == [
        *("--patience=20", "--sensitive=K"),
        *("--plugin-secret", "Acme/prod/meltano/tap_b", "Acme/prod/meltano/tap-a"),
        *("--plugin-secret", "Acme/prod/meltano/target-x"),
        *("--secret", "Acme/prod/meltano/shared/proxy", "--", "meltano"),
    ]
    assert "envFrom" not in base(pod)


def given(**options):
    """Return from where Kubernetes gives a pod variables."""
    options = TaskOptions(image="m:1", runner="kubernetes", **options)
    task = replace(PLAN.tasks[0], secrets=SECRETS, options=options)
    return base(pod_template(PLAN, task)).get("envFrom")


def test_kubernetes_gives_a_pod_its_secrets_where_it_is_to():
    assert given(secrets=Secrets(mode="k8s")) == [
        {"secretRef": {"name": "acme-prod-meltano-tap-b", "optional": True}},
        {"secretRef": {"name": "acme-prod-meltano-tap-a", "optional": True}},
        {"secretRef": {"name": "acme-prod-meltano-target-x", "optional": False}},
        {"secretRef": {"name": "acme-prod-meltano-shared-proxy", "optional": False}},
    ]
    assert given(secrets=Secrets(mode="aws")) is None
    assert given() is None


def test_what_an_override_gives_stays_and_comes_last():
    own = {"secretRef": {"name": "meltano"}}
    containers = [{"name": "proxy", "envFrom": []}, {"name": "base", "envFrom": [own]}]
    override = {"spec": {"containers": containers}}
    found = given(secrets=Secrets(mode="k8s"), pod_override=override)
    assert (len(found), found[-1]) == (5, own)
    assert given(pod_override=override) == [own]


@pytest.mark.parametrize(("grace", "patience"), [(600, 590), (11, 1), (5, 1), (0, 1), (None, 20)])
def test_meltano_has_the_grace_period_of_the_pod_but_for_its_end(grace, patience):
    override = {"spec": {"terminationGracePeriodSeconds": grace}}
    pod = pod_of_run(template(pod_override=override), PreparedRun(("x",), {}))
    assert base(pod)["args"] == [f"--patience={patience}", "--", "x"]


ODD = ["$(HOME)", "$$", "$", "$$(A)", "a$b", "$(", "été 🚀", "a b'\"\n\\", ""]
ECHO = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


def real_pod(image, run, task_secrets=(), **options):
    """Return a pod that a cluster can run, which prints its words and its variables."""
    container = {"name": "base", "command": ["python", "-c", ECHO]}
    override = {"spec": {"securityContext": {"runAsUser": 65534}, "containers": [container]}}
    options = TaskOptions(image=image, runner="kubernetes", pod_override=override, **options)
    task = replace(PLAN.tasks[0], secrets=task_secrets, options=options)
    return pod_of_run(pod_template(PLAN, task), run)


def printed(cluster, namespace, pod):
    pod["metadata"]["name"] = "echo"
    cluster.kubectl("-n", namespace, "create", "-f-", stdin=pod)
    succeeded = "--for=jsonpath={.status.phase}=Succeeded"
    cluster.kubectl("-n", namespace, "wait", "--timeout=120s", succeeded, "pod/echo")
    return json.loads(cluster.kubectl("-n", namespace, "logs", "echo"))


def test_a_real_kubernetes_hands_on_words_and_variables_as_they_are(cluster, meltano_image):
    values = {f"V{number}": text for number, text in enumerate(ODD)}
    run = PreparedRun(("meltano", *ODD), values)
    with cluster.new_namespace() as namespace:
        given, environ = printed(cluster, namespace, real_pod(meltano_image, run))
    assert given == ["--patience=20", "--", *run.argv]
    assert {name: environ[name] for name in values} == values


def test_a_real_kubernetes_gives_a_pod_the_secrets_that_an_operator_has_written(
    cluster, meltano_image
):
    held = {"tap-a": "TAP_A_TOKEN", "target-x": "TARGET_X_PASSWORD", "shared-proxy": "HTTPS_PROXY"}
    pod = real_pod(meltano_image, PreparedRun(("x",), {}), SECRETS, secrets=Secrets(mode="k8s"))
    with cluster.new_namespace() as namespace:
        for name, variable in held.items():
            metadata = {"name": f"acme-prod-meltano-{name}", "namespace": namespace}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
            cluster.apply(secret | {"stringData": {variable: f"of {name}"}})
        _, environ = printed(cluster, namespace, pod)
    assert {name: environ[name] for name in held.values()} == {
        variable: f"of {name}" for name, variable in held.items()
    }
