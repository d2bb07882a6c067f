"""AWS Secrets Manager: moto's real HTTP server, and a server that answers as it is told.

moto checks no one's rights to a secret, nor does it ever fail; the second server does both.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
_HOST = "127.0.0.1"
_ENDPOINT = "AWS_ENDPOINT_URL_SECRETS_MANAGER"
_ENDPOINT_OF_STS = "AWS_ENDPOINT_URL_STS"


@dataclass(frozen=True)
class SecretsManager:
    """The secrets of one test."""

    url: str
    region: str

    @property
    def _client(self) -> Any:
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        return boto3.client("secretsmanager", self.region, endpoint_url=self.url, **keys)

    def put(self, name: str, value: Any) -> None:
        """Write a new secret: a text, bytes, or what becomes JSON."""
        kind = "SecretBinary" if isinstance(value, bytes) else "SecretString"
        text = value if isinstance(value, str | bytes) else json.dumps(value)
        self._client.create_secret(Name=name, **{kind: text})

    def change(self, name: str, value: dict[str, Any]) -> None:
        self._client.put_secret_value(SecretId=name, SecretString=json.dumps(value))

    def text(self, name: str) -> str:
        return str(self._client.get_secret_value(SecretId=name)["SecretString"])

    def names(self) -> list[str]:
        return [each["Name"] for each in self._client.list_secrets()["SecretList"]]

    def delete(self, name: str) -> None:
        self._client.delete_secret(SecretId=name)


@contextmanager
def running_moto(host: str) -> Iterator[str]:
    """Run moto's server, without a secret, at an address of this machine; tell where it is."""
    server = ThreadedMotoServer(host, 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    # All servers of a process share their secrets.
    httpx.post(f"{url}/moto-api/reset").raise_for_status()
    yield url
    server.stop()


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    """The address of moto's server."""
    with running_moto(_HOST) as url:
        yield url


@pytest.fixture
def aws_environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of a process that may use AWS, and that has nothing of this machine's."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    return monkeypatch


@pytest.fixture
def secrets_manager(moto_url: str, aws_environ: pytest.MonkeyPatch) -> SecretsManager:
    """moto's Secrets Manager, without a secret, for this process and those that it starts."""
    aws_environ.setenv(_ENDPOINT, moto_url)
    aws_environ.setenv(_ENDPOINT_OF_STS, moto_url)
    httpx.post(f"{moto_url}/moto-api/reset").raise_for_status()
    return SecretsManager(moto_url, REGION)


@dataclass
class Answers:
    """What a server of one test answers with, and what it was asked.

    Attributes:
        status: The HTTP status.
        body: What it answers, from what it is asked; STS speaks XML.
        asked: Each request, in their order.
        actions: What IAM calls those to Secrets Manager.
    """

    status: int = 200
    body: Callable[[dict[str, Any]], dict[str, Any] | str] = dict
    asked: list[dict[str, Any]] = field(default_factory=list)
    actions: set[str] = field(default_factory=set)

    def give(self, value: str) -> None:
        """Answer with this text for every secret."""
        self.body = lambda asked: {
            "SecretValues": [
                {"Name": each, "SecretString": value} for each in asked["SecretIdList"]
            ]
        }

    def fail(self, code: str) -> None:
        """Answer that no secret can be read, for this reason."""
        self.body = lambda asked: {
            "Errors": [{"SecretId": each, "ErrorCode": code} for each in asked["SecretIdList"]]
        }

    def refuse(self, status: int, code: str) -> None:
        """Answer no call."""
        self.status = status
        self.body = lambda _: {"__type": code, "message": "said by the server"}


@pytest.fixture
def answers(aws_environ: pytest.MonkeyPatch) -> Iterator[Answers]:
    """A Secrets Manager that answers as the test says."""
    told = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = json.loads(text) if text.startswith("{") else dict(parse_qsl(text))
            told.asked.append(asked)
            if target := self.headers.get("X-Amz-Target"):
                told.actions.add(target)
            said = told.body(asked)
            body = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((_HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        for name in (_ENDPOINT, _ENDPOINT_OF_STS):
            aws_environ.setenv(name, f"http://{_HOST}:{server.server_port}")
        yield told
        server.shutdown()
        thread.join()
