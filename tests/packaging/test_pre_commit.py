"""The hook that other repositories use: its command, run as pre-commit runs it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.running import CHECKOUT

[HOOK] = yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text())
COMMAND_LINE = (CHECKOUT / "docs/command-line.md").read_text()
PROJECT = """
env: {{SHOP_TOKEN: {}}}
default_environment: dev
environments: [{{name: dev}}]
"""


def documented():
    """Return the hook's entry in the example of a user's configuration."""
    examples = re.findall(r"```yaml\n(repos:.*?)```", COMMAND_LINE, re.DOTALL)
    [[hook]] = [repo["hooks"] for repo in yaml.safe_load(examples[0])["repos"]]
    return hook


@pytest.mark.parametrize(("token", "exit_code"), [("hunter2", 1), ("$SHOP_TOKEN", 0)])
def test_the_hook_fails_on_a_secret_in_clear(tmp_path, token, exit_code):
    used = documented()
    assert used["id"] == HOOK["id"]
    (tmp_path / "meltano").mkdir()
    (tmp_path / "meltano/meltano.yml").write_text(PROJECT.format(token))
    program, *arguments = shlex.split(HOOK["entry"])
    command = [Path(sys.executable).parent / program, *arguments, *used["args"]]
    run = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == exit_code, run.stdout + run.stderr
    assert ("MDF050" in run.stdout) == (exit_code == 1)
    assert "hunter2" not in run.stdout + run.stderr


def test_the_hook_looks_at_the_whole_project_when_any_file_of_it_changes():
    assert HOOK["pass_filenames"] is False
    files = ["meltano/meltano.yml", "extract/a.meltano.yml", "b.yaml", "plugins/loaders/c--d.lock"]
    assert all(re.search(HOOK["files"], file) for file in files)
    assert not re.search(HOOK["files"], "README.md")
