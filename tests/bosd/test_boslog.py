# SPDX-License-Identifier: GPL-3.0-or-later
"""log/BosLog."""

from __future__ import annotations

import re

from pydaemons.bosd import boslog
from pydaemons.bosd.boslog import BosLogFile


def test_lines_are_the_peers(tmp_path):
    log = BosLogFile(f"{tmp_path}/BosLog")
    log.open()
    log.write(0.0, "a started pid 22: /bin/sleep 1000")
    log.write(0.0, "two\nlines")
    lines = (tmp_path / "BosLog").read_text().splitlines()
    assert re.fullmatch(
        r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}: a started pid 22: /bin/sleep 1000", lines[0]
    )
    assert lines[1].endswith(": two lines") and len(lines) == 2


def test_after_a_rename_reopen_begins_a_new_file(tmp_path):
    log = BosLogFile(f"{tmp_path}/BosLog")
    log.open()
    log.write(0.0, "one")
    (tmp_path / "BosLog").rename(tmp_path / "BosLog.1")
    log.reopen()
    log.write(0.0, "two")
    assert "two" in (tmp_path / "BosLog").read_text() and "two" not in (tmp_path / "BosLog.1").read_text()


def test_a_long_file_becomes_old_at_start(tmp_path, monkeypatch):
    monkeypatch.setattr(boslog, "LONGEST", 10)
    (tmp_path / "BosLog").write_text("x" * 11)
    BosLogFile(f"{tmp_path}/BosLog").open()
    assert (tmp_path / "BosLog.old").exists() and (tmp_path / "BosLog").read_text() == ""


def test_a_closed_log_swallows(tmp_path):
    log = BosLogFile(f"{tmp_path}/BosLog")
    log.write(0.0, "x")
    log.close()
