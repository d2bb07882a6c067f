"""Pictures of the plan: what runs after what, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dag_factory.plan import DagPlan, TaskPlan

_CONTROLS = dict.fromkeys([*range(32), 127], " ")
_MERMAID_ESCAPES = str.maketrans(
    {**_CONTROLS, "#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;"}
)


def as_mermaid(plans: Iterable[DagPlan]) -> str:
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
    return "\n".join(lines)


def as_picture(plans: Iterable[DagPlan], kind: str) -> bytes:
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
    drawn: Any = picture.draw(format=kind, prog="dot")
    return bytes(drawn)


def _edges(plan: DagPlan) -> Iterator[tuple[str, str]]:
    for task in plan.tasks:
        for before in task.upstream:
            yield before, task.task_id


def _title(plan: DagPlan) -> str:
    return f"{plan.job} ({plan.start})"


def _label(task: TaskPlan) -> str:
    return " ".join(each for each in task.argv[2:] if each != "--no-install")


def _quoted(text: str) -> str:
    return text.translate(_MERMAID_ESCAPES)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")
