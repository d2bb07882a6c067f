"""The operator of pods, as far as no cluster is needed."""

import os
import subprocess
import sys

import pytest

DEFERRABLE = """
import sys
from dag_factory.runners.kubernetes.operator import MeltanoPodOperator
from dag_factory.runners.prepare import PreparedRun
template = {"spec": {"containers": [{"name": "base", "image": "meltano:1"}]}}
options = {"true": True, "false": False, "unset": None}
task = MeltanoPodOperator(
    task_id="a", prepare=None, template=lambda: template, pod_name="a",
    pod_operator_arguments={}, deferrable=options[sys.argv[1]])
print(task._make_pod(PreparedRun(("meltano", "run"), {})).deferrable)
"""


@pytest.mark.parametrize(
    ("default", "option", "deferrable"),
    [("True", "unset", True), ("False", "unset", False), ("True", "false", False)],
)
def test_a_task_defers_as_airflow_does_unless_it_says_otherwise(default, option, deferrable):
    # Airflow reads its default once, when the provider is imported.
    environ = os.environ | {"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": default}
    argv = [sys.executable, "-c", DEFERRABLE, option]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == [str(deferrable)], done.stderr
