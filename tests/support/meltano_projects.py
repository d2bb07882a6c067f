"""Meltano projects by the thousand: YAML that people write, and YAML that they should not."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Files = dict[str, str]

# Scalars that YAML 1.1 and 1.2 read differently, and what is no text at all.
ODD = (
    *("on", "off", "yes", "n", "true", "null", "~", "012", "0o14", "0x1F", "0b11", "1_000", "1e3"),
    *("12e03", ".5", "1.", "1:30", "190:20:30", "+1", "-0", ".inf", ".nan", "5", "2024-01-01"),
    *("2024-01-01T10:00:00Z", "''", "été", "🚀", "!vault x", "[1]", "[]", "{}", "{a: 1}", "' a'"),
    *('"\\u00e9\\n"', "a  b", "!!str 5", "!!int '5'", "'*'", "<<", "&anchor x", "=", ""),
)


class Raw(str):
    """YAML text that goes into the file as it is."""


def yaml(value: Any) -> str:
    """Return a value as YAML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml, value)) + "]"
    return value if isinstance(value, Raw) else json.dumps(value, ensure_ascii=False)


def document(sections: dict[str, Any]) -> str:
    """Return a file with one key a line."""
    return "".join(f"{key}: {yaml(value)}\n" for key, value in sections.items())


