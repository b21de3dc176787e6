# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls per second over Rx: pybosd beside OpenAFS's bosserver, each on a machine of its own, by turns; what
tests/bench/rx runs. One client at a time, then several. Nothing passes or fails by time; what counts is the
ratio within a round, of which the median is shown.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from contextlib import ExitStack
from pathlib import Path

from hosts.bos import BosHost, prepare_afs
from hosts.machine import SystemdHost
from hosts.waiting import wait_for

INSIDE = Path(__file__).with_name("rxcalls_inside.py")
OURS, PEER = "pybosd", "bosserver"
TARGET = 0.7


def start(side: str) -> SystemdHost:
    """A machine with a server that has one bnode."""
    host = SystemdHost(limit=300.0)
    prepare_afs(host)
    host.run("ip", "link", "set", "lo", "up", check=True)
    if side == OURS:
        bos = BosHost(host)
        bos.open_rx()
        bos.start()
    else:
        host.start("/usr/sbin/bosserver", "-noauth", "-nofork", name="bosserver")
    words = ("bos", "create", "localhost", "a", "simple", "/bin/sleep 100000", "-noauth")
    wait_for(lambda: host.run(*words).returncode in (0, 3), what=f"{side} to answer")
    host.copy_in(INSIDE, "/root/rxcalls_inside.py")
    return host


def measure(host: SystemdHost, seconds: float, clients: int) -> float:
    words = ("/usr/bin/python3", "/root/rxcalls_inside.py", str(seconds), str(clients))
    return float(host.run(*words, check=True, timeout=seconds + 60).stdout)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/rx", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 4])
    options = parser.parse_args(argv)
    if shutil.which(PEER, path="/usr/sbin:/usr/bin") is None:
        print(f"{PEER} is not installed")
        return 1
    with ExitStack() as stack:
        hosts = {side: stack.enter_context(start(side)) for side in (OURS, PEER)}
        print(f"calls per second, {options.rounds} rounds of {options.seconds:g} s, by turns")
        for clients in options.clients:
            rounds = []
            for number in range(options.rounds):
                order = (OURS, PEER) if number % 2 == 0 else (PEER, OURS)
                found = {side: measure(hosts[side], options.seconds, clients) for side in order}
                rounds.append((found[OURS], found[PEER], found[OURS] / found[PEER]))
            ours, peer, ratio = (statistics.median(column) for column in zip(*rounds, strict=True))
            lowest, highest = min(r[2] for r in rounds), max(r[2] for r in rounds)
            print(
                f"{clients} client{'s' if clients > 1 else ' '}  {OURS} {ours:7.0f}   {PEER} {peer:7.0f}   "
                f"ratio {ratio:.2f} ({lowest:.2f} .. {highest:.2f}), wanted >= {TARGET}"
            )
    return 0
