"""What the docs claim about the code."""

import ast
import json
import re
import shutil
from itertools import chain

import pytest
import yaml

from dag_factory.errors import Code
from dag_factory.options.catalog import OPTIONS, DagOptions, Level, PluginOptions, TaskOptions
from dag_factory.options.values import Secrets
from dag_factory.settings import Settings, read_settings
from dag_factory.testing import DagTests
from tests.support.plans import plans_and_problems
from tests.support.running import CHECKOUT

NOT_IN_GIT = shutil.ignore_patterns(".*", "output", "__pycache__")
PROBLEMS = (CHECKOUT / "docs/problems.md").read_text()

# What the examples of docs/problems.md are part of.
COMMON = {"default_environment": "dev", "include_paths": "[./*.meltano.yml]"}
COMMON_FILE = """
environments: [{name: dev}, {name: prod}]
plugins:
  extractors:
  - {name: tap-csv, namespace: tap_csv}
  - {name: tap-shop, namespace: tap_shop, settings: [{name: api_key, kind: password}]}
  loaders: [{name: target-jsonl, namespace: target_jsonl}]
  mappers: [{name: meltano-map-transformer, namespace: mapper, mappings: [{name: hide-names}]}]
  utilities: [{name: dbt, namespace: dbt, commands: {run: run}}]
jobs: [{name: report, tasks: ['dbt:run']}]
"""


def test_every_problem_code_is_documented_with_its_reach():
    sections = re.findall(r"^## (MDF\d+) .+\n\nReach: (\w+)\.$", PROBLEMS, re.MULTILINE)
    assert sections == [(str(code), str(code.severity)) for code in Code]
    assert len(sections) == PROBLEMS.count("\n## ")


PACKAGE = CHECKOUT / "dag_factory"
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_the_docstring_of_a_package_lists_what_is_in_it(folder):
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    listed = re.findall(r"^    (\w+) {2,}\S", docstring, re.MULTILINE)
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert sorted(listed) == sorted(
        modules | {each.name for each in PACKAGES if each.parent == folder}
    )


def test_the_map_names_only_modules_that_exist():
    docstring = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text()))
    compound = set(re.findall(r"\b[a-z]+_[a-z_]+\b", docstring)) - {"dag_factory"}
    assert compound <= {path.stem for path in PACKAGE.rglob("*")}


def test_the_picture_in_how_it_works_names_every_package():
    page = (CHECKOUT / "docs/how-it-works.md").read_text()
    (picture,) = re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL)
    named = set(re.findall(r"\b[a-z_]+\b", picture))
    assert {each.name for each in PACKAGES if each.parent == PACKAGE} <= named


def examples():
    """Return each example of docs/problems.md: a line `# wrong` or `# right` begins it."""
    return [
        pytest.param(section[:6], text, id=f"{section[:6]}-{text[2:7]}")
        for section in PROBLEMS.split("\n## ")
        for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    ]


@pytest.mark.parametrize(("code", "text"), examples())
def test_an_example_of_a_problem_is_wrong_or_right_as_it_says(code, text, tmp_path):
    own = ["environments:"] if "\n- name: dev\n" in text else []
    keys = [key for key in COMMON if f"{key}:" not in text]
    (tmp_path / "meltano.yml").write_text(text + "".join(f"{key}: {COMMON[key]}\n" for key in keys))
    common = [line for line in COMMON_FILE.splitlines() if line.partition(":")[0] + ":" not in own]
    (tmp_path / "common.meltano.yml").write_text("\n".join(common))
    environ = dict(re.findall(r"\A# (?:wrong|right), with (\w+)=(.+)", text))

    _, problems = plans_and_problems(read_settings(tmp_path, environ=environ))
    assert {each.code for each in problems} == ({code} if text.startswith("# wrong") else set())


OPTIONS_PAGE = (CHECKOUT / "docs/options.md").read_text()
OPTION_EXAMPLES = re.findall(r"```yaml\n(.*?)```", OPTIONS_PAGE, re.DOTALL)
OPTIONS_COMMON = {
    "extractors": [{"name": name, "namespace": name} for name in ("tap-crm", "tap-shop")],
    "loaders": [{"name": "target-x", "namespace": "x"}],
    "utilities": [{"name": "dbt", "namespace": "dbt", "commands": {"run": "run"}}],
}


