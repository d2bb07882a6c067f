"""Show what Airflow will run for a Meltano project, without Airflow."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from dag_factory.cli import commands
from dag_factory.cli.project_options import project_options
from dag_factory.cli.secrets import commands as secrets_commands
from dag_factory.errors import SecretsError, SettingsError, UsageError

_FAILED = 1
_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        1 if a job cannot run, `check` finds a plaintext secret, or `secrets` a secret that is
        missing; 2 if the call is wrong; 69 or 78 if AWS cannot be asked for secrets.
    """
    arguments = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return 0 if arguments.run(arguments) else _FAILED
    except SecretsError as error:
        print(f"meltano-dags: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except (UsageError, SettingsError, OSError) as error:
        print(f"meltano-dags: {error}", file=sys.stderr)
        return _USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    """Return the parser; each command sets `run`, which returns whether all is well."""
    parser = argparse.ArgumentParser(prog="meltano-dags", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = project_options()
    commands.add_commands(subparsers, shared)
    secrets = subparsers.add_parser("secrets", help="manage the secrets in AWS Secrets Manager")
    secrets_commands.add_commands(secrets, shared)
    return parser


if __name__ == "__main__":
    sys.exit(main())
