"""`images/build`: what it asks a builder for, and what it says when it cannot."""

import hashlib
import os
import re
import secrets
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.running import CHECKOUT, copy_checkout

SECRETS = ("meltano/.env", "meltano/.env.prod", "meltano/.meltano/run/tap.config.json", ".env")
DIGEST = "meltano-dag-factory.project-digest"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_checkout(tmp_path / "checkout")


def build(checkout, *argv, **environ):
    command = [str(checkout / "images/build"), *argv]
    return subprocess.run(
        command, env=os.environ | environ, capture_output=True, text=True, check=False
    )


def asked_of_builder(checkout, *argv):
    """Return the words that the builder gets."""
    builder = checkout.parent / "builder"
    builder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    builder.chmod(0o755)
    done = build(checkout, *argv, IMAGE_BUILDER=str(builder))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def labels(words):
    found = [words[place + 1] for place, word in enumerate(words) if word == "--label"]
    return dict(label.split("=", 1) for label in found)


def test_a_builder_gets_the_tag_the_checkout_the_base_and_the_project(checkout):
    words = asked_of_builder(checkout, "airflow", "airflow:1")
    dockerfile = f"{checkout}/images/airflow/Dockerfile"
    assert words[:4] == ["airflow:1", str(checkout), "-f", dockerfile]
    assert "PYTHON_IMAGE=python:3.11-slim-bookworm" in words
    assert "PROJECT=meltano" in words


def test_the_labels_are_version_revision_and_digest(checkout):
    setup = ConfigParser(interpolation=None)
    setup.read(checkout / "setup.cfg")
    found = labels(asked_of_builder(checkout, "meltano", "meltano:1"))
    assert found["org.opencontainers.image.version"] == setup["metadata"]["version"]
    assert found["org.opencontainers.image.revision"] == "unknown"
    assert len(found[DIGEST]) == hashlib.sha256().digest_size * 2


def test_the_revision_tells_of_changes_that_are_not_committed(checkout):
    git = ["git", "-C", str(checkout), "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    revision = "org.opencontainers.image.revision"
    assert labels(asked_of_builder(checkout, "meltano", "meltano:1"))[revision] == head
    (checkout / "meltano/extract/new.meltano.yml").touch()
    assert labels(asked_of_builder(checkout, "meltano", "meltano:1"))[revision] == f"{head}-dirty"


def test_the_digest_is_of_what_the_image_gets_of_the_project(checkout):
    def digest():
        return labels(asked_of_builder(checkout, "meltano", "meltano:1"))[DIGEST]

    before = digest()
    for name in SECRETS:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("TOKEN=secret")
    assert digest() == before
    (checkout / "meltano/extract/new.meltano.yml").touch()
    assert digest() != before


@pytest.mark.faults
def test_no_secret_reaches_a_builder(checkout):
    for name in (*SECRETS, "id_rsa", "tests/.env", "extractors/tap-airflow/.env"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("TOKEN=secret")
    (checkout / "images/meltano/Dockerfile").write_text(
        f"FROM python:3.11-slim-bookworm\nENV RUN_OF_THE_TEST={secrets.token_hex()}\n"
        "COPY . /context\nRUN grep -rl TOKEN=[s]ecret /context || ls /context\n"
    )
    done = build(checkout, "meltano", "localhost/meltano-dag-factory/context:test")
    if "neither docker" in done.stderr:
        pytest.skip("nothing that builds images: install docker or buildah, or set IMAGE_BUILDER")
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr  # docker writes what a step prints to stderr
    assert "/context/" not in printed
    assert re.search(r"\bsetup\.cfg$", printed, re.MULTILINE)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "usage: images/build meltano|airflow TAG [PROJECT]"),
        (["postgres", "a:1"], "image 'postgres' does not exist: use meltano or airflow"),
        (
            ["meltano", "a:1", "melt"],
            "melt/meltano.yml does not exist: set PROJECT to a Meltano project's folder",
        ),
    ],
)
def test_what_cannot_be_built_is_said_in_a_line(argv, said):
    done = build(CHECKOUT, *argv, IMAGE_BUILDER="true")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"images/build: {said}")


def test_a_builder_that_is_not_there_is_named():
    done = build(CHECKOUT, "meltano", "a:1", IMAGE_BUILDER="nonesuch")
    assert done.stderr == ("images/build: command nonesuch, set in IMAGE_BUILDER, does not exist\n")


def test_without_any_builder_it_says_which_there_are(tmp_path):
    for tool in ("sh", "cut", "dirname", "find", "git", "sed", "sha256sum", "sort"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = build(CHECKOUT, "meltano", "a:1", IMAGE_BUILDER="", PATH=str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("images/build: neither docker (with a running daemon) nor buildah")
