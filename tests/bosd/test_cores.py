# SPDX-License-Identifier: GPL-3.0-or-later
"""Core files get their bnode's name."""

from __future__ import annotations

import asyncio
import os
import re

import pytest

from pydaemons.bnode.effects import KeepCore
from pydaemons.bosd import cores


def effect(*, stamp=False):
    return KeepCore("fs", "corefile.fs", 4711, "bos-fs-file.service", stamp)


@pytest.mark.parametrize("name", ["core", "core.4711"])
def test_what_the_kernel_left_is_renamed(tmp_path, name):
    (tmp_path / name).write_text("x")
    assert cores.keep(str(tmp_path), effect(), 0.0)
    assert cores.listed(str(tmp_path)) == {"corefile.fs"}


def test_another_process_core_is_left_alone(tmp_path):
    (tmp_path / "core.4712").write_text("x")
    assert not cores.keep(str(tmp_path), effect(), 0.0)


def test_the_newest_replaces_the_last_unless_stamped(tmp_path):
    for data in ("one", "two"):
        (tmp_path / "core").write_text(data)
        cores.keep(str(tmp_path), effect(), 0.0)
    assert (tmp_path / "corefile.fs").read_text() == "two"
    (tmp_path / "core").write_text("three")
    cores.keep(str(tmp_path), effect(stamp=True), 86400.0)
    (stamped,) = cores.listed(str(tmp_path)) - {"corefile.fs"}
    assert re.fullmatch(r"corefile\.fs\.\d{14}", stamped)


def test_a_link_somebody_planted_is_no_core(tmp_path):
    (tmp_path / "core").symlink_to("/etc/passwd")
    assert not cores.keep(str(tmp_path), effect(), 0.0)


def test_a_folder_that_is_not_there_has_none(tmp_path):
    assert cores.listed(f"{tmp_path}/nope") == frozenset()


def test_a_link_whose_file_was_cleaned_away_is_no_core(tmp_path):
    (tmp_path / "corea").symlink_to(tmp_path / "gone")
    assert cores.listed(str(tmp_path)) == frozenset()


# -- from the journal: its format is in tests/e2e, where there is one


@pytest.fixture
def journalctl(tmp_path, monkeypatch):
    """A journalctl that notes its words and says what is in `says`."""
    (tmp_path / "bin").mkdir()
    script = f'#!/bin/sh\necho "$@" >>{tmp_path}/words\ncat {tmp_path}/says 2>/dev/null\n'
    (tmp_path / "bin/journalctl").write_text(script)
    (tmp_path / "bin/journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "log").mkdir()
    return tmp_path


def tell(folder, path):
    (folder / "says").write_text(f"__CURSOR=x\nCOREDUMP_FILENAME={path}\n\n")


def test_the_file_that_systemd_coredump_names_gets_a_link_with_the_bnodes_name(journalctl):
    (journalctl / "core.x.zst").write_text("x")
    tell(journalctl, journalctl / "core.x.zst")
    for _ in range(2):
        assert cores.keep_from_journal(str(journalctl / "log"), effect(), 1000.0)
    assert (journalctl / "log/corefile.fs").readlink() == journalctl / "core.x.zst"
    words = (journalctl / "words").read_text().split()
    assert {"COREDUMP_PID=4711", "COREDUMP_UNIT=bos-fs-file.service", "--since=@990"} <= set(words)


def test_a_record_whose_file_is_not_there_is_none(journalctl):
    tell(journalctl, journalctl / "core.cleaned.zst")
    assert not cores.keep_from_journal(str(journalctl / "log"), effect(), 1000.0)
    assert not os.listdir(journalctl / "log")


@pytest.mark.parametrize("when", ["at once", "later", "never"])
def test_a_record_is_looked_for_until_it_is_there(journalctl, monkeypatch, when):
    monkeypatch.setattr(cores, "PAUSES", (0.0, 0.01, 0.02))
    (journalctl / "core.x.zst").write_text("x")
    real, looks, seen = cores.keep_from_journal, [], []

    def look(*given):
        if when == "at once" or (when == "later" and len(looks) == 2):
            tell(journalctl, journalctl / "core.x.zst")
        looks.append(real(*given))
        return looks[-1]

    monkeypatch.setattr(cores, "keep_from_journal", look)

    async def life():
        cores.Search(asyncio.get_running_loop(), str(journalctl / "log"), lambda: seen.append(1)).begin(
            effect(), 1.0
        )
        while len(looks) < {"at once": 1, "later": 3, "never": 3}[when]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(life(), 60))
    assert looks == {"at once": [True], "later": [False, False, True], "never": [False] * 3}[when]
    assert len(seen) == (when != "never")


def test_without_a_journalctl_there_is_no_record(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not cores.keep_from_journal(str(tmp_path), effect(), 1000.0)
