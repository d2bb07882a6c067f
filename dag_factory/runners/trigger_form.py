"""The trigger form of a job, and the variables of Meltano that its values become.

Values reach Meltano as environment variables, never as text of a command.
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
"""The field that chooses the schedule whose variables a manual run gets."""
DRY_RUN = "dry_run"
"""The field for a run that only shows what would run."""
FULL_REFRESH_VARIABLE = "MELTANO_RUN_FULL_REFRESH"
NO_STATE_UPDATE_VARIABLE = "MELTANO_RUN_NO_STATE_UPDATE"
STATE_ID_SUFFIX_VARIABLE = "MELTANO_RUN_STATE_ID_SUFFIX"
_SECTION = "Meltano"
# Airflow validates each field many times; this dialect takes a third of the default one's time.
_DIALECT = {"$schema": "http://json-schema.org/draft-07/schema#"}
_AS_CONFIGURED = "as configured"
_NO_SCHEDULE = "no schedule"
# An environment variable cannot contain a NUL; other control characters are mistakes.
_PRINTABLE_PATTERN = r"^[^\x00-\x1f\x7f]*(?!\n)$"
_WILDCARDS = set("*?[!")
_SUFFIX_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}(?!\n)$"


@dataclass(frozen=True)
class _Field:
    """One field of the form, and the variable that its value becomes."""

    name: str
    variable: str
    title: str
    description: str
    schema: Mapping[str, Any]
    default: Any = None


_OPTIONAL_BOOLEAN = {"type": ["null", "boolean"]}  # Without "null" the UI marks it as required.
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
    FULL_REFRESH_VARIABLE,
    "Full refresh",
    "Ignore the bookmarks and extract everything again.",
    _OPTIONAL_BOOLEAN,
    default=False,
)
_MELTANO_RUN_FIELDS = (
    _Field(
        "refresh_catalog",
        "MELTANO_RUN_REFRESH_CATALOG",
        "Refresh the catalog",
        "Let the extractors discover their streams and columns again.",
        _OPTIONAL_BOOLEAN,
        default=False,
    ),
    _Field(
        "no_state_update",
        NO_STATE_UPDATE_VARIABLE,
        "Do not save bookmarks",
        "Load, but leave the bookmarks unchanged: the next run loads the same rows again.",
        _OPTIONAL_BOOLEAN,
        default=False,
    ),
    _Field(
        "state_id_suffix",
        STATE_ID_SUFFIX_VARIABLE,
        "State ID suffix",
        "Use separate bookmarks and a separate lock. Write letters, digits, hyphens, underscores "
        "and dots.",
        {"type": ["null", "string"], "pattern": _SUFFIX_PATTERN},
    ),
    _Field(
        "state_strategy",
        "MELTANO_RUN_STATE_STRATEGY",
        "State strategy",
        "What happens to the bookmarks of streams that this run does not load.",
        {"type": "string", "enum": [_AS_CONFIGURED, "auto", "merge", "overwrite"]},
        default=_AS_CONFIGURED,
    ),
)


def form(plan: DagPlan) -> dict[str, Param]:
    """Return the fields of a job's trigger form; their defaults change nothing."""
    from airflow.sdk import Param  # noqa: PLC0415 - importing Airflow is slow

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
            "Run with the `env` of this schedule.",
        )
    for each in _fields(plan):
        fields[each.name] = _param(each.default, each.schema, each.title, each.description)
    if _runs_pairs(plan) and plan.tasks[0].kind is TaskKind.RUN:
        fields[DRY_RUN] = _param(
            False, _OPTIONAL_BOOLEAN, "Dry run", "Only show what would run, and skip the tasks."
        )
    return fields


def _param(default: Any, schema: Mapping[str, Any], title: str, description: str) -> Param:
    from airflow.sdk import Param  # noqa: PLC0415 - importing Airflow is slow

    return Param(
        default,
        description,
        schema={**_DIALECT, **schema, "title": title, "section": _SECTION},
    )


def _nullable(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a job's own field, which may stay empty if it has no default."""
    found = {"title": name, **schema}
    found.pop("default", None)
    if schema["type"] == "string" and "pattern" not in schema:
        found["pattern"] = _PRINTABLE_PATTERN
    if schema.get("default") is None:
        found["type"] = ["null", schema["type"]]
        if "enum" in schema:
            found["enum"] = [None, *schema["enum"]]
    return found


def _fields(plan: DagPlan) -> Iterator[_Field]:
    if _runs_pairs(plan):
        yield _FULL_REFRESH
        if plan.tasks[0].kind is TaskKind.RUN:
            yield from _MELTANO_RUN_FIELDS
        for extractor in _extractors(plan):
            yield _Field(
                _streams_field(extractor),
                extractor.select_filter,
                f"Streams of {extractor.name}",
                "Load only these streams, one per line; * matches any text, a leading ! excludes "
                "a stream. If empty, all streams are loaded.",
                {
                    "type": ["null", "array"],
                    "items": {"type": "string", "pattern": _PRINTABLE_PATTERN},
                },
            )
    yield _LOG_LEVEL


def _streams_field(extractor: ExtractorPlan) -> str:
    return f"select_{env_var(extractor.name, '').lower()}"


def _runs_pairs(plan: DagPlan) -> bool:
    return any(task.state_ids for task in plan.tasks)


def _extractors(plan: DagPlan) -> Iterator[ExtractorPlan]:
    yield from dict.fromkeys(each for task in plan.tasks for each in task.extractors)


def default_variables(plan: DagPlan) -> dict[str, str]:
    """Return the variables that a job's own fields set by their defaults."""
    defaults = {name: each.get("default") for name, each in plan.options.params.items()}
    return {name: _as_text(each) for name, each in defaults.items() if each is not None}


def unknown_field(plan: DagPlan, conf: Mapping[str, Any]) -> str | None:
    """Return an error if a run has a value for a field that is not in the form.

    Airflow accepts any field.

    Args:
        plan: The plan of the DAG.
        conf: The values of the run by the names of their fields.
    """
    known = [*form(plan)]
    unknown = [each for each in conf if each not in known]
    if not unknown:
        return None
    return f"the form has no field {unknown[0]!r}; {guess(unknown[0], known, 'remove it')}"


def chosen_variables(plan: DagPlan, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that the form sets by values that are not the defaults.

    Args:
        plan: The plan of the DAG.
        values: The values of the form; other values are ignored.
    """
    params = plan.options.params
    own = [name for name in params if values.get(name) not in (None, params[name].get("default"))]
    unchosen: tuple[Any, ...] = (None, False, [], _AS_CONFIGURED)
    chosen = [each for each in _fields(plan) if values.get(each.name) not in unchosen]
    return {
        **{name: _as_text(values[name]) for name in own},
        **{each.variable: _as_text(values[each.name]) for each in chosen},
    }


def chosen_streams(task: TaskPlan, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the streams of a task's extractors that were chosen by their full names.

    Args:
        task: The plan of the task.
        values: The values of the form.
    """
    for extractor in task.extractors:
        names = values.get(_streams_field(extractor)) or ()
        yield from (name for name in names if not set(name) & _WILDCARDS)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
