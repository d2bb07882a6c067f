"""What the docs claim about the code."""

import re
import shutil

import pytest
from running import CHECKOUT

from dag_factory.errors import Code
from dag_factory.options import Options
from dag_factory.planner import read_plans
from dag_factory.settings import Settings

NOT_IN_GIT = shutil.ignore_patterns(".*", "output", "__pycache__")
PAGE = (CHECKOUT / "docs/meltano-yml.md").read_text()


def test_every_problem_code_is_documented_with_its_reach():
    rows = dict(re.findall(r"^\| `(MDF\d+)` \| (\w+) \|", PAGE, re.MULTILINE))
    assert rows == {str(code): str(code.severity) for code in Code}


def test_every_option_is_documented():
    section = PAGE.split("## Options")[1].split("## Problems")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(
        Options.__dataclass_fields__
    )


def test_the_pipeline_of_the_readme_fits_into_the_project(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    shutil.copytree(CHECKOUT / "meltano", tmp_path, dirs_exist_ok=True, ignore=NOT_IN_GIT)
    (tmp_path / "example.yml").write_text(example)
    project = (tmp_path / "meltano.yml").read_text()
    including = project.replace("include_paths:\n", "include_paths:\n  - ./example.yml\n")
    (tmp_path / "meltano.yml").write_text(including)

    plans, problems = read_plans(Settings(tmp_path))
    assert problems == ()
    (rivers,) = [plan for plan in plans if plan.job == "rivers"]
    assert (rivers.crons, rivers.options.retries) == (("0 3 * * *",), 3)


@pytest.mark.parametrize("page", ["README.md", "docs/how-it-works.md", "docs/local.md"])
def test_every_link_leads_somewhere(page):
    file = CHECKOUT / page
    links = re.findall(r"\]\((?!http)([^)#]+)\)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []
