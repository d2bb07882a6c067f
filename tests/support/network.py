"""Who reaches whom in a cluster: pods that answer at several ports, and who gets an answer."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.support.cluster import Cluster

PORTS = ("UDP 53", "TCP 53", "TCP 443", "TCP 5432", "TCP 5433", "TCP 8080", "TCP 8081")
SERVE = """
import socket, sys, threading
def accept(server):
    while True:
        server.accept()[0].close()
for port in sys.argv[1:]:
    threading.Thread(target=accept, args=[socket.create_server(("", int(port)))]).start()
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("", 53))
while True:
    datagrams.sendto(*datagrams.recvfrom(512))
"""
# The datagram is a query of DNS, so that a real DNS server answers it, too.
CONNECT = r"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
words = (b"kubernetes", b"default", b"svc", b"cluster", b"local", b"")
name = b"".join(bytes([len(word)]) + word for word in words)
query = b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1"
def answers(target):
    address, protocol, port = target.split()
    kind = socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM
    with socket.socket(type=kind) as client:
        client.settimeout(2)
        try:
            client.connect((address, int(port)))
            if protocol == "UDP":
                client.send(query)
                client.recv(512)
        except OSError:
            return False
        return True
targets = sys.argv[1:]
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(dict(zip(targets, pool.map(answers, targets)))))
"""


@dataclass(frozen=True)
class RunningPod:
    """A pod that runs.

    Attributes:
        cluster: Its cluster.
        namespace: Its namespace.
        name: Its name.
        address: Its IP address.
    """

    cluster: Cluster
    namespace: str
    name: str
    address: str

    def run(self, *argv: str) -> str:
        """Run a command in the pod, and return what it prints."""
        return self.cluster.kubectl("exec", self.name, "-n", self.namespace, "--", *argv)

    def reached(self, ports: Iterable[tuple["RunningPod", str]]) -> set[str]:
        """Return the ports at which the pod gets an answer, such as `database TCP 5432`."""
        names = {f"{pod.address} {port}": f"{pod.name} {port}" for pod, port in ports}
        answers = json.loads(self.run("python", "-c", CONNECT, *names))
        return {name for target, name in names.items() if answers[target]}


def start(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> RunningPod:
    """Create a pod, and wait until it runs."""
    name = pod["metadata"]["name"]
    cluster.kubectl("create", "-n", namespace, "-f-", stdin=pod)
    ready = ("--for=condition=Ready", "--timeout=180s", f"pod/{name}")
    cluster.kubectl("wait", "-n", namespace, *ready)
    address = cluster.get("pod", name, namespace)["status"]["podIP"]
    return RunningPod(cluster, namespace, name, address)


def server(name: str, image: str, **labels: str) -> dict[str, Any]:
    """Return a pod that answers at `PORTS`; it is root, because some are below 1024."""
    numbers = [port.removeprefix("TCP ") for port in PORTS if port.startswith("TCP ")]
    container = {
        "name": "base",
        "image": image,
        "command": ["python", "-c", SERVE, *numbers],
        "securityContext": {"runAsUser": 0},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
