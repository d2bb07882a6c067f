"""A real Meltano project whose tap and target are a few lines of shell."""

import stat
from pathlib import Path

PROJECT = """
default_environment: dev
project_id: test
environments: [{name: dev}]
plugins:
  extractors:
  - {name: tap-a, namespace: tap_a, executable: ./tap, capabilities: []}
  loaders:
  - {name: target-x, namespace: target_x, executable: ./target}
"""
COMMAND = ("meltano", "run", "--no-install", "tap-a", "target-x")
STATE_ID = "dev:tap-a-to-target-x"
RECORD = """echo '{"type": "RECORD", "stream": "s", "record": {"id": 1}}'"""
# Waits where a test can see it, until the test lets it go on.
WAITING = "echo $$ > tap.pid.new; mv tap.pid.new tap.pid; while [ ! -e go ]; do sleep 0.1; done"
_TARGET = "cat > received"
# A target says what state it has stored; Meltano keeps the last.
_STATE_TARGET = """cat > /dev/null; cat state.json"""


def make_project(root: Path, *, tap: str = RECORD) -> Path:
    """Write a project whose target keeps what it gets in the file `received`."""
    (root / "meltano.yml").write_text(PROJECT)
    write_script(root / "target", _TARGET)
    write_script(root / "tap", tap)
    return root


def give_state(root: Path, state: str) -> None:
    """Let the target store a state, as JSON in one line."""
    (root / "state.json").write_text(f"{state}\n")
    write_script(root / "target", _STATE_TARGET)


def write_script(file: Path, text: str) -> None:
    """Write a shell script that can be run."""
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
