# SPDX-License-Identifier: GPL-3.0-or-later
"""The peer's canonical paths."""

from __future__ import annotations

import pytest

from pydaemons.bnode.folders import Folders

HERE = Folders("/b", "/l", "/e", "/o")


@pytest.mark.parametrize(
    ("given", "local"),
    [
        ("/usr/afs/bin/x", "/b/x"),
        ("/usr/afs/logs/FileLog", "/l/FileLog"),
        ("/usr/afs/local", "/o"),
        ("/usr/afs/etc/ThisCell", "/e/ThisCell"),
        ("/usr/afs/what/x", "/usr/afs/what/x"),
        ("/bin/x", "/bin/x"),
        ("x", "/b/x"),
    ],
)
def test_canonical_paths_are_ours_and_relative_ones_are_binaries(given, local):
    assert HERE.local_path(given) == local


def test_a_program_is_looked_for_alike():
    assert HERE.program("/usr/afs/bin/x") == "/b/x"
    assert (HERE.program("/bin/x"), HERE.program("x")) == ("/bin/x", "/b/x")
