"""Tasks as pods of a real cluster, from a running Airflow, into a real PostgreSQL."""

import pytest
from ruamel.yaml import YAML

from tests.support.pods import NO_IMAGE
from tests.support.running import asset_events, wait_until


def test_a_job_runs_as_a_pod_which_is_gone_when_it_has_succeeded(pods):
    run = pods.start("quick")
    assert run.end() == "success"
    assert pods.rows("quick") == (1000, 1000)
    wait_until(lambda: not pods.of("quick"), 30, "the end of the pod")
    assert "tap-quick: Beginning sync of 'numbers'" in run.log()
    assert "[base]" not in run.log()


def test_the_rows_are_in_the_events_of_its_assets(pods):
    run = pods.start("quick", full_refresh=True)
    assert run.end() == "success"
    told = [event["extra"] for event in asset_events(pods.api, run.path)]
    assert told
    assert all(extra == {"rows": {"numbers": 1000}} for extra in told)


def test_a_deferred_task_ends_as_any_other(pods):
    run = pods.start("deferred", full_refresh=True)
    assert run.end() == "success"
    wait_until(lambda: not pods.of("deferred"), 30, "the end of the pod")
    log = run.log()
    assert "Pausing task as DEFERRED" in log
    assert "tap-quick: " in log


def test_its_pod_may_do_nothing_that_it_need_not(pods):
    run = pods.start("stopped")
    [pod] = wait_until(lambda: pods.of("stopped"), 60, "the pod")
    [container] = pod["spec"]["containers"]
    security = container["securityContext"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pods.postgres.password not in str(pod)
    run.wait_for_rows("stopped")

    run.mark("failed")
    wait_until(lambda: not pods.of("stopped"), 60, "the end of the pod")
    assert run.end() == "failed"
    wait_until(lambda: "Meltano was stopped" in run.log(), 30, "its log")
    assert 0 < pods.bookmark("tap-stopped") <= pods.rows("stopped")[0]


def test_an_image_that_is_not_to_be_had_is_named(pods):
    run = pods.start("absent")
    assert run.end() == "failed"
    assert NO_IMAGE.search(run.log())
    wait_until(lambda: not pods.of("absent"), 180, "the end of the pod")


def test_a_pod_that_no_node_takes_says_so(pods):
    run = pods.start("unschedulable")
    assert run.end() == "failed"
    assert "Unschedulable: no node can run the pod" in run.log()
    wait_until(lambda: not pods.of("unschedulable"), 60, "the end of the pod")


def test_a_pod_that_kubernetes_does_not_take_says_so(pods):
    run = pods.start("nowhere")
    assert run.end() == "failed"
    assert "Kubernetes rejected the pod: " in run.log()
    assert "check the role of the connection" in run.log()


def test_a_pod_that_is_wrong_is_not_tried_again(pods):
    run = pods.start("wrong")
    assert run.end() == "failed"
    assert run.task["try_number"] == 1
    assert "spec.dnsPolicy: Unsupported value" in run.log()
    assert "correct `resources` or `pod_override`" in run.log()


@pytest.mark.parametrize(
    ("job", "said"),
    [("misused", "Meltano was not started"), ("mute", "Expected rows cannot be checked")],
)
def test_a_pod_without_a_summary_is_not_tried_again_where_that_would_not_help(pods, job, said):
    run = pods.start(job)
    assert run.end() == "failed"
    assert run.task["try_number"] == 1
    assert (
        f"{said}: the pod wrote no summary; the entrypoint of its image must be meltano-task"
        in run.log()
    )


def test_an_image_of_another_version_of_the_project_is_not_run(pods):
    file = pods.airflow.checkout / "pods/meltano.yml"
    before = file.read_text()
    yaml = YAML()
    data = yaml.load(before)
    [tap] = [each for each in data["plugins"]["extractors"] if each["name"] == "tap-changed"]
    tap["config"] = {"rows": 1}
    with file.open("w") as stream:
        yaml.dump(data, stream)
    try:
        run = pods.start("changed")
        assert run.end() == "failed"
    finally:
        file.write_text(before)
    assert run.task["try_number"] == 1
    assert "the image and the DAG have different versions" in run.log()
    assert pods.rows("changed") == (0, 0)
