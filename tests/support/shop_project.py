"""A Meltano project with one job: a tap whose rows are known, into one of the warehouses."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from tests.support.singer_source import Stream, may_be_null

ORDERS = Stream(
    "orders",
    {
        "id": {"type": "integer"},
        "changed": may_be_null("string", format="date-time"),
        "text": may_be_null("string"),
    },
)
BIN = Path(sys.executable).parent
TAP = Path(__file__).with_name("tap_shop.py")


class Shop:
    """The project, and what a person can ask of it."""

    def __init__(self, root: Path, destination: Any, **tap: Any) -> None:
        root.mkdir(exist_ok=True)
        self.root, self.destination, self.schema = root, destination, root.name
        tap_shop = f"exec {sys.executable} {TAP}"
        loader = f"echo $$ > loader.pid; exec {destination.executable}"
        own = ("PYTHONPATH", "LOADER_SNOWFLAKE_ENDPOINT")
        patched = {name: destination.environ[name] for name in own if name in destination.environ}
        variables = "".join(f"export {name}={value}\n" for name, value in patched.items())
        self.write("tap", tap_shop)
        self.write("loader", f"{variables}export LOADER_CHECKPOINTS=1\n{loader}")
        settings = [{"name": name} for name in ("start_date", "end_date", "kill")]
        settings.append({"name": "rows", "kind": "integer"})
        extractor = {"executable": "./tap", "settings": settings, "config": tap}
        config = destination.config(self.schema)
        plugins = {
            "extractors": [
                plugin("tap-shop", **extractor, capabilities=["catalog", "discover", "state"])
            ],
            "loaders": [plugin(destination.name, executable="./loader", config=config)],
        }
        project = {
            "project_id": "shop",
            "send_anonymous_usage_stats": False,
            "default_environment": "dev",
            "environments": [{"name": "dev"}],
            "plugins": plugins,
            "jobs": [{"name": "shop", "tasks": [f"tap-shop {destination.name}"]}],
        }
        (root / "meltano.yml").write_text(yaml.safe_dump(project))

    def write(self, name: str, command: str) -> None:
        (self.root / name).write_text(f'#!/bin/sh\n{command} "$@"\n')
        (self.root / name).chmod(0o755)

    def shell(self, commands: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run commands as a person would type them in the project."""
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        environ = {
            **os.environ,
            "PATH": path,
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
            **variables,
        }
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        argv = ["sh", "-euc", commands]
        return subprocess.run(
            argv, cwd=self.root, env=environ, capture_output=True, text=True, check=False
        )

    def run(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.shell(shlex.join(["meltano", "run", *options, "shop"]), **variables)

    @property
    def bookmarks(self) -> dict[str, str]:
        """The bookmark of each stream, as Meltano has it in its database."""
        with closing(sqlite3.connect(self.root / ".meltano/meltano.db")) as database:
            states = database.execute("SELECT completed_state FROM state").fetchall()
        if not states:
            return {}
        ((state,),) = states
        found = json.loads(state or "{}").get("singer_state", {}).get("bookmarks", {})
        return {
            name: each["replication_key_value"]
            for name, each in found.items()
            if "replication_key_value" in each
        }

    def rows(self, stream: Stream = ORDERS) -> list[dict[str, Any]]:
        return self.destination.rows(self.schema, stream)


def plugin(name: str, **entry: Any) -> dict[str, Any]:
    return {"name": name, "namespace": name.replace("-", "_"), **entry}
