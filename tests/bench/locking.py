# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd and nfs-ganesha under the same load, by turns on the same machine; what tests/bench/lockd runs.

Each round starts each server afresh on a lab host of its own (rpcbind beside it, ganesha with rpc.statd, its
files on tmpfs) and puts the same calls to it from that host. The sides change places every round; figures are
medians over the rounds, and what counts is their ratio: the figures themselves are this machine's. Nothing
here passes or fails by time. Read SPEEDS for what is measured and measure() for how.

The peer dies of SHARE followed by FREE_ALL from one client, and slows down with the number of locks held:
neither is done to it (held locks stop at 10 000 there).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.waking import wake_latencies
from hosts import peers
from hosts.holder import HostError
from hosts.lab import Host, Lab

SOURCE = Path(__file__).with_name("nlmload.c")
PEER, OURS = "ganesha", "pylockd"


@dataclass(frozen=True, slots=True)
class Speed:
    """A rate to compare: calls per second."""

    title: str
    mode: str
    tcp: bool
    window: int
    target: float | None = None
    """The ratio to reach, ours to the peer's."""


SPEEDS = (
    Speed("NULL           UDP  1 in flight", "null", False, 1),
    Speed("NULL           UDP 32 in flight", "null", False, 32),
    Speed("NULL           TCP 32 in flight", "null", True, 32),
    Speed("LOCK+UNLOCK    UDP  1 in flight", "lockunlock", False, 1, 1.3),
    Speed("LOCK+UNLOCK    TCP  1 in flight", "lockunlock", True, 1, 1.3),
    Speed("LOCK+UNLOCK    UDP 32 in flight", "lockunlock", False, 32, 5.0),
    Speed("LOCK+UNLOCK    TCP 32 in flight", "lockunlock", True, 32, 12.0),
    Speed("a client's only lock  UDP  1   ", "only", False, 1),
    Speed("TEST           UDP 32 in flight", "test", False, 32),
    Speed("contended      UDP 32 in flight", "contended", False, 32),
)
Round = dict[str, Any]
"""All that was measured of one side in one round."""

GROWTH_TARGET, BYTES_TARGET, FRESH_TARGET_US = 1.5, 250, 300


@dataclass
class Options:
    rounds: int = 3
    seconds: float = 1.0
    held: dict[str, int] = field(default_factory=lambda: {PEER: 10_000, OURS: 100_000})
    fresh: int = 100
    wakes: int = 20


# ---------------------------------------------------------------------- the load generator


def load_generator() -> Path:
    """nlmload, compiled at first use and when its source is newer; kept outside the tree."""
    default = (
        "/var/cache/pydaemons-tests" if os.geteuid() == 0 else f"{tempfile.gettempdir()}/pydaemons-tests"
    )
    cache = Path(os.environ.get("PYDAEMONS_TESTS_CACHE", default))
    program = cache / "nlmload"
    if not program.exists() or program.stat().st_mtime < SOURCE.stat().st_mtime:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise SystemExit("the load generator needs a C compiler (apt-get install gcc libc6-dev)")
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"nlmload.{os.getpid()}"
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", fresh, SOURCE], check=True)
        fresh.replace(program)  # two at once: the last one wins, both are whole
    return program


