import pytest

from dag_factory.errors import InvalidValueError
from dag_factory.options.pod_values import (
    image,
    image_version,
    is_pinned,
    labels,
    object_name,
    pod_override,
    resources,
    tolerations,
)

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("meltano:1.4.2", "1.4.2"),
        ("meltano:20261101", "20261101"),
        ("registry.example.com/data/meltano:v1_rc-2", "v1_rc-2"),
        ("localhost:5000/meltano:7", "7"),
        ("127.0.0.1:5000/a/b/c:x", "x"),
        (f"meltano@{DIGEST}", "0123456789ab"),
        (f"registry.example.com:443/meltano:latest@{DIGEST}", "latest"),
    ],
)
def test_an_image_with_a_version_is_pinned(name, version):
    assert image(name) == name
    assert is_pinned(name)
    assert image_version(name) == version


@pytest.mark.parametrize(
    "name", ["meltano", "meltano:latest", "localhost:5000/meltano", "a.example.com/b/c:latest"]
)
def test_an_image_without_one_or_with_one_that_moves_is_not(name):
    assert image(name) == name
    assert not is_pinned(name)


@pytest.mark.parametrize(
    "value",
    ["", None, 5, "Meltano:1", "meltano: 1", "meltano:", "meltano:1:2", "https://example.com/m:1",
     "-meltano:1", f"meltano:{'x' * 129}", "meltano@sha256:12", "meltano:1 ", "méltano:1"],
)  # fmt: skip
def test_what_is_no_image_is_refused(value):
    with pytest.raises(InvalidValueError, match="must be "):
        image(value)


def test_resources_are_quantities():
    found = resources({"requests": {"cpu": 1, "memory": "1.5Gi"}, "limits": {"cpu": 1.5}})
    assert found == {"requests": {"cpu": "1", "memory": "1.5Gi"}, "limits": {"cpu": "1.5"}}


@pytest.mark.parametrize(
    "quantity",
    ["100m", "1", "1.5", ".5", "2.", "1e3", "1E3", "2e-1", "100Ki", "64Mi", "1Gi", "1Ti", "1Pi",
     "1Ei", "5k", "5M", "5G", "5T", "5P", "5E"],
)  # fmt: skip
def test_quantities_are_those_of_kubernetes(quantity):
    found = resources({"limits": {"nvidia.com/gpu": quantity}})
    assert found == {"limits": {"nvidia.com/gpu": quantity}}


@pytest.mark.parametrize(
    "quantity",
    ["", "1e100", "1 Gi", "1gi", "1ki", "1GB", "1mi", "-1", "one", True, None, ["1"], "1Gi\n"],
)
def test_what_is_no_quantity_is_refused(quantity):
    with pytest.raises(InvalidValueError, match="which must be a quantity such as 500m or 1Gi"):
        resources({"requests": {"memory": quantity}})


def test_memory_in_parts_of_a_byte_is_a_mistake():
    with pytest.raises(InvalidValueError, match="`limits: memory: 512m`, a fraction of a byte"):
        resources({"limits": {"cpu": "512m", "memory": "512m"}})


@pytest.mark.parametrize(
    ("request_", "limit"),
    [("2Gi", "1Gi"), ("1Gi", "1G"), ("1001m", "1"), ("1k", "999"), ("1.5", "1"), ("2e3", "1k"),
     ("1Mi", "1000Ki"), ("1", "999m"), ("1u", "1n"), (2, 1), ("1Ei", "1E"), ("1P", "1T")],
)  # fmt: skip
def test_what_is_requested_is_not_above_its_limit(request_, limit):
    quantities = {"requests": {"x": request_}, "limits": {"x": limit}}
    wrong = f"has `requests: x: {request_}`, which is above the limit {limit}"
    assert rejected(resources, quantities) == f"{wrong}; request less, or raise the limit"
    assert resources({"requests": {"x": limit}, "limits": {"x": request_}})


def test_what_is_requested_may_be_its_limit_however_it_is_written():
    for one, other in [("1Gi", "1024Mi"), ("1", "1000m"), ("1e3", "1k"), ("0.5", ".5"), (1, "1.")]:
        assert resources({"requests": {"cpu": one}, "limits": {"cpu": other}})
        assert resources({"requests": {"cpu": other}, "limits": {"cpu": one}})


@pytest.mark.parametrize("value", [None, {}, [], "1Gi", {"request": {"cpu": "1"}}])
def test_what_are_no_resources_is_refused(value):
    with pytest.raises(InvalidValueError, match=r"must be \{requests: "):
        resources(value)
    with pytest.raises(InvalidValueError, match="has `requests`, which must be"):
        resources({"requests": ["1Gi"]})


@pytest.mark.parametrize("value", ["meltano", "tap.crm-2", "0"])
def test_names_of_kubernetes_are_small_letters(value):
    assert object_name(value) == value


@pytest.mark.parametrize("value", ["Meltano", "tap_crm", "-a", "a.", "", None, "a" * 254])
def test_other_names_are_refused(value):
    with pytest.raises(InvalidValueError, match="must be "):
        object_name(value)


def rejected(read, value):
    """Return what is said of a value that cannot be read."""
    with pytest.raises(InvalidValueError) as error:
        read(value)
    return f"{error.value.reason}; {error.value.hint}"


