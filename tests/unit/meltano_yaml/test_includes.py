"""Included files, against the code of Meltano that merges them."""

import warnings

import pytest
from meltano.core import yaml as meltano_yaml
from meltano.core.project_files import ProjectFiles

from dag_factory.errors import Code, Problems, Severity
from dag_factory.meltano_yaml.includes import read_project_files
from tests.support.ruamel_values import plain

ALL = "include_paths: ['*.yml']\n"
MINE = ["jobs:", "jobs: [{name: z}]", "jobs: {}", "jobs: x", "env:", "env: {A: 2, B: 3}", "env: 3"]
MINE += ["env: [1]", "env: {A: {B: 1}}", "env: &e {A: 1}\nx: *e", "x: &e [1]\ny: *e"]
MINE += ["x: &e {l: [1]}\ny: *e", "x: {<<: {q: [1]}, z: 2}"]
INCLUDED = """jobs: [{name: a}]|jobs:|jobs: {}|jobs: []|jobs: x|jobs: 3|jobs: {a: 1}|jobs: [x]
jobs: [3]|jobs: [null]|jobs: [[name]]|jobs: [{}]|jobs: [{name: }]|jobs: [{name: 3}, {name: '3'}]
jobs: [{name: 3}, {name: 3.0}]|jobs: [{name: [x]}]|jobs: [{name: {x: 1}}]
jobs: [{name: a}, {name: a}]|plugins:|plugins: {}|plugins: []|plugins: x|plugins: [x]
plugins: {extractors: }|plugins: {extractors: {}}|plugins: {extractors: []}
plugins: {extractors: {x: 1}}|plugins: {extractors: x}|plugins: {extractors: [x]}
plugins: {extractors: [{}]}|plugins: {3: [{name: x}]}|schedules:|schedules: [{}]|environments:
environments: [x]|env: {A: 1}|env: {}|env:|env: []|env: 5|env: [2]|env: {A: {C: 2}}|env: {A: [1]}
env: {A: {}}|x: [2]|x: {l: [2], q: [3]}|include_paths: [b.yml]|include_paths: b|include_paths:
include_paths: {a: 1}|[1]|x|"""
PATTERNS = """null [] [3] [0] [true] [null] [''] ['..'] ['../*'] ['/etc/*'] ['**'] ['**/*.yml']
['**x'] ['*/'] ['a.yml','./a.yml'] ['.*.yml'] ['['] ['[a].yml'] ['nope'] ['meltano.yml'] ['sub']
[[a.yml]] ['sub/../a.yml'] ['~/x'] ["a\\0b"] ['a.yml/'] ['link.yml'] ['out.yml'] ['loop.yml']
[2026-01-01]"""


def loaded(root):
    problems = Problems()
    return read_project_files(root, problems), tuple(problems)


def both(root):
    """Return the value that Meltano reads (None if it rejects it), then our value and problems."""
    meltano_yaml.cache.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = plain(ProjectFiles(root, root / "meltano.yml").load())
        except Exception:  # noqa: BLE001
            theirs = None
    return theirs, *loaded(root)


@pytest.mark.parametrize("mine", ["", *MINE])
def test_included_files_are_merged_or_refused_as_by_meltano(write_project, mine):
    differences = []
    for text in INCLUDED.replace("\n", "|").split("|"):
        root = write_project(ALL + mine + "\n", plugins="", a=text)
        theirs, ours, problems = both(root)
        if repr(ours) != repr(theirs) or (ours is None and not problems):
            differences.append((text, theirs, ours, problems))
    assert not differences


@pytest.mark.parametrize("patterns", PATTERNS.split())
def test_patterns_match_what_they_match_for_meltano(write_project, tmp_path, patterns):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.yml").write_text("y: 2\n")
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "link.yml").symlink_to("sub/c.yml")
    (tmp_path / "out.yml").symlink_to("/etc/hostname")
    (tmp_path / "loop.yml").symlink_to("loop.yml")
    if "**/*" in patterns:
        (tmp_path / "out.yml").unlink()
        (tmp_path / "loop.yml").unlink()
        (tmp_path / "link.yml").unlink()
    root = write_project(f"include_paths: {patterns}\n", plugins="", a="x: 1\n", **{".b": "z: 3\n"})
    theirs, ours, problems = both(root)
    assert repr(ours) == repr(theirs)
    codes = {problem.code for problem in problems} - {Code.UNMATCHED_INCLUDE}
    assert codes <= {Code.INVALID_INCLUDE}
    assert bool(codes) is (ours is None)


