import pytest

from dag_factory.errors import Code, Severity
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems
from tests.support.small_project import PLUGINS


def plan(root, **settings):
    return plans_and_problems(Settings(root, **settings))


def plan_tasks(write_project, tasks):
    return plan(write_project(f"jobs: [{{name: j, tasks: {tasks}}}]\n"))


@pytest.mark.parametrize(
    ("tasks", "commands"),
    [
        ("[tap-a target-x]", ["tap-a target-x"]),
        ("[tap-a hide target-x, dbt:run]", ["tap-a hide target-x", "dbt:run"]),
        ("[tap-a, target-x]", ["tap-a target-x"]),
        ("[tap-a, hide, target-x, dbt]", ["tap-a hide target-x", "dbt"]),
        ("[[tap-a, target-x], [tap-b, target-x, dbt]]", ["tap-a target-x", "tap-b target-x dbt"]),
        ("[tap-a target-x tap-b, target-x]", ["tap-a target-x tap-b target-x"]),
    ],
)
def test_items_become_tasks_and_incomplete_ones_are_joined(write_project, tasks, commands):
    (dag,), problems = plan_tasks(write_project, tasks)
    assert not problems
    prefix = ("meltano", "run", "--no-install")
    assert [task.argv for task in dag.tasks] == [(*prefix, *each.split()) for each in commands]
    ids = [task.task_id for task in dag.tasks]
    assert [task.upstream for task in dag.tasks] == [(), *((each,) for each in ids[:-1])]


@pytest.mark.parametrize(
    "tasks", ["[tap-a]", "[target-x]", "[hide target-x]", "[tap-a dbt]", "[tap-a tap-b target-x]"]
)
def test_what_is_no_block_sequence_is_a_problem(write_project, tasks):
    plans, (problem,) = plan_tasks(write_project, tasks)
    assert not plans
    assert problem.code is Code.NOT_A_BLOCK_SEQUENCE


@pytest.mark.parametrize("block", ["tap-z", "mapper", "dbt:a:b", "j"])
def test_a_block_that_meltano_does_not_find_is_a_problem(write_project, block):
    _, (problem,) = plan_tasks(write_project, f"[dbt, '{block}']")
    assert problem.code is Code.UNKNOWN_PLUGIN


def test_a_bad_job_does_not_hurt_a_good_one(write_project):
    root = write_project("jobs: [{name: bad, tasks: [tap-z]}, {name: good, tasks: [dbt]}]\n")
    plans, problems = plan(root)
    assert [each.job for each in plans] == ["good"]
    assert len(problems) == 1


def test_a_block_that_is_a_plugin_and_a_job_is_ambiguous_to_meltano(write_project):
    root = write_project("jobs: [{name: dbt, tasks: [dbt:run]}, {name: j, tasks: [dbt]}]\n")
    plans, (problem,) = plan(root)
    assert [each.job for each in plans] == ["dbt"]
    assert "is a plugin and a job" in problem.message


def test_a_name_is_looked_up_in_meltanos_order_of_plugin_types(write_project):
    plugins = """
environments: [{name: dev}]
default_environment: dev
plugins:
  transforms: [{name: tap-a, namespace: a}]
  loaders: [{name: target-x, namespace: x}]
  extractors: [{name: tap-a, namespace: a}]
"""
    root = write_project("jobs: [{name: j, tasks: [tap-a target-x]}]\n", plugins=plugins)
    assert plan(root)[1] == ()


