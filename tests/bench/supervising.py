# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd, OpenAFS's bosserver, supervisord and bare systemd by turns, each on a fresh machine with a real
systemd; what tests/bench/bosd runs.

Every side starts N copies of one small script, which leaves a file named after itself and its pid and becomes
`sleep`; all times are from outside, between what was asked and those files. The sides change places every
round; figures are medians over the rounds, and what counts is their ratio. Nothing passes or fails by time.
Read SIDES for who takes part, and supervising_inside for what is done on the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from hosts.bos import CHECKOUT, BosHost
from hosts.machine import SystemdHost

INSIDE = Path(__file__).with_name("supervising_inside.py")
OURS, PEER, RAW, OTHER = "pybosd", "bosserver", "pystemd", "supervisord"
SIDES = {OURS: "pybosd", PEER: "bosserver", RAW: "systemctl", OTHER: "supervisord"}
"""Side → the program it cannot do without."""

TARGETS = (
    ("create and start", "create", RAW, 1.3),
    ("status of all", "status", PEER, 1.0),
    ("crash to running", "crash", RAW, 1.2),
)
"""What, figure, against whom, ratio to stay under."""
BYTES_TARGET = 4096

Round = dict[str, Any]


def measure(side: str, number: int, crashes: int) -> Round:
    """One side on a machine of its own."""
    with SystemdHost(binds=[CHECKOUT], limit=150.0) as host:
        if side == OURS:
            BosHost(host).start()
        done = host.run("/usr/bin/python3", INSIDE, side, str(number), str(crashes), check=True, timeout=120)
    found: Round = json.loads(done.stdout)
    return found


def report(rounds: dict[str, list[Round]], number: int) -> None:
    """Medians of all sides, and the ratios that have a target."""
    rows = (
        ("create and start, s", "create", "{:.2f}"),
        ("status of all, ms", "status", "{:.1f}"),
        ("crash to running, ms", "crash", "{:.1f}"),
        ("stop all, s", "stop", "{:.2f}"),
        ("memory per bnode, bytes", "bytes", "{:.0f}"),
        ("memory with none, kB", "empty", "{:.0f}"),
        ("adopted after kill -9, s", "adopt", "{:.2f}"),
    )
    print(f"{number} processes; medians of {len(next(iter(rounds.values())))} rounds")
    print(f"{'':26}" + "".join(f"{side:>13}" for side in rounds))
    for title, key, form in rows:
        cells = [_median(rounds[side], key) for side in rounds]
        shown = [("-" if cell is None else form.format(cell)) for cell in cells]
        print(f"{title:26}" + "".join(f"{cell:>13}" for cell in shown))
    print()
    for title, key, against, target in TARGETS:
        if against in rounds and OURS in rounds:
            pairs = zip(rounds[OURS], rounds[against], strict=True)
            ratio = statistics.median(ours[key] / theirs[key] for ours, theirs in pairs)
            verdict = "reached" if ratio <= target else "missed"
            print(f"{title}: {ratio:.2f} x {against} (target {target:.1f}: {verdict})")
    if OURS in rounds:
        size = _median(rounds[OURS], "bytes") or 0.0
        verdict = "reached" if size <= BYTES_TARGET else "missed"
        print(f"memory per bnode: {size:.0f} bytes (target {BYTES_TARGET}: {verdict})")


def _median(rounds: list[Round], key: str) -> float | None:
    values = [found[key] for found in rounds if found.get(key) is not None]
    return statistics.median(values) if values else None


def main(argv: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="bosd", description="pybosd beside its peers. Needs root.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--number", type=int, default=500, help="processes (%(default)s)")
    parser.add_argument("--crashes", type=int, default=20, help="crashes timed per round (%(default)s)")
    parser.add_argument("--side", action="append", choices=list(SIDES), help="only these")
    parser.add_argument("--json", action="store_true", help="every round as a line of JSON")
    options = parser.parse_args(argv)
    wanted = options.side or list(SIDES)
    path = f"{CHECKOUT}/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    for side in [side for side in wanted if shutil.which(SIDES[side], path=path) is None]:
        print(f"{SIDES[side]} is not installed: leaving {side} out", file=sys.stderr)
        wanted.remove(side)
    rounds: dict[str, list[Round]] = {side: [] for side in wanted}
    for turn in range(options.rounds):
        order = wanted[turn % len(wanted) :] + wanted[: turn % len(wanted)]
        for side in order:
            found = measure(side, options.number, options.crashes)
            rounds[side].append(found)
            if options.json:
                print(json.dumps({"round": turn, "side": side, **found}), flush=True)
    if not options.json:
        report(rounds, options.number)
    return 0
