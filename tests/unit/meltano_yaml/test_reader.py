"""The reader of one file against ruamel.yaml, which reads for Meltano, and against nonsense."""

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML, ScalarNode

from dag_factory.errors import Code, Problems
from dag_factory.meltano_yaml import scalars
from dag_factory.meltano_yaml.reader import read_yaml_file
from tests.support.ruamel_values import plain

PLAIN = """
off yes no on n true TRUE tRUE false null Null ~ 012 0o14 0b11 0x1F 1_000 +1 -7 1:30 1__0 190:20:30
1e3 12e03 1. .5 -.5 +.inf .NaN 1.5e-3 _1 0_ 2026-11-22 2026-1-2 0.1.2 -0 +012 0x_F -0.0 1e400 ._5
1_e5 .5e3 .5e+3 = << - _ . -_ 0x 0b_ +.nan -017 0o8 2026-13-45 http://x:80/y x#y a:b ?x :x -x
\uff12026-01-01
"""
DOCUMENTS = [
    *(f"key: {scalar}\n" for scalar in PLAIN.split()),
    *(f"key: {value}\n" for value in (
        "2026-01-02 3:04:05", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05.1234567 -02:30",
        "2026-12-31 23:59:59.9999999", "9999-12-31 23:59:59.9999999", "2026-01-02 24:00:00",
        "2026-01-02 03:04:05 +24", "!!str 1", '!!int "3"', "!!int x", "!!int [1]", "!!int -+1",
        "!!int ''", "!!float 1", "!!float [1]", "!!float nan", "!!bool off", "!!bool x", "!!null x",
        "!!null [x]", "!!timestamp 2026-1-2", "!!timestamp x", "!!binary aGVsbG8=", "!!binary é",
        "!!binary a", "!!seq [x]", "!!seq {x: 1}", "!!seq x", "!!map {x: 1}", "!!map [x]", "!!map",
        "!!str [x]", "!vault x", "!vault", "!vault {a: 1}", "!vault [1, {x: 2}]", "! 1", "!",
        "!<tag:yaml.org,2002:int> '3'", "!!python/none", "!e!int 1", "[!x,y]", "[!x a, b]",
        "!x!y z", "!!set [x]", "!!set x", "!!omap [x]", "!!pairs {x: 1}",
        "|\n  x\n\n\n", "|-\n  x\n\n", "|+\n  x\n\n\n", ">\n  x\n  y\n\n  z\n   w\n", "|2\n   x\n",
        "|0\n  x\n", "|# c\n  x\n", "| # c\n  x\n", "|\n \n  x\n", "|-\n  \n x\n", "|\t\n  x\n",
        "x\ty", "x\t", "x \t# c", '"x\ty"\n', '"x"\t', "[1,\t2]", "[a\tb]", "[1]\t",
        "&x\t1", "x # \t", "\t1", "|\n  x\ty\n", "x\n\n  y", "'it''s'",
        r'"\x41\u00e9\U0001F600\N\_\L\P\e\/"', r'"\q"',
        "@x", "`x", "%x", "a: b", "- 1", "*x", "&x &y 1", "&x *x", "{a, b: 1}", "[a: 1, b]", "[a,]",
        "[,]", '{"a":1}', "{a:1}", "[a, b", "1 # c", "{{x}", "''", "[]", "{}", "",
        "&x 1\nb: *x\nc: &x 2\nd: *x", "&x {}\nb: {<<: *x, <<: {y: 1}}", "\x7f", "\x00", "\ufffe",
    )),
    "a: {<<: {x: 1}, <<: {y: 2}}\n",
    "b: {y: 1, <<: {x: 1, y: 3}, z: 2}\n",
    "b: {<<: [{x: 1, y: 3}, {x: 2, z: 4}], y: 1}\n",
    "a: &a {<<: {q: 1, r: 1}, r: 2}\nb: {<<: [*a, {q: 5, s: 1}]}\n",
    "b: {<<: []}\n", "b: {<<: [], <<: {x: 1}}\n", "b: {<<: 3}\n", "b: {<<: }\n", "b: {<<: [[]]}\n",
    "b: {'<<': 3}\n", "b: {!!merge x: {y: 1}}\n", "b: {! <<: {y: 1}}\n",
    "b: {&m <<: {y: 1}, c: *m}\n", "a: &a\n  <<: *a\n",
    "a: 1\na: 1\n", "1: a\n1.0: b\n", "true: a\n1: b\n", "null: a\n~: b\n", ".nan: a\n.nan: b\n",
    "2026-01-01: a\n2026-01-01: b\n", "? a\n", "? a\n? b\n", "{a, a}\n", "*x : 1\n",
    "&a a: 1\n*a : 2\n", "[&a a, {*a : 1}]\n", "[&a a, {*a: 1}]\n",
    "---\na: 1\n", "---\na: 1\n...\n", "a: 1\n---\nb: 1\n", "a: 1\n---\n", "a: 1\n...\n# c\n",
    "a: 1\n...\n...\n", "a: 1\n...\nb: 1\n", "a: 1\n...\n\t\n", "...\n", "---\n---\n", "--- a: 1\n",
    "%YAML 1.2\n---\na: yes\n", "%YAML 2.0\n---\na: 1\n", "%TAG !! tag:x:\n---\na: !!int 1\n",
    "\ufeffa: 1\n", "a: 1\r\nb: x\r\n", "a: 1\rb: 2\r", 'a: "x\ry"\r\n', "a: |\r\n  x\r\n  y\r\n",
    'a: "x\x85y\u2028z"\n', "a: x\x85b: 1\n", "a: 1 # c\x85b: 1\n", "a: |\n  x\u2028  y\n", "",
]  # fmt: skip
"""This package reads each the same as ruamel.yaml, and rejects each that ruamel.yaml rejects."""

