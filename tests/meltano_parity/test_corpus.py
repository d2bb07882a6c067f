"""Public Meltano projects, listed as Meltano itself lists them.

The projects are not part of this repository. TEST_CORPUS names their folder, as CONTRIBUTING.md
describes it. The end of the run says how many were compared.
"""

import json
import os
import re
from pathlib import Path

import pytest

from dag_factory.checks.plaintext_secrets import check_plaintext_secrets
from dag_factory.cli.listing import meltano_listing
from dag_factory.errors import Code, Problems, Severity
from dag_factory.planning.planned_project import plan_project
from dag_factory.project.model import read_project
from dag_factory.settings import Settings
from tests.support.running import CHECKOUT

CORPUS = os.environ.get("TEST_CORPUS")
PROJECTS = sorted(folder.parent for folder in Path(CORPUS).glob("*/.oracle")) if CORPUS else []
assert PROJECTS or not CORPUS, f"TEST_CORPUS={CORPUS} has no folder with an .oracle in it"
needs_corpus = pytest.mark.skipif(
    not CORPUS, reason="no public Meltano projects: set TEST_CORPUS, see CONTRIBUTING.md"
)
LISTINGS = ("jobs", "schedules")
# What Meltano said where it failed, and what we say.
FAILURES = {
    "TaskSets() argument after ** must be a mapping": Code.WRONG_SHAPE,
    "found undefined alias": Code.UNREADABLE_FILE,
    "'NoneType' object is not iterable": Code.WRONG_SHAPE,
    "was not found": Code.UNKNOWN_JOB,
}


@pytest.fixture(scope="module")
def said():
    """What Meltano said of each project, in one line."""
    index = Path(CORPUS, "INDEX.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in index.splitlines()]
    column = rows[0].index("oracle")
    return {row[0]: row[column] for row in rows[1:]}


@pytest.fixture(scope="module")
def compared(request):
    """Count, and tell whoever runs the tests."""
    counts = {"listed as Meltano lists them": 0, "refused or in part, as by Meltano": 0}
    yield counts
    text = ", ".join(f"{count} {what}" for what, count in counts.items())
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{sum(counts.values())} public projects: {text}")


def listing(root, name):
    """Return one of Meltano's listings as it was printed, or None where Meltano failed."""
    if (root / f".oracle/{name}.rc").read_text().strip() != "0":
        return None
    return json.loads((root / f".oracle/{name}.json").read_text())[name]


def in_any_order(listed, root):
    """Forget the order where Meltano's depends on the file system."""
    if "*" not in (root / "meltano.yml").read_text(encoding="utf-8").partition("include_paths")[2]:
        return listed
    if isinstance(listed, list):
        return sorted(listed, key=json.dumps)
    return {kind: sorted(entries, key=json.dumps) for kind, entries in listed.items()}


@needs_corpus
@pytest.mark.parametrize("root", PROJECTS or [Path()], ids=lambda root: root.name)
def test_a_public_project_is_listed_as_meltano_lists_it(root, said, compared):
    theirs = {name: listing(root, name) for name in LISTINGS}
    project, problems = read_project(root)
    fatal = [each.text(root) for each in problems if each.severity is Severity.PROJECT]
    if None in theirs.values():
        (code,) = [code for words, code in FAILURES.items() if words in said[root.name]]
        if project is not None:
            problems += plan_project(project, Settings(root, anything(project))).problems
        assert code in [each.code for each in problems]
        assert bool(fatal) == (theirs["jobs"] is None)
    else:
        assert said[root.name] == "ok"
        assert not fatal
    ours = meltano_listing(project) if project else {}
    for name in LISTINGS:
        if theirs[name] is not None:
            mine, its = (in_any_order(each[name], root) for each in (ours, theirs))
            assert dumped(mine) == dumped(its)
    whole, part = compared
    compared[part if None in theirs.values() else whole] += 1


@pytest.fixture(scope="module")
def secrets():
    """Where secrets stand in clear, in each project that can be read."""
    read = {root.resolve(): read_project(root)[0] for root in PROJECTS}
    found = {}
    for root, project in read.items():
        if project:
            problems = Problems()
            check_plaintext_secrets(project, problems)
            found[root] = {(each.location.file, each.location.line) for each in problems}
    return found


@needs_corpus
def test_every_password_in_a_public_project_is_found(secrets):
    missed = [
        f"{file}:{number}"
        for root, places in secrets.items()
        for file in root.rglob("*.y*ml")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if "REDACTED" in line.partition("#")[0] and (file, number) not in places
    ]
    assert missed == []


@needs_corpus
def test_the_docs_tell_in_how_many_places_of_public_projects_secrets_are_found(secrets):
    page = (CHECKOUT / "docs/problems.md").read_text()
    [told] = re.findall(r"In (\d+) public projects, .* finds (\d+) secrets in (\d+)", page)
    holding = [*filter(None, secrets.values())]
    assert [*map(int, told)] == [len(secrets), sum(map(len, holding)), len(holding)]


def anything(project):
    """Return the name of some environment: a plan is for one."""
    return project.environments[0].name if project.environments else None


def dumped(value):
    """Return JSON, in which 1 and true differ, and the order of keys counts."""
    return json.dumps(value, indent=1)
