"""What guides in docs show, to be written to files and run.

A line that begins with a file's name in backquotes and ends with a colon names the block below it.
Blocks of `console` are commands and what they print.
"""

import re

BLOCKS = re.compile(r"(?:^`([\w./-]+)`[^\n]*:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(block):
    """Return each command of a console with the lines that it prints."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def assert_shown(output, expected):
    """Compare with what the page shows: `...` leaves out lines, or a part of one."""
    lines = iter(re.sub(r"^\S+Z (?=\[)", "", line) for line in output.splitlines())
    for shown in filter("...".__ne__, expected):
        pattern = ".*".join(map(re.escape, shown.split("...")))
        assert any(re.fullmatch(pattern, line) for line in lines), f"{shown}\nis not in\n{output}"
