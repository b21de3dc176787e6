# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of pybosd, again and again, under a hundred bnodes."""

from __future__ import annotations

import random
import re
import time

import pytest

from hosts.bos import HOME, BosHost
from hosts.waiting import wait_for


@pytest.mark.slow
def test_killing_it_ten_times_under_load_touches_nobody_and_forgets_nothing(bos: BosHost) -> None:
    names = [f"q{number}" for number in range(90)]
    requests = [(name, f"/usr/local/bin/counted {name} 10000 0") for name in names]
    requests += [(f"c{number}", f"/usr/local/bin/counted c{number} 4 1") for number in range(10)]
    bos.call(
        ("Create", {"instance": name, "type": "simple", "commands": [command]}) for name, command in requests
    )
    bos.do("stop", "q0", "-wait")
    bos.do("shutdown", "q1", "-wait")
    quiet = names[2:]
    wait_for(lambda: all(len(bos.starts(name)) == 1 for name in (quiet[0], quiet[-1])), what="all started")
    before = bos.processes()
    for _ in range(10):
        old = bos.pid
        bos.kill(old)
        wait_for(lambda old=old: bos.pid not in (0, old), what="the next pybosd")
        wait_for(lambda: bos.bos("statistics").returncode == 0, what="its answer")
        assert bos.figures()["adopted"] >= 88
    after = bos.processes()
    for name in quiet:
        assert after[f"bos-{name}.service"] == before[f"bos-{name}.service"], f"{name} was restarted"
        assert len(bos.starts(name)) == 1
    shown = bos.status()
    assert {shown[name]["starts"] for name in quiet} == {1}
    assert (shown["q0"]["file_goal"], shown["q1"]["goal"], shown["q1"]["file_goal"]) == (0, 0, 1)
    for number in range(10):
        view, told = shown[f"c{number}"], len(bos.starts(f"c{number}"))
        assert not view["error_stop"], "an exit each 4 s is fine"
        assert abs(view["starts"] - told) <= 1, (view, told)
    text = bos.host.journal("pybosd")
    assert text.count("Adopted") == 10 and "bug, please report" not in text


STREAM = f"""
import sys
sys.path.insert(0, {HOME + "/lib"!r})
from pydaemons.cli.bos_link import Link
link = Link("/run/pybosd/control", None)
for number in range(500):
    name = sys.argv[1] + str(number)
    link.call("Create", instance=name, type="simple", commands=["/usr/local/bin/counted " + name + " 9999 0"])
    print(name, flush=True)
"""


@pytest.mark.slow
def test_killing_it_in_the_middle_of_creates_loses_none_and_starts_none_twice(bos: BosHost) -> None:
    accepted: set[str] = set()
    for prefix in "abcde":
        old = bos.pid
        client = bos.host.start("/usr/bin/python3", "-c", STREAM, prefix)
        wait_for(lambda client=client, last=f"{prefix}20\n": last in client.log, what="some creates")
        time.sleep(random.uniform(0.0, 0.05))
        bos.kill(old)
        client.wait()
        accepted |= {word for word in client.log.split() if re.fullmatch(prefix + r"\d+", word)}
        wait_for(lambda old=old: bos.pid not in (0, old), what="the next pybosd")
        wait_for(lambda: bos.bos("statistics").returncode == 0, what="its answer")
    wait_for(lambda: bos.figures()["running"] == bos.figures()["bnodes"], what="all to run")
    shown = bos.status()
    assert accepted and accepted <= shown.keys() and len(shown) <= len(accepted) + 5, "one under way each"
    listed = bos.host.run("sh", "-c", "cd /run/starts && wc -l *", check=True).stdout.split()
    starts = dict(zip(listed[1::2], listed[::2], strict=True))
    assert {starts[name] for name in shown} == {"1"} and starts.keys() - {"total"} == shown.keys()
    assert bos.processes().keys() == {f"bos-{name}.service" for name in shown}
