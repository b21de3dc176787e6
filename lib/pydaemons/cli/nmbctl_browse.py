# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbctl about browsing: browse, elections, force-election, top. Read screen for the last."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from pydaemons.cli.shared import snake_case
from pydaemons.cli.tables import Column, Style, render, style_of
from pydaemons.kit.controlclient import ControlClient

CLEAR = "\033[H\033[2J"
SERVERS = [
    *(Column("NAME"), Column("GROUP"), Column("AGE", right=True), Column("EXPIRES", right=True)),
    *(Column("FROM"), Column("ROLES", cut=True), Column("COMMENT", cut=True)),
]
GROUPS = [Column("GROUP"), Column("MASTER"), Column("ADDRESS"), Column("NETWORK"), Column("AGE", right=True)]
NETWORKS = [
    *(Column("NETWORK"), Column("ROLE"), Column("MASTER"), Column("ADDRESS"), Column("ELECTION")),
    *(Column("HELD", right=True), Column("CRITERION"), Column("UPTIME", right=True)),
]
RATES = ("packets", "datagrams", "browser frames", "bad", "refused")


def browse(daemon: ControlClient, arguments: argparse.Namespace) -> Any:
    """All pages of the list."""
    return _browse(daemon, getattr(arguments, "group", None))


def _browse(daemon: ControlClient, group: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"groups": [], "servers": []}
    after: int | None = 0
    while after is not None:
        page = daemon.call("Browse", group=group, after=after)
        found["groups"] += page["groups"]
        found["servers"] += page["servers"]
        after = page.get("next")
    return found


def elections(daemon: ControlClient, arguments: argparse.Namespace) -> Any:
    """Who is master of what."""
    return daemon.call("Elections")


def force_election(daemon: ControlClient, arguments: argparse.Namespace) -> Any:
    """Hold one on every network."""
    return daemon.call("ForceElection")


def top(daemon: ControlClient, arguments: argparse.Namespace) -> Any:
    """Everything at a glance, again and again until interrupted; once where nobody watches."""
    watched = sys.stdout.isatty()
    count = arguments.count or (0 if watched else 1)
    before: dict[str, int] | None = None
    since, shown = 0.0, 0
    while True:
        now = time.monotonic()
        seen = {
            "stats": daemon.call("Stats")["stats"],
            "elections": daemon.call("Elections"),
            "browse": _browse(daemon, None),
        }
        if before is not None:
            passed = max(now - since, 0.001)
            seen["rates"] = {key: round((seen["stats"][key] - before[key]) / passed, 1) for key in RATES}
        if arguments.json:
            print(json.dumps(snake_case(seen), ensure_ascii=False), flush=True)
        else:
            lines = screen(seen, time.strftime("%H:%M:%S"), style_of(sys.stdout))
            print((CLEAR if watched else "") + "\n".join(lines), flush=True)
        shown += 1
        if shown == count:
            return None
        before, since = seen["stats"], now
        time.sleep(arguments.interval)


def screen(seen: dict[str, Any], clock: str, style: Style) -> list[str]:
    """One picture: a sentence, networks, groups, servers."""
    elected, listed = seen["elections"], seen["browse"]
    rates = seen.get("rates")
    said = "  ".join(f"{key} {rate:g}/s" for key, rate in rates.items()) if rates else ""
    known = f"{len(listed['servers'])} servers, {len(listed['groups'])} groups"
    lines = [f"{clock}  {elected['group']}: {known}  {said}".rstrip()]
    lines += ["", *_networks(elected, style), "", *_groups(listed, style), "", *_servers(listed, style)]
    return lines


def show_browse(answer: Any) -> Iterator[str]:
    """Groups, then servers."""
    style = style_of(sys.stdout)
    yield from _groups(answer, style)
    yield ""
    yield from _servers(answer, style)


def show_elections(answer: Any) -> Iterator[str]:
    """Networks, then the domain."""
    yield from _networks(answer, style_of(sys.stdout))
    domain = answer["domain_master"]
    if domain["held"]:
        yield f"domain master browser of {answer['group']}"
    elif domain["known"]:
        yield f"domain master browser of {answer['group']} is {domain['known']}"
    elif domain["wanted"]:
        yield f"domain master browser of {answer['group']}: not ours, another host has the name"
    for master in domain["masters"]:
        yield f"local master {master['name']} ({master['address']}) reported {span(master['age'])} ago"
    for other in domain["others"]:
        yield f"domain master of another group: {other['name']} ({other['address']})"


def show_forced(answer: Any) -> Iterator[str]:
    """On how many networks."""
    yield f"election on {answer['networks']} networks"


def _networks(answer: Any, style: Style) -> list[str]:
    rows = [
        [
            *(each["interface"], each["role"], each["master"], each["address"], each["election"]),
            *(each["elections"], each["criterion"], span(each["uptime"])),
        ]
        for each in answer["networks"]
    ]
    return render(NETWORKS, rows, style)


def _groups(answer: Any, style: Style) -> list[str]:
    rows = [
        [each["name"], each["master"], each["source"], each["network"], span(each["age"])]
        for each in answer["groups"]
    ]
    return render(GROUPS, rows, style)


def _servers(answer: Any, style: Style) -> list[str]:
    rows = [
        [
            *(each["name"], each["group"], span(each["age"]), span(each["expires"]), each["source"]),
            *(",".join(word.replace(" ", "-") for word in each["roles"]), each["comment"]),
        ]
        for each in answer["servers"]
    ]
    return render(SERVERS, rows, style)


def span(seconds: float | None) -> str | None:
    """Seconds for people: the two largest units."""
    if seconds is None:
        return None
    whole = max(int(seconds), 0)
    for size, name, below, least in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{name}{whole % size // below:02d}{least}"
    return f"{whole}s"
