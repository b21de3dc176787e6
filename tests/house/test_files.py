# SPDX-License-Identifier: GPL-3.0-or-later
"""What every file of the tree has (a licence line) and has not (paths of somebody's machine)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from house.tree import ROOT, files

LICENCE = "SPDX-License-Identifier: GPL-3.0-or-later"
NEEDS_NONE = {"LICENSE", "py.typed", ".gitignore", "changelog", "format"}
PROSE = {".md"}
COMMON = {Path(p) for p in ("/", "/tmp", "/root", "/home", "/srv", "/opt", "/usr/src", "/var/tmp", "/mnt")}


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file; bytes recorded from peers (tests/golden) are data."""
    for path in files():
        if "golden" in path.parts:
            continue
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def test_every_file_names_its_licence_once_near_the_top():
    wrong = []
    for path, text in texts():
        if path.name in NEEDS_NONE or path.suffix in PROSE:
            continue
        head = text.splitlines()[:5]
        if sum(LICENCE in line for line in head) != 1:
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong, f"no line with {LICENCE!r} in: {', '.join(wrong)}"


def test_no_file_names_a_path_of_somebodys_machine():
    own = {ROOT, ROOT.parent} - COMMON
    patterns = [rf"(?<![\w.$}}/-]){re.escape(str(path))}(?![\w-])" for path in own]
    patterns.append(r"(?<![\w.])/(?:home|Users)/[a-z][\w-]*/")
    sought = re.compile("|".join(patterns))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if sought.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_merge_was_left_half_done():
    sought = re.compile(r"^(?:<{7}|>{7}|\|{7}) ", re.MULTILINE)
    assert not [path for path, text in texts() if sought.search(text)]


def test_what_is_to_be_run_can_be_run():
    for path, text in texts():
        shebang = text.startswith("#!")
        assert shebang == os.access(path, os.X_OK), f"{path.relative_to(ROOT)}: #! line and mode disagree"


def test_python_programs_run_with_debians_interpreter():
    for path, text in texts():
        first = text.partition("\n")[0]
        if first.startswith("#!") and "python" in first:
            assert first.split()[0] == "#!/usr/bin/python3", f"{path.relative_to(ROOT)}: {first}"
