"""Which cluster `make kube-up` takes, and how it gives an image to it."""

import http.server
import shutil
import threading

import pytest
import yaml
from local_platform.console import LocalError
from local_platform.kube.cluster import KubeCluster, find_cluster
from local_platform.subprocesses import run_command

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl")


@pytest.fixture
def cluster_of(tmp_path, monkeypatch):
    monkeypatch.delenv("LOAD_IMAGE", raising=False)

    def write(context):
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump({"kind": "Config", "current-context": context}))
        return KubeCluster(tmp_path, str(file), is_ours=False)

    return write


@needs_kubectl
@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", "kind load docker-image --name dev"),
        ("k3d-dev-2", "k3d image import --cluster dev-2"),
    ],
)
def test_a_cluster_of_a_known_kind_has_its_own_command(cluster_of, context, command):
    assert cluster_of(context).image_loader == command.split()


@needs_kubectl
def test_any_other_cluster_needs_one(cluster_of, monkeypatch):
    with pytest.raises(LocalError, match="context minikube; set LOAD_IMAGE to a command"):
        _ = cluster_of("minikube").image_loader
    monkeypatch.setenv("LOAD_IMAGE", "minikube image load")
    assert cluster_of("minikube").image_loader == ["minikube", "image", "load"]


def test_a_command_that_is_not_there_is_one_clear_line():
    with pytest.raises(LocalError, match=r"^the command no-such-loader was not found; install it$"):
        run_command("no-such-loader", "image")


class _AnswersAnything(http.server.BaseHTTPRequestHandler):
    """Answers every request with a page, as Airflow's UI does."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Airflow</title>")

    def log_message(self, *args):
        pass


@needs_kubectl
def test_a_server_that_is_not_a_kubernetes_is_not_a_cluster(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), _AnswersAnything) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = {
            "kind": "Config",
            "current-context": "web",
            "contexts": [{"name": "web", "context": {"cluster": "web", "user": ""}}],
            "clusters": [
                {"name": "web", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
            ],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        cluster = KubeCluster(tmp_path, str(file), is_ours=False)
        assert "Airflow" in cluster.kubectl("get", "--raw", "/version")
        assert not cluster.answers()
        server.shutdown()


@needs_kubectl
def test_without_a_context_kubectl_asks_no_server(tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    script = tmp_path / "bin/kubectl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$1" >>{calls}\nexec {shutil.which("kubectl")} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    empty = tmp_path / "empty"
    empty.touch()
    assert not KubeCluster(tmp_path, str(empty), is_ours=False).answers()
    assert not KubeCluster(tmp_path, str(tmp_path / "absent"), is_ours=False).answers()
    assert calls.read_text().split() == ["config", "config"]


def test_without_a_cluster_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(LocalError, match=r"^no Kubernetes: the cluster of KUBECONFIG ") as caught:
        find_cluster(tmp_path)
    assert str(caught.value).endswith("or put the scripts that start one at ../shared/kube")
    monkeypatch.delenv("KUBECONFIG")
    with pytest.raises(LocalError, match=r"^no Kubernetes: set KUBECONFIG to the kubeconfig of "):
        find_cluster(tmp_path)
