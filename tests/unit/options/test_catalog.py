from datetime import timedelta

import pytest

from dag_factory.errors import Code
from dag_factory.options.annotations import Annotations, dag_options, task_options
from dag_factory.options.catalog import DagOptions, TaskOptions
from dag_factory.options.times import duration
from dag_factory.options.values import RUNNERS, Secrets
from dag_factory.project.model import read_project


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("6m", 360), ("2h", 7200), ("1d", 86400), ("PT1H30M", 5400), ("P1DT1S", 86401)],
)
def test_durations(text, seconds):
    assert duration(text) == timedelta(seconds=seconds)


def test_a_duration_that_airflow_could_not_add_to_a_date_is_refused():
    assert duration("3650d") == timedelta(days=3650)
    with pytest.raises(ValueError, match="must be at most 3650d"):
        duration("3651d")


@pytest.mark.parametrize(
    "text", ["", "6", "6 m", "m", "-1h", "P", "PT", "0s", "1w", 5, None, "1.5h"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="must be a duration"):
        duration(text)


def test_a_job_overrides_the_project_and_tags_add_up():
    levels = [
        Annotations({"retries": 1, "tags": ("a",), "owner": "x"}),
        Annotations({"retries": 5, "tags": ("b", "a")}),
    ]
    assert dag_options(levels) == DagOptions(tags=("a", "b"), owner="x")
    assert task_options(levels) == TaskOptions(retries=5)


def test_the_retry_delay_outlasts_meltanos_lock_of_a_killed_run():
    assert TaskOptions().retry_delay > timedelta(minutes=5)


def test_a_misspelt_option_leaves_the_job_out_and_names_the_right_word(write_project):
    root = write_project(
        """
        jobs:
        - name: j
          tasks: [dbt]
          annotations:
            airflow:
              retry_dealy: 5m
        """
    )
    project, (problem,) = read_project(root)
    assert problem.location.line == 7
    assert "did you mean 'retry_delay'?" in problem.hint
    assert project.jobs[0].options.wrong


@pytest.mark.parametrize(
    "option",
    ["retries: -1", "retries: true", "retries: two", "tags: x", "tags: [1]", "paused: 'no'",
     "owner: ''", "execution_timeout: 5", "retry_delay: 99999999999999999999d"],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_a_problem(write_project, option):
    root = write_project(
        f"jobs: [{{name: j, tasks: [dbt], annotations: {{airflow: {{{option}}}}}}}]\n"
    )
    (problem,) = read_project(root)[1]
    assert problem.code is Code.INVALID_OPTION


def test_other_tools_annotations_are_none_of_our_business(write_project):
    root = write_project("annotations: {meltano.cloud: {retrys: 1}, x: 3}\n")
    assert read_project(root)[1] == ()


def test_options_of_pods_add_up_by_their_names():
    levels = [
        Annotations(
            {
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                "node_selector": {"disk": "ssd", "zone": "eu"},
                "pod_override": {"spec": {"priorityClassName": "low", "hostname": "a"}},
                "tolerations": ({"key": "a"},),
                "image": "meltano:1",
            }
        ),
        Annotations(
            {
                "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "3Gi"}},
                "node_selector": {"zone": "us"},
                "pod_override": {"spec": {"hostname": None, "volumes": [{"name": "v"}]}},
                "tolerations": ({"key": "b"},),
                "image": "meltano:2",
            }
        ),
    ]
    assert task_options(levels) == TaskOptions(
        resources={"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "3Gi"}},
        node_selector={"disk": "ssd", "zone": "us"},
        pod_override={
            "spec": {"priorityClassName": "low", "hostname": None, "volumes": [{"name": "v"}]}
        },
        tolerations=({"key": "b"},),
        image="meltano:2",
    )


def test_secrets_add_up_and_the_nearest_place_says_how_a_pod_has_them():
    levels = [
        Annotations({"secrets": Secrets(("a", "b"), "k8s")}),
        Annotations({"secrets": Secrets(("c", "a"))}),
        Annotations({"secrets": Secrets(mode="aws")}),
    ]
    assert task_options(levels[:2]).secrets == Secrets(("a", "b", "c"), "k8s")
    assert task_options(levels).secrets == Secrets(("a", "b", "c"), "aws")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("[tap-x, shared/proxy, tap-x]", Secrets(("tap-x", "shared/proxy"))),
        ("[]", Secrets()),
        ("{mode: k8s}", Secrets(mode="k8s")),
        ("{mode: aws, names: [a]}", Secrets(("a",), "aws")),
    ],
)
@pytest.mark.parametrize("place", ["", "jobs: [{name: j, tasks: [dbt], ANNOTATIONS}]"])
def test_secrets_are_names_or_a_mode_or_both(write_project, written, found, place):
    annotations = f"annotations: {{airflow: {{secrets: {written}}}}}"
    root = write_project((place or "ANNOTATIONS").replace("ANNOTATIONS", annotations) + "\n")
    project, problems = read_project(root)
    assert not problems
    holder = project.jobs[0] if place else project
    assert holder.options.values == {"secrets": found}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("tap-x", "`secrets` must be [NAME, ...] or {mode: ..., names: [NAME, ...]}, not 'tap-x'"),
        ("{}", "`secrets` must be [NAME, ...] or"),
        ("{name: a}", "`secrets` must be [NAME, ...] or"),
        ("{mode: vault}", "`secrets` has a mode that must be aws or k8s, not 'vault'"),
        ("{mode: [k8s]}", "`secrets` has a mode that must be aws or k8s"),
        ("{mode: null}", "`secrets` has a mode that must be aws or k8s, not null"),
        ("{names: a}", "must be a list of strings, not 'a'"),
        ("[1]", "`secrets` has an item that must be a string, not 1"),
        ("[/a]", "has an item that must be the name of a secret such as shared/proxy, not '/a'"),
        ("['a b']", "must be the name of a secret such as shared/proxy, not 'a b'"),
    ],
)
def test_secrets_of_another_form_are_a_problem_in_its_place(write_project, written, said):
    root = write_project(
        f"""
        jobs:
        - name: j
          tasks: [dbt]
          annotations:
            airflow:
              secrets: {written}
        """
    )
    (problem,) = read_project(root)[1]
    assert (problem.code, problem.location.line) == (Code.INVALID_OPTION, 7)
    assert said in problem.message


def test_pods_are_the_kubernetes_runners():
    assert [TaskOptions(runner=each).in_pod for each in RUNNERS] == [False, True]
