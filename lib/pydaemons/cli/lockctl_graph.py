# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockctl graph: who waits for whom, as a tree, for graphviz, or as JSON. Read Waits, then tree.

A tree has a holder at its root who waits for nobody, and below everybody those who wait for them. Who waits
for two stands below both; what is below such a one is shown the first time only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydaemons.cli import tables
from pydaemons.cli.lockctl_shared import OK, Row, bounds, dump, duration, mode, whose
from pydaemons.kit.controlclient import ControlClient

LONGEST_FILE = 24


@dataclass(slots=True)
class Waits:
    """The waits-for graph: owners, and for each the requests that wait for it."""

    names: dict[str, str] = field(default_factory=dict)
    """What each owner's client calls itself."""
    behind: dict[str, list[Row]] = field(default_factory=dict)
    """By holder: the blocked requests in whose way it is, oldest first."""
    waiting: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Waits:
        """From the rows of Blocked."""
        waits = cls()
        for row in sorted(rows, key=lambda row: -float(row["waiting"])):
            waits.names[whose(row)] = row["name"]
            waits.waiting.add(whose(row))
            for holder in row["holders"]:
                waits.names[whose(holder)] = holder["name"]
                waits.behind.setdefault(whose(holder), []).append(row)
        return waits

    def roots(self) -> Iterator[str]:
        """Where to begin so that everybody is shown: who waits for nobody; then, where owners wait in a
        circle, one of it."""
        seen: set[str] = set()
        for owner in sorted(self.behind, key=lambda owner: (owner in self.waiting, owner)):
            if owner not in self.waiting or owner not in seen:
                yield owner
                self._reach(owner, seen)

    def _reach(self, owner: str, seen: set[str]) -> None:
        todo = [owner]
        while todo:
            each = todo.pop()
            if each not in seen:
                seen.add(each)
                todo += [whose(row) for row in self.behind.get(each, ())]

    def label(self, owner: str) -> str:
        name = self.names[owner]
        return f"{owner} ({tables.cell(name)})" if name else owner


def graph(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Who waits for whom."""
    rows = distinct([row for piece in daemon.pieces("Blocked") for row in piece["blocked"]])
    if arguments.dot:
        sys.stdout.write(dot(rows))
    elif arguments.json:
        return dump(edges(rows))
    else:
        print("\n".join(tree(Waits.of(rows))) or "nobody waits")
    return OK


def distinct(rows: Sequence[Row]) -> list[Row]:
    """The same, clients that call several addresses of ours with that address behind theirs: their svids are
    numbered anew for each."""
    called: dict[str, set[str]] = {}
    for row in rows:
        for each in (row, *row["holders"]):
            called.setdefault(each["client"], set()).add(each["server"])

    def told(row: Row) -> Row:
        client, server = row["client"], row["server"]
        return {**row, "client": f"{client}>{server}"} if len(called[client]) > 1 else row

    return [{**told(row), "holders": [told(holder) for holder in row["holders"]]} for row in rows]


def tree(waits: Waits) -> list[str]:
    """The trees, line by line."""
    lines: list[str] = []
    shown: set[str] = set()
    for root in waits.roots():
        circle = " waits too: a circle" if root in waits.waiting else ""
        lines.append(waits.label(root) + circle)
        shown.add(root)
        todo = _below(waits, root, "")  # a stack, for a chain may be longer than Python may recurse
        while todo:
            row, indent, last = todo.pop()
            owner = whose(row)
            again = owner in shown and owner in waits.behind
            lines.append(
                f"{indent}{'└─' if last else '├─'} {_request(waits, row)}{', see above' if again else ''}"
            )
            if owner not in shown:
                shown.add(owner)
                todo += _below(waits, owner, indent + ("   " if last else "│  "))
    return lines


def _below(waits: Waits, owner: str, indent: str) -> list[tuple[Row, str, bool]]:
    rows = waits.behind.get(owner, [])
    return [(row, indent, number == len(rows) - 1) for number, row in enumerate(rows)][::-1]


def _request(waits: Waits, row: Row) -> str:
    return f"{waits.label(whose(row))} waits {duration(row['waiting'])} for {_what(row)}"


def _what(row: Row) -> str:
    start, end = bounds(row)
    file = row["file"]
    if len(file) > LONGEST_FILE:
        file = f"{file[: LONGEST_FILE // 2]}…{file[-LONGEST_FILE // 2 :]}"
    more = " behind others too" if row["more_holders"] else ""
    return f"{mode(row)} {start}-{end} of {file}{more}"


def edges(rows: Sequence[Row]) -> list[dict[str, object]]:
    """One for each request and each holder in its way."""
    return [
        {
            "waiter": whose(row),
            "holder": whose(holder),
            **{name: row[name] for name in ("file", "mode", "offset", "length", "waiting")},
        }
        for row in rows
        for holder in row["holders"]
    ]


def dot(rows: Sequence[Row]) -> str:
    """The same for dot(1) of graphviz: an arrow from who waits to who is in the way."""
    waits = Waits.of(rows)
    lines = ["digraph waits {", "  rankdir=LR;", "  node [shape=box];"]
    for owner, name in sorted(waits.names.items()):
        label = _quoted(owner) if not name else _quoted(f"{owner}\n{name}")
        style = "" if owner in waits.waiting else ", style=bold"
        lines.append(f"  {_quoted(owner)} [label={label}{style}];")
    lines += [
        f"  {_quoted(whose(row))} -> {_quoted(whose(holder))} [label={_quoted(_what(row))}];"
        for row in rows
        for holder in row["holders"]
    ]
    return "\n".join([*lines, "}\n"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
