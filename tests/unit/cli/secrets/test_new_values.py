import sys

import pytest

from dag_factory.cli.secrets.new_values import Values, choose_values, read_values
from dag_factory.errors import UsageError
from tests.support.secret_project import CONTENT


@pytest.fixture
def read(tmp_path):
    def from_file(name, text):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return dict(read_values(file).by_name)

    return from_file


def refused(call, *arguments, **options):
    with pytest.raises(UsageError) as caught:
        call(*arguments, **options)
    assert CONTENT not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_file_of_json_keeps_its_kinds(read):
    assert read("a.json", '{"a": 1, "b": [true], "c": "0123"}') == {
        "a": 1,
        "b": [True],
        "c": "0123",
    }


def test_a_number_in_yaml_is_the_text_that_stands_there(read):
    text = "a: 0123\nb: 1e5\nc: [1, true]\nd: {e: 1}\nf: 2026-01-01\ng:\nh: ~\ni: yes\nj: true\n"
    assert read("a.yml", text) == {
        "a": "0123",
        "b": "1e5",
        "c": [1, True],
        "d": {"e": 1},
        "f": "2026-01-01",
        "g": None,
        "h": None,
        "i": "yes",
        "j": "true",
    }


@pytest.mark.parametrize("name", [".env", "dev.env", "63"])
def test_any_other_file_is_read_as_meltanos_env_file(read, name):
    assert read(name, f"# c\nexport A='{CONTENT}'\nB=a$b#c\n") == {"A": CONTENT, "B": "a$b#c"}


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("a.json", f'{{\n"a": "{CONTENT}', "a.json:2 is not valid JSON: correct it"),
        ("a.json", "[" * 100_000, "a.json:1 is not valid JSON: correct it"),
        (
            "a.json",
            f'["{CONTENT}"]',
            'a.json must be a mapping of names to values: write `{"NAME": "value"}`',
        ),
        ("a.yml", f"a: b\nc: *{CONTENT}\n", "a.yml:2 is not YAML as Meltano reads it: quote"),
        ("a.yaml", f"a: {{{CONTENT}\n", "is not YAML as Meltano reads it: quote"),
        ("a.yaml", CONTENT, "a.yaml must be a mapping of names to values: write `NAME: value`"),
        (".env", b"\xff", ".env is not UTF-8: save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_without_what_it_holds(read, name, text, hint):
    assert hint in refused(read, name, text)


def test_without_python_dotenv_it_is_told_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "dotenv", None)
    assert "pip install 'meltano-dag-factory[secrets]'" in refused(read, ".env", "A=b")


def test_each_secret_takes_its_variables_and_the_rest_is_left(needs):
    values = {"TAP_B_TOKEN": "b", "TAP_A_KEY": "a", "A_URL": "u", "TARGET_X_PASSWORD": "", "C": "c"}
    chosen, left = choose_values(
        [needs.tap_a, needs.tap_b, needs.target_x],
        Values(values, may_be_others=True),
        by_setting=False,
    )
    assert chosen == {
        needs.tap_a.name: {"token": "a", "url": "u"},
        needs.tap_b.name: {"token": "b"},
        needs.target_x.name: {},
    }
    assert left == ("C",)


@pytest.mark.parametrize("name", ["token", "key", "TAP_A_TOKEN", "A_TOKEN", "TAP_A_KEY"])
def test_of_one_secret_a_setting_may_have_any_of_its_names(needs, name):
    values = Values({name: CONTENT}, may_be_others=False)
    chosen, left = choose_values([needs.tap_a], values, by_setting=True)
    assert (chosen, left) == ({needs.tap_a.name: {"token": CONTENT}}, ())


def test_an_unknown_setting_is_a_mistake_and_the_near_one_is_named(needs):
    values = Values({"tokn": CONTENT}, may_be_others=False)
    said = refused(choose_values, [needs.tap_a], values, by_setting=True)
    assert said == "'tokn' is not a setting of 'tap-a'; did you mean 'token'?"


def test_a_secret_of_variables_takes_all(needs):
    values = Values({"ANY": CONTENT}, may_be_others=True)
    chosen, _ = choose_values([needs.proxy], values, by_setting=True)
    assert chosen == {needs.proxy.name: {"ANY": CONTENT}}


def test_values_are_not_shown():
    assert CONTENT not in repr(Values({"A": CONTENT}, may_be_others=True))
