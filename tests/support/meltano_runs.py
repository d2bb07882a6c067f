"""Meltano projects whose jobs mostly run, by the thousand."""

from typing import Any

from hypothesis import strategies as st

from tests.support.meltano_projects import Files, Maker, Raw, document

PLUGINS = {
    "loaders": [{"name": "target-x", "namespace": "x"}, {"name": "both", "namespace": "b"}],
    "mappings": [{"name": "stray", "namespace": "s"}],
    "mappers": [
        {"name": "m", "namespace": "m", "mappings": [{"name": "hide"}, {"name": "dbt"}]},
        {"name": "n", "namespace": "n", "mappings": [{"name": "keep"}, {"name": "tap-a"}]},
    ],
    "utilities": [{"name": "dbt", "namespace": "d", "commands": {"run": "run", "a:b": "c"}}],
    "extractors": [
        {"name": "tap-a", "namespace": "a"},
        {"name": "both", "namespace": "b"},
        {"name": "tap-é", "inherit_from": "tap-a"},
    ],
    "orchestrators": [{"name": "airflow", "namespace": "f"}],
    "transforms": [{"name": "sql", "namespace": "q"}],
}
_GOOD = ("tap-a target-x", "tap-a hide keep target-x", "tap-é target-x", "tap-a:x target-x:y")
_GOOD += ("both target-x", "dbt", "dbt:run", "airflow", "sql", "stray", "tap-é hide: target-x")
# No mapper by its own name: Meltano refuses it in the first pair, and overlooks it in later ones.
_BAD = (
    "tap-z",
    "tap-a",
    "target-x",
    "hide",
    "both",
    "",
    "dbt:a:b",
    ":",
    "dbt:none",
    "j",
    "--force",
)


def _items(make: Maker, words: list[str]) -> list[Any]:
    """Cut the words of a job into items of text and nested lists."""
    items: list[Any] = []
    while words:
        size = make.one(2, 1, 3, 4, len(words))
        part, words = words[:size], words[size:]
        nested: list[Any] = part if make.chance(2) else [part[0], [" ".join(part[1:]) or part[0]]]
        items.append(nested if make.chance(4) else " ".join(part))
    return items


def _older_schedule(make: Maker, number: int) -> dict[str, Any]:
    return {
        "name": make.one(f"older {number}", "older"),
        "extractor": make.one("tap-a", "both", "tap-é", "target-x", "tap-z"),
        "loader": make.one("target-x", "target-x", "both", "tap-a"),
        "transform": make.one("skip", "run", "only"),
        "interval": make.one("@once", "0 6 * * *"),
    }


@st.composite
def runnable_projects(draw: Any) -> Files:
    """Projects whose jobs mostly run: the blocks are good, few are out of place."""
    make = Maker(draw)
    jobs, schedules = [], []
    for _ in range(make.one(1, 2, 3)):
        words = " ".join(make.one(*_GOOD) for _ in range(make.one(1, 2, 3, 4))).split(" ")
        if make.chance(4):
            words.insert(make.draw(st.integers(0, len(words))), make.one(*_BAD))
        if make.chance(8):
            words.pop(make.draw(st.integers(0, len(words) - 1)))
        name = make.one("j", "été 1", "x:y", make.one("dbt:run", "hide:", "k", "l", "m"))
        jobs.append({"name": name, "tasks": _items(make, words)})
        if make.chance(4):
            schedules.append({"name": f"s{len(jobs)}", "job": name, "interval": "@daily"})
    schedules += [_older_schedule(make, number) for number in range(make.one(0, 1, 2))]
    main: dict[str, Any] = {"default_environment": "dev"}
    odd = make.one("a:b", Raw("5"), Raw("[]"), Raw("true"), "$HOME", "")
    suffix = odd if make.chance(12) else make.one("v2", None, "é")
    main["environments"] = [{"name": "prod"}, {"name": "dev", "state_id_suffix": suffix}]
    main["plugins"] = {kind: found for kind, found in PLUGINS.items() if not make.chance(20)}
    main |= {"jobs": jobs, "schedules": schedules}
    files = {"meltano.yml": document(main)}
    if make.chance(3):
        jobs = [{**job, "name": f"more {number}"} for number, job in enumerate(jobs)]
        more: dict[str, Any] = {"jobs": [jobs[0] | {"name": "j"}, *jobs[1:]]}
        if make.chance(3):
            mapper = {"name": "o", "namespace": "o", "mappings": [{"name": "far"}]}
            more["plugins"] = {"mappers": [mapper]}
            more["jobs"].append({"name": "more", "tasks": ["tap-a far target-x"]})
        files["more.yml"] = document(more)
        files["meltano.yml"] += "include_paths: ['more.*']\n"
    return files
