"""The DAG that looks after a project's state, which is of no job."""

from __future__ import annotations

from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.pod_values import POD_LAUNCH_ARGUMENTS, is_pinned
from dag_factory.planning.plan import DagPlan, TaskPlan, legal_id
from dag_factory.planning.secret_names import SecretNames
from dag_factory.project.model import Environment, Project
from dag_factory.project.option_precedence import OptionLevels
from dag_factory.settings import Settings

_JOB = "meltano_state"
_WHERE = (
    *("queue", "runner", "deferrable", "image", "resources", "service_account"),
    *("node_selector", "tolerations", "secrets", "pod_override"),
)
_WHERE_OF_OPERATOR = ("executor", *POD_LAUNCH_ARGUMENTS)


def plan_state(project: Project, environment: Environment, settings: Settings) -> DagPlan | None:
    """Plan the DAG that looks after a project's state.

    Its one task runs where the top level and the environment say. Their other options are for jobs:
    it waits in no pool and is never tried again, as somebody waits for it.

    Returns:
        The plan, or `None` where pods have no pinned image: the jobs report that.
    """
    known = OptionLevels(project, environment).of_no_job()
    where = {name: getattr(known, name) for name in _WHERE}
    where["image"] = image = settings.image or known.image
    if known.in_pod and not (image and is_pinned(image)):
        return None
    operator = {name: each for name, each in known.operator.items() if name in _WHERE_OF_OPERATOR}
    secrets = SecretNames(project, environment, settings).of_task((), known.secrets.names)
    options = TaskOptions(retries=0, operator=operator, **where)
    return DagPlan(
        dag_id=legal_id(settings.state_dag_id),
        job=_JOB,
        name=settings.state_dag_id,
        file="meltano.yml",
        line=1,
        environment=environment.name,
        link=None,
        schedules=(),
        after=None,
        options=DagOptions(),
        tasks=(TaskPlan("state", ("meltano-state",), secrets=secrets, options=options),),
    )
