"""`deploy/kubernetes` on a cluster, as each of its ServiceAccounts may use it."""

import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster import Cluster
from tests.support.running import CHECKOUT

FOLDER = CHECKOUT / "deploy/kubernetes"
FILES = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
MANIFESTS = {name: [*yaml.safe_load_all((FOLDER / name).read_text())] for name in FILES}
OBJECTS = [each for found in MANIFESTS.values() for each in found]
ROLES = {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == "Role"}
RIGHTS_OF = {
    name: [
        (of, verb) for rule in role["rules"] for of in rule["resources"] for verb in rule["verbs"]
    ]
    for name, role in ROLES.items()
}
SUBJECTS = {
    each["roleRef"]["name"]: each["subjects"][0]
    for each in OBJECTS
    if each["kind"] == "RoleBinding"
}
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Deployment:
    """The manifests, in namespaces of the test's own.

    Attributes:
        cluster: As its administrator uses it.
        namespaces: Their names, by those in the manifests.
        folder: For the kubeconfigs of others.
    """

    cluster: Cluster
    namespaces: dict[str, str]
    folder: Path

    def manifest(self, objects: list[dict[str, Any]]) -> dict[str, Any]:
        """Return objects as one, in the namespaces of the test."""
        items = json.loads(json.dumps(objects))
        for item in items:
            metadata = item["metadata"]
            named = [*item.get("subjects", ()), *([metadata] if "namespace" in metadata else ())]
            for each in named:
                each["namespace"] = self.namespaces[each["namespace"]]
            if item["kind"] == "Namespace":
                metadata["name"] = self.namespaces[metadata["name"]]
        return {"apiVersion": "v1", "kind": "List", "items": items}

    def user(self, role: str) -> Cluster:
        """Return the cluster with the rights of whoever has a role."""
        subject = SUBJECTS[role]
        return self.account(subject["name"], subject["namespace"])

    def account(self, name: str, namespace: str) -> Cluster:
        """Return the cluster with the rights of a ServiceAccount."""
        own = self.namespaces[namespace]
        file = self.folder / f"{own}.{name}"
        config = json.loads(self.cluster.kubectl("config", "view", "--raw", "--minify", "-o=json"))
        token = self.cluster.kubectl("create", "token", name, "-n", own).strip()
        config["users"][0]["user"] = {"token": token}
        # A file of ours: the one that the Python client writes, a process that it forks deletes.
        server = config["clusters"][0]["cluster"]
        if encoded := server.pop("certificate-authority-data", None):
            server["certificate-authority"] = str(self.folder / "ca.crt")
            (self.folder / "ca.crt").write_bytes(base64.b64decode(encoded))
        file.write_text(json.dumps(config))
        return replace(self.cluster, kubeconfig=str(file))


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
