"""The command line: `python -m local_platform up`, as the Makefile runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from local_platform import machine
from local_platform.airflow_server import LocalAirflow
from local_platform.console import LocalError, report
from local_platform.kube import commands as kube

_COMMANDS = ("up", "down", "clean", "kube-up", "kube-down")


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="local_platform", description=__doc__)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument(
        "--port", type=_port, default=8080, help="the port of Airflow's UI (default: 8080)"
    )
    parser.add_argument(
        "--namespace",
        help="the namespace of the pods (default: that of the last kube-up, or else meltano)",
    )
    arguments = parser.parse_args()
    checkout = Path.cwd()
    folder = kube.FOLDER if arguments.command.startswith("kube-") else machine.FOLDER
    airflow = LocalAirflow(checkout, folder)
    commands: dict[str, Callable[[], None]] = {
        "up": lambda: machine.up(airflow, arguments.port),
        "down": lambda: machine.down(airflow),
        "clean": lambda: machine.clean(airflow),
        "kube-up": lambda: kube.up(checkout, arguments.port, arguments.namespace),
        "kube-down": lambda: kube.down(checkout),
    }

    def run() -> None:
        _check_checkout(checkout)
        commands[arguments.command]()

    return report(arguments.command, airflow.log_file("*"), run)


def _port(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"PORT must be a number such as 8081, not {text!r}")
    return int(text)


def _check_checkout(folder: Path) -> None:
    if not ((folder / "meltano/meltano.yml").is_file() and (folder / "dags").is_dir()):
        raise LocalError(
            f"{folder} is not a checkout of this repository: it must have meltano/meltano.yml and "
            "dags/; change to the checkout"
        )


if __name__ == "__main__":
    sys.exit(main())