def nlmload(host: Host, server: Server, *words: str, while_held: Callable[[], None] | None = None) -> Any:
    """One run on `host`; `while_held` is called while the locks of mode held are there."""
    command = [
        *(str(load_generator()), *words, "--port", str(server.port), "--pid", str(server.process.inner_pid)),
        *("--handle", server.handle.hex()),
        *(["--pause"] if while_held else []),
    ]
    process = subprocess.Popen(
        host.command(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr and process.stdin
    if while_held and process.stderr.readline() == "held\n":
        while_held()
        process.stdin.write("\n")
        process.stdin.flush()
    out, err = process.communicate(timeout=300)
    if not out.endswith("}\n"):
        raise HostError(
            f"nlmload {' '.join(words)}: exit {process.returncode}: {err}{server.process.log[-2000:]}"
        )
    result = json.loads(out)
    if process.returncode:
        bad = f"{result['refused']} refused, {result['lost']} lost"
        print(f"  {server.name}: {' '.join(words)}: {bad}", file=sys.stderr)
    return result


# ---------------------------------------------------------------------- the two servers


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    process: Any
    port: int
    handle: bytes
    journal: Path | None
    """A folder whose size counts as memory: it lies on tmpfs."""
    state: Path | None = None
    """Where it keeps what must outlive the machine."""


def start(name: str, host: Host) -> Server:
    peers.start_rpcbind(host)
    if name == PEER:
        export = Path("/run/export")
        host.run("mkdir", "-m", "777", str(export), check=True)
        peers.start_statd(host)
        ganesha = peers.start_ganesha(host, export, nlm=True)
        (handle,) = ganesha.handles(host, "file")
        return Server(name, ganesha.process, peers.NLM_PORT, handle, None)
    lockd = peers.start_pylockd(
        host,
        f"""
        [fs.nfs]
        nlm_udpport = {peers.NLM_PORT}
        nlm_tcpport = {peers.NLM_PORT}
        [nsm]
        mode = embedded
        """,
    )
    return Server(name, lockd.process, peers.NLM_PORT, bytes(range(1, 29)), lockd.run_dir, lockd.state_dir)


def folder_size(folder: Path | None) -> int:
    if folder is None:
        return 0
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------- one side of one round


def measure(name: str, options: Options) -> Round:
    """Everything about one server, from a fresh start to its end."""
    with Lab(3, limit=600) as lab:
        host = lab.h1
        names = (f"127.1.{i // 250}.{i % 250 + 1} fresh{i}\n" for i in range(options.fresh))
        with open(host.work / "hosts", "a") as hosts:
            hosts.writelines(names)
        server = start(name, host)
        result: Round = {"speeds": {}}
        for speed in SPEEDS:
            words = [speed.mode, "--window", str(speed.window), "--seconds", str(options.seconds)]
            result["speeds"][speed.title] = nlmload(host, server, *words, *(["--tcp"] if speed.tcp else []))
        before = durable_writes(server.state, options.fresh)
        result["first"] = nlmload(host, server, "first", "--fresh", str(options.fresh))
        result["durable"] = before + durable_writes(server.state, options.fresh)
        for waiter in (lab.h2, lab.h3):
            peers.start_rpcbind(waiter)
        result["wakes"] = wake_latencies(
            lab.h2, lab.h3, server.handle, address=lab.h1.address, port=server.port, count=options.wakes
        )
    with Lab(1, limit=600) as lab:
        server = start(name, lab.h1)
        empty, full = folder_size(server.journal), 0

        def weigh() -> None:
            nonlocal full
            full = folder_size(server.journal)

        words = [
            "held",
            "--window",
            "32",
            "--held",
            str(options.held[name]),
            "--seconds",
            str(options.seconds / 2),
        ]
        result["held"] = nlmload(lab.h1, server, *words, while_held=weigh)
        result["journal_bytes"] = full - empty
    return result


def durable_writes(folder: Path | None, count: int) -> list[float]:
    """Microseconds of writing a small file so that it survives the machine: what a record of a monitored
    client costs on this disk at least, just now."""
    if folder is None:
        return []
    taken = []
    above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(count):
        began = time.perf_counter()
        descriptor = os.open("probe.new", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=above)
        os.write(descriptor, bytes(220))
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename("probe.new", "probe", src_dir_fd=above, dst_dir_fd=above)
        os.fsync(above)
        taken.append((time.perf_counter() - began) * 1e6)
        os.unlink("probe", dir_fd=above)
    os.close(above)
    return taken


# ---------------------------------------------------------------------- what it comes to


def median(values: Iterable[float], digits: int = 1) -> float:
    return round(statistics.median(values), digits)


def bytes_per_lock(one: Round) -> float:
    held = one["held"]
    last = held["steps"][-1]
    return ((last["rss_kb"] - held["rss_empty_kb"]) * 1024 + one["journal_bytes"]) / last["held"]


def summarise(rounds: dict[str, list[Round]]) -> dict[str, Any]:
    """Medians and ratios, as --json prints them."""
    speeds = {}
    for speed in SPEEDS:
        row: dict[str, Any] = {"target": speed.target}
        for side, done in rounds.items():
            runs = [one["speeds"][speed.title] for one in done]
            row[side] = {
                key: median(run.get(key, -1) for run in runs) for key in ("per_second", "server_us", "p99_us")
            }
        if PEER in row and OURS in row:
            row["ratio"] = round(row[OURS]["per_second"] / row[PEER]["per_second"], 2)
            row["cost_ratio"] = round(row[PEER]["server_us"] / row[OURS]["server_us"], 2)
        speeds[" ".join(speed.title.split())] = row
    return {
        "rounds": max(map(len, rounds.values())),
        "speeds": speeds,
        "sides": {side: summarise_side(done) for side, done in rounds.items()},
    }


def summarise_side(done: list[Round]) -> dict[str, Any]:
    steps = []
    for same in zip(*(one["held"]["steps"] for one in done), strict=False):
        steps.append(
            {
                "held": same[0]["held"],
                "fill_per_second": median(step["fill"]["per_second"] for step in same),
                "gap_per_second": median(step["gap"]["per_second"] for step in same),
                "gap_server_us": median((step["gap"].get("server_us", -1) for step in same), 2),
            }
        )
    return {
        "held": steps,
        # by the server's own time: the rate also has the client's and everybody else's in it
        "growth": round(steps[-1]["gap_server_us"] / steps[0]["gap_server_us"], 2),
        "bytes_per_lock": median((bytes_per_lock(one) for one in done), 0),
        "first_lock_us": median(one["first"]["p50_us"] for one in done),
        "durable_us": median((statistics.median(one["durable"]) for one in done if one["durable"]), 0)
        if any(one["durable"] for one in done)
        else None,
        "wake_ms_median": median((statistics.median(one["wakes"]) * 1e3 for one in done), 3),
        "wake_ms_worst": round(max(max(one["wakes"]) for one in done) * 1e3, 3),
    }


def table(summary: dict[str, Any]) -> str:
    lines = [
        f"medians of {summary['rounds']} rounds, the two by turns; figures are this machine's, ratios count"
    ]
    lines.append("")
    lines.append(
        f"{'calls per second':<34}{PEER:>11}{OURS:>11}{'ratio':>8}{'target':>9}   server's µs per call"
    )
    for title, row in summary["speeds"].items():
        rates = "".join(
            f"{row[side]['per_second']:>11.0f}" if side in row else f"{'-':>11}" for side in (PEER, OURS)
        )
        ratio = f"{row['ratio']:>8.2f}" if "ratio" in row else f"{'-':>8}"
        target = f"{'≥ ' + format(row['target'], 'g'):>9}" if row["target"] else f"{'':>9}"
        costs = " / ".join(f"{row[side]['server_us']:.1f}" for side in (PEER, OURS) if side in row)
        costs += f" = {row['cost_ratio']:.1f}" if "cost_ratio" in row else ""
        lines.append(f"{title:<34}{rates}{ratio}{target}   {costs}")
    lines.append("")
    lines.append(f"{'locks held on one file, then LOCK+UNLOCK in gaps, UDP, 32 in flight':<70}")
    for side, figures in summary["sides"].items():
        for step in figures["held"]:
            lines.append(
                f"  {side:<9}{step['held']:>7} held: {step['gap_per_second']:>7.0f} calls/s, "
                f"{step['gap_server_us']:>8.2f} µs of server each; filled at {step['fill_per_second']:.0f}/s"
            )
    lines.append("")
    rows = (
        ("cost of a call, most held to 100 held", "growth", "×", f"≤ {GROWTH_TARGET}"),
        ("memory per lock held, journal included", "bytes_per_lock", "bytes", f"≤ {BYTES_TARGET}"),
        ("first lock of a new client", "first_lock_us", "µs", f"≤ {FRESH_TARGET_US} + the next line"),
        ("one durable write on the same disk", "durable_us", "µs", ""),
        ("unlock to GRANTED at the waiter, median", "wake_ms_median", "ms", "< 1 until it leaves"),
        ("unlock to GRANTED at the waiter, worst", "wake_ms_worst", "ms", ""),
    )
    for title, key, unit, target in rows:
        found = "".join(f"{summary['sides'].get(side, {}).get(key) or '-':>11}" for side in (PEER, OURS))
        lines.append(f"{title:<42}{found}  {unit:<6} {target}")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="tests/bench/lockd",
        description="Compare pylockd with nfs-ganesha: rates, growth, memory, wake-up. Needs root.",
    )
    made.add_argument("--rounds", type=int, default=3, help="how often each side has its turn (%(default)s)")
    made.add_argument("--quick", action="store_true", help="one short round: a smoke test, not a measurement")
    made.add_argument("--peer-only", action="store_true", help="nfs-ganesha alone")
    made.add_argument("--ours-only", action="store_true", help="pylockd alone")
    made.add_argument("--json", action="store_true", help="medians and ratios as one JSON object")
    return made


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)
    if os.geteuid() != 0:
        print("tests/bench/lockd: must be root: the servers run in namespaces", file=sys.stderr)
        return 2
    options = Options(rounds=arguments.rounds)
    if arguments.quick:
        options = Options(rounds=1, seconds=0.3, held={PEER: 2000, OURS: 20_000}, fresh=30, wakes=5)
    sides = [PEER] if arguments.peer_only else [OURS] if arguments.ours_only else [PEER, OURS]
    needed = ["rpcbind", *(["ganesha.nfsd", "rpc.statd"] if PEER in sides else [])]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if missing := [program for program in needed if shutil.which(program, path=path) is None]:
        print(f"tests/bench/lockd: not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    load_generator()
    rounds: dict[str, list[Round]] = {side: [] for side in sides}
    for number in range(options.rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            print(f"round {number + 1} of {options.rounds}: {side}", file=sys.stderr, flush=True)
            rounds[side].append(measure(side, options))
    summary = summarise(rounds)
    print(json.dumps(summary, indent=1) if arguments.json else table(summary))
    return 0
