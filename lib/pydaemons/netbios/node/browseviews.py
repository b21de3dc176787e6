# SPDX-License-Identifier: GPL-3.0-or-later
"""What people may ask about browsing, as plain values for JSON. Read VERBS, which views joins to the
others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydaemons.engine.protocol import Now
from pydaemons.netbios.browse import ServerType
from pydaemons.netbios.node.asked import next_page, page_of
from pydaemons.netbios.node.serverlist import Group, Server

if TYPE_CHECKING:
    from pydaemons.netbios.node.node import Node

SHOWN = {
    ServerType.DOMAIN_MASTER: "domain master",
    ServerType.MASTER_BROWSER: "master",
    ServerType.BACKUP_BROWSER: "backup",
    ServerType.DOMAIN_CONTROLLER: "controller",
    ServerType.BACKUP_CONTROLLER: "backup controller",
    ServerType.DOMAIN_MEMBER: "member",
    ServerType.TIME_SOURCE: "time",
    ServerType.PRINT_SERVER: "print",
    ServerType.UNIX: "unix",
    ServerType.DFS: "dfs",
}
"""Type bits worth a word."""


def roles(type_: int) -> list[str]:
    """Type bits in words."""
    return [word for bit, word in SHOWN.items() if type_ & bit]


def _server(server: Server, group: str, mono: float, *, network: str) -> dict[str, Any]:
    return {
        "name": server.name,
        "group": group,
        "comment": server.comment,
        "type": f"{server.type & 0xFFFFFFFF:08x}",
        "roles": roles(server.type),
        "version": f"{server.version[0]}.{server.version[1]}",
        "network": network,
        "source": server.source,
        "age": round(mono - server.heard, 1),
        "expires": round(server.expires - mono, 1),
    }


def _group(group: Group, mono: float, *, network: str) -> dict[str, Any]:
    return {
        "name": group.name,
        "master": group.master,
        "network": network,
        "source": group.source,
        "age": round(mono - group.heard, 1) if group.heard else None,
    }


def _browse(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """`group`: only this one's servers; `after`: where the page before ended. Ourselves first."""
    browser = node.browser
    ground = browser.ground
    wanted = str(arguments.get("group") or "").upper()
    after, end = page_of(arguments)
    servers: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    for place in browser.places.values():
        shown = place.subnet.interface.name
        own = {"name": ground.group, "master": place.master, "network": shown}
        groups.append({**own, "source": place.master_host, "age": None})
    for line in browser.own_lines():
        servers.append(
            {
                "name": line.name,
                "group": line.group,
                "comment": line.comment,
                "type": f"{line.type & 0xFFFFFFFF:08x}",
                "roles": roles(line.type),
                "version": "",
                "network": "",
                "source": "self",
                "age": 0.0,
                "expires": None,
            }
        )
    lists = [(place.subnet.interface.name, place.servers) for place in browser.places.values()]
    for network, known in [*lists, ("", browser.fetches.told)]:
        for group in known:
            if group.type and group.name != ground.group:
                groups.append(_group(group, now.mono, network=network))
            servers += [
                _server(each, group.name, now.mono, network=network) for each in group.servers.values()
            ]
    if wanted:
        groups = [each for each in groups if each["name"] == wanted]
        servers = [each for each in servers if each["group"] == wanted]
    return {
        "groups": groups if not after else [],
        "servers": servers[after:end],
        "next": next_page(end, len(servers)),
    }


def _elections(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    browser = node.browser
    domain = browser.domain
    return {
        "group": browser.ground.group,
        "networks": [
            {
                "interface": place.subnet.interface.name,
                "role": "backup" if place.backup.is_one else place.office.role.name.lower(),
                "since": place.office.since or None,
                "master": place.master,
                "address": place.master_host,
                "election": place.candidacy.state.name.lower(),
                "elections": place.candidacy.held,
                "ignored": place.candidacy.ignored,
                "criterion": f"{place.standing(now).criterion:08x}",
                "uptime": place.standing(now).uptime_ms // 1000,
            }
            for place in browser.places.values()
        ],
        "domain_master": {
            "held": domain.is_held,
            "wanted": browser.ground.settings.browsing.domain_master,
            "known": domain.known,
            "masters": [
                {"name": master.name, "address": master.host, "age": round(now.mono - master.heard, 1)}
                for master in domain.masters.values()
            ],
            "others": [{"name": shown, "address": host} for host, shown in domain.others.items()],
        },
    }


def _force_election(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    return {"networks": node.browser.force_election(now)}


VERBS: dict[str, Callable[[Node, Mapping[str, Any], Now], dict[str, Any]]] = {
    "browse": _browse,
    "elections": _elections,
    "force-election": _force_election,
}
