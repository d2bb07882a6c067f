"""Resolves the option `after`: which jobs run after which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from dag_factory.errors import Code, Location, Problems, guess
from dag_factory.planning.plan import DagPlan


def resolve_after(
    plans: Iterable[DagPlan],
    ids: Mapping[str, str],
    here: Collection[str],
    place: Callable[[DagPlan], Location],
    problems: Problems,
) -> tuple[DagPlan, ...]:
    """Replace the names of jobs in `after` by the IDs of their DAGs.

    A job that does not run in this environment is left out of the condition. A job that cannot run
    stays in it: whatever runs after that job waits until it is fixed.

    Args:
        plans: The plans, whose options name the jobs that they run after.
        ids: The DAG ID of each job in the project, including the jobs that cannot run.
        here: The names of the jobs that run in this environment.
        place: Returns the place of the option `after` of a plan.
        problems: Where names that do not exist and circles are reported.

    Returns:
        The plans that can run.
    """
    good: dict[str, DagPlan] = {}
    for plan in plans:
        wanted = plan.options.after
        unknown = [name for name in wanted.jobs if name not in ids] if wanted else []
        for name in unknown:
            hint = guess(name, ids, "name jobs of this project")
            message = f"job {plan.job!r}: after: no job is named {name!r}"
            problems.add(Code.INVALID_OPTION, place(plan), message, hint)
        if not unknown:
            good[plan.job] = plan
    for circle in _circles(good):
        plan = good[circle[0]]
        message = f"jobs run after each other in a circle: {' after '.join([*circle, circle[0]])}"
        problems.add(Code.INVALID_OPTION, place(plan), message, "remove `after` from one of them")
        for name in circle:
            del good[name]
    return tuple(_resolved(each, here, ids) for each in good.values())


def _circles(plans: Mapping[str, DagPlan]) -> list[list[str]]:
    """Return the circles of jobs; each job is in one of them at most."""
    graph = {
        name: [each for each in plan.options.after.jobs if each in plans]
        for name, plan in plans.items()
        if plan.options.after
    }
    found = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = error.args[1][:0:-1]
            first = min(range(len(circle)), key=lambda each: circle[each])
            found.append([*circle[first:], *circle[:first]])
            graph = {
                name: [each for each in names if each not in circle]
                for name, names in graph.items()
                if name not in circle
            }
        else:
            return found


def _resolved(plan: DagPlan, here: Collection[str], ids: Mapping[str, str]) -> DagPlan:
    if plan.options.after is None:
        return plan
    jobs = tuple(ids[name] for name in plan.options.after.jobs if name in here)
    return replace(plan, after=replace(plan.options.after, jobs=jobs) if jobs else None)