STRICTER = {
    "a: &a [*a]\n": "the anchor a contains itself; remove the loop",
    "a: [!x, y]\n": "put a space after the tag",
    "a: &a.b 1\n": "name the anchor with letters, digits, - and _",
    "a: &é 1\n": "name the anchor with letters, digits, - and _",
    "a: &a:b 1\n": "put a space after the name",
    "? [a]\n: 1\n": "a key is a list or mapping",
    "a: {{ b }}\n": "quote {{ }}",
    "a: !!set {x}\n": "remove the tag",
    "a: !!omap [{x: 1}]\n": "remove the tag",
    "%YAML 1.1\n---\na: yes\n": "requires YAML 1.1; remove the line that begins with %YAML",
    "%FOO\n---\na: 1\n": "remove the line that begins with %",
    "a: # c\x85b: 1\n": r"has '\x85' where Meltano does not accept it",
    "a: 1\n\ufeffb: 2\n": "contains the control character U+FEFF; remove it",
    r'a: "\ud800"': "is not valid YAML",
    "a: [:x]\n": "quote values with special characters",
}


def loaded(file: Path):
    """Return what ruamel.yaml reads, and whether it reads the file at all."""
    with warnings.catch_warnings(), file.open() as stream:
        warnings.simplefilter("ignore")
        try:
            return YAML().load(stream), True
        except Exception:  # noqa: BLE001
            return None, False


def theirs(file: Path):
    value, readable = loaded(file)
    return plain(value), readable


def read_file(file: Path):
    problems = Problems()
    return read_yaml_file(file, problems), tuple(problems)


def read(file: Path, text: str):
    file.write_bytes(text.encode())
    return read_file(file)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("yaml12") / "a.yml"


@pytest.mark.parametrize("text", DOCUMENTS)
def test_a_document_is_what_it_is_to_meltano(file, text):
    value, problems = read(file, text)
    expected, readable = theirs(file)
    assert bool(problems) is not readable
    assert repr(value) == repr(expected)


@pytest.mark.parametrize("text", STRICTER)
def test_what_only_this_reader_refuses_is_a_problem_that_says_what_to_do(file, text):
    value, (problem,) = read(file, text)
    assert loaded(file)[1]
    assert value is None
    assert STRICTER[text] in problem.text(file.parent)


def test_twenty_thousand_odd_scalars_are_what_they_are_to_meltano():
    rnd = random.Random(12)  # noqa: S311
    reader = YAML()
    differences = []
    for _ in range(20_000):
        text = "".join(rnd.choices("0123456789_-+.:eExobafnTZ ", k=rnd.randint(1, 9))).strip()
        text = rnd.choice(["", "", "2026-", "2026-01-02 03:04:05", "0x", "0o", "."]) + text
        try:
            ours = scalars.value(yaml.ScalarEvent(None, None, (True, False), text))
        except ValueError:
            ours = ValueError
        try:
            tag = reader.resolver.resolve(ScalarNode, text, (True, False))
            expected = plain(reader.constructor.construct_object(ScalarNode(tag, text)))
        except Exception:  # noqa: BLE001
            expected = ValueError
        if repr(ours) != repr(expected):
            differences.append((text, ours, expected))
    assert not differences


WORDS = "a b 1 01 1.5 true off ~ 2026-01-02 '' 0x1F !t !!str !!int 1:30 x:y 1_0 it's 日本"
PHRASES = [
    "x y",
    "'x y'",
    '"é\\n"',
    "!!str 1",
    '!!int "7"',
    '"a\tb"',
    "- 1",
    "a: b",
    "x # c",
    "'it''s'",
]
SCALARS = st.sampled_from(WORDS.split() + PHRASES)
NAMES = st.sampled_from("abc")