def test_the_env_of_a_schedule_that_never_fires_is_of_no_account(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: by_hand, job: j, interval: '@once', env: {FULL: '1'}}
        - {name: nightly, job: j, interval: '@daily'}
        """
    )
    (dag,), _ = plan(root)
    assert (dag.crons, dag.is_uniform) == (("0 0 * * *",), True)


def test_no_plugins_name_takes_the_id_of_a_repeated_task(write_project):
    names = "[{name: d, namespace: d}, {name: d.2, namespace: d2}]"
    plugins = f"environments: [{{name: dev}}]\nplugins: {{utilities: {names}}}\n"
    root = write_project("jobs: [{name: j, tasks: [d, d.2, d]}]\n", plugins=plugins)
    (dag,), _ = plan(root, environment="dev")
    assert [task.task_id for task in dag.tasks] == ["d", "d.2", "d.3"]


def test_two_jobs_that_share_a_state_run_with_a_warning(write_project):
    root = write_project(
        """
        jobs:
        - {name: a, tasks: [tap-a target-x, tap-b target-x]}
        - {name: b, tasks: [tap-a hide target-x]}
        - {name: c, tasks: [dbt]}
        """
    )
    plans, (problem,) = plan(root)
    assert [each.job for each in plans] == ["a", "b", "c"]
    assert (problem.code, problem.location.line) == (Code.SHARED_STATE, 4)
    assert problem.severity is Severity.WARNING


def test_task_ids_come_from_the_command_and_stay_unique(write_project):
    (dag,), _ = plan_tasks(write_project, "[tap-a target-x, dbt:run, tap-a target-x]")
    assert [task.task_id for task in dag.tasks] == [
        "tap-a-to-target-x",
        "dbt.run",
        "tap-a-to-target-x.2",
    ]


def test_inserting_a_task_renames_no_other(write_project):
    before = plan_tasks(write_project, "[tap-a target-x, dbt:run]")[0][0].tasks
    after = plan_tasks(write_project, "[dbt:seed, tap-a target-x, dbt:run]")[0][0].tasks
    assert {task.task_id for task in before} <= {task.task_id for task in after}


def test_several_schedules_of_one_job_are_one_dag(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: a, job: j, interval: '@daily'}
        - {name: b, job: j, interval: '@hourly'}
        - {name: c, job: j, interval: '@once'}
        """
    )
    (dag,), _ = plan(root)
    assert dag.crons == ("0 0 * * *", "0 * * * *")


def test_schedules_of_one_job_may_differ_in_env(write_project):
    root = write_project(
        """
        jobs: [{name: j, tasks: [dbt]}]
        schedules:
        - {name: a, job: j, interval: '@daily'}
        - {name: b, job: j, interval: '@hourly', env: {A: 'b'}}
        """
    )
    (dag,), problems = plan(root)
    assert not problems
    assert (dag.crons, dag.is_uniform) == (("0 0 * * *", "0 * * * *"), False)


def test_a_job_without_schedule_is_a_dag_that_is_started_by_hand(write_project):
    (dag,), _ = plan_tasks(write_project, "[dbt]")
    assert dag.crons == ()


def test_the_environment_comes_from_the_settings_or_the_project(write_project):
    root = write_project("jobs: [{name: j, tasks: [dbt]}]\n")
    assert plan(root)[0][0].environment == "dev"
    assert plan(root, environment="prod")[0][0].environment == "prod"
    plans, (problem,) = plan(root, environment="test")
    assert not plans
    assert problem.code is Code.UNKNOWN_ENVIRONMENT


def test_a_plan_depends_on_its_own_job_only(write_project):
    alone = plan(write_project("jobs: [{name: j, tasks: [dbt]}]\n"))[0]
    more = plan(write_project("\n\njobs: [{name: i, tasks: [dbt]}, {name: j, tasks: [dbt]}]\n"))[0]
    assert more[1] == alone[0]


@pytest.mark.parametrize(
    ("tasks", "code"),
    [
        ("tap-a target-x", Code.INVALID_TASKS),
        ("[]", Code.INVALID_TASKS),
        ("null", Code.INVALID_TASKS),
        ("[1]", Code.INVALID_TASKS),
        ("[tap-a  target-x]", Code.INVALID_TASKS),
        ("[[]]", Code.INVALID_TASKS),
        ("[[[], [1]]]", Code.INVALID_TASKS),
    ],
)
def test_tasks_that_meltano_cannot_run_leave_that_job_out(write_project, tasks, code):
    root = write_project(
        f"""
        jobs:
        - {{name: bad, tasks: {tasks}}}
        - {{name: good, tasks: [tap-a target-x]}}
        """
    )
    plans, (problem,) = plans_and_problems(Settings(root))
    assert problem.code is code
    assert "'bad'" in problem.message
    assert [each.job for each in plans] == ["good"]


def test_the_first_of_two_equal_names_wins_with_a_warning(write_project):
    root = write_project(
        """
        jobs:
        - {name: j, tasks: [tap-a target-x]}
        - {name: j, tasks: [tap-b target-x]}
        """
    )
    (dag,), (problem,) = plans_and_problems(Settings(root))
    assert problem.severity is Severity.WARNING
    assert dag.tasks[0].argv[-2:] == ("tap-a", "target-x")


