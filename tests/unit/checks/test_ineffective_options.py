"""What is said of jobs whose bookmarks end with their pods, or whose rows can double."""

import pytest

from dag_factory.errors import Code, Severity
from dag_factory.settings import Settings
from tests.support.plans import plans_and_problems
from tests.support.small_project import PLUGINS

JOB = "jobs: [{name: j, tasks: [tap-a target-x]}]\n"
IN_PODS = f"annotations: {{airflow: {{runner: kubernetes, image: 'meltano:1'}}}}\n{JOB}"
APPEND = "config: {load_method: append-only}"
UPSERT = "config: {load_method: upsert}"
NO_KEY = "metadata: {visits: {table-key-properties: []}}"
KEY = "metadata: {visits: {table-key-properties: [id]}}"


def said(write_project, text=JOB, environment="dev", *, plugins=PLUGINS, prefix="acme", **changes):
    """Return the codes and lines of what is said; `changes` add to the entry of a plugin."""
    for name, change in changes.items():
        plugins = plugins.replace(f"namespace: {name}}}", f"namespace: {name}, {change}}}")
    root = write_project(text, plugins=plugins)
    plans, problems = plans_and_problems(Settings(root, environment, secrets_prefix=prefix))
    assert len(plans) == 1
    assert {each.severity for each in problems} <= {Severity.WARNING}
    return [each.code for each in problems]


def with_environment(text):
    return PLUGINS.replace("{name: prod}", f"{{name: prod, {text}}}")


def of_environment(kind, name, change):
    return with_environment(f"config: {{plugins: {{{kind}: [{{name: {name}, {change}}}]}}}}")


def test_pods_that_share_nothing_lose_their_bookmarks(write_project):
    assert said(write_project, IN_PODS) == [Code.NO_SHARED_DATABASE]


def test_a_process_of_the_worker_has_the_workers_database(write_project):
    assert said(write_project) == []


@pytest.mark.parametrize(
    "setting",
    [
        "database_uri: $DATABASE",
        "database_uri: postgresql://db.example.com/meltano",
        "state_backend: {uri: 's3://bucket/state'}",
        "state_backend.uri: s3://bucket/state",
        "env: {MELTANO_DATABASE_URI: $DATABASE}",
        "env: {MELTANO_STATE_BACKEND_URI: 's3://bucket/state'}",
    ],
)
def test_what_the_project_says_of_its_database_or_state_is_enough(write_project, setting):
    assert said(write_project, f"{IN_PODS}{setting}\n") == []


@pytest.mark.parametrize(
    "setting",
    [
        "database_uri: sqlite:///.meltano/meltano.db",
        "state_backend: {uri: systemdb}",
        "state_backend: {uri: 'file:///states'}",
        "state_backend: {lock_timeout_seconds: 10}",
        "state_backend:",
        "env: {OTHER: x}",
        "env: {MELTANO_DATABASE_URI: 'sqlite:///x.db'}",
    ],
)
def test_a_file_of_the_pod_and_the_default_are_not(write_project, setting):
    assert said(write_project, f"{IN_PODS}{setting}\n") == [Code.NO_SHARED_DATABASE]


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [("database", []), ("tap-a", [Code.NO_SHARED_DATABASE]), ("", [Code.NO_SHARED_DATABASE])],
)
def test_a_secret_of_variables_may_hold_the_database(write_project, secrets, expected):
    option = f"runner: kubernetes, secrets: [{secrets}]"
    assert said(write_project, IN_PODS.replace("runner: kubernetes", option)) == expected


@pytest.mark.parametrize("secrets", ["[shared]", "{mode: k8s}", "{mode: k8s, names: [shared]}"])
def test_secrets_of_pods_need_a_prefix(write_project, secrets):
    option = f"runner: kubernetes, secrets: {secrets}"
    text = f"database_uri: $DATABASE\n{IN_PODS.replace('runner: kubernetes', option)}"
    assert said(write_project, text, prefix=None) == [Code.NO_SECRETS_PREFIX]
    assert said(write_project, text) == []
    assert (
        said(write_project, text.replace("runner: kubernetes", "runner: local"), prefix=None) == []
    )