def test_files_mounted_by_links_are_not_included_twice(tmp_path):
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "meltano.yml").write_text("include_paths: ['..data/*.yml']\nx: [1]\n")
    (tmp_path / "meltano.yml").symlink_to("..data/meltano.yml")
    theirs, ours, problems = both(tmp_path)
    assert not problems
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("target", ["/etc/hostname", "meltano.yml"])
def test_a_project_file_outside_of_the_project_is_a_problem(tmp_path, target):
    (tmp_path / "meltano.yml").symlink_to(target)
    theirs, ours, (problem,) = both(tmp_path)
    assert theirs is None
    assert ours is None
    assert problem.code is Code.UNREADABLE_FILE


def test_included_values_keep_their_places(write_project):
    root = write_project(
        "include_paths: ['*.yml']\njobs: [{name: a}]\nversion: 1\n",
        plugins="",
        more="jobs: [{name: b}]\nversion: 2\nplugins: {extractors: [{name: tap}]}\n",
    )
    data, problems = loaded(root)
    assert not problems
    assert [job["name"] for job in data["jobs"]] == ["a", "b"]
    assert data["version"] == 2
    for place in (data["jobs"].places[1], data.at("version"), data.at("plugins")):
        assert place.file.name == "more.yml"
    assert data.at("jobs").file.name == "meltano.yml"


def test_a_file_that_is_named_and_not_there_is_a_warning(write_project):
    data, (problem,) = loaded(write_project("include_paths: [no.yml, 'no/*.yml']\n"))
    assert data
    assert (problem.code, problem.severity) == (Code.UNMATCHED_INCLUDE, Severity.WARNING)


def test_include_paths_of_an_included_file_are_a_warning(write_project):
    root = write_project(ALL, plugins="", a="include_paths: ['sub/*.yml']\njobs: [{name: j}]\n")
    data, (problem,) = loaded(root)
    assert data["jobs"][0]["name"] == "j"
    assert problem.code is Code.NESTED_INCLUDE
    assert problem.location.file.name == "a.yml"


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("'x.yml'", "must be a list"),
        ("['/etc/*.conf']", "/etc"),
        ("['sub']", "a folder"),
        ("[3]", "3 is"),
    ],
)
def test_an_impossible_include_is_a_problem(write_project, tmp_path, pattern, says):
    (tmp_path / "sub").mkdir()
    data, (problem,) = loaded(write_project(f"include_paths: {pattern}\n"))
    assert data is None
    assert problem.code is Code.INVALID_INCLUDE
    assert says in problem.text(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("jobs: [{name: j}, {nam: k}]", "an entry of jobs has no name"),
        ("jobs: [{name: j}, {name: [k]}]", "is a list or mapping"),
        ("jobs: [{name: j}, {name: j}]", "'j' is also in jobs of a.yml:1"),
        ("jobs:", "jobs is empty"),
        ("plugins: [x]", "plugins must be a mapping"),
        ("plugins: {loaders: }", "plugins loaders is empty"),
        ("version: {x: 1}", "version cannot be merged with the version of a.yml:1"),
    ],
)
def test_what_keeps_meltano_from_merging_is_a_problem_with_a_place(write_project, text, says):
    root = write_project(ALL + "version: 1\n", plugins="", a=text)
    data, (problem,) = loaded(root)
    assert data is None
    assert problem.code is Code.WRONG_SHAPE
    assert says in problem.text(root)


def test_several_broken_files_are_named_at_once(write_project):
    root = write_project("include_paths: ['?.yml']\n", a="x: [", b="y: @z\n")
    _, problems = loaded(root)
    assert [problem.location.file.name for problem in problems] == ["a.yml", "b.yml"]


def test_an_empty_project_file_is_a_problem(tmp_path):
    (tmp_path / "meltano.yml").write_text("# nothing\n")
    assert "is empty" in loaded(tmp_path)[1][0].message