def test_the_first_of_two_equal_names_counts_even_where_it_is_wrong(write_project):
    root = write_project(
        """
        jobs:
        - {name: j, tasks: tap-a}
        - {name: j, tasks: [tap-b target-x]}
        """
    )
    plans, problems = plans_and_problems(Settings(root))
    assert not plans
    assert [each.code for each in problems] == [Code.INVALID_TASKS, Code.DUPLICATE_NAME]


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(write_project):
    root = write_project(
        """
        jobs:
        - {name: a, tasks: x}
        - {name: 5, tasks: [tap-a target-x]}
        - {name: b, tasks: [dbtt]}
        schedules:
        - {name: s, job: nope, interval: '@daily'}
        annotations: {airflow: {retrys: 3}}
        """
    )
    _, problems = plans_and_problems(Settings(root))
    assert [(problem.code, problem.location.line) for problem in problems] == [
        (Code.INVALID_TASKS, 3),
        (Code.INVALID_NAME, 4),
        (Code.UNKNOWN_PLUGIN, 5),
        (Code.UNKNOWN_JOB, 7),
        (Code.INVALID_OPTION, 8),
    ]


def test_an_item_may_be_nested_or_a_mapping_as_meltano_flattens_both(write_project):
    (dag,), (problem,) = plan_tasks(
        write_project, "[[[tap-a], [[target-x]]], [], {}, {dbt:run: x}]"
    )
    assert problem.code is Code.MAPPING_AS_TASK
    assert [" ".join(task.argv[3:]) for task in dag.tasks] == ["tap-a target-x", "dbt:run"]


def test_state_ids_are_meltanos(write_project):
    plugins = PLUGINS.replace("{name: prod}", "{name: prod, state_id_suffix: $USER}")
    text = "jobs: [{name: j, tasks: [tap-a hide target-x tap-b target-x, dbt:run]}]\n"
    root = write_project(text, plugins=plugins)
    (dag,), _ = plan(root)
    assert [task.state_ids for task in dag.tasks] == [
        ("dev:tap-a-to-target-x", "dev:tap-b-to-target-x"),
        (),
    ]
    (dag,), _ = plan(root, environment="prod")
    assert dag.tasks[0].state_ids[0] == "prod:tap-a-to-target-x:$USER"


def test_a_job_may_be_for_some_environments_only(write_project):
    option = "annotations: {airflow: {environments: [prod]}}"
    root = write_project(f"jobs: [{{name: j, tasks: [dbt], {option}}}]\n")
    assert plan(root) == ((), ())
    assert len(plan(root, environment="prod")[0]) == 1


def test_an_unknown_environment_of_a_job_is_a_problem(write_project):
    option = "annotations: {airflow: {environments: [prd]}}"
    root = write_project(f"jobs: [{{name: j, tasks: [dbt], {option}}}]\n")
    plans, (problem,) = plan(root)
    assert (plans, problem.code, problem.hint) == ((), Code.INVALID_OPTION, "did you mean 'prod'?")


def test_a_command_that_a_plugin_lacks_is_a_problem_where_its_commands_are_known(write_project):
    _, (problem,) = plan_tasks(write_project, "[dbt:tets]")
    assert (problem.code, problem.hint) == (Code.UNKNOWN_COMMAND, "did you mean 'test'?")


def test_a_plugin_without_a_definition_runs_with_a_warning(write_project):
    root = write_project(
        "jobs: [{name: j, tasks: ['d:any', d]}]\n",
        plugins="environments: [{name: dev}]\nplugins: {utilities: [{name: d}]}\n",
    )
    plans, (problem,) = plan(root, environment="dev")
    assert len(plans) == 1
    assert (problem.code, problem.severity) == (Code.NO_DEFINITION, Severity.WARNING)


