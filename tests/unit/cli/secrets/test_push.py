import json

import pytest

from dag_factory.cli.secrets.needs import SecretReport, State
from dag_factory.cli.secrets.push import plan_change
from dag_factory.errors import UsageError
from tests.support.secret_project import CONTENT


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ("{}", {"token": "new"}),
        ('{"token": "old"}', {"token": "new"}),
        ('{"key": "old", "x": 1}', {"key": "new", "x": 1}),
        ('{"TOKEN": "old"}', {"TOKEN": "new"}),
    ],
)
def test_a_setting_keeps_the_key_that_it_has(needs, old, expected):
    report = SecretReport(needs.tap_a, State.LACKS)
    assert json.loads(plan_change(report, old, {"token": "new"}).text) == expected


def test_a_change_tells_names_and_shows_no_value(needs):
    report = SecretReport(needs.tap_a, State.LACKS)
    old = json.dumps({"token": "old", "url": "u"})
    change = plan_change(report, old, {"token": CONTENT, "auth.user": CONTENT, "url": "u"})
    assert (change.added, change.changed) == (("auth.user",), ("token",))
    assert CONTENT not in repr(change)


@pytest.mark.parametrize(
    ("values", "old", "reason"),
    [
        (
            {"a b": CONTENT},
            None,
            "has a key that cannot name an environment variable (letters, digits, _)",
        ),
        ({"A": f"{CONTENT}\0"}, None, "has a character in 'A' that no variable can hold"),
        ({"A": CONTENT}, '{"B": null}', "has null for 'B'"),
    ],
)
def test_what_no_task_could_use_is_not_written(needs, values, old, reason):
    report = SecretReport(needs.proxy, State.EXISTS)
    with pytest.raises(UsageError) as caught:
        plan_change(report, old, values)
    assert str(caught.value) == (
        f"no task could use the secret 'acme/dev/meltano/proxy': it {reason}"
    )
    assert caught.value.__cause__ is None
