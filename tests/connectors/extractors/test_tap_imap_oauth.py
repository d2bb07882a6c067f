"""tap-imap with OAuth: a real Dovecot that checks tokens, and a small server that gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl

import pytest
from tap_imap.errors import MailServerError

from tests.connectors.servers.imap_source import MailSource
from tests.support.imap_warehouse import MailWarehouse

SECRET = "the-secret-of-the-client"  # noqa: S105
REFRESH = "the-consent-of-a-user"


class TokenServer(ThreadingHTTPServer):
    """Answers as RFC 6749 has it; first gives each of `faults` to one request."""

    daemon_threads = True

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.faults: list[tuple[int, dict]] = []
        self.asked: list[dict[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.server.asked.append(form)
        status, answer = 200, {"access_token": self.server.token, "token_type": "Bearer"}
        if form["client_secret"] != SECRET:
            status, answer = 401, {"error": "invalid_client", "error_description": "AADSTS1:\n no"}
        if self.server.faults:
            status, answer = self.server.faults.pop(0)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "http://elsewhere.invalid/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def tokens(mail_source: MailSource) -> Iterator[TokenServer]:
    with TokenServer(mail_source.token()) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def settings(mail_source: MailSource, tokens: TokenServer, monkeypatch) -> dict:
    monkeypatch.setenv("SSL_CERT_FILE", str(mail_source.certificate))
    settings = mail_source.settings() | {
        "mailboxes": ["INBOX"],
        "oauth_token_url": f"http://127.0.0.1:{tokens.server_port}/token",
        "oauth_client_id": "tap",
        "oauth_client_secret": SECRET,
    }
    del settings["password"]
    return settings


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waited.append)
    return waited


def read(settings: dict) -> list[dict]:
    return MailWarehouse(settings).sync("messages").rows("messages")


def test_a_token_is_had_for_the_secret_of_the_client(settings, tokens):
    assert read(settings | {"oauth_scope": "mail/.default"})
    assert tokens.asked == [
        {
            "grant_type": "client_credentials",
            "client_id": "tap",
            "client_secret": SECRET,
            "scope": "mail/.default",
        }
    ]


def test_a_token_is_had_for_the_consent_of_a_user(settings, tokens):
    assert read(settings | {"oauth_refresh_token": REFRESH})
    assert tokens.asked[0]["grant_type"] == "refresh_token"
    assert tokens.asked[0]["refresh_token"] == REFRESH


def test_a_token_that_the_mail_server_refuses_ends_the_sync(settings, tokens, mail_source, waits):
    tokens.token = mail_source.token("somebody@else.example")
    with pytest.raises(MailServerError) as error:
        read(settings)
    assert "rejects the credentials in the settings" in str(error.value)
    assert tokens.token not in str(error.value)
    assert waits == []


def test_a_wrong_secret_is_told_in_the_words_of_the_token_server(settings, waits):
    with pytest.raises(MailServerError, match=r"/token returned 401: AADSTS1: no$") as error:
        read(settings | {"oauth_client_secret": "wrong-one"})
    assert "wrong-one" not in str(error.value)
    assert waits == []


def test_a_busy_token_server_is_asked_again(settings, tokens, waits):
    tokens.faults = [(503, {}), (429, {})]
    assert read(settings)
    assert waits == [2, 4]


def test_secrets_do_not_follow_a_redirect(settings, tokens):
    tokens.faults = [(307, {})]
    with pytest.raises(MailServerError, match="returned 307: no token in the response"):
        read(settings)


def test_a_token_server_that_is_away_is_named(settings, tokens, waits):
    tokens.server_close()
    with pytest.raises(MailServerError, match=r"oauth_token_url http.* cannot be reached: Conn"):
        read(settings)
    assert waits == [2, 4, 8, 16]