@st.composite
def flow(draw, inner):
    kind = draw(st.sampled_from(["[]", "{}", "&", "*", "<<", "!"]))
    first, second = draw(inner), draw(inner)
    name, key = draw(NAMES), draw(NAMES)
    return {
        "[]": f"[{first}, {second}]",
        "{}": f"{{{key}: {first}, {name}: {second}}}",
        "&": f"&{name} {first}",
        "*": f"*{name}",
        "<<": f"{{<<: [*{name}, *{key}], {key}: {first}}}",
        "!": f"!t {first}",
    }[kind]


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


@st.composite
def block(draw, inner):
    kind = draw(st.sampled_from(["map", "list", "merge", "literal", "folded"]))
    first, second = _indented(draw(inner)), _indented(draw(inner))
    name, comment = draw(NAMES), draw(st.sampled_from(["", " # c", "  # é\n  # d"]))
    return {
        "map": f"\n  a: {first}{comment}\n  b: {second}",
        "list": f"\n  - {first}{comment}\n  - {second}",
        "merge": f"&{name}{comment}\n  a: {first}\n  c:\n    <<: *{draw(NAMES)}\n    b: {second}",
        "literal": f"|{draw(st.sampled_from(['', '-', '+']))}\n  x{comment}\n\n   y\n",
        "folded": f">\n  x\n  y\n\n   z{comment}\n",
    }[kind]


VALUES = st.recursive(SCALARS, flow, max_leaves=4)
NESTED = st.recursive(VALUES, block, max_leaves=4)
SIGNS = """a|b|a: |b: |- |[|]|{|}|, |,|&x |*x |&y |*y|!t |!!int |! |'|"|>-|>|#| # c|\t|1|~|<<: """
SIGNS += "|<<: *x|? |?|:|: |-|---|...|\r\n|1.5|true|é|\\n|@|=|key|{a: 1}|''|.5|0x|\n|\n  |\n    "
SIGNS += "|\n- |\n---\n|\n\n"
SOUP = st.lists(st.sampled_from([*SIGNS.split("|"), "|", "|+\n", "|-\n  "]), max_size=16).map(
    "".join
)
MAY_BE_STRICTER = ("the file is not valid YAML", "a key is a list", "contains itself", "the tag ")


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(NESTED, min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_documents_of_odd_values_are_what_they_are_to_meltano(file, values, line_end):
    text = "".join(f"k{number}: {value}\n" for number, value in enumerate(values))
    value, problems = read(file, text.replace("\n", line_end))
    expected, readable = theirs(file)
    if readable and problems:
        assert "contains itself" in problems[0].message or problems[0].message.startswith("the tag")
    else:
        assert (repr(value), not problems) == (repr(expected), readable)


@settings(deadline=None, derandomize=True, max_examples=1500)
@given(SOUP)
def test_no_mixture_of_signs_is_read_otherwise_than_by_meltano(file, soup):
    value, problems = read(file, "k: " + soup)
    expected, readable = theirs(file)
    if readable and problems:
        assert problems[0].message.startswith(MAY_BE_STRICTER)
    else:
        assert (repr(value), not problems) == (repr(expected), readable)


SAMPLE = """\
include_paths: ['./extract/*.yml']
default_environment: dev
plugins:
  extractors:
  - name: tap-a # é
    config: &config {start_date: 2026-01-01, ratio: 1.5e-3}
    select: ['*.*', "!x\\t"]
jobs:
- {name: j, tasks: [tap-a target-b, [x, y]]}
schedules:
- name: s
  interval: '@daily'
  env: {<<: *config, A: |-
    x}
""".encode()


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(file, content):
    file.write_bytes(content)
    value, problems = read_file(file)
    assert value is None or not problems


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE)), st.binary(max_size=3)), max_size=4))
def test_no_damage_to_a_project_breaks_the_reader(file, damage):
    content = bytearray(SAMPLE)
    for place, replacement in damage:
        content[place : place + len(replacement)] = replacement
    file.write_bytes(content)
    value, problems = read_file(file)
    assert value is None or not problems


