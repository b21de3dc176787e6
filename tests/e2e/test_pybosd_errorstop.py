# SPDX-License-Identifier: GPL-3.0-or-later
"""Error stops on a real systemd, exact to the exit. The window in real time is in test_pybosd_windows."""

from __future__ import annotations

import re

from hosts.bos import BosHost
from hosts.waiting import wait_for


def test_a_program_that_fails_at_once_is_started_exactly_12_times(bos: BosHost) -> None:
    for number in range(4):
        bos.do("create", f"x{number}", "simple", f"/usr/local/bin/counted x{number} 0 1")
    bos.do("create", "missing", "simple", "/nonexistent")
    for name in ("x0", "x1", "x2", "x3", "missing"):
        view = wait_for(
            lambda name=name: (v := bos.status(name)[name])["error_stop"] and v, what=f"{name} stopped"
        )
        assert (view["goal"], view["file_goal"], view["starts"]) == (0, 1, 12), view
        assert bos.host.show(f"bos-{name}", "ActiveState") in ("failed", "inactive"), "nothing is on its way"
    assert [len(bos.starts(f"x{number}")) for number in range(4)] == [12] * 4
    assert bos.status("missing")["missing"]["error_code"] == 203
    said = "temporarily disabled, stopped for too many errors, currently shutdown."
    assert bos.do("status", "x0") == f"Instance x0, {said}\n"


def test_back_off_retries_and_ends_with_the_final_trip(bos: BosHost) -> None:
    for setting in ("error_stop_policy=backoff", "error_stop_limit=2", "error_stop_window=1",
                    "backoff_max=2", "backoff_trips=3"):  # fmt: skip
        key, value = setting.split("=")
        bos.host.write(f"/run/pysysctl/kernel/bos/{key}", value + "\n")
    wait_for(lambda: "error_stop_policy" in bos.host.journal("pybosd"), what="the tunables taken")
    bos.do("create", "x", "simple", "/usr/local/bin/counted x 0 1")
    wait_for(
        lambda: (v := bos.status("x")["x"])["error_stop"] and v["retry_at"] is None and v["starts"] >= 6,
        what="the final stop",
    )
    log = bos.boslog()
    pauses = re.findall(r"x will retry start in (\d+) seconds", log)
    assert pauses == ["1", "2", "2"]
    assert log.count("BNODE 'x' repeatedly failed to start") == 4
    assert bos.status("x")["x"]["starts"] == len(bos.starts("x"))


def test_restarts_by_hand_never_count(bos: BosHost) -> None:
    bos.do("create", "x", "simple", "/usr/local/bin/counted x 1000 0")
    bos.call([("Restart", {"instance": "x"}), ("WaitStatus", {"instance": "x", "goal": 1})] * 30)
    view = bos.wait_status("x", 1)
    assert (view["starts"], view["exits_in_window"], view["error_stop"]) == (31, 0, False)


def test_a_start_by_hand_ends_an_error_stop(bos: BosHost) -> None:
    bos.host.write("/usr/local/bin/repaired", "#!/bin/sh\nexit 1\n", mode=0o755)
    bos.do("create", "x", "simple", "/usr/local/bin/repaired")
    wait_for(lambda: bos.status("x")["x"]["error_stop"], what="the stop")
    bos.host.write("/usr/local/bin/repaired", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
    bos.do("start", "x")
    assert bos.wait_status("x", 1)["error_stop"] is False
    assert bos.host.run("ls", "/run/pybosd/stop").stdout == ""


def test_exits_while_it_was_away_are_counted(bos: BosHost) -> None:
    bos.do("create", "x", "simple", "/usr/local/bin/counted x 1000 0")
    bos.wait_status("x", 1)
    bos.host.run("systemctl", "kill", "-s", "STOP", "pybosd", check=True)
    for number in range(3):
        bos.kill(bos.processes()["bos-x.service"])
        wait_for(lambda n=number: len(bos.starts("x")) == n + 2, what="systemd's own restart")
    bos.host.run("systemctl", "kill", "-s", "KILL", "pybosd", check=True)
    wait_for(lambda: bos.bos("statistics").returncode == 0, what="the next pybosd")
    view = bos.wait_status("x", 1)
    assert (view["starts"], view["exits_in_window"]) == (4, 3)
