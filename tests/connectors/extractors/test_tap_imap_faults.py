"""tap-imap against a real Dovecot that is away, busy or set up otherwise, and with bad settings."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from imapclient import IMAPClient
from singer_sdk.exceptions import ConfigValidationError
from tap_imap.errors import MailServerError
from tap_imap.tap import TapImap

from tests.connectors.servers.imap_source import (
    CONNECTIONS,
    PASSWORD,
    STRICT_HOST,
    USER,
    MailSource,
)
from tests.support.imap_warehouse import MailWarehouse
from tests.support.running import wait_until

GOOD = {"host": "a", "username": "me", "password": "p"}


@pytest.fixture
def settings(mail_source: MailSource, monkeypatch) -> dict:
    monkeypatch.setenv("SSL_CERT_FILE", str(mail_source.certificate))
    return mail_source.settings() | {"mailboxes": ["INBOX"]}


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """Do not wait between tries; tell how long it would have been."""
    waited: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waited.append)
    return waited


def read(settings: dict) -> list[dict]:
    return MailWarehouse(settings).sync("messages").rows("messages")


# Settings


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"host": None}, "None is not of type 'string' in config['host']"),
        ({"port": 70000}, "70000 is greater than the maximum of 65535 in config['port']"),
        ({"encryption": "ssl"}, "'ssl' is not one of ['tls', 'starttls', 'none'] in "),
        ({"start_date": "last week"}, "start_date must be like 2026-01-31 or 2026-01-31T00:00:00Z"),
        ({"password": 4711}, "*** is not of type 'string', 'null' in config['password']"),
        ({"password": None}, "set either password, or oauth_token_url, oauth_client_id, oauth_"),
        ({"oauth_client_id": "me"}, "set either password, or oauth_token_url, oauth_client_id, "),
        ({"max_part_size": 0}, "0 is less than the minimum of 1 in config['max_part_size']"),
    ],
)
def test_a_bad_setting_is_one_clear_line(settings, line):
    with pytest.raises(ConfigValidationError) as error:
        TapImap(config=GOOD | settings)
    assert [each[: len(line)] for each in error.value.errors] == [line]


def test_discovery_needs_no_server():
    catalog = TapImap(config=GOOD).catalog_dict
    keys = {
        stream["tap_stream_id"]: (
            " ".join(stream["key_properties"]),
            stream.get("replication_key"),
        )
        for stream in catalog["streams"]
    }
    assert keys == {
        "mailboxes": ("mailbox", None),
        "messages": ("mailbox uidvalidity uid", "uid"),
        "flags": ("mailbox uidvalidity uid", "read_modseq"),
        "attachments": ("mailbox uidvalidity uid part", "uid"),
        "attachment_rows": ("mailbox uidvalidity uid part sheet row_number", "uid"),
    }


def test_every_column_has_a_description_and_the_schema_is_computed_once():
    for stream in TapImap(config=GOOD).streams.values():
        assert stream.schema is type(stream).schema
        assert all(column["description"] for column in stream.schema["properties"].values())


@pytest.mark.parametrize(
    ("mailboxes", "line"),
    [
        (["INBOX", "Invocies"], "has no mailbox Invocies, which is in the setting mailboxes"),
        (["Archive/*"], "has no mailbox Archive/*, which is in the setting mailboxes"),
        (["INBOX", "!INBOX"], "the setting mailboxes excludes every mailbox"),
    ],
)
def test_a_mailbox_that_is_not_there_is_named_with_those_that_are(settings, mailboxes, line):
    with pytest.raises(MailServerError) as error:
        read(settings | {"mailboxes": mailboxes})
    assert line in str(error.value)
    assert "excludes" in line or "Odd mail/Ünüsual & more, " in str(error.value)


# Connections


@pytest.mark.parametrize("encryption", ["starttls", "none"])
def test_other_encryptions_read_the_same(settings, mail_source, encryption):
    rows = read(settings | {"encryption": encryption, "port": mail_source.port})
    assert rows == read(settings)


def test_a_password_is_not_sent_in_clear_where_the_server_takes_none(settings, mail_source):
    strict = settings | {"host": STRICT_HOST, "port": mail_source.port}
    log = mail_source.folder / "log"
    before = len(log.read_text())
    with pytest.raises(MailServerError, match="set encryption to tls or starttls"):
        read(strict | {"encryption": "none"})

    def no_login() -> bool:
        lines = log.read_text()[before:].splitlines()
        return any("(no auth attempts" in line and STRICT_HOST in line for line in lines)

    wait_until(no_login, 60, "Dovecot's word that nobody tried to log in")
    assert read(strict | {"encryption": "starttls"})


def test_a_wrong_password_says_so_at_once(settings, waits):
    with pytest.raises(MailServerError) as error:
        read(settings | {"password": "wrong-one"})
    line = "rejects the credentials in the settings: [AUTHENTICATIONFAILED]"
    assert line in str(error.value)
    assert "wrong-one" not in str(error.value)
    assert waits == []


def test_a_certificate_is_checked(settings, monkeypatch, waits):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(MailServerError, match=r"is not trusted: self.signed.*SSL_CERT_FILE"):
        read(settings)
    assert waits == []


def test_a_certificate_for_another_name_is_refused(settings):
    with pytest.raises(MailServerError, match=r"is not trusted: Hostname mismatch"):
        read(settings | {"host": "localhost"})


def test_tls_at_a_port_that_speaks_none_says_so(settings, mail_source, waits):
    with pytest.raises(MailServerError, match="Do the settings encryption and port match"):
        read(settings | {"port": mail_source.port})
    assert waits == []


def test_a_server_that_is_away_is_tried_five_times(settings, waits):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MailServerError) as error:
        read(settings | {"port": port})
    assert waits == [2, 4, 8, 16]
    assert f"127.0.0.1:{port}: " in str(error.value)
    assert "Connection refused. Are the settings host and port correct?" in str(error.value)


def test_a_host_that_there_is_not_is_named(settings):
    with pytest.raises(MailServerError, match=r"nowhere\.invalid:993: .*Are the settings host"):
        read({**settings, "host": "nowhere.invalid", "port": 993})


@pytest.mark.parametrize("stream", ["messages", "flags", "attachments", "attachment_rows"])
def test_a_lost_connection_is_made_again(settings, mail_source, monkeypatch, waits, stream):
    monkeypatch.setattr("tap_imap.reading.MESSAGES_PER_FETCH", 10)
    monkeypatch.setattr("tap_imap.client.FLAGS_PER_FETCH", 10)
    whole = MailWarehouse(settings).sync(stream)
    fetch = IMAPClient.fetch
    answers = 0

    def fetch_and_kick(self: IMAPClient, *args: object) -> object:
        nonlocal answers
        answer = fetch(self, *args)
        answers += 1
        if answers == 2:
            mail_source.kick()
        return answer

    monkeypatch.setattr(IMAPClient, "fetch", fetch_and_kick)
    broken = MailWarehouse(settings).sync(stream)
    assert waits == [2]
    assert broken.tables[stream].keys() == whole.tables[stream].keys()
    assert broken.state == whole.state


def test_too_many_connections_are_waited_for(settings, mail_source, monkeypatch, waits):
    trust = ssl.create_default_context(cafile=str(mail_source.certificate))
    with ExitStack() as others:
        for _ in range(CONNECTIONS):
            other = IMAPClient(mail_source.host, mail_source.tls_port, ssl_context=trust)
            others.enter_context(other)
            other.plain_login(USER, PASSWORD)

        def wait(seconds: float) -> None:
            waits.append(seconds)
            others.close()

        monkeypatch.setattr("backoff._sync.time.sleep", wait)
        assert read(settings)
    assert waits[:1] == [2]


def test_a_mailbox_numbered_anew_while_it_is_read_ends_the_sync(settings, mail_source):
    name = "Tests/anew"
    with mail_source.mail_program() as client:
        client.create_folder(name)
        tap = TapImap(config=settings | {"mailboxes": [name]})
        mailbox = tap.server.mailboxes[name]
        client.delete_folder(name)
        client.create_folder(name)
        with pytest.raises(
            MailServerError, match=r"renumbered .* Tests/anew .*: run the sync again"
        ):
            tap.server.fetch(mailbox, [1], ["FLAGS"])
        tap.server.close()
        client.delete_folder(name)


# The executable


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"password": "wrong-pässword"}, "rejects the credentials in the settings"),
        ({"mailboxes": ["Nowhere"]}, "has no mailbox Nowhere"),
        ({}, ""),
    ],
)
def test_the_executable_ends_in_one_line_and_logs_no_secret(
    settings, mail_source, wrong, line, tmp_path
):
    settings = settings | wrong
    (tmp_path / "config.json").write_text(json.dumps(settings))
    run = subprocess.run(
        [Path(sys.executable).with_name("tap-imap"), "--config", tmp_path / "config.json"],
        env={**os.environ, "TAP_IMAP_LOGLEVEL": "DEBUG"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == bool(wrong)
    assert line in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert settings["password"] not in run.stderr
    # Nor what the mails say.
    assert "SKU-" not in run.stderr


def test_neither_password_nor_mail_is_logged(settings, caplog):
    caplog.set_level(logging.DEBUG)
    read(settings)
    assert PASSWORD not in caplog.text
    assert "How many of SKU-" not in caplog.text