NASTY = {
    "open lists": "[" * 200_000,
    "open mappings": "{a: " * 200_000,
    "dashes": "- " * 100_000,
    "question marks": "? " * 100_000,
    "a staircase": "\n".join(" " * step + "-" for step in range(2000)),
    "a billion laughs": "a0: &a0 [x, x]\n"
    + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
    "a billion merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k: *a{n - 1}}}\n" for n in range(1, 60)),
    "an anchor in itself": "a: &a [*a]",
    "50 MB": "a: " + "x" * 50_000_000,
    "a million digits": "a: " + "1" * 1_000_000,
    "a million hexadecimal digits": "a: 0x" + "f" * 1_000_000,
    "too many values": "- a\n" * 1_000_000,
    "too many directives": "a\n...\n" + "".join(f"%TAG !a{n}! x\n" for n in range(200_000)),
    "no characters": "a: \0" * 1000,
    "equal keys": "a: 1\n" * 100_000,
}
STRANGE_BUT_FINE = {
    "a long text": "a: " + "x" * 4_000_000,
    "a long date": "a: 2020-01-01 10:00:00." + "1" * 4_000_000 + "x",
    "nearly a long number": "a: " + "1_" * 2_000_000 + "x",
    "a long fraction": "a: 0." + "1" * 4_000_000,
    "colons": "a: " + "1:" * 2_000_000 + "1",
    "comments with tabs": "#\t\n" * 1_500_000,
    "blank lines": "a: |\n" + " \n" * 2_000_000,
    "many dates": "- 2020-01-01 10:00:00.5 +02:00\n" * 90_000,
    "deep and wide": "[" * 199 + "a,\t" * 90_000 + "]" * 199,
}
READ_ALL = """
import json, sys
from pathlib import Path
from dag_factory.errors import Problems
from dag_factory.meltano_yaml.reader import read_yaml_file
for name in json.loads(sys.argv[2]):
    problems = Problems()
    read_yaml_file(Path(sys.argv[1]) / name, problems)
    messages = [problem.message for problem in problems]
    print(json.dumps([name, messages[0] if messages else None]), flush=True)
"""


def read_in_another_process(folder: Path, names: list[str]) -> dict[str, str | None]:
    """Return the problem of each file; the timeout is a safety net."""
    command = [sys.executable, "-c", READ_ALL, str(folder), json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def test_what_would_exhaust_a_reader_is_a_problem_and_not_the_end_of_the_process(tmp_path):
    for name, text in (NASTY | STRANGE_BUT_FINE).items():
        (tmp_path / name).write_text(text, newline="")
    found = read_in_another_process(tmp_path, [*NASTY, *STRANGE_BUT_FINE])
    assert {name for name, message in found.items() if message} == set(NASTY)


def test_what_is_no_readable_file_is_a_problem_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "terminal").symlink_to("/dev/zero")
    (tmp_path / "locked").write_text("a: 1")
    (tmp_path / "locked").chmod(0)
    found = read_in_another_process(
        tmp_path, ["pipe", "folder", "loop", "terminal", "missing", "locked", "locked/a"]
    )
    if os.geteuid() == 0:
        del found["locked"]
    assert all(found.values())


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"a: 1\nb: \x80\n", 2, "is not UTF-8"),
        ("a: 1".encode("utf-16"), 1, "is not UTF-8"),
        (b"a: 1\r\nb: 'x\x00'\r\n", 2, "U+0000"),
        (
            b"a: 1\nb: @daily\n",
            2,
            'put quotes around the text that begins with @, such as "@daily"',
        ),
        (
            b"a: 1\nb: * * * * *\n",
            2,
            'put quotes around the text that begins with *, such as "* * * * *"',
        ),
        (b"a: 1\nb: *b\n", 2, "write &b before the value"),
        (b"a: 1\nb: c: d\n", 2, "quote the value that contains a colon"),
        (b"a: 1\nb: 2\na: 3\n", 3, "merge it with line 1"),
        (b"a: [1\n", 1, "close brackets and quotes"),
        (b"a: 1\n---\nb: 2\n", 2, "has a second document"),
        (b"a: 1\nb: {<<: *x}\n", 2, "the alias *x has no anchor above it"),
        (b"a:\n  <<: 3\n", 2, "<< must merge mappings"),
        (b"a: 2026-13-45\n", 1, "quote it"),
        (b"a: -_\n", 1, "quote it"),
        (b"a: 1\nb: 2\t# c\n", 2, r"has '\t'"),
    ],
)
def test_a_problem_has_a_line_and_says_what_to_do(file, content, line, says):
    file.write_bytes(content)
    value, (problem,) = read_file(file)
    assert value is None
    assert (problem.code, problem.location.line) == (Code.UNREADABLE_FILE, line)
    assert says in problem.text(file.parent)


def test_every_key_and_item_has_its_place(file):
    data, _ = read(file, "a: 1\nb:\n  - x\n  - y: 2\nc: &c {z: 1}\nd: {<<: *c, e: 1}\nf: [*c]\n")
    assert data.at("b").line == 2
    assert [place.line for place in data["b"].places] == [3, 4]
    assert (data["b"][1].at("y").line, data["b"][1].at("y").column) == (4, 5)
    assert data["d"].at("z").line == 5
    assert data["f"].places[0].line == 7


def test_deep_but_sane_nesting_is_read(file):
    data, problems = read(file, "a: " + "[" * 150 + "]" * 150 + "\n" + " " * 300)
    assert not problems
    assert data["a"]