@pytest.mark.parametrize("secrets", ["[]", "{mode: aws}"])
def test_who_asks_for_no_secret_needs_no_prefix(write_project, secrets):
    option = f"runner: kubernetes, secrets: {secrets}"
    text = f"database_uri: $DATABASE\n{IN_PODS.replace('runner: kubernetes', option)}"
    assert said(write_project, text, prefix=None) == []


def test_the_env_of_the_environment_counts_there_alone(write_project):
    plugins = with_environment("env: {MELTANO_DATABASE_URI: $DATABASE}")
    assert said(write_project, IN_PODS, "prod", plugins=plugins) == []
    assert said(write_project, IN_PODS, "dev", plugins=plugins) == [Code.NO_SHARED_DATABASE]


@pytest.mark.parametrize(
    "container",
    [
        "envFrom: [{secretRef: {name: meltano}}]",
        "env: [{name: MELTANO_DATABASE_URI, valueFrom: {secretKeyRef: {name: m, key: k}}}]",
        "env: [{name: A, value: b}, {name: MELTANO_STATE_BACKEND_URI, value: 's3://b/s'}]",
    ],
)
def test_what_the_pod_gets_is_enough(write_project, container):
    override = f"pod_override: {{spec: {{containers: [{{name: base, {container}}}]}}}}"
    assert said(write_project, IN_PODS.replace("image:", f"{override}, image:")) == []


@pytest.mark.parametrize(
    "override",
    ["{}", "{spec: {}}", "{metadata: {labels: {env: prod}}}",
     "{spec: {containers: [{name: base, env: [{name: A, value: b}]}]}}",
     "{spec: {containers: [{name: base, env: null}]}}",
     "{spec: {containers: [{name: base, env: [{name: MELTANO_DATABASE_URI, value: 'sqlite:////tmp/m.db'}]}]}}",
     "{spec: {initContainers: [{name: first, image: 'i:1', envFrom: [{secretRef: {name: m}}]}]}}"],
)  # fmt: skip
def test_what_else_the_pod_gets_is_not(write_project, override):
    text = IN_PODS.replace("image:", f"pod_override: {override}, image:")
    assert said(write_project, text) == [Code.NO_SHARED_DATABASE]


PROXY = "{name: proxy, image: 'p:1'}"
SIDECAR = "{name: proxy, image: 'p:1', restartPolicy: Always}"


def with_containers(containers, text=IN_PODS):
    override = f"pod_override: {{spec: {containers}}}"
    return text.replace("image: 'm", f"{override}, image: 'm") + "database_uri: $DATABASE\n"


@pytest.mark.parametrize("containers", [f"[{PROXY}]", f"[{{name: base, env: []}}, {PROXY}]"])
def test_a_container_that_may_not_end_is_told(write_project, containers):
    text = with_containers(f"{{containers: {containers}}}")
    assert said(write_project, text) == [Code.LASTING_CONTAINER]


@pytest.mark.parametrize(
    "containers",
    [f"{{initContainers: [{SIDECAR}]}}", f"{{initContainers: [{PROXY}]}}",
     "{containers: [{name: base, env: []}]}", "{containers: []}"],
)  # fmt: skip
def test_containers_that_kubernetes_ends_and_meltanos_own_are_right(write_project, containers):
    assert said(write_project, with_containers(containers)) == []


def test_without_a_pod_no_container_matters(write_project):
    text = IN_PODS.replace("runner: kubernetes", "runner: local")
    assert said(write_project, with_containers(f"{{containers: [{PROXY}]}}", text)) == []


