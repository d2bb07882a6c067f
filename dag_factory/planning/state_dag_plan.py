"""Plans the DAG that looks after a project's state; it belongs to no job."""

from __future__ import annotations

from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.pod_values import POD_LAUNCH_ARGUMENTS, is_pinned
from dag_factory.planning.plan import DagPlan, TaskKind, TaskPlan, legal_id
from dag_factory.planning.secret_names import SecretNames
from dag_factory.project.model import Environment, Project
from dag_factory.project.option_precedence import OptionLevels
from dag_factory.settings import Settings

_JOB = "meltano_state"
_PLACE_OPTIONS = (
    *("queue", "runner", "deferrable", "image", "resources", "service_account"),
    *("node_selector", "tolerations", "secrets", "pod_override"),
)
_PLACE_ARGUMENTS = ("executor", *POD_LAUNCH_ARGUMENTS)


def plan_state(project: Project, environment: Environment, settings: Settings) -> DagPlan | None:
    """Plan the DAG that looks after a project's state.

    Its only task runs where the options of the top level and of the environment say. Their other
    options are for jobs: this task waits in no pool and is never retried, as a person waits for it.

    Returns:
        The plan; `None` if pods have no pinned image, which the jobs report.
    """
    common = OptionLevels(project, environment).of_environment()
    place = {name: getattr(common, name) for name in _PLACE_OPTIONS}
    place["image"] = image = settings.image or common.image
    if common.in_pod and not (image and is_pinned(image)):
        return None
    operator = {name: each for name, each in common.operator.items() if name in _PLACE_ARGUMENTS}
    secrets = SecretNames(project, environment, settings).of_task((), common.secrets.names)
    options = TaskOptions(retries=0, operator=operator, **place)
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
        tasks=(TaskPlan("state", TaskKind.STATE, (), secrets=secrets, options=options),),
    )
