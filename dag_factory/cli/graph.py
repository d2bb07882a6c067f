"""Pictures of the plan: what runs after what, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dag_factory.planning.plan import DagPlan, TaskPlan

_CONTROLS = dict.fromkeys([*range(32), 127], " ")
_MERMAID_ESCAPES = str.maketrans(
    {**_CONTROLS, "#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;"}
)


def as_mermaid(plans: Sequence[DagPlan]) -> str:
    """Return a Mermaid flowchart, which GitHub and GitLab show in Markdown.

    Source: https://mermaid.js.org/syntax/flowchart.html
    """
    lines = ["flowchart LR"]
    for number, plan in enumerate(plans):
        ids = {task.task_id: f"d{number}t{place}" for place, task in enumerate(plan.tasks)}
        lines.append(f'  subgraph d{number}["{_quoted(_title(plan))}"]')
        for task in plan.tasks:
            lines.append(f'    {ids[task.task_id]}["{_quoted(_label(task))}"]')
            lines += [f"    {ids[each]} --> {ids[task.task_id]}" for each in task.upstream]
        lines.append("  end")
    lines += [f"  {before} -.-> {after}" for before, after in _between(plans)]
    return "\n".join(lines)


def as_picture(plans: Sequence[DagPlan], kind: str) -> bytes:
    """Return a picture that Graphviz draws.

    Args:
        plans: What to draw.
        kind: `svg` or `png`.

    Raises:
        ImportError: The extra `graph` is not installed.
    """
    import pygraphviz  # noqa: PLC0415 - not installed for everybody

    picture = pygraphviz.AGraph(directed=True, rankdir="LR", fontname="sans-serif")
    picture.node_attr.update(shape="box", style="rounded", fontname="sans-serif")
    for number, plan in enumerate(plans):
        ids = {task.task_id: f"d{number}t{place}" for place, task in enumerate(plan.tasks)}
        for task in plan.tasks:
            picture.add_node(ids[task.task_id], label=_escaped(_label(task)))
        for before, after in _edges(plan):
            picture.add_edge(ids[before], ids[after])
        picture.add_subgraph(ids.values(), name=f"cluster{number}", label=_escaped(_title(plan)))
    for before, after in _between(plans):
        picture.add_edge(before, after, style="dashed")
    drawn: Any = picture.draw(format=kind, prog="dot")
    return bytes(drawn)


def _edges(plan: DagPlan) -> Iterator[tuple[str, str]]:
    for task in plan.tasks:
        for before in task.upstream:
            yield before, task.task_id


def _between(plans: Sequence[DagPlan]) -> Iterator[tuple[str, str]]:
    """Yield the names of the last tasks of jobs and of the first ones of those that run after."""
    names = {
        (plan.dag_id, task.task_id): f"d{number}t{place}"
        for number, plan in enumerate(plans)
        for place, task in enumerate(plan.tasks)
    }
    by_id = {plan.dag_id: plan for plan in plans}
    for plan in plans:
        first = [task.task_id for task in plan.tasks if not task.upstream]
        for dag_id in plan.after.jobs if plan.after else ():
            for before in by_id[dag_id].last if dag_id in by_id else ():
                for after in first:
                    yield names[dag_id, before], names[plan.dag_id, after]


def _title(plan: DagPlan) -> str:
    return f"{plan.job} ({plan.start})"


def _label(task: TaskPlan) -> str:
    return " ".join((*task.blocks, *task.arguments))


def _quoted(text: str) -> str:
    return text.translate(_MERMAID_ESCAPES)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")
