# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture that pylockctl top shows, from the Survey of pylockd. Read picture.

Nothing here asks or writes anything: values in, lines out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydaemons.cli import tables
from pydaemons.cli.lockctl_shared import (
    CLIENT,
    Field,
    Row,
    behind,
    bounds,
    cells,
    columns_of,
    duration,
    mode,
    plain,
    whose,
)
from pydaemons.cli.tables import Column, Style

ORDERS = {"w": "waiting", "l": "locks", "f": "file"}
HELP = "q quit  w/l/f sort by waiting, locks, file  c clients on, off  space now  up, down scroll"
CALLS = ("LOCK", "UNLOCK")
"""Always told; others when there are any."""
OUTCOMES = (("granted", "GRANTED"), ("denied", "DENIED"), ("blocked", "BLOCKED"), ("deadlock", "DEADLCK"))

FILES = (
    Column("FILE", cut=True),
    Column("LOCKS", right=True),
    Column("WAITING", right=True),
    Column("WHO", cut=True),
    Column("NAME", cut=True),
    Column("DOES"),
    Column("MODE"),
    Column("START", right=True),
    Column("END", right=True),
    Column("FOR", right=True),
    Column("BEHIND", cut=True),
)
Client = tuple[str, str]
"""Its address, and ours that it calls."""
SAME = " "
"""The file of the line above."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A Survey, and when it came (wall clock)."""

    answer: Row
    at: float


@dataclass(slots=True)
class View:
    """How somebody wants to look."""

    order: str = "waiting"
    clients: bool = True
    scroll: int = 0
    trouble: str = ""
    """Why the picture is an old one."""
    rates: Mapping[str, float] = field(default_factory=dict)
    of_clients: Mapping[Client, float] = field(default_factory=dict)
    """Calls per second of each."""


def rates(now: Row, before: Row | None, since: float) -> dict[str, float]:
    """Calls by procedure, and LOCK's outcomes, per second: since `before`, or, where that was another process
    or there is none, since the start `since` seconds ago."""
    if before is not None and before["pid"] == now["pid"] and now["at"] > before["at"]:
        seconds, old = now["at"] - before["at"], _counts(before)
    else:
        seconds, old = max(since, 1.0), {}
    return {name: round((count - old.get(name, 0)) / seconds, 1) for name, count in _counts(now).items()}


def client_rates(now: Row, before: Row | None, wall: float) -> dict[Client, float]:
    """Calls per second of each client: since `before`, or, if that knows none of it, since it was first
    seen."""
    old: dict[Client, int] = {}
    seconds = 0.0
    if before is not None and before["pid"] == now["pid"] and now["at"] > before["at"]:
        seconds = now["at"] - before["at"]
        old = {client_of(row): row["calls"] for row in before["clients"]}
    found = {}
    for row in now["clients"]:
        client = client_of(row)
        if client in old and row["calls"] >= old[client]:
            found[client] = round((row["calls"] - old[client]) / seconds, 1)
        else:  # it is new, or was forgotten and came back
            found[client] = round(row["calls"] / max(wall - row["first_seen"], 1.0), 1)
    return found


def client_of(row: Row) -> Client:
    """What a client is told apart by."""
    return row["client"], row["server"]


def _counts(answer: Row) -> dict[str, int]:
    outcomes = answer["decisions"].get("LOCK", {})
    return {**answer["calls"], **{word: outcomes.get(name, 0) for word, name in OUTCOMES}}


