import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest

from dag_factory.secrets.masking import hidden_forms, make_mask

KEY = "-----BEGIN KEY-----\nMIIEvQ+/\n-----END KEY-----\n"


def test_a_value_is_masked_wherever_it_stands():
    mask = make_mask(["hunter2", "correct horse"])
    assert mask("hunter2: not hunter22, but correct horse") == "***: not ***2, but ***"
    assert mask("nothing of it") == "nothing of it"


def test_the_longest_value_goes_first():
    assert make_mask(["hunter", "hunter22"])("hunter22 hunter2") == "*** ***2"


def test_a_value_of_fewer_than_five_characters_stays():
    assert make_mask(["true", "1234", ""])("true 1234") == "true 1234"


def test_what_looks_like_a_pattern_is_none():
    assert make_mask(["a.b*c", "[x]+$"])("a.b*c axbc [x]+$") == "*** axbc ***"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        "the line MIIEvQ+/ of it",
        json.dumps({"key": KEY}),
        f"postgres://u:{quote_plus('p@ss/word &')}@host",
        "postgres://u:p%40ss%2Fword%20%26@host",
        json.dumps(["p@ss/word &"]),
    ],
)
def test_a_value_is_masked_by_lines_in_an_address_and_as_json(text):
    masked = make_mask([KEY, "p@ss/word &"])(text)
    assert "***" in masked
    assert not any(each in masked for each in ("MIIEvQ", "word"))


@pytest.mark.parametrize(
    "form",
    [
        quote,
        quote_plus,
        repr,
        json.dumps,
        lambda text: str({"key": text}),
        lambda text: json.dumps({"key": text}, ensure_ascii=False),
    ],
)
def test_a_value_that_python_has_to_quote_is_masked_however_it_is_written(form):
    value = """a/"b" & 'c' $d\\é and the rest"""
    masked = make_mask([value])(form(value))
    assert "***" in masked
    assert "rest" not in masked


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("value", ["hunter2", "ÿ?>~é+/", KEY, '{"key": "deep\\"er"}'])
def test_a_value_is_masked_in_base64_whatever_stands_around_it(value, encode):
    mask = make_mask([value])
    parts = json.loads(value).values() if value.startswith("{") else [value]
    for part in parts:
        for before in ("", "u", "us", "user:"):
            for after in ("", "?", "??"):
                text = encode(f"{before}{part}{after}".encode()).decode()
                left = mask(text)
                assert left.count("***") == 1
                # What is left tells no byte of the value.
                assert len(left) <= len(encode((before + after).encode())) + len("***") + 4


def test_a_short_value_stays_in_base64_though_that_is_longer():
    assert make_mask(["four"])("Zm91cg==") == "Zm91cg=="


@pytest.mark.parametrize("value", ["hunter\udc80", '{"key": "hunter\\ud800"}'])
def test_what_is_no_unicode_is_masked_as_it_is(value):
    said = next(iter(json.loads(value).values())) if value.startswith("{") else value
    assert make_mask([value])(f"it is {said}") == "it is ***"


def test_what_is_json_is_masked_by_its_parts_but_not_by_its_flags():
    value = json.dumps({"key": "hunter2", "pins": [12345, {"a": "deeper"}], "on": False})
    text = "hunter2 12345 deeper False false"
    assert make_mask([value])(text) == "*** *** *** False false"
    assert value in hidden_forms([value])


def test_without_values_nothing_is_masked():
    assert make_mask([])("***text") == "***text"
