# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd beside Samba's nmbd under the same load, by turns: queries, node status, WINS at several sizes.

Read measure, then TARGETS. Each side of each round is a fresh daemon in a lab of namespaces; the load
(nbload.c) comes from another host. What counts is the ratio of the medians: both sides see the same noise.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from hosts import netbios
from hosts.holder import Process
from hosts.lab import Host, Lab

SOURCE = Path(__file__).with_name("nbload.c")
OURS, PEER = "pynmbd", "nmbd"
CONF = """[global]
netbios name = SUT
workgroup = BENCH
wins support = yes
dns proxy = no
local master = no
"""
BAD = "bad packets"


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the load generator."""

    title: str
    words: tuple[str, ...]
    target: float | None = None
    """Ratio of the rates to reach."""


def steps(sizes: list[int], seconds: float) -> list[Step]:
    """What is run, in this order, on one daemon: its WINS names grow from size to size."""
    timed = ("--seconds", str(seconds))
    found = [
        Step("own name, 1 in flight", ("own", "--name", "SUT", "--window", "1", *timed), 1.0),
        Step("own name, 32 in flight", ("own", "--name", "SUT", "--window", "32", *timed), 1.5),
        Step("own name, 256 in flight", ("own", "--name", "SUT", "--window", "256", *timed), 1.5),
        Step("node status, 1 in flight", ("status", "--window", "1", *timed), 1.0),
        Step("node status, 32 in flight", ("status", "--window", "32", *timed), 1.5),
        Step("unknown name, 32 in flight", ("miss", "--window", "32", *timed), None),
        Step(BAD, ("bad", "--name", "SUT", "--window", "1", *timed), None),
    ]
    known = 0
    for size in sizes:
        new = ("--names", str(size - known), "--first", str(known))
        every = ("--names", str(size))
        found += [
            Step(f"register up to {size} names", ("register", *new), 8.0 if size >= 100_000 else 1.5),
            Step(f"query among {size} names", ("query", "--shuffle", *every, *timed), None),
            Step(f"query among {size} names, 1 in flight", ("query", "--window", "1", *every, *timed), 1.0),
            Step(f"refresh of {size} names", ("refresh", "--names", str(min(size, 5000))), None),
        ]
        known = size
    return found


def load_generator() -> Path:
    """nbload, compiled when its source is newer; kept outside the tree."""
    folder = "/var/cache/pydaemons-tests" if os.geteuid() == 0 else f"{tempfile.gettempdir()}/pydaemons-tests"
    cache = Path(os.environ.get("PYDAEMONS_TESTS_CACHE", folder))
    program = cache / "nbload"
    if not program.exists() or program.stat().st_mtime < SOURCE.stat().st_mtime:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise SystemExit("the load generator needs a C compiler (apt-get install gcc libc6-dev)")
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"nbload.{os.getpid()}"
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", fresh, SOURCE], check=True)
        fresh.replace(program)
    return program


def processor_time(process: Process) -> float:
    """User and system seconds of a daemon's main thread, which has all the work on either side. Ticks (see
    proc(5), stat) would be too coarse for a thousand registrations."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def memory(process: Process) -> int:
    """Resident kilobytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def run_load(client: Host, server: Host, process: Process, words: tuple[str, ...]) -> dict[str, Any]:
    """One run; the generator's figures and the daemon's processor time per operation."""
    before = processor_time(process)
    done = client.run(str(load_generator()), *words, "--server", server.address, timeout=200)
    if done.returncode:
        raise SystemExit(f"nbload {' '.join(words)}: {done.stderr}{process.log[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    operations = result["good"] + result["negative"] + result["bad_sent"]
    result["cpu_us"] = round((processor_time(process) - before) * 1e6 / max(operations, 1), 2)
    return result


def measure(side: str, sizes: list[int], seconds: float) -> dict[str, Any]:
    """Everything about one daemon, from a fresh start to its end."""
    start: Callable[..., Process] = netbios.start_pynmbd if side == OURS else netbios.start_nmbd
    with Lab(2, limit=900) as lab:
        begun = time.monotonic()
        process = start(lab.h1, CONF)
        result: dict[str, Any] = {"start_s": round(time.monotonic() - begun, 3), "steps": {}, "memory_kb": {}}
        time.sleep(5)  # nmbd's own names are in its WINS after four
        result["memory_kb"]["0"] = memory(process)
        for step in steps(sizes, seconds):
            result["steps"][step.title] = run_load(lab.h2, lab.h1, process, step.words)
            if step.title.startswith("refresh"):
                size = step.title.split()[2]
                result["memory_kb"][size] = memory(process)
        begun = time.monotonic()
        process.stop(timeout=60)
        result["stop_s"] = round(time.monotonic() - begun, 3)
    return result


def summarise(rounds: dict[str, list[dict[str, Any]]], plan: list[Step]) -> dict[str, Any]:
    """Medians of all rounds, and ratios."""

    def middle(side: str, title: str, figure: str) -> float:
        return round(median(one["steps"][title][figure] for one in rounds[side]), 2)

    rows = {}
    for step in plan:
        row: dict[str, Any] = {
            side: {
                figure: middle(side, step.title, figure)
                for figure in ("per_second", "p50_us", "p99_us", "cpu_us", "lost")
            }
            for side in rounds
        }
        if set(rounds) == {OURS, PEER}:
            row["ratio"] = round(row[OURS]["per_second"] / max(row[PEER]["per_second"], 0.1), 2)
            row["target"] = step.target
        rows[step.title] = row
    sides = {
        side: {
            "start_s": median(one["start_s"] for one in done),
            "stop_s": median(one["stop_s"] for one in done),
            "memory_kb": {
                size: median(one["memory_kb"][size] for one in done) for size in done[0]["memory_kb"]
            },
        }
        for side, done in rounds.items()
    }
    return {"steps": rows, "sides": sides}


def costs(rows: dict[str, Any]) -> list[str]:
    """What a packet costs beside another: a bad one beside the registration it was cut from, one among many
    names beside the same among few."""
    lines = []
    for side in rows[BAD].keys() & {OURS, PEER}:

        def cpu(title: str, side: str = side) -> float:
            return max(float(rows[title][side]["cpu_us"]), 0.01)

        registering = [title for title in rows if title.startswith("register")]
        asking = [title for title in rows if title.startswith("query") and "in flight" not in title]
        found = [f"{cpu(BAD) / cpu(registering[-1]):.2f} of a registration for a bad packet"]
        if len(registering) > 1:
            for what, titles in (("registration", registering), ("query", asking)):
                least, most = (title.split()[-2] for title in (titles[0], titles[-1]))
                times = cpu(titles[-1]) / cpu(titles[0])
                found.append(f"{times:.2f} times for a {what} among {most} what it takes among {least}")
        lines.append(f"{side}, processor time: {', '.join(found)}")
    return sorted(lines, reverse=True)


def table(summary: dict[str, Any]) -> str:
    """For people."""
    units = f"{'cpu us':>7} {'p99 us':>8}"
    lines = [f"{'':<40} {'pynmbd/s':>9} {units} {'nmbd/s':>9} {units}  ratio"]
    for title, row in summary["steps"].items():
        cells = ""
        for side in (OURS, PEER):
            figures = row.get(side)
            if figures is None:
                cells += f" {'-':>9} {'-':>7} {'-':>8}"
            else:
                cells += f" {figures['per_second']:>9.0f} {figures['cpu_us']:>7.1f} {figures['p99_us']:>8.0f}"
        ratio = row.get("ratio")
        target = row.get("target")
        shown = "" if ratio is None else f"{ratio:>6.2f}" + (f" (target {target})" if target else "")
        lines.append(f"{title:<40}{cells} {shown}")
    lines += costs(summary["steps"])
    for side, figures in summary["sides"].items():
        sizes = ", ".join(f"{int(kb) // 1024} MB at {size}" for size, kb in figures["memory_kb"].items())
        lines.append(
            f"{side}: {figures['start_s']:.2f} s to the first answer, stop {figures['stop_s']:.2f} s, {sizes}"
        )
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="tests/bench/nmbd", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each timed step")
    parser.add_argument("--sizes", default="1000,10000,100000", help="WINS names")
    parser.add_argument("--quick", action="store_true", help="one short round, 1000 names")
    parser.add_argument("--only", choices=(OURS, PEER))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    sizes = [1000] if arguments.quick else [int(word) for word in arguments.sizes.split(",")]
    seconds = 0.3 if arguments.quick else arguments.seconds
    sides = [arguments.only] if arguments.only else [OURS, PEER]
    if PEER in sides and shutil.which("nmbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        raise SystemExit("nmbd is not installed (apt-get install samba), or try --only pynmbd")
    load_generator()
    rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(1 if arguments.quick else arguments.rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            print(f"round {number + 1}: {side}", file=sys.stderr, flush=True)
            rounds[side].append(measure(side, sizes, seconds))
    summary = summarise(rounds, steps(sizes, seconds))
    print(json.dumps(summary, indent=2) if arguments.json else table(summary))
    return 0
