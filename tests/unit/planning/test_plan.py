from dataclasses import replace

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
from airflow.sdk.definitions._internal.node import validate_key

from dag_factory.planning.plan import TaskKind, TaskPlan, command_blocks, legal_id
from tests.support.plans import PLAN

NAMES = [
    *(
        "a",
        "a b",
        legal_id("a b"),
        "a/b",
        "données été/1",
        "x:y",
        "",
        "..",
        "_",
        "-a-",
        "a_",
        "\ud800",
    ),
    *("a" * 63, "a" * 64, "a" * 300, "a" * 301),
]


def test_names_that_airflow_or_kubernetes_refuses_get_a_legal_and_unique_id():
    ids = [legal_id(name) for name in NAMES]
    assert len(set(ids)) == len(NAMES)
    assert (ids[0], legal_id("a" * 63)) == ("a", "a" * 63)
    for each in ids:
        validate_key(each)
        assert make_safe_label_value(each) == each


def test_a_plan_is_frozen():
    assert replace(PLAN, dag_id="x").dag_id == "x"
    with pytest.raises(AttributeError):
        PLAN.dag_id = "x"


@pytest.mark.parametrize(
    ("kind", "arguments", "command"),
    [
        (TaskKind.RUN, (), "meltano run --no-install tap-a target-x"),
        (TaskKind.ELT, ("--state-id=s",), "meltano elt --no-install tap-a target-x --state-id=s"),
    ],
)
def test_a_command_tells_its_kind_and_its_blocks(kind, arguments, command):
    task = TaskPlan("t", kind, ("tap-a", "target-x"), arguments)
    assert " ".join(task.argv) == command
    assert command_blocks(task.argv) == (kind, task.blocks)


def test_a_command_of_another_kind_has_its_words_as_blocks():
    assert command_blocks(("sh", "-c", "true")) == (TaskKind.RUN, ("true",))
    assert command_blocks(("sh",)) == (TaskKind.RUN, ())