@contextmanager
def written(files: Files) -> Iterator[Path]:
    """Write a project to a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="project-") as folder:
        root = Path(folder).resolve()
        for name, text in files.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        yield root


class Maker:
    """Draws values; whatever is unlikely shrinks away."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.jobs: list[Any] = []
        self.file_name = ""
        self.numbers = count()

    def name(self, *usual: str) -> Any:
        """Return a name, in included files mostly a new one: Meltano refuses duplicates there."""
        own = self.file_name and not self.chance(25)
        return self.one(*usual) + (f"{self.file_name}{next(self.numbers)}" if own else "")

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(1, one_in)) == one_in and one_in > 1)

    def one(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def scalar(self, *usual: Any, odd: int = 10) -> Any:
        return Raw(self.one(*ODD)) if self.chance(odd) else self.one(*usual)

    def entries(self, make: Callable[[], Any], most: int = 3) -> Any:
        if self.chance(80):
            return self.scalar("text", odd=2)
        found = [make() for _ in range(self.one(*range(1, most + 1), 0))]
        # No null: it loads, and then `job list` and every run fail.
        return [*found, self.one("text", Raw("5"), ["a"])] if self.chance(120) else found

    def entry(self, values: dict[str, Any]) -> Any:
        """Forget a key, or add one."""
        if self.chance(60):
            values.pop(self.one(*values))
        if self.chance(80):
            values[self.one("retries", "env", "start_date", "cron_interval", "5", "null")] = 1
        if self.chance(8):
            values["annotations"] = self.one({"vendor": {"a": 1}}, None, Raw("text"))
        if self.chance(200):
            return Raw("{name: twice, " + yaml(values)[1:])
        return values

    # Parts that need only be listed.

    def tasks(self) -> Any:
        words = ("tap-a target-x", "dbt:run", "tap-a", "a  b", "été")
        items: list[Any] = []
        for _ in range(self.one(1, 2, 3, 0)):
            item = self.scalar(*words, odd=12)
            items.append([item, self.one(*words)] if self.chance(5) else item)
        if self.chance(8):
            return Raw("*tasks")
        return self.scalar("tap-a target-x", odd=2) if self.chance(12) else items

    def job(self) -> Any:
        name = self.scalar(self.name("a", "b", "c d", "été", "x:y"))
        self.jobs.append(name)
        return self.entry({"name": name, "tasks": self.tasks()})

    def env(self) -> Any:
        names = ("A", "B_C", Raw("on"), Raw("012"), Raw("~"))
        return {self.one(*names): self.scalar("x", "$HOME", odd=3) for _ in range(2)}

    def schedule(self) -> Any:
        interval = self.scalar("@daily", "@once", "@Daily", "0 6 * * 1-5", "", None, odd=6)
        values: dict[str, Any] = {"name": self.scalar(self.name("s", "t", "été"))}
        values["interval"] = interval
        if self.chance(3) or not self.jobs:
            values |= {"extractor": self.scalar("tap-a", odd=15), "loader": "target-x"}
            values |= {"transform": self.scalar("skip", "run", odd=15)}
        else:
            values["job"] = self.scalar(*self.jobs, odd=30)
        if self.chance(4):
            values["env"] = self.scalar({}, odd=2) if self.chance(6) else self.env()
        if self.chance(8):
            values = {"<<": Raw("*defaults"), **values}
        return self.entry(values)

    def environment(self) -> Any:
        values: dict[str, Any] = {"name": self.scalar(self.name("dev", "prod"), odd=20)}
        if self.chance(3):
            entry = self.entry({"name": "tap-a", "config": {"a": 1}})
            values["config"] = {"plugins": {self.one("extractors", "loaders"): [entry]}}
        if self.chance(4):
            values["env"] = self.env()
        return self.entry(values) if self.chance(4) else values

    def plugins(self) -> Any:
        kinds = ("extractors", "loaders", "mappers", "utilities", "transforms", "plugins")
        found = {}
        for _ in range(self.draw(st.integers(0, 3))):
            kind = kinds[min(self.draw(st.integers(0, 40)) % 7, 5)]
            if kind == "plugins" and not self.chance(4):
                continue
            found[kind] = self.entries(lambda kind=kind: self.plugin(kind), most=2)
        return None if self.chance(60) else found

    def plugin(self, kind: str) -> Any:
        values: dict[str, Any] = {"name": self.scalar(self.name("tap-a", "b", "été"), odd=30)}
        if self.chance(2):
            values[self.one("inherit_from", "namespace", "variant")] = self.scalar("b", odd=8)
        if self.chance(3):
            values["config"] = {"a": self.scalar("x")}
        if self.chance(4):
            setting = self.entry({"name": "a", "kind": self.scalar("password", "string")})
            values["settings"] = [self.scalar("text", odd=2) if self.chance(20) else setting]
        if self.chance(4):
            values["commands"] = {"run": self.scalar("run", {"args": "x"}, None)}
        if kind == "mappers":
            hide = {"name": "hide", "config": {}}
            values["mappings"] = self.one([hide], [], [{}], self.scalar(None, odd=2))
        return self.entry(values)

    def section(self, key: str) -> Any:
        if key == "plugins":
            return self.plugins()
        make = {"jobs": self.job, "schedules": self.schedule, "environments": self.environment}
        return self.entries(make[key])

    def file(self, name: str) -> dict[str, Any]:
        self.file_name = name.removesuffix("meltano.yml").removesuffix(".yml").replace("/", "-")
        keys = [key for key in ("jobs", "schedules", "environments") if not self.chance(3)]
        keys += ["plugins"] if self.chance(3) else []
        sections = {key: self.section(key) for key in keys}
        if self.chance(6):
            sections["default_environment"] = self.scalar("dev", "prod", odd=4)
        if self.chance(6):
            key = self.one("extra", "version", "env", "annotations")
            sections[key] = self.scalar({}, {"a": "b"}, ["a"], {"a": Raw("{5: 6}")}, odd=3)
        if self.chance(30):
            sections["requires_meltano"] = self.one(">=4", ">=99", "no", Raw("5"), None)
        return sections


@st.composite
def listed_projects(draw: Any) -> Files:
    """Projects that Meltano lists or refuses, with what they include."""
    make = Maker(draw)
    head = "x-tasks{0}: &tasks [tap-a target-x, dbt:run]\n"
    head += "x-defaults: &defaults {{interval: '@weekly'}}\n"
    names = [name for name in ("one.yml", "sub/two.yml", "three.yml") if make.chance(3)]
    main: dict[str, Any] = {}
    if names:
        odd = ("none/*.yml", "*.yml", "**/*.yml", "./one.yml", "sub", "../x.yml", "/x.yml", "")
        patterns = [make.one(*odd) if make.chance(12) else name for name in names]
        main["include_paths"] = patterns
        if make.chance(40):  # Meltano takes each letter of a text for a pattern; "." is a folder.
            main["include_paths"] = make.one("one.yml", None, Raw("5"), Raw("true"))
    files = {"meltano.yml": head.format("") + document(main | make.file("meltano.yml"))}
    for name in names:
        # Meltano merges a list into all its aliases: each file has a list of its own.
        files[name] = head.format(name[0]) + document(make.file(name))
    if make.chance(40):
        name = make.one(*files)
        again = files[name] + "jobs: []\n"
        files[name] = make.one("", "# nothing\n", "- a\n", "text\n", "a: [\n", again)
    return files