def test_every_option_is_in_the_table_and_in_an_example():
    assert re.findall(r"^\| `(\w+)` \|", OPTIONS_PAGE, re.MULTILINE) == list(OPTIONS)
    examples = "".join(OPTION_EXAMPLES)
    assert [name for name in OPTIONS if not re.search(rf"\b{name}:", examples)] == []


OF_A_JOB = (Level.PROJECT, Level.JOB, Level.ENVIRONMENT, Level.ENVIRONMENT_JOB)
PLACES = {
    "a job": OF_A_JOB,
    "a task": (*OF_A_JOB, Level.PLUGIN, Level.TASK),
    "the job itself": (Level.JOB,),
}
OPTION_ROWS = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \| (.+) \|$", OPTIONS_PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "place", "default"), OPTION_ROWS, ids=list(OPTIONS))
def test_the_table_says_where_each_option_stands_and_what_it_is_by_default(name, place, default):
    levels = chain.from_iterable(PLACES.get(each, (each,)) for each in place.split(", or "))
    assert set(levels) == set(OPTIONS[name].levels)
    built_in = vars(DagOptions()) | vars(TaskOptions()) | vars(PluginOptions())
    if literal := re.fullmatch(r"`(.+)`|(\d+)", default):
        written = yaml.safe_load(literal[1] or literal[2])
        assert OPTIONS[name].kind.read(written) == built_in[name]
    else:
        assert built_in[name] in (None, (), {}, Secrets())


@pytest.mark.parametrize("text", OPTION_EXAMPLES)
def test_an_example_of_options_has_no_problem(text, tmp_path):
    project = {"environments": [{"name": "dev"}, {"name": "prod"}], "default_environment": "dev"}
    project |= yaml.safe_load(text)
    plugins = project.setdefault("plugins", {})
    for kind, common in OPTIONS_COMMON.items():
        own = plugins.setdefault(kind, [])
        own += [each for each in common if each["name"] not in [plugin["name"] for plugin in own]]
    (tmp_path / "meltano.yml").write_text(json.dumps(project, default=str))
    for environment in ("dev", "prod"):
        _, problems = plans_and_problems(Settings(tmp_path, environment, secrets_prefix="acme"))
        assert {each.code for each in problems} <= {Code.SHARED_STATE}


def test_every_setting_is_in_the_table_and_in_an_example():
    page = (CHECKOUT / "docs/meltano-yml.md").read_text().partition("## Settings")[2]
    read = re.findall(r"\(`((?:MELTANO|DAG_FACTORY)_\w+)`\)", Settings.__doc__)
    table = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    environ = dict(re.findall(r"^(\w+)=(.+)$", page, re.MULTILINE))
    assert list(environ) == table
    assert sorted(table) == sorted(read)
    found = read_settings(environ=environ)
    assert (found.environment, found.image) == ("prod", "registry.example.com/meltano:1.4.2")


def test_the_pipeline_of_the_readme_fits_into_the_project(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    shutil.copytree(CHECKOUT / "meltano", tmp_path, dirs_exist_ok=True, ignore=NOT_IN_GIT)
    (tmp_path / "example.yml").write_text(example)
    project = (tmp_path / "meltano.yml").read_text()
    including = project.replace("include_paths:\n", "include_paths:\n  - ./example.yml\n")
    (tmp_path / "meltano.yml").write_text(including)

    plans, problems = plans_and_problems(Settings(tmp_path))
    assert problems == ()
    (rivers,) = [plan for plan in plans if plan.job == "rivers"]
    assert (rivers.crons, rivers.tasks[0].options.retries) == (("0 3 * * *",), 3)


@pytest.mark.parametrize("page", ["README.md", "docs/integrity-tests.md"])
def test_three_lines_are_the_integrity_tests(page, monkeypatch):
    begins = r"```python\n(from dag_factory.testing import get_dag_test_class\n\n.+\n)```"
    (lines,) = re.findall(begins, (CHECKOUT / page).read_text())
    assert len(lines.splitlines()) == 3
    monkeypatch.chdir(CHECKOUT)
    names = {}
    exec(lines, names)  # noqa: S102 - our own docs
    assert issubclass(names["TestDags"], DagTests)
    assert {plan.environment for plan in names["TestDags"].plans} == {"prod"}


PAGES = [
    *sorted(CHECKOUT.glob("*.md")),
    *sorted((CHECKOUT / "docs").rglob("*.md")),
    *(CHECKOUT / "tests").glob("README.md"),
]


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\((?!http)([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
