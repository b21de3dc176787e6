# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakes.shell import KeptLog
from pydaemons.kit import privileges

LIB = Path(__file__).resolve().parents[2] / "lib"


def status_after(options):
    """What /proc says of a process that settled with `options`."""
    pytest.importorskip("prctl")
    code = f"""
import sys; sys.path.insert(0, {str(LIB)!r})
from pydaemons.kit.log import Log
from pydaemons.kit.privileges import settle
import prctl
settle("pylockd-with-a-long-name", Log("x"), {options})
print(open("/proc/self/status").read())
print("dumpable", int(prctl.get_dumpable()), "subreaper", prctl.get_child_subreaper())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_the_name_is_cut_to_what_the_kernel_keeps_and_privileges_stay_as_they_are():
    status = status_after("")
    assert "Name:\tpylockd-with-a-\n" in status
    assert "NoNewPrivs:\t1\n" in status
    assert "dumpable 1 subreaper 0" in status


def test_the_rest_is_done_when_asked_for():
    assert "dumpable 0 subreaper 1" in status_after("dumpable=False, subreaper=True")


def test_without_the_module_there_is_one_notice_and_no_harm(monkeypatch):
    monkeypatch.setitem(sys.modules, "prctl", None)
    log = KeptLog()
    privileges.settle("pylockd", log)
    assert log.lines == ["python-prctl is not installed: keeping the interpreter's process name"]
