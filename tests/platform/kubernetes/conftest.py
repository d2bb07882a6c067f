"""The test project's DAGs in the one Airflow of the run, their pods in a namespace of their own."""

import shutil
from collections.abc import Iterator

import httpx
import pytest
from ruamel.yaml import YAML

from tests.support.cluster import Cluster
from tests.support.pods import PREFIX, Pods
from tests.support.postgres import Postgres, binaries, running_postgres
from tests.support.running import CHECKOUT, RunningAirflow, wait_until

PROJECT = "tests/platform/kubernetes/project"
LOADER = """
from pathlib import Path
from dag_factory import build_airflow_dags  # airflow reads files that say airflow and dag
project = Path(__file__).parents[1] / "pods"
globals().update(build_airflow_dags(project, dag_id_prefix="{prefix}"))
"""


@pytest.fixture(scope="session")
def postgres(cluster: Cluster) -> Iterator[Postgres]:
    """A server where the pods reach it: their warehouse, and Meltano's system database."""
    if binaries() is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    with running_postgres(cluster.host) as server:
        yield server


@pytest.fixture(scope="session")
def pods(
    airflow: RunningAirflow,
    api: httpx.Client,
    cluster: Cluster,
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pods]:
    """The jobs of the test project as DAGs, whose Airflow may do no more than the least Role."""
    image = cluster.image("meltano", PROJECT, "TEST_PODS_IMAGE")
    with cluster.new_namespace() as namespace:
        running = Pods(airflow, api, cluster, postgres, namespace)
        secret = {
            "MELTANO_DATABASE_URI": postgres.url("postgresql+psycopg"),
            "TARGET_POSTGRES_SQLALCHEMY_URL": postgres.url("postgresql+psycopg2"),
        }
        values = [f"--from-literal={name}={value}" for name, value in secret.items()]
        running.kubectl("create", "secret", "generic", "meltano", *values)
        project = airflow.checkout / "pods"
        shutil.copytree(CHECKOUT / PROJECT, project)
        yaml = YAML()
        data = yaml.load(project / "meltano.yml")
        file = cluster.launcher(namespace, tmp_path_factory.mktemp("launcher") / "kubeconfig")
        launching = {"config_file": str(file), "namespace": namespace}
        data["annotations"]["airflow"] |= {"image": image, "operator": launching}
        yaml.dump(data, project / "meltano.yml")
        loader = airflow.checkout / "dags/pods.py"
        loader.write_text(LOADER.format(prefix=PREFIX))
        wait_until(lambda: api.get(f"dags/{PREFIX}quick").is_success, 120, "the DAGs of pods")
        yield running
        loader.unlink()
