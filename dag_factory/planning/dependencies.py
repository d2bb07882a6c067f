"""Which jobs run after which: the option `after`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from dag_factory.errors import Code, Location, Problem, guess
from dag_factory.planning.plan import DagPlan


def resolve_after(
    plans: Iterable[DagPlan],
    ids: Mapping[str, str],
    here: Collection[str],
    place: Callable[[DagPlan], Location],
) -> tuple[tuple[DagPlan, ...], tuple[Problem, ...]]:
    """Put the ids of DAGs in the place of the names of jobs.

    A job that is not for this environment is left out of the condition. One that cannot run stays
    there: who runs after it waits until it is mended.

    Args:
        plans: The plans; what they run after is still in their options.
        ids: The id of each job that is written in the project, also of those that cannot run.
        here: The names of those that are for this environment.
        place: Where the option of a plan stands.

    Returns:
        The plans that can run, and a problem for each other.
    """
    good: dict[str, DagPlan] = {}
    problems = []
    for plan in plans:
        wanted = plan.options.after
        unknown = [name for name in wanted.jobs if name not in ids] if wanted else []
        for name in unknown:
            hint = guess(name, ids, "name jobs of this project")
            message = f"job {plan.job!r}: after: there is no job {name!r}"
            problems.append(Problem(Code.INVALID_OPTION, place(plan), message, hint))
        if not unknown:
            good[plan.job] = plan
    for circle in _circles(good):
        plan = good[circle[0]]
        message = f"jobs run after each other in a circle: {' after '.join([*circle, circle[0]])}"
        hint = "take one `after` away"
        problems.append(Problem(Code.INVALID_OPTION, place(plan), message, hint))
        for name in circle:
            del good[name]
    return tuple(_resolved(each, here, ids) for each in good.values()), tuple(problems)


def _circles(plans: Mapping[str, DagPlan]) -> list[list[str]]:
    """Return the circles of jobs, each job in one of them at most."""
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
