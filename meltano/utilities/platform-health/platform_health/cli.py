"""The command line; each option can also be set by an environment variable, as Meltano does."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from upath import UPath

from platform_health import (
    freshness,
    housekeeping,
    page,
    row_counts,
    state_backup,
    success_rate,
)
from platform_health.errors import HealthError
from platform_health.warehouse import Warehouse

_now = functools.partial(datetime.now, UTC)


class Names(click.ParamType[list[str]]):
    """JSON such as `["tap-crm"]`."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names."""
        try:
            names = json.loads(value)
        except ValueError:
            names = None
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            self.fail(f'{value!r} must be a JSON list of names, such as ["tap-crm"]')
        return names


class Durations(click.ParamType[dict[str, float]]):
    """JSON such as `{"crm": "26h", "crm.people": "7d"}`: the allowed age of the newest row."""

    name = "durations"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, float]:  # noqa: ARG002
        """Return seconds by schema or table."""
        try:
            return {
                name.lower(): freshness.seconds(text) for name, text in json.loads(value).items()
            }
        except (ValueError, AttributeError, TypeError) as error:
            self.fail(f'{value!r} must be like {{"crm": "26h", "crm.people": "7d"}}: {error}')


def _warehouse(context: click.Context) -> Warehouse:
    url = context.obj
    if not url:
        raise HealthError("warehouse_url is not set; set it to the warehouse's SQLAlchemy URL")
    return Warehouse(url)


@click.group()
@click.option(
    "--warehouse-url",
    envvar="PLATFORM_HEALTH_WAREHOUSE_URL",
    help="SQLAlchemy URL of the warehouse.",
)
@click.pass_context
def cli(context: click.Context, warehouse_url: str | None) -> None:
    """Check the health of an extract-load platform. A command fails if it finds a problem."""
    context.obj = warehouse_url


def _path_option(name: str, description: str) -> Callable[..., Any]:
    variable = f"PLATFORM_HEALTH_{name.upper()}"

    def require(context: click.Context, parameter: click.Parameter, value: UPath | None) -> UPath:  # noqa: ARG001
        if value is None:
            raise HealthError(f"{name} is not set; set it to {description}")
        return value

    option = f"--{name.replace('_', '-')}"
    text = f"{description[0].upper()}{description[1:]}."
    return click.option(option, envvar=variable, type=UPath, callback=require, help=text)


@cli.command("success-rate")
@_path_option("report_path", "the path of the page, or a URL such as s3://bucket/page.html")
@click.pass_context
def run_success_rate(context: click.Context, report_path: UPath) -> None:
    """Measure the success rate of scheduled runs, and write it to tables and a page."""
    warehouse = _warehouse(context)
    measured = success_rate.measure(warehouse, _now())
    success_rate.record(warehouse, measured)
    report_path.parent.mkdir(parents=True, exist_ok=True)
    report_path.write_text(page.draw(measured), encoding="utf-8")
    click.echo(f"{measured.headline}; see {report_path}")


@cli.command("freshness")
@click.option(
    "--max-age",
    envvar="PLATFORM_HEALTH_MAX_AGE",
    type=Durations(),
    default="{}",
    help="Allowed age of the newest row by schema or by schema.table, as JSON.",
)
@click.pass_context
def run_freshness(context: click.Context, max_age: dict[str, float]) -> None:
    """Fail if a table has not been loaded for too long."""
    click.echo(freshness.check(_warehouse(context), max_age, _now()))


@cli.command("row-counts")
@click.option(
    "--extractors",
    envvar="PLATFORM_HEALTH_EXTRACTORS",
    required=True,
    type=Names(),
    help="JSON list of the extractors whose sources are counted.",
)
@click.option(
    "--tolerance",
    envvar="PLATFORM_HEALTH_TOLERANCE",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    help="Percentage of a source's rows that may be missing, because they are newer than the load.",
)
@click.pass_context
def run_row_counts(context: click.Context, extractors: list[str], tolerance: float) -> None:
    """Read all rows of the sources, and fail if the warehouse does not have them."""
    warehouse = _warehouse(context)
    click.echo(row_counts.check(warehouse, extractors, tolerance, _now()))


@cli.command("state-backup")
@_path_option("backup_path", "the folder of the backups, or a URL such as s3://bucket/state")
@click.option(
    "--keep",
    envvar="PLATFORM_HEALTH_KEEP_BACKUPS",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Number of backups to keep.",
)
def run_state_backup(backup_path: UPath, keep: int) -> None:
    """Write the state of each pipeline to a file."""
    click.echo(state_backup.back_up(backup_path, keep, _now()))


@cli.command("housekeeping")
@click.option(
    "--keep-days",
    envvar="PLATFORM_HEALTH_KEEP_DAYS",
    type=click.IntRange(31),
    default=400,
    show_default=True,
    help="Number of days for which measurements are kept.",
)
@click.pass_context
def run_housekeeping(context: click.Context, keep_days: int) -> None:
    """Delete old measurements, and update DuckDB's statistics."""
    click.echo(housekeeping.tidy(_warehouse(context), keep_days, _now()))


def main() -> None:
    """Run a command; print an error as one line, not as a traceback."""
    try:
        cli()
    except (HealthError, OSError, ImportError) as error:
        click.echo(f"platform-health: {error}", err=True)
        sys.exit(1)
