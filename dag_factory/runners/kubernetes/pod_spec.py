"""The pod of a task as plain data: safe defaults, overridden by the options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dag_factory.options.pod_merge import merge_pods
from dag_factory.options.pod_values import BASE_CONTAINER, MANAGED_BY, image_version
from dag_factory.planning.plan import DagPlan, TaskPlan, legal_id
from dag_factory.runners.prepare import PreparedRun

# Airflow allows 63 characters, of which a hyphen and a random suffix take nine.
_MAX_NAME_LENGTH = 54
# Kubernetes kills a container this long after the signal to stop. The last seconds are left for
# killing processes that do not stop, and for writing the summary.
_DEFAULT_GRACE_SECONDS = 30
_SHUTDOWN_SECONDS = 10
# The minimum for a task. A pod without requests would be evicted first.
_DEFAULT_REQUESTS = {"cpu": "100m", "memory": "512Mi"}
# Meltano writes each plugin's configuration, with its secrets, to .meltano/run, which must be in
# memory and never on a disk.
_WRITABLE_FOLDERS = {
    "meltano-run": ("/run/meltano", {"medium": "Memory"}),
    "meltano-logs": ("/var/log/meltano", {}),
    "tmp": ("/tmp", {}),  # noqa: S108 - a volume of the pod
}


def pod_name(plan: DagPlan, task: TaskPlan) -> str:
    """Return the name of a task's pods, without the random suffix that makes it unique."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{plan.name}-{task.task_id}".lower())
    return words[:_MAX_NAME_LENGTH].strip("-") or "meltano"


def pod_template(plan: DagPlan, task: TaskPlan) -> dict[str, Any]:
    """Return the pod of a task without the parts that differ from run to run.

    It runs as the user of the image, who must not be root. Its root filesystem is read-only except
    for three folders. It has no token for the Kubernetes API unless `pod_override` mounts one.
    """
    options = task.options
    labels = {
        "app.kubernetes.io/name": "meltano",
        "app.kubernetes.io/version": legal_id(image_version(options.image or "")),
        **MANAGED_BY,
        "meltano_job": legal_id(plan.job),
        "meltano_environment": legal_id(plan.environment),
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _DEFAULT_GRACE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(plan, task)],
        "volumes": [
            {"name": name, "emptyDir": kind} for name, (_, kind) in _WRITABLE_FOLDERS.items()
        ],
    }
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.node_selector:
        spec["nodeSelector"] = dict(options.node_selector)
    if options.tolerations:
        spec["tolerations"] = [dict(each) for each in options.tolerations]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels}, "spec": spec}
    return _with_secrets(merge_pods(pod, options.pod_override), task)


def _with_secrets(pod: dict[str, Any], task: TaskPlan) -> dict[str, Any]:
    """Return a pod that gets its task's secrets from Kubernetes, if the options say so.

    They precede the sources in `pod_override`: a later source overrides an earlier one.
    """
    if not (task.options.given_secrets and task.secrets):
        return pod
    sources = [
        {"secretRef": {"name": name.kubernetes_name, "optional": len(each.names) > 1}}
        for each in task.secrets
        for name in each.names
    ]
    [base] = (each for each in pod["spec"]["containers"] if each["name"] == BASE_CONTAINER)
    container = {"name": BASE_CONTAINER, "envFrom": [*sources, *base.get("envFrom", ())]}
    return merge_pods(pod, {"spec": {"containers": [container]}})


def _container(plan: DagPlan, task: TaskPlan) -> dict[str, Any]:
    resources = dict(task.options.resources)
    limits = resources.get("limits", {})
    # Without a request, Kubernetes requests as much as the limit.
    unlimited = {name: each for name, each in _DEFAULT_REQUESTS.items() if name not in limits}
    resources["requests"] = {**unlimited, **resources.get("requests", {})}
    return {
        "name": BASE_CONTAINER,
        "image": task.options.image,
        "resources": resources,
        "env": [{"name": "MELTANO_ENVIRONMENT", "value": plan.environment}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": name, "mountPath": path} for name, (path, _) in _WRITABLE_FOLDERS.items()
        ],
    }


def pod_of_run(template: Mapping[str, Any], run: PreparedRun) -> dict[str, Any]:
    """Return the pod of one run, with its command and its variables."""
    grace = template["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS)
    arguments = [f"--patience={max(1, grace - _SHUTDOWN_SECONDS)}"]
    arguments += [f"--digest={run.digest}"] if run.digest else []
    arguments += [f"--extractor={each}" for each in run.extractors]
    arguments += [f"--bookmark={each}" for each in run.bookmarked]
    arguments += [f"--sensitive={each}" for each in run.sensitive]
    for secret in run.secrets:
        option = "--plugin-secret" if secret.of_plugin else "--secret"
        arguments += [option, *map(str, secret.names)]
    variables = (
        {"name": name, "value": _literal(value), "valueFrom": None}
        for name, value in run.variables.items()
    )
    container = {
        "name": BASE_CONTAINER,
        "args": [*map(_literal, arguments), "--", *map(_literal, run.argv)],
        "env": [*variables],
    }
    return merge_pods(template, {"spec": {"containers": [container]}})


def _literal(text: str) -> str:
    """Escape a text in which Kubernetes would replace `$(NAME)` by a variable.

    Source: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return text.replace("$", "$$")