def test_a_plugin_that_inherits_from_itself_is_a_problem_of_its_jobs(write_project):
    plugins = """
environments: [{name: dev}]
default_environment: dev
plugins:
  utilities: [{name: a, inherit_from: b}, {name: b, inherit_from: a}, {name: c, namespace: c}]
"""
    text = "jobs: [{name: j, tasks: [a]}, {name: good, tasks: [c]}]\n"
    (dag,), (problem,) = plan(write_project(text, plugins=plugins))
    assert (dag.job, problem.code) == ("good", Code.CYCLIC_INHERITANCE)


def test_a_mapper_is_not_run_by_its_own_name(write_project):
    _, (problem,) = plan_tasks(write_project, "[tap-a mapper target-x]")
    assert problem.hint == "name one of its mappings: hide"


OLDER = "{name: old, extractor: tap-a, loader: target-x, transform: skip, interval: '@daily'}"


def test_an_older_schedule_is_a_dag_of_its_name(write_project):
    (dag,), problems = plan(write_project(f"schedules: [{OLDER}]\n"))
    assert not problems
    (task,) = dag.tasks
    assert task.argv == (
        *("meltano", "elt", "--no-install", "tap-a", "target-x"),
        *("--transform=skip", "--state-id=old"),
    )
    assert (dag.dag_id, dag.crons, task.state_ids) == ("old", ("0 0 * * *",), ("old",))


def test_an_older_schedule_runs_the_first_of_two_plugins_of_one_name_as_meltano_does(write_project):
    second = "{name: target-x, namespace: y, annotations: {airflow: {retries: 9}}}"
    plugins = PLUGINS.replace("namespace: x}", f"namespace: x}}, {second}")
    (dag,), (problem,) = plan(write_project(f"schedules: [{OLDER}]\n", plugins=plugins))
    assert problem.code is Code.DUPLICATE_NAME
    assert dag.tasks[0].options.retries == 2


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("tap-a", "tap-z", Code.UNKNOWN_PLUGIN),
        ("target-x", "tap-a", Code.UNKNOWN_PLUGIN),
        ("skip", "never", Code.INVALID_TASKS),
        ("name: old", "name: j", Code.NAME_TAKEN),
    ],
)
def test_an_older_schedule_that_cannot_run_is_left_out(write_project, old, new, code):
    text = f"jobs: [{{name: j, tasks: [dbt]}}]\nschedules: [{OLDER.replace(old, new)}]\n"
    plans, (problem,) = plan(write_project(text))
    assert ([each.job for each in plans], problem.code) == (["j"], code)


def test_a_default_environment_that_does_not_exist_matters_only_where_it_is_used(write_project):
    root = write_project("jobs: []\n", plugins=PLUGINS.replace("nt: dev", "nt: staging"))
    assert [each.code for each in plan(root)[1]] == [Code.UNKNOWN_ENVIRONMENT]
    assert [each.code for each in plan(root, environment="dev")[1]] == [Code.UNKNOWN_DEFAULT]


def test_a_comment_on_the_line_silences_a_warning_and_nothing_else(write_project):
    text = """
        jobs:
        - {name: a, tasks: [tap-a target-x]}
        - {name: b, tasks: [tap-a target-x]}  # meltano-dags: ignore MDF011, MDF015
        - {name: c, tasks: [dbtt]}  # meltano-dags: ignore MDF013
        """
    assert [each.code for each in plan(write_project(text))[1]] == [Code.UNKNOWN_PLUGIN]


@pytest.mark.parametrize("suffix", ["a:b", "5", "[x]"])
def test_a_suffix_that_no_state_id_can_hold_leaves_out_the_jobs_with_pairs(write_project, suffix):
    plugins = PLUGINS.replace("{name: dev}", f"{{name: dev, state_id_suffix: {suffix}}}")
    text = "jobs: [{name: pair, tasks: [tap-a target-x]}, {name: j, tasks: [dbt]}]\n"
    plans, (problem,) = plan(write_project(text, plugins=plugins))
    assert [each.job for each in plans] == ["j"]
    assert problem.code is Code.INVALID_STATE_ID


def test_a_mapping_that_meltano_loads_twice_is_a_problem(write_project):
    more = "plugins: {mappers: [{name: m2, namespace: m2, mappings: [{name: far}]}]}\n"
    text = "include_paths: [more.yml]\njobs: [{name: j, tasks: [tap-a far target-x]}]\n"
    _, (problem,) = plan(write_project(text, more=more))
    assert problem.hint == "write all mappers into one file"
