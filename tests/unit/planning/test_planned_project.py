import pytest

from dag_factory.cli.main import main
from dag_factory.errors import Code
from dag_factory.planning.planned_project import (
    OptionSources,
    PlannedProject,
    check_project,
    read_and_plan,
)
from dag_factory.project import model
from dag_factory.settings import Settings

PROJECT = """
annotations: {airflow: {owner: data}}
jobs: [{name: load, tasks: [tap-a target-x], annotations: {airflow: {retries: 5}}}]
shedules: []
"""


@pytest.fixture
def root(write_project):
    return write_project(PROJECT)


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["list", "--format", "meltano"],
        ["show", "load", "--why"],
        ["graph", "load"],
        ["secrets", "plan"],
    ],
    ids=" ".join,
)
def test_a_command_reads_the_project_once(root, command, monkeypatch, capsys):
    monkeypatch.setenv("DAG_FACTORY_SECRETS_PREFIX", "acme")
    reads = []
    read = model.read_project_files
    monkeypatch.setattr(
        model, "read_project_files", lambda *args: reads.append(args[0]) or read(*args)
    )
    main([*command, "--project", str(root)])
    assert reads == [root], capsys.readouterr()


def test_a_planned_project_has_everything_that_is_asked_about_it(root):
    planned = read_and_plan(Settings(root))
    assert planned.project.jobs[0].name == "load"
    assert [plan.job for plan in planned.plans] == ["load"]
    assert planned.state_plan.dag_id == "meltano_state"
    sources = planned.option_sources(planned.plans[0])
    assert sources.of_dag["owner"][0].line == 2
    assert sources.of_tasks["tap-a-to-target-x"]["retries"][0].line == 3


def test_only_a_check_looks_for_unread_keys(root):
    assert read_and_plan(Settings(root)).problems == ()
    (problem,) = check_project(Settings(root)).problems
    assert problem.code is Code.UNREAD_KEY


def test_a_project_that_cannot_be_read_has_its_problems_alone(root):
    (root / "meltano.yml").write_text("[")
    planned = check_project(Settings(root))
    assert planned == PlannedProject(None, problems=planned.problems)
    assert [each.code for each in planned.problems] == [Code.UNREADABLE_FILE]


def test_an_environment_that_does_not_exist_leaves_the_project_without_plans(root):
    planned = read_and_plan(Settings(root, "staging"))
    assert (planned.plans, planned.state_plan) == ((), None)
    assert planned.project.root == root
    assert [each.code for each in planned.problems] == [Code.UNKNOWN_ENVIRONMENT]


def test_a_plan_whose_job_is_gone_has_no_sources(root):
    before = read_and_plan(Settings(root))
    file = root / "meltano.yml"
    file.write_text(file.read_text().replace("name: load", "name: other"))
    now = read_and_plan(Settings(root))
    assert now.option_sources(now.plans[0]) != OptionSources()
    assert now.option_sources(before.plans[0]) == OptionSources()