def test_labels_are_texts_of_texts():
    value = {"disk": "ssd", "topology.kubernetes.io/zone": "eu-1", "empty": ""}
    assert labels(value) == value


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (
            {"spot": True},
            "the label spot, whose value must be a string; put quotes around the value",
        ),
        ({"gpus": 2}, "the label gpus, whose value must be a string"),
        ({"a b": "c"}, "'a b', which is not the name of a label"),
        ({"a/b/c": "d"}, "not the name of a label"),
        ({"-a": "b"}, "not the name of a label"),
        ({"a" * 64: "b"}, "not the name of a label"),
        (
            {"a": "b c"},
            "has the label a with the value 'b c'; the value of a label has up to 63 letters",
        ),
        ({"a": "b" * 64}, "the value of a label has up to 63 letters"),
        (["a"], "must be a mapping"),
    ],
)
def test_what_are_no_labels_is_refused(value, wrong):
    assert wrong in rejected(labels, value)


def test_tolerations_are_those_of_kubernetes():
    value = [
        {"operator": "Exists"},
        {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute"},
        {"key": "a", "effect": "NoSchedule", "tolerationSeconds": 60},
    ]
    assert tolerations(value) == tuple(value)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"key": "a"}, "must be a list"),
        (["a"], "must be a list"),
        ([{"kye": "a"}], "has 'kye' in a toleration; did you mean 'key'"),
        (
            [{"operator": "exists"}],
            "whose operator must be Exists or Equal, not 'exists'; did you mean 'Exists'",
        ),
        (
            [{"effect": "NoScheduel"}],
            "whose effect must be NoSchedule, PreferNoSchedule or NoExecute",
        ),
        ([{"key": "a", "value": True}], "a toleration whose value must be a string; quote it"),
        (
            [{"tolerationSeconds": "60"}],
            "a toleration whose tolerationSeconds must be a whole number",
        ),
    ],
)
def test_what_are_no_tolerations_is_refused(value, wrong):
    assert wrong in rejected(tolerations, value)


def test_a_container_that_kubernetes_ends_may_restart():
    proxy = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}
    value = {"spec": {"initContainers": [proxy]}}
    assert pod_override(value) == value


def test_a_part_of_a_pod_is_taken_as_it_is():
    container = {"name": "base", "command": ["/entrypoint"], "env": [{"name": "A", "value": "b"}]}
    value = {
        "metadata": {"labels": {"env": "prod"}},
        "spec": {"containers": [container, {"name": "proxy", "image": "proxy:1", "args": ["x"]}]},
    }
    assert pod_override(value) == value


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (None, "must be a mapping"),
        ({"apiVersion": "v1"}, "has 'apiVersion'; write it below `spec`"),
        ({"spec": None}, "has `spec`, which must be a mapping"),
        ({"spec": ["a"]}, "has `spec`, which must be a mapping"),
        ({"metadata": "a"}, "has `metadata`, which must be a mapping"),
        ({"metadata": {"name": "a"}}, "has a name; remove it; each attempt has a pod of its own"),
        ({"metadata": {"namespace": "a"}}, "has a namespace; write `operator: {namespace: "),
        (
            {"metadata": {"labels": {"team": "a", "meltano_job": "b"}}},
            "has the label meltano_job; remove it; a task finds its pods by it",
        ),
        ({"metadata": {"labels": None}}, "has `labels`, which must be a mapping; to remove labels"),
        ({"metadata": {"labels": 5}}, "has `labels`, which must be a mapping; to remove labels"),
        (
            {"metadata": {"labels": {"already_checked": "True"}}},
            "the label already_checked",
        ),
        ({"metadata": {"labels": {"airflow-worker": "1"}}}, "the label airflow-worker; remove it"),
        (
            {"spec": {"containers": [{"name": "base", "resources": {"limits": {"cpu": 1}}}]}},
            "has `resources` for 'base'; use the option `resources`, except for `claims`",
        ),
        ({"spec": {"containers": [{"name": "base", "resources": 5}]}}, "`resources` for 'base'"),
        ({"spec": {"containers": [{"name": "base", "resources": None}]}}, "`resources` for 'base'"),
        ({"spec": {"restartPolicy": "Always"}}, "has a `restartPolicy`; remove it; the option"),
        ({"spec": {"restartPolicy": None}}, "has a `restartPolicy`; remove it"),
        (
            {"spec": {"terminationGracePeriodSeconds": "60"}},
            "`terminationGracePeriodSeconds`, which must be a whole number of at least 0, not '60'",
        ),
        (
            {"spec": {"terminationGracePeriodSeconds": ""}},
            "which must be a whole number of at least 0",
        ),
        (
            {"spec": {"terminationGracePeriodSeconds": -1}},
            "which must be a whole number of at least 0",
        ),
        (
            {"spec": {"containers": None}},
            "sets `containers` to null, also the container 'base' of Meltano",
        ),
        ({"spec": {"containers": [{"env": []}]}}, "must be a list of items with a `name` each"),
        (
            {"spec": {"containers": [{"name": "base", "image": "meltano:latest"}]}},
            "has an image for 'base'; use the option `image`",
        ),
        (
            {"spec": {"containers": [{"name": "base", "args": ["x"]}]}},
            "has args for 'base'; remove them",
        ),
        ({"spec": {"volumes": [{"name": "a", "$patch": "delete"}]}}, "the directives of kubectl"),
    ],
)
def test_what_is_no_part_of_a_pod_is_refused(value, wrong):
    assert wrong in rejected(pod_override, value)
