from dataclasses import replace

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
from airflow.sdk.definitions._internal.node import validate_key

from dag_factory.planning.plan import legal_id
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
