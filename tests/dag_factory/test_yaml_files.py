from datetime import date
from pathlib import Path

import pytest
from meltano.core import yaml as meltano_yaml

from dag_factory.errors import Code
from dag_factory.yaml_files import read_project_files, read_yaml_file

SCALARS = """
off yes no on y n true True TRUE tRUE false null Null ~ 012 0o14 0b11 0x1F 1_000 +1 -7 1:30
190:20:30 1e3 12e03 1. .5 -.5 +.inf .NaN 1.5e-3 _1 0_ 2026-11-22 0.1.2 1__0 -0 +012 0x_F
"""


def read(path: Path, text: str):
    path.write_bytes(text.encode())
    return read_yaml_file(path)


@pytest.mark.parametrize("scalar", SCALARS.split())
def test_a_scalar_is_what_it_is_to_meltano(tmp_path, scalar):
    file = tmp_path / "a.yml"
    data, problems = read(file, f"key: {scalar}\n")
    theirs = meltano_yaml.load(file)["key"]
    assert not problems
    assert repr(data["key"]) == repr(_plain(theirs))


def _plain(value):
    for kind in (bool, int, float, str, date):
        if isinstance(value, kind):
            return kind(value) if kind is not date else value
    return value


def test_every_key_and_item_has_its_line(tmp_path):
    data, _ = read(tmp_path / "a.yml", "a: 1\nb:\n  - x\n  - y: 2\n")
    assert data.at("b").line == 2
    assert [place.line for place in data["b"].places] == [3, 4]
    assert data["b"][1].at("y").line == 4


def test_merge_keys_and_anchors_are_resolved_and_own_keys_win(tmp_path):
    data, _ = read(tmp_path / "a.yml", "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert data["b"] == {"x": 1, "y": 3}


def test_unknown_tags_are_tolerated(tmp_path):
    assert read(tmp_path / "a.yml", "a: !vault secret\n") == ({"a": "secret"}, ())


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: @daily\n", 2, "is not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice"),
        ("a: [1\n", 2, "is not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "is not valid YAML"),
        ("a: &a [*a]\n", 1, "contains itself"),
        ("? [a]\n: 1\n", 1, "key is a list"),
        ("a:\n  <<: 3\n", 2, "no mapping"),
        ("a: 2026-13-45\n", 1, "quote it"),
        ("a: -_\n", 1, "quote it"),
        ("a: !!timestamp foo\n", 1, "quote it"),
    ],
)
def test_what_meltano_cannot_read_is_a_problem_with_a_line(tmp_path, text, line, says):
    data, (problem,) = read(tmp_path / "a.yml", text)
    assert data is None
    assert (problem.code, problem.location.line) == (Code.UNREADABLE_FILE, line)
    assert says in problem.text(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00", b"\x80"])
def test_bytes_that_are_no_text_are_a_problem(tmp_path, content):
    (tmp_path / "a.yml").write_bytes(content)
    assert read_yaml_file(tmp_path / "a.yml")[1]


@pytest.mark.parametrize("start", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_nesting_without_end_is_a_problem_and_not_the_end_of_the_process(tmp_path, start):
    data, (problem,) = read(tmp_path / "a.yml", start * 200_000)
    assert data is None
    assert "nested deeper than" in problem.message


def test_deep_but_sane_nesting_is_read(tmp_path):
    data, problems = read(tmp_path / "a.yml", "a: " + "[" * 150 + "]" * 150 + "\n" + " " * 300)
    assert not problems
    assert data["a"]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    assert read(tmp_path / "a.yml", "\ufeffa: 1\r\nb: x\r\n")[0] == {"a": 1, "b": "x"}


def test_included_files_extend_lists_and_win_over_scalars(write_project):
    root = write_project(
        "include_paths: ['*.yml']\njobs: [{name: a}]\nversion: 1\n",
        plugins="",
        more="jobs: [{name: b}]\nversion: 2\nplugins: {extractors: [{name: tap}]}\n",
    )
    data, problems = read_project_files(root)
    assert not problems
    assert [job["name"] for job in data["jobs"]] == ["a", "b"]
    assert data["version"] == 2
    assert data["jobs"].places[1].file.name == "more.yml"


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("'x.yml'", "no list"), ("['/etc/*.conf']", "/etc"), ("['sub']", "no file"), ("[3]", "list")],
)
def test_an_impossible_include_is_a_problem(write_project, tmp_path, pattern, says):
    (tmp_path / "sub").mkdir()
    data, (problem,) = read_project_files(write_project(f"include_paths: {pattern}\n"))
    assert data is None
    assert problem.code is Code.INVALID_INCLUDE
    assert says in problem.text(tmp_path)


def test_several_broken_files_are_named_at_once(write_project):
    root = write_project("include_paths: ['?.yml']\n", a="x: [", b="y: @z\n")
    _, problems = read_project_files(root)
    assert [problem.location.file.name for problem in problems] == ["a.yml", "b.yml"]


def test_an_empty_project_file_is_a_problem(tmp_path):
    (tmp_path / "meltano.yml").write_text("# nothing\n")
    assert "is empty" in read_project_files(tmp_path)[1][0].message
