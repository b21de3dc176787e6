# SPDX-License-Identifier: GPL-3.0-or-later
"""Core files get their bnode's name."""

from __future__ import annotations

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