def picture(
    sample: Sample, view: View, *, width: int | None, height: int | None, color: bool = False
) -> list[str]:
    """The lines of a terminal of that size; all there is where there is no limit."""
    answer = sample.answer
    lines = [_summary(sample), _traffic(view.rates), ""]
    if view.trouble:
        lines[2] = f"! {view.trouble}"
    style = Style(width)
    headings = []
    if view.clients:
        most = None if height is None else max(3, (height - 6) // 3)
        headings.append(len(lines))
        lines += [*_clients(answer["clients"], view, sample.at, style=style, most=most), ""]
    table = tables.render(FILES, [row for file in answer["files"] for row in _file(file)], style)
    if not answer["files"]:
        table[1:] = ["nothing is locked"]
    view.scroll = max(0, min(view.scroll, len(table) - 2))
    headings.append(len(lines))
    lines += [table[0], *table[1 + view.scroll :]]
    if height is not None:
        lines = lines[: height - 1]
        lines += [""] * (height - 1 - len(lines)) + [HELP]
    lines = [line[:width] for line in lines]
    if color:
        for number in headings:
            if number < len(lines) - 1:
                lines[number] = f"{tables.BOLD}{lines[number]}{tables.PLAIN}"
    return lines


def _summary(sample: Sample) -> str:
    figures = sample.answer["figures"]
    parts = [
        f"{figures['clients']} clients",
        f"{figures['locks']} locks on {figures['files']} files",
        f"{figures['shares']} shares",
        f"{figures['blocked']} waiting",
    ]
    if figures["granting"]:
        parts.append(f"{figures['granting']} not acknowledged*")
    if figures["grace"]:
        parts.append(f"GRACE PERIOD, {figures['grace_left']:.0f} s left")
    if figures["refuse"]:
        parts.append("REFUSING ALL LOCKS")
    if not sample.answer["complete"]:
        parts.append("more than one look holds: shown in part")
    return f"pylockd {time.strftime('%H:%M:%S', time.localtime(sample.at))}  {', '.join(parts)}"


def _traffic(per_second: Mapping[str, float]) -> str:
    words = {word for word, _ in OUTCOMES}
    others = [name for name, rate in per_second.items() if name not in {*CALLS, *words} and rate]
    calls = "  ".join(f"{name} {per_second.get(name, 0):g}" for name in (*CALLS, *others))
    outcomes = ", ".join(
        f"{word} {per_second.get(word, 0):g}"
        for word, _ in OUTCOMES
        if per_second.get(word) or word == "granted"
    )
    return f"calls/s: {calls}  (LOCK: {outcomes})"


def _clients(clients: Sequence[Row], view: View, now: float, *, style: Style, most: int | None) -> list[str]:
    first = sorted(clients, key=lambda row: (-row["blocked"], -row["locks"], -row["last_seen"]))
    fields: tuple[Field, ...] = (
        *CLIENT,
        (Column("CALLS/S", right=True), lambda row: f"{view.of_clients.get(client_of(row), 0.0):g}"),
        plain("LOCKS", right=True),
        plain("SHARES", right=True),
        plain("WAITING", "blocked", right=True),
        plain("MONITORED"),
        (Column("IDLE", right=True), lambda row: duration(now - row["last_seen"])),
    )
    rows = [cells(fields, row) for row in first[:most]]
    lines = tables.render(columns_of(fields), rows, style)
    if len(first) > len(rows):
        lines.append(f"and {len(first) - len(rows)} more clients")
    return lines


def _file(file: Row) -> list[tuple[object, ...]]:
    """The rows of a file: those who have it, then those who want it."""
    who = [_holder(row) for row in file["holders"]] + [_waiter(row) for row in file["waiters"]]
    for what, shown, total in (
        ("hold", len(file["holders"]), file["locks"] + file["shares"]),
        ("wait", len(file["waiters"]), file["blocked"]),
    ):
        if total > shown:
            who.append((f"{total - shown} more", None, what, None, None, None, None, None))
    head: tuple[object, ...] = (file["file"], file["locks"], file["blocked"])
    rows = []
    for row in who or [(None,) * 8]:
        rows.append((*head, *row))
        head = (SAME, SAME, SAME)
    return rows


def _holder(row: Row) -> tuple[object, ...]:
    does = "shares" if row["kind"] == "share" else "holds"
    return (whose(row), row["name"], does, mode(row), *bounds(row), None, None)


def _waiter(row: Row) -> tuple[object, ...]:
    waiting = duration(row["waiting"])
    return (whose(row), row["name"], "waits", mode(row), *bounds(row), waiting, behind(row))
