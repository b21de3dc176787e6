# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd's counters as a table and for Prometheus (cli.metrics). Read prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydaemons.cli.metrics import Metrics

Labels = Mapping[str, str]

GAUGES = (
    ("locks", "Locks held."),
    ("files", "Files with locks."),
    ("shares", "Shares held."),
    ("blocked", "Requests that wait for a lock."),
    ("granting", "Locks granted after waiting, not acknowledged by their clients yet."),
    ("clients", "Clients known."),
    ("connections", "TCP connections."),
)


def stats_rows(stats: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The counters as rows of a table: what, how many."""
    rows = []
    for program, versions in stats["procedures"].items():
        for version, procedures in versions.items():
            rows += [(f"{program}{version} {name}", count) for name, count in procedures.items()]
    for procedure, statuses in stats["statuses"].items():
        rows += [(f"{procedure} {status}", count) for status, count in statuses.items()]
    for group in ("rpc", "shell"):
        rows += [(f"{group}: {what}", count) for what, count in sorted(stats[group].items())]
    rows.append(("replies repeated", stats["replies_repeated"]))
    return rows


def prometheus(stats: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Everything pylockd counts, and how it is now."""
    page = Metrics("pylockd")
    family, gauge = page.family, page.gauge
    family("calls_total", "counter", "Calls by procedure.", _calls(stats["procedures"]))
    family("decisions_total", "counter", "What was decided, by procedure.", _decisions(stats["statuses"]))
    family("rpc_total", "counter", "RPC calls, replies and refusals, by what.", _by_what(stats["rpc"]))
    family("shell_total", "counter", "Datagrams, records and drops, by what.", _by_what(stats["shell"]))
    family(
        "replies_repeated_total",
        "counter",
        "Replies given again to repeated calls.",
        [({}, stats["replies_repeated"])],
    )
    for name, doc in GAUGES:
        gauge(name, doc, status[name])
    gauge("grace_left_seconds", "What is left of the grace period.", status["grace_left"])
    gauge("refuse", "Whether every lock is refused.", status["refuse"])
    gauge("start_time_seconds", "Start, in seconds since 1970.", status["since"])
    family("info", "gauge", "Version.", [({"version": status["version"]}, 1)])
    return page.text()


def _calls(procedures: Mapping[str, Any]) -> Iterator[tuple[Labels, object]]:
    for program, versions in procedures.items():
        for version, rows in versions.items():
            for name, count in rows.items():
                yield {"program": program, "version": version, "procedure": name}, count


def _decisions(statuses: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[Labels, object]]:
    for procedure, rows in statuses.items():
        for name, count in rows.items():
            yield {"procedure": procedure, "status": name}, count


def _by_what(counts: Mapping[str, int]) -> Iterator[tuple[Labels, object]]:
    for what, count in sorted(counts.items()):
        yield {"what": what}, count
