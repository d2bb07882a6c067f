"""Whether a cluster answers, and how it gets an image."""

import http.server
import shutil
import threading

import pytest
import yaml
from local_platform.console import LocalError
from local_platform.kube.cluster import KubeCluster
from local_platform.subprocesses import run_command

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl")


@pytest.fixture
def cluster_of(tmp_path, monkeypatch):
    monkeypatch.delenv("LOAD_IMAGE", raising=False)

    def write(context):
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump({"kind": "Config", "current-context": context}))
        return KubeCluster(tmp_path, str(file))

    return write


@needs_kubectl
@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", "kind load docker-image --name dev"),
        ("k3d-dev-2", "k3d image import --cluster dev-2"),
        ("minikube", "minikube image load --profile minikube"),
    ],
)
def test_a_cluster_of_a_known_kind_has_its_own_command(cluster_of, context, command):
    assert cluster_of(context).image_loader == command.split()


@needs_kubectl
def test_any_other_cluster_needs_one(cluster_of, monkeypatch):
    with pytest.raises(LocalError, match="context acme, which is not named as by kind, k3d or m"):
        _ = cluster_of("acme").image_loader
    monkeypatch.setenv("LOAD_IMAGE", "push-image --to acme")
    assert cluster_of("acme").image_loader == ["push-image", "--to", "acme"]


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
        cluster = KubeCluster(tmp_path, str(file))
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
    assert not KubeCluster(tmp_path, str(empty)).answers()
    assert not KubeCluster(tmp_path, str(tmp_path / "absent")).answers()
    assert calls.read_text().split() == ["config", "config"]