def test_a_container_is_told_once_where_it_has_its_name_last(write_project):
    text = with_containers(f"{{containers: [{PROXY}]}}")
    again = f"pod_override: {{spec: {{containers: [{PROXY}]}}}}"
    jobs = ["j", "k", f"l, annotations: {{airflow: {{{again}}}}}"]
    entries = "".join(f"- {{tasks: [dbt:run], name: {each}}}\n" for each in jobs)
    root = write_project(text.replace(JOB, f"jobs:\n{entries}"))
    found = plans_and_problems(Settings(root))[1]
    assert [(each.code, each.location.line) for each in found] == [
        (Code.LASTING_CONTAINER, 1),
        (Code.LASTING_CONTAINER, 5),
    ]


def test_a_stream_without_keys_and_a_loader_that_appends_are_told(write_project):
    assert said(write_project, a=NO_KEY, x=APPEND) == [Code.NO_KEYS, Code.NO_KEYS]


def test_it_is_told_once_for_all_jobs(write_project):
    root = write_project(
        "jobs: [{name: j, tasks: [tap-a target-x]}, {name: k, tasks: [tap-b target-x]}]\n",
        plugins=PLUGINS.replace("namespace: x}", f"namespace: x, {APPEND}}}"),
    )
    [problem] = plans_and_problems(Settings(root))[1]
    assert (problem.code, problem.location.line) == (Code.NO_KEYS, 5)


@pytest.mark.parametrize(
    "changes",
    [
        {"a": KEY, "x": UPSERT},
        {"a": APPEND, "x": NO_KEY},
        {"b": NO_KEY},
        {"a": "metadata: {visits: {replication-key: at}}, config: {}"},
        {"a": "metadata: {visits: null}, config: null"},
    ],
)
def test_keys_and_what_the_task_does_not_run_are_right(write_project, changes):
    assert said(write_project, **changes) == []


def test_a_task_that_is_not_tried_again_loads_nothing_twice(write_project):
    text = f"annotations: {{airflow: {{retries: 0}}}}\n{JOB}"
    assert said(write_project, text, a=NO_KEY, x=APPEND) == []


@pytest.mark.parametrize(
    ("kind", "name", "bad", "good"),
    [("loaders", "target-x", APPEND, UPSERT), ("extractors", "tap-a", NO_KEY, KEY)],
)
def test_the_environment_goes_before_the_plugin(write_project, kind, name, bad, good):
    letter = name[-1]
    mended = of_environment(kind, name, good)
    assert said(write_project, environment="prod", plugins=mended, **{letter: bad}) == []
    spoilt = of_environment(kind, name, bad)
    found = said(write_project, environment="prod", plugins=spoilt, **{letter: good})
    assert found == [Code.NO_KEYS]


def test_a_plugin_goes_before_what_it_inherits_from(write_project):
    child = f"namespace: x, {APPEND}}}, {{name: target-y, inherit_from: target-x"
    text = JOB.replace("target-x", "target-y")
    plugins = PLUGINS.replace("namespace: x", child)
    assert said(write_project, text, plugins=plugins) == [Code.NO_KEYS]
    plugins = PLUGINS.replace("namespace: x", f"{child}, {UPSERT}")
    assert said(write_project, text, plugins=plugins) == []


DEFAULT = "settings: [{name: batch}, {name: load_method, value: append-only}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT, [Code.NO_KEYS]),
        (f"{DEFAULT}, {UPSERT}", []),
        ("settings: [{name: load_method}]", []),
    ],
)
def test_the_default_of_a_setting_counts_where_nothing_is_configured(write_project, text, expected):
    assert said(write_project, x=text) == expected


def test_each_stream_counts_by_its_own_nearest_place(write_project):
    two = "metadata: {visits: {table-key-properties: []}, people: {table-key-properties: []}}"
    plugins = of_environment("extractors", "tap-a", KEY)
    root = write_project(JOB, plugins=plugins.replace("namespace: a}", f"namespace: a, {two}}}"))
    [problem] = plans_and_problems(Settings(root, "prod"))[1]
    assert "rows of 'people' have no key" in problem.message
