from dataclasses import replace

import pytest

from dag_factory.cli.graph import as_mermaid, as_picture
from dag_factory.options.values import After
from tests.support.plans import PLAN, schedules

ODD = replace(PLAN, job='a "job" <b> #1 \\N', schedules=schedules("0 1 * * *"))


def test_a_flowchart_has_each_dag_with_its_tasks_and_edges():
    assert as_mermaid([PLAN]) == (
        "flowchart LR\n"
        '  subgraph d0["load (by hand)"]\n'
        '    d0t0["tap-a target-x"]\n'
        '    d0t1["dbt:run"]\n'
        "    d0t0 --> d0t1\n"
        "  end"
    )


LATER = replace(PLAN, dag_id="later", job="later", after=After(("load", "elsewhere")))


def test_jobs_that_run_after_others_hang_on_their_last_tasks():
    assert as_mermaid([LATER, PLAN]).endswith("  end\n  d1t1 -.-> d0t0")
    assert "<title>d1t1&#45;&gt;d0t0</title>" in as_picture([LATER, PLAN], "svg").decode()


def test_odd_names_cannot_break_a_flowchart():
    assert 'd0["a #quot;job#quot; #lt;b#gt; #35;1 \\N (0 1 * * *)"]' in as_mermaid([ODD])


def test_a_picture_shows_the_same():
    svg = as_picture([PLAN, ODD], "svg").decode()
    assert svg.count("<title>d0t0&#45;&gt;d0t1</title>") == 1
    assert svg.count(">tap&#45;a target&#45;x</text>") == 2
    assert "a &quot;job&quot; &lt;b&gt; #1 \\N (0 1 * * *)" in svg


@pytest.mark.parametrize("plans", [[], [PLAN]])
def test_a_picture_may_be_a_png(plans):
    assert as_picture(plans, "png").startswith(b"\x89PNG")
