"""A real Meltano project whose tap and target are a few lines of shell."""

import json
import stat
from pathlib import Path
from typing import Any

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
SECRETIVE = """
default_environment: dev
project_id: test
environments: [{name: dev}]
plugins:
  extractors:
  - name: tap-a
    namespace: tap_a
    executable: ./tap
    capabilities: []
    settings:
    - {name: token, kind: password, aliases: [key]}
    - {name: auth.user}
    - {name: ids, kind: array}
    - {name: options, kind: object}
    - {name: port, kind: integer}
    - {name: is_on, kind: boolean}
    config: {token: of meltano.yml, auth.user: of meltano.yml}
  - {name: tap-b, inherit_from: tap-a}
  loaders:
  - {name: target-x, namespace: target_x, executable: ./target}
jobs:
- {name: a, tasks: [tap-a target-x]}
- {name: b, tasks: [tap-b target-x]}
"""
"""A project whose tap has a secret, which a secret of AWS and variables may override."""
TELL_CONFIG = """echo '{"type": "RECORD", "stream": "s", "record": '$(cat "$2")'}'"""
COMMAND = ("meltano", "run", "--no-install", "tap-a", "target-x")
STATE_ID = "dev:tap-a-to-target-x"
RECORD = """echo '{"type": "RECORD", "stream": "s", "record": {"id": 1}}'"""
# Waits where a test can see it, until the test lets it go on.
WAITING = "echo $$ > tap.pid.new; mv tap.pid.new tap.pid; while [ ! -e go ]; do sleep 0.1; done"
_TARGET = "cat > received"
# A target says what state it has stored; Meltano keeps the last.
_STATE_TARGET = """cat > /dev/null; cat state.json"""


def make_project(root: Path, *, project: str = PROJECT, tap: str = RECORD) -> Path:
    """Write a project whose target keeps what it gets in the file `received`."""
    (root / "meltano.yml").write_text(project)
    write_script(root / "target", _TARGET)
    write_script(root / "tap", tap)
    return root


def told_config(root: Path) -> dict[str, Any]:
    """Return the configuration that the last run's tap had, which did `TELL_CONFIG`."""
    return dict(json.loads((root / "received").read_text())["record"])


def give_state(root: Path, state: str) -> None:
    """Let the target store a state, as JSON in one line."""
    (root / "state.json").write_text(f"{state}\n")
    write_script(root / "target", _STATE_TARGET)


def write_script(file: Path, text: str) -> None:
    """Write a shell script that can be run."""
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
