"""What the docs claim about the code."""

import re

import pytest
from running import CHECKOUT

from dag_factory.errors import Code
from dag_factory.options import Options, read_options
from dag_factory.yaml_files import read_yaml_file

PAGE = (CHECKOUT / "docs/meltano-yml.md").read_text()


def test_every_problem_code_is_documented_with_its_reach():
    rows = dict(re.findall(r"^\| `(MDF\d+)` \| (\w+) \|", PAGE, re.M))
    assert rows == {str(code): str(code.severity) for code in Code}


def test_every_option_is_documented():
    section = PAGE.split("## Options")[1].split("## Problems")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == set(Options.__dataclass_fields__)


def test_the_pipeline_of_the_readme_is_a_valid_one(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.S)
    (tmp_path / "a.yml").write_text(example)
    data, problems = read_yaml_file(tmp_path / "a.yml")
    assert not problems
    options, problems = read_options(data["jobs"][0])
    assert not problems
    assert options["retries"] == 3


@pytest.mark.parametrize("page", ["README.md", "docs/how-it-works.md", "docs/local.md"])
def test_every_link_leads_somewhere(page):
    file = CHECKOUT / page
    links = re.findall(r"\]\((?!http)([^)#]+)\)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []
