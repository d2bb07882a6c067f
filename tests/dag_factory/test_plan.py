from dataclasses import replace

import pytest
from plans import PLAN

from dag_factory.plan import legal_id


def test_names_that_airflow_refuses_get_a_legal_and_unique_id():
    names = [
        "a",
        "a b",
        legal_id("a b"),
        "a/b",
        "données été/1",
        "x:y",
        "",
        "..",
        "a" * 300,
        "a" * 301,
    ]
    ids = [legal_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert ids[0] == "a"
    assert all(len(each) <= 250 and each.isascii() for each in ids)


def test_a_plan_is_frozen():
    assert replace(PLAN, dag_id="x").dag_id == "x"
    with pytest.raises(AttributeError):
        PLAN.dag_id = "x"
