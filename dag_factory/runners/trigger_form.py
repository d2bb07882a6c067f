"""The trigger form of a job, and the variables of Meltano that its values become.

Values reach Meltano as variables of its process, never as text of a command.
Source: https://docs.meltano.com/reference/command-line-interface#run and
https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/params.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dag_factory.errors import guess
from dag_factory.planning.plan import DagPlan, ExtractorPlan, TaskKind, TaskPlan
from dag_factory.project.plugins import env_var

if TYPE_CHECKING:
    from airflow.sdk import Param

SCHEDULE = "schedule"
"""The field that chooses the schedule whose variables a run by hand gets."""
DRY_RUN = "dry_run"
"""The field for a run that only explains itself."""
_SECTION = "Meltano"
# Airflow checks each field's schema again and again; this dialect takes a third of the time.
_DIALECT = {"$schema": "http://json-schema.org/draft-07/schema#"}
_AS_CONFIGURED = "as configured"
_NO_SCHEDULE = "no schedule"
# A NUL cannot be part of a variable, and control characters are nobody's wish.
_PRINTABLE = r"^[^\x00-\x1f\x7f]*(?!\n)$"
_PATTERN = set("*?[!")
_SUFFIX = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}(?!\n)$"


@dataclass(frozen=True)
class _Field:
    """One field of the form, and the variable that its value becomes."""

    name: str
    variable: str
    title: str
    description: str
    schema: Mapping[str, Any]
    default: Any = None


_FLAG = {"type": ["null", "boolean"]}  # without the null, the UI marks it as required
_LOG_LEVEL = _Field(
    "log_level",
    "MELTANO_CLI_LOG_LEVEL",
    "Log level",
    "How much Meltano and its plugins log.",
    {"type": "string", "enum": [_AS_CONFIGURED, "debug", "info", "warning", "error"]},
    default=_AS_CONFIGURED,
)
_FULL_REFRESH = _Field(
    "full_refresh",
    "MELTANO_RUN_FULL_REFRESH",
    "Full refresh",
    "Extract everything again, as if there were no bookmark.",
    _FLAG,
    default=False,
)
_OF_RUNS = (
    _Field(
        "refresh_catalog",
        "MELTANO_RUN_REFRESH_CATALOG",
        "Refresh the catalog",
        "Let the extractors discover their streams and columns again.",
        _FLAG,
        default=False,
    ),
    _Field(
        "no_state_update",
        "MELTANO_RUN_NO_STATE_UPDATE",
        "Leave the bookmarks",
        "Load, but do not move the bookmarks: the next run loads the same again.",
        _FLAG,
        default=False,
    ),
    _Field(
        "state_id_suffix",
        "MELTANO_RUN_STATE_ID_SUFFIX",
        "State ID suffix",
        "Bookmarks and a lock of its own; letters, digits, hyphens, underscores and dots.",
        {"type": ["null", "string"], "pattern": _SUFFIX},
    ),
    _Field(
        "state_strategy",
        "MELTANO_RUN_STATE_STRATEGY",
        "State strategy",
        "What happens to the bookmarks of streams that this run does not select.",
        {"type": "string", "enum": [_AS_CONFIGURED, "auto", "merge", "overwrite"]},
        default=_AS_CONFIGURED,
    ),
)


def form(plan: DagPlan) -> dict[str, Param]:
    """Return the fields of a job's trigger form; the defaults change nothing."""
    from airflow.sdk import Param  # noqa: PLC0415 - Airflow begins there

    fields = {
        name: Param(schema.get("default"), **_nullable(name, schema))
        for name, schema in plan.options.params.items()
    }
    with_env = [each.name for each in plan.schedules if each.env]
    if with_env:
        fields[SCHEDULE] = _param(
            _NO_SCHEDULE,
            {"type": "string", "enum": [_NO_SCHEDULE, *with_env]},
            "Variables of a schedule",
            "Run by hand with the env of this schedule.",
        )
    for each in _fields(plan):
        fields[each.name] = _param(each.default, each.schema, each.title, each.description)
    if _runs_pairs(plan) and plan.tasks[0].kind is TaskKind.RUN:
        fields[DRY_RUN] = _param(
            False, _FLAG, "Dry run", "Only explain what would run; then the tasks are skipped."
        )
    return fields


def _param(default: Any, schema: Mapping[str, Any], title: str, description: str) -> Param:
    from airflow.sdk import Param  # noqa: PLC0415 - Airflow begins there

    return Param(
        default,
        description,
        schema={**_DIALECT, **schema, "title": title, "section": _SECTION},
    )


def _nullable(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a job's own field; one without a default may stay empty."""
    found = {"title": name, **schema}
    found.pop("default", None)
    if schema["type"] == "string" and "pattern" not in schema:
        found["pattern"] = _PRINTABLE
    if schema.get("default") is None:
        found["type"] = ["null", schema["type"]]
        if "enum" in schema:
            found["enum"] = [None, *schema["enum"]]
    return found


def _fields(plan: DagPlan) -> Iterator[_Field]:
    if _runs_pairs(plan):
        yield _FULL_REFRESH
        if plan.tasks[0].kind is TaskKind.RUN:
            yield from _OF_RUNS
        for extractor in _extractors(plan):
            yield _Field(
                _streams_field(extractor),
                extractor.select_filter,
                f"Streams of {extractor.name}",
                "Only these, one per line; * stands for any text, a first ! for all but. "
                "All of them, when empty.",
                {"type": ["null", "array"], "items": {"type": "string", "pattern": _PRINTABLE}},
            )
    yield _LOG_LEVEL


def _streams_field(extractor: ExtractorPlan) -> str:
    return f"select_{env_var(extractor.name, '').lower()}"


def _runs_pairs(plan: DagPlan) -> bool:
    return any(task.state_ids for task in plan.tasks)


def _extractors(plan: DagPlan) -> Iterator[ExtractorPlan]:
    yield from dict.fromkeys(each for task in plan.tasks for each in task.extractors)


def default_variables(plan: DagPlan) -> dict[str, str]:
    """Return the variables of a job's own fields as they are where nobody chooses."""
    defaults = {name: each.get("default") for name, each in plan.options.params.items()}
    return {name: _text(each) for name, each in defaults.items() if each is not None}


def unknown_field(plan: DagPlan, conf: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the names that a run was given values for; Airflow takes any."""
    known = [*form(plan)]
    unknown = [each for each in conf if each not in known]
    if not unknown:
        return None
    return f"the form has no field {unknown[0]!r}; {guess(unknown[0], known, 'remove it')}"


def chosen_variables(plan: DagPlan, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that the values of the form become, where they are not the defaults.

    Args:
        plan: The job.
        values: Those of the form; what is no field of it is not read.
    """
    params = plan.options.params
    own = [name for name in params if values.get(name) not in (None, params[name].get("default"))]
    unchosen: tuple[Any, ...] = (None, False, [], _AS_CONFIGURED)
    chosen = [each for each in _fields(plan) if values.get(each.name) not in unchosen]
    return {
        **{name: _text(values[name]) for name in own},
        **{each.variable: _text(values[each.name]) for each in chosen},
    }


def chosen_streams(task: TaskPlan, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the streams of a task's extractors that the form chose by their whole names.

    Args:
        task: The task.
        values: Those of the form.
    """
    for extractor in task.extractors:
        names = values.get(_streams_field(extractor)) or ()
        yield from (name for name in names if not set(name) & _PATTERN)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
