"""tap-ldap where something is wrong: settings, certificates, rights, limits, the network."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from singer_sdk.exceptions import ConfigValidationError
from tap_ldap.faults import DirectoryError
from tap_ldap.tap import TapLDAP

from tests.connectors.servers.ldap_source import (
    BASE,
    LIMITED,
    SIZE_LIMIT,
    Directory,
    running_directory,
)
from tests.support.ldap_place import Place
from tests.support.ldap_tap import records, sync

MINIMUM = {"url": "ldap://ldap.example.org", "base_dn": BASE}
FILTER = "must be an LDAP filter, such as (objectClass=person)"
NEVER = "is a secret, which tap-ldap never reads; remove it"
NO_NAME = "is not an attribute name"
NO_PEM = "is not a PEM file of certificates: "
URL = "url must be like ldaps://ldap.example.org or ldap://ldap.example.org:389"
BUSY = 51


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait between tries; tell how long it would have been."""
    waited: list[float] = []
    monkeypatch.setattr("tap_ldap.directory.time.sleep", waited.append)
    return waited


def failure(config: dict) -> str:
    """Return the line in which a sync of the people ends."""
    with pytest.raises(DirectoryError) as error:
        sync(config, only="people")
    assert "\n" not in str(error.value)
    return str(error.value)


