"""What tap-ldap costs, beside OpenLDAP's own ldapsearch, on a real server with 100,000 people.

Run by hand. CPU time of the command and not of the server; ratios are what to compare between
machines.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from tests.connectors.servers.ldap_source import BASE, READER, Directory, running_directory

PEOPLE = 100_000
TAP = Path(sys.executable).with_name("tap-ldap")


def cpu(command: list[str | Path], output: Path, **environ: str) -> float:
    """Return the CPU seconds of a command."""
    before = getrusage(RUSAGE_CHILDREN)
    with output.open("wb") as out:
        subprocess.run(
            command,
            env={**os.environ, **environ},
            check=True,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ldapsearch(directory: Directory, output: Path) -> float:
    url = f"ldaps://127.0.0.1:{directory.tls_port}"
    password = directory.folder / "password"
    command = ["ldapsearch", "-x", "-LLL", "-H", url, "-D", READER, "-y", password]
    command += ["-E", "pr=500/noprompt", "-b", BASE, "(objectClass=person)", "*", "+"]
    return cpu(command, output, LDAPTLS_CACERT=directory.ca_file)


class Tap:
    """The tap, run as its executable.

    Args:
        directory: The server.
        folder: For its settings and what it writes.
    """

    def __init__(self, directory: Directory, folder: Path) -> None:
        self.settings = directory.settings
        self.folder = folder
        self.state: dict = {}

    def run(self, stream: str, **more: object) -> float:
        """Return the CPU seconds of reading one stream, from the state of the run before."""
        config, catalog, state = (
            self.folder / f"{name}.json" for name in ("config", "catalog", "state")
        )
        config.write_text(json.dumps({**self.settings, **more}))
        state.write_text(json.dumps(self.state))
        cpu([TAP, "--config", config, "--discover"], catalog)
        streams = json.loads(catalog.read_text())
        for each in streams["streams"]:
            each["metadata"][-1]["metadata"]["selected"] = each["tap_stream_id"] == stream
        catalog.write_text(json.dumps(streams))
        command = [TAP, "--config", config, "--catalog", catalog, "--state", state]
        output = self.folder / "output"
        seconds = cpu(command, output)
        messages = map(json.loads, output.open())
        self.state = [each["value"] for each in messages if each["type"] == "STATE"][-1]
        return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as name, running_directory(staff=PEOPLE) as directory:
        folder = Path(name)
        tap = Tap(directory, folder)
        measured = {"ldapsearch of the people": ldapsearch(directory, folder / "output")}
        measured["tap-ldap, people"] = tap.run("people")
        measured["tap-ldap, memberships"] = tap.run("memberships")
        tap.state = {}
        storage = {"root": folder.as_uri(), "prefix": ""}
        encoding = {"format": "jsonl", "compression": "none"}
        measured["tap-ldap, people as BATCH"] = tap.run(
            "people", batch_config={"storage": storage, "encoding": encoding}
        )
    print(f"{PEOPLE} people, a group with all of them: CPU seconds, and times the first")
    first = next(iter(measured.values()))
    for what, seconds in measured.items():
        print(f"{what:28} {seconds:7.2f} {seconds / first:7.1f}")


if __name__ == "__main__":
    main()
