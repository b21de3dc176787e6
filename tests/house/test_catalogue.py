# SPDX-License-Identifier: GPL-3.0-or-later
"""Every MESSAGE_ID the daemons use is explained in the journal's catalogue, which journalctl can read."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from house.tree import LIB, ROOT, modules

CATALOGUE = ROOT / "units/catalog/pydaemons.catalog"
OTHERS = {"fc2e22bc6ee647b6b90729ab34a250b1": "systemd-coredump's: looked for, never sent"}


def used() -> dict[str, str]:
    """MESSAGE_ID → the module that has it."""
    return {
        node.value: module.name
        for module in modules()
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch("[0-9a-f]{32}", node.value)
    }


def entries() -> dict[str, str]:
    """MESSAGE_ID → its entry."""
    parts = re.split(r"^-- ([0-9a-f]{32})$", CATALOGUE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_message_id_is_explained_and_nothing_else_is() -> None:
    assert set(used()) - set(OTHERS) == set(entries())
    assert set(OTHERS) <= set(used())


def test_no_message_id_stands_twice() -> None:
    ids = re.findall(r"^-- (\w+)$", CATALOGUE.read_text(), re.MULTILINE)
    assert len(ids) == len(set(ids))


def test_documentation_names_ids_that_exist() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert set(re.findall(r"\b[0-9a-f]{32}\b", page.read_text())) <= set(entries()), page.name


@pytest.mark.parametrize("id_", entries())
def test_an_entry_has_its_headers_and_names_fields_that_exist(id_: str) -> None:
    text = entries()[id_]
    head, _, body = text.strip().partition("\n\n")
    assert [line.partition(":")[0] for line in head.splitlines()] == [
        "Subject",
        "Defined-By",
        "Documentation",
    ]
    assert body.strip()
    sources = "".join(path.read_text() for path in (LIB / "pydaemons").rglob("*.py"))
    for field in set(re.findall(r"@(\w+)@", text)):
        assert re.search(rf'"{field}"|\b{field}=', sources), f"no message has a field {field}"
    pages = {path.name for path in (ROOT / "docs/man").iterdir()}
    for page, section in re.findall(r"man:([\w.@-]+)\((\d)\)", text):
        assert f"{page}.{section}" in pages or page in ("rpc.statd", "sm-notify"), page


@pytest.mark.needs("journalctl")
def test_journalctl_takes_the_catalogue(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (folder / CATALOGUE.name).write_text(CATALOGUE.read_text())
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    words = ["journalctl", "--update-catalog", f"--root={tmp_path}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "var/lib/systemd/catalog/database").stat().st_size > len(CATALOGUE.read_text()) / 2