# Settings


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"url": "https://ldap.example.org"}, URL),
        ({"url": "ldap://reader:secret@ldap.example.org"}, URL),
        ({"url": "ldaps://ldap.example.org/dc=example"}, URL),
        ({"url": "ldap://ldap.example.org:99999"}, URL),
        ({"bind_dn": "cn=reader"}, "set both bind_dn and password, or neither"),
        ({"password": "secret"}, "set both bind_dn and password, or neither"),
        ({"base_dn": "example.org"}, "base_dn must be a DN, such as dc=example,dc=org"),
        ({"base_dn": ""}, "base_dn must be a DN, such as dc=example,dc=org"),
        ({"people_filter": "(objectClass=person"}, f"people_filter {FILTER}"),
        ({"groups_filter": "objectClass=group"}, f"groups_filter {FILTER}"),
        ({"ca_file": "/no/such"}, f"ca_file /no/such {NO_PEM}No such file or directory"),
        ({"ca_file": __file__}, f"ca_file {__file__} {NO_PEM}"),
        ({"attributes": ["userPassword"]}, f"attributes: userPassword {NEVER}"),
        ({"attributes": ["USERPASSWORD"]}, f"attributes: USERPASSWORD {NEVER}"),
        ({"attributes": ["*"]}, f"attributes: * {NO_NAME}"),
        ({"attributes": ["2.5.4.35"]}, f"attributes: 2.5.4.35 {NO_NAME}"),
        ({"attributes": ["cn;lang-de"]}, f"attributes: cn;lang-de {NO_NAME}"),
        ({"page_size": 0}, "0 is less than the minimum of 1 in config['page_size']"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_one_clear_line(settings: dict, line: str):
    with pytest.raises(ConfigValidationError) as error:
        TapLDAP(config={**MINIMUM, **settings})
    (told,) = error.value.errors
    assert told.startswith(line)
    assert "\n" not in told


def test_a_rejected_password_is_not_quoted():
    with pytest.raises(ConfigValidationError) as error:
        TapLDAP(config={**MINIMUM, "bind_dn": "cn=reader", "password": 4711})
    assert error.value.errors == ["*** is not of type 'string', 'null' in config['password']"]


def test_discovery_needs_no_server():
    catalog = TapLDAP(config={**MINIMUM, "attributes": ["homeDirectory"]}).catalog_dict
    streams = {each["tap_stream_id"]: each for each in catalog["streams"]}
    assert {name: tuple(each["key_properties"]) for name, each in streams.items()} == {
        "people": ("id",),
        "groups": ("id",),
        "memberships": ("group_id", "member"),
    }
    assert {each["replication_key"] for each in streams.values()} == {"modified_at"}
    assert all(
        column["description"]
        for each in streams.values()
        for column in each["schema"]["properties"].values()
    )


def test_an_attribute_that_is_a_column_already_stays_as_it_is():
    attributes = ["title", "description", "l", "L"]
    streams = TapLDAP(config={**MINIMUM, "attributes": attributes}).streams
    columns = {name: streams[name].schema["properties"] for name in ("people", "groups")}
    assert columns["people"]["title"]["type"] == ["string", "null"]
    assert columns["groups"]["description"]["type"] == ["string", "null"]
    assert columns["people"]["description"]["type"] == ["array", "null"]
    assert columns["people"].keys() >= {"L"} > columns["people"].keys() & {"l"}


def test_the_schema_is_computed_once():
    streams = TapLDAP(config=MINIMUM).streams.values()
    assert all(stream.schema is stream.schema for stream in streams)


def test_an_attribute_that_the_directory_does_not_know_is_told(place: Place):
    line = failure({**place.settings, "attributes": ["homeDirectory", "homeDirectoy"]})
    assert line == "attributes: not in the directory's schema: homeDirectoy"


# TLS


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_ldaps_and_start_tls_read_the_same(ldap_directory: Directory, place: Place, host: str):
    place.person("ada")
    ldaps = {**place.settings, "url": f"ldaps://{host}:{ldap_directory.tls_port}"}
    start_tls = {**place.settings, "url": f"ldap://{host}:{ldap_directory.port}/"}
    for settings in (ldaps, start_tls):
        assert len(records(sync(settings, only="people"), "people")) == 1


def test_a_certificate_of_nobody_we_trust_is_refused(ldap_directory: Directory, waits: list):
    settings = {name: value for name, value in ldap_directory.settings.items() if name != "ca_file"}
    for url in (settings["url"], f"ldaps://localhost:{ldap_directory.tls_port}"):
        line = failure({**settings, "url": url})
        assert line.startswith(f"{url}: ")
        assert "certificate rejected, " in line
        assert "set ca_file to the directory's certificate authority" in line
    assert waits == []


def test_a_certificate_of_another_host_is_refused(ldap_directory: Directory, waits: list):
    url = f"ldaps://127.0.0.2:{ldap_directory.tls_port}"
    line = failure({**ldap_directory.settings, "url": url})
    assert "certificate is not valid for '127.0.0.2'" in line
    assert "url to a host name that is in its certificate" in line
    assert waits == []


def test_a_password_in_the_clear_that_the_directory_refuses(ldap_directory: Directory):
    line = failure({**ldap_directory.settings, "start_tls": False})
    assert "returned confidentialityRequired" in line
    assert "set url to ldaps://... or start_tls to true" in line


def test_a_directory_without_tls_says_so_before_the_password_is_sent(ldap_directory: Directory):
    with running_directory(tls=False) as bare:
        url = f"ldap://localhost:{bare.port}"
        line = failure({**ldap_directory.settings, "url": url})
        assert line.startswith(f"{url} does not support StartTLS: set url to ldaps://")
        plain = {**bare.settings, "start_tls": False}
        assert "invalidCredentials" in failure(plain)


# Rights and limits


def test_a_wrong_password_says_so(ldap_directory: Directory, waits: list):
    line = failure({**ldap_directory.settings, "password": "wrong"})
    assert line.endswith("the directory rejects bind_dn and password")
    assert waits == []


def test_nobody_sees_nothing_without_an_error(ldap_directory: Directory):
    settings = {**ldap_directory.settings, "bind_dn": None, "password": None}
    assert "base_dn does not exist, or bind_dn may not read it" in failure(settings)


def test_a_base_that_is_not_there_says_so(ldap_directory: Directory):
    line = failure({**ldap_directory.settings, "base_dn": f"ou=nowhere,{BASE}"})
    assert "returned noSuchObject: base_dn does not exist" in line


def test_rows_that_the_server_withholds_are_an_error(ldap_directory: Directory):
    limited = {**ldap_directory.settings, "bind_dn": LIMITED, "page_size": SIZE_LIMIT // 2}
    line = failure(limited)
    assert "returned sizeLimitExceeded" in line
    assert "raise the limit for bind_dn (in OpenLDAP: limits ... size.prtotal=unlimited)" in line


def test_an_entry_that_nothing_identifies_is_an_error(place: Place):
    with place.unstamped():
        dn = place.person("nobody")
    assert failure(place.settings).startswith(f"{dn} has neither entryUUID nor objectGUID")


# The network


def test_a_busy_directory_is_asked_again(place: Place, monkeypatch: pytest.MonkeyPatch):
    place.person("ada")
    with place.fault(BUSY) as end:
        waited: list[float] = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                end()

        monkeypatch.setattr("tap_ldap.directory.time.sleep", wait)
        people = {row["username"] for row in records(sync(place.settings, only="people"), "people")}
    assert people == {"ada"}
    assert waited == [2, 4]


def test_a_directory_that_stays_busy_is_told_in_one_line(place: Place, waits: list):
    with place.fault(BUSY):
        assert failure(place.settings) == f"{place.settings['url']}: returned busy"
    assert waits == [2, 4, 8, 16]


def test_nobody_listening_is_told_after_some_tries(ldap_directory: Directory, waits: list):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"ldap://localhost:{free.getsockname()[1]}"
    line = failure({**ldap_directory.settings, "url": url})
    assert line.startswith(f"{url}: ")
    assert "Connection refused" in line
    assert line.endswith("is url correct?")
    assert waits == [2, 4, 8, 16]


def test_an_unknown_host_is_told(ldap_directory: Directory):
    line = failure({**ldap_directory.settings, "url": "ldaps://ldap.invalid"})
    assert line.endswith("is url correct?")


def test_a_server_that_never_answers_is_given_up(
    ldap_directory: Directory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tap_ldap.directory.ANSWER_TIMEOUT", 1)
    monkeypatch.setattr("tap_ldap.directory.WAITS", ())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        assert failure({**ldap_directory.settings, "url": url}).endswith("timed out")


@contextmanager
def lossy_way(port: int, allowances: list[int]) -> Iterator[int]:
    """Pass connections on, each cut when the server has sent so many bytes; then give the port."""

    def pass_on(client: socket.socket, allowance: int) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            Thread(target=copy, args=(client, server), daemon=True).start()
            copy(server, client, allowance)
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                allowance = allowances.pop(0) if allowances else sys.maxsize
                Thread(target=pass_on, args=(client, allowance), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def copy(source: socket.socket, sink: socket.socket, allowance: int = sys.maxsize) -> None:
    with suppress(OSError):
        while allowance > 0 and (data := source.recv(min(4096, allowance))):
            sink.sendall(data)
            allowance -= len(data)


def test_a_connection_lost_between_pages_is_made_again(
    ldap_directory: Directory, place: Place, waits: list
):
    people = {place.person(f"p{number}", description="x" * 2000) for number in range(20)}
    # The first two connections read what the attributes are.
    allowances = [sys.maxsize, sys.maxsize, 6_000, 30_000]
    with lossy_way(ldap_directory.port, allowances) as port:
        settings = {**place.settings, "url": f"ldap://127.0.0.1:{port}", "page_size": 5}
        rows = records(sync({**settings, "attributes": ["description"]}, only="people"), "people")
    assert {row["dn"] for row in rows} == people
    assert len(rows) > len(people)
    assert waits == [2, 4]


# What a person sees


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"password": "wrong-one"}, "rejects bind_dn and password"),
        ({"base_dn": "dc=example,dc=net"}, "base_dn does not exist"),
        ({"url": "http://localhost"}, "url must be like ldaps://ldap.example.org"),
    ],
)
def test_the_executable_ends_in_one_line(
    ldap_directory: Directory, tmp_path: Path, wrong: dict, line: str
):
    settings = {**ldap_directory.settings, **wrong}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    run = subprocess.run(
        [Path(sys.executable).with_name("tap-ldap"), "--config", tmp_path / "config.json"],
        env={**os.environ, "TAP_LDAP_LOGLEVEL": "DEBUG"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert line in run.stderr
    assert "Traceback" not in run.stderr
    assert settings["password"] not in run.stderr


def test_no_password_is_logged(
    ldap_directory: Directory, place: Place, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    place.person("ada")
    sync(place.settings)
    failure({**place.settings, "url": "ldap://127.0.0.1:1"})
    assert "retrying in 2 s" in caplog.text
    assert ldap_directory.password not in caplog.text
