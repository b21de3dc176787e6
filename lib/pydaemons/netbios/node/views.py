# SPDX-License-Identifier: GPL-3.0-or-later
"""What people may ask a running node, as plain values for JSON. Read VERBS: name, arguments, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv4Address
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydaemons.engine.protocol import Address, Now
from pydaemons.netbios import mailslot, name
from pydaemons.netbios.codes import (
    DATAGRAM_PORT,
    GROUP,
    NAME_PORT,
    NODE_MASK,
    NODE_P,
    meaning,
    node_letter,
)
from pydaemons.netbios.node import browseviews, winsrecord
from pydaemons.netbios.node.asked import AskedWrongly, next_page, page_of
from pydaemons.netbios.node.events import DATAGRAM_KIND, NAME_KIND
from pydaemons.netbios.node.office import Role
from pydaemons.netbios.node.winsrecord import Member, Record, State
from pydaemons.wire.errors import WireError

if TYPE_CHECKING:
    from pydaemons.netbios.node.node import Node
    from pydaemons.netbios.node.replication import Replication


def answer(node: Node, verb: str, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """What `verb` gives; AskedWrongly is an answer too, under `error`."""
    body = VERBS.get(verb)
    if body is None:
        return {"error": f"unknown request {verb!r}"}
    try:
        return body(node, arguments, now)
    except (AskedWrongly, WireError) as refused:
        return {"error": str(refused)}


def _status(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    settings = node.settings
    return {
        "name": settings.netbios_name,
        "workgroup": settings.workgroup,
        "node": node_letter(settings.node_type),
        "networks": [
            {
                "interface": subnet.interface.name,
                "address": subnet.interface.address,
                "network": str(subnet.network),
            }
            for subnet in node.subnets.all
        ],
        "logon": None
        if settings.logon is None
        else {"primary": settings.logon.primary, "controller": settings.logon.controller or None},
        "wins": {"server": node.wins is not None, "names": len(node.db)},
        "wins_servers": [
            {
                "tag": tag.tag,
                "server": tag.server,
                "dead": sorted(host for host, until in tag.dead_until.items() if until > now.mono),
                "registered": len(tag.registered),
            }
            for tag in node.client.tags.values()
        ],
        "names": len(node.names),
        "master_of": [
            place.subnet.interface.name
            for place in node.browser.places.values()
            if place.office.role is Role.MASTER
        ],
        "domain_master": node.browser.domain.is_held,
        "conflicts": sorted({holding.rival for holding in node.names if holding.rival}),
    }


def _names(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    shown = []
    for holding in node.names:
        own = name.unpack(holding.own.wire)
        shown.append(
            {
                "name": own.format(node.settings.charset),
                "meaning": meaning(own.suffix, group=holding.own.group),
                "group": holding.own.group,
                "interface": holding.subnet.interface.name,
                "address": holding.subnet.interface.address,
                "state": holding.state.name.lower(),
                "rival": holding.rival,
                "wins": sorted(
                    tag.server
                    for tag in node.client.tags.values()
                    if (holding.own.wire, holding.subnet.address) in tag.registered
                ),
            }
        )
    return {"names": shown}


def _record(node: Node, wire: bytes, packed: bytes, wall: float) -> dict[str, Any]:
    record = winsrecord.unpack(packed)
    shown = name.unpack(wire)
    state = State(record.state)
    if state is State.ACTIVE and record.expires <= wall:
        state = State.RELEASED
    return {
        "name": shown.format(node.settings.charset),
        "meaning": meaning(shown.suffix, group=record.group),
        "group": record.group,
        "node": node_letter(record.flags),
        "state": state.name.lower(),
        "expires": record.expires,
        "addresses": [str(IPv4Address(member.address)) for member in record.members],
        **({} if not record.version else _origin(record)),
    }


def _origin(record: Record) -> dict[str, Any]:
    """What only a server with partners knows of a name."""
    return {
        "owner": "" if record.owner == winsrecord.LOCAL else str(IPv4Address(record.owner)),
        "version": record.version,
        "static": record.static,
    }


def _replication(node: Node) -> Replication:
    if node.replication is None:
        raise AskedWrongly("there are no WINS partners (wins partners is empty)")
    return node.replication


def _wins_partners(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    shown = []
    for host, peer in _replication(node).peers.items():
        shown.append(
            {
                "partner": host,
                "push": peer.partner.push,
                "pull": peer.partner.pull,
                "state": peer.link.phase.name.lower() if peer.link is not None else "no connection",
                "pulled": int(peer.pulled_at),
                "told": int(peer.told_at),
                "taken": peer.taken,
                "error": peer.error,
            }
        )
    return {"partners": shown}


def _wins_owners(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    replication = _replication(node)
    return {
        "owners": [
            {
                "owner": str(IPv4Address(owner.address)),
                "version": owner.highest,
                "names": len(node.db.by_version.get(winsrecord.LOCAL if number == 0 else owner.address, {})),
            }
            for number, owner in enumerate(replication.table())
        ]
    }


def _wins_pull(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """`partner`, or none for all."""
    asked = _replication(node).pull(arguments.get("partner"), now)
    if not asked:
        raise AskedWrongly("there is no such partner to pull from")
    return {"asked": asked}


def _wins_push(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    told = _replication(node).inform(arguments.get("partner"), now)
    if not told:
        raise AskedWrongly("there is no such partner to push to")
    return {"told": told}


def _wins_forget(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """`owner`: a server that will not come back, with all that is known from it."""
    _replication(node)
    try:
        owner = IPv4Address(str(arguments.get("owner", ""))).packed
    except ValueError as error:
        raise AskedWrongly(str(error)) from None
    known = owner in node.db.highest or node.db.by_version.get(owner)
    if not known or owner == winsrecord.LOCAL:
        raise AskedWrongly("no such owner is known")
    return {"forgotten": node.db.forget_owner(owner)}


def _wins_list(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """`pattern`: a shell pattern over `NAME#xx`; `after`: where the page before ended; `state`."""
    pattern = str(arguments.get("pattern", "*")).upper()
    after, end = page_of(arguments)
    state = arguments.get("state")
    shown = []
    for wire, packed in islice(node.db.records.items(), after, end):
        record = _record(node, wire, packed, now.wall)
        if fnmatchcase(record["name"].upper(), pattern) and state in (None, record["state"]):
            shown.append(record)
    return {"names": shown, "next": next_page(end, len(node.db))}


def _wire(node: Node, arguments: Mapping[str, Any]) -> bytes:
    text = arguments.get("name")
    if not isinstance(text, str) or not text:
        raise AskedWrongly("no name given, want NAME#XX")
    return name.pack(name.parse(text, charset=node.settings.charset))


def _wins_add(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """`name`, `addresses`, and optionally `group`, `ttl` in seconds (default: max_wins_ttl)."""
    if node.wins is None:
        raise AskedWrongly("this is no WINS server (wins support = no)")
    wire = _wire(node, arguments)
    try:
        addresses = [IPv4Address(text).packed for text in arguments.get("addresses", ())]
    except (ValueError, TypeError):
        raise AskedWrongly("an address is no IPv4 address") from None
    if not addresses:
        raise AskedWrongly("no address given")
    ttl = int(arguments.get("ttl", node.tunables.max_wins_ttl))
    if ttl < 1:
        raise AskedWrongly("a name lasts at least a second")
    expires = min(int(now.wall) + ttl, 0xFFFFFFFE)
    flags = (NODE_P & NODE_MASK) | (GROUP if arguments.get("group") else 0)
    members = tuple(Member(address, expires) for address in addresses[:25])
    node.wins.add(wire, Record(State.ACTIVE, flags, expires, members), now)
    return {"added": name.unpack(wire).format(node.settings.charset)}


def _wins_delete(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    if node.wins is None:
        raise AskedWrongly("this is no WINS server (wins support = no)")
    wire = _wire(node, arguments)
    if not node.wins.delete(wire, now):
        raise AskedWrongly(f"there is no {name.unpack(wire).format(node.settings.charset)}")
    return {"deleted": name.unpack(wire).format(node.settings.charset)}


def _stats(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    slots = node.mailslots.counts
    return {
        "packets": node.counts.packets,
        "answers": node.counts.answered,
        "bad": node.counts.bad,
        "refused": node.counts.refused,
        "our own come back": node.counts.ours,
        "unknown": node.counts.unknown,
        "conflicts": node.counts.conflicts,
        "requests under way": len(node.exchanges),
        "wins names": len(node.db),
        "own names": len(node.names),
        "passed to local programs": node.local.given,
        "datagrams": slots.received,
        "datagrams sent": slots.sent,
        "datagrams bad": slots.bad,
        "datagrams not for us": slots.not_for_us,
        "datagrams in our name": slots.ours,
        "datagrams unhandled": slots.unhandled,
        "datagrams incomplete": node.mailslots.fragments.dropped,
        "answers kept back": slots.too_long,
        "logon requests": node.logons.counts.requests,
        "logon answers": node.logons.counts.answered,
        "logon requests forwarded": node.logons.counts.forwarded,
        "controller silent": node.logons.counts.silent,
        **_replica_stats(node),
        **node.browser.stats(),
    }


def _replica_stats(node: Node) -> dict[str, int]:
    replicas = None if node.replication is None else node.replication.replicas
    return {
        "replicas taken": replicas.taken if replicas else 0,
        "replicas not taken": replicas.kept if replicas else 0,
        "replicas without room": replicas.left_out if replicas else 0,
        "names in dispute": len(replicas.inquiries) if replicas else 0,
    }


KINDS = {"nmb": NAME_KIND, "dgram": DATAGRAM_KIND}


def _send_packet(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """`kind` (a key of KINDS), `data` in hex, `to`, `port` (that of the kind)."""
    kind = KINDS.get(str(arguments.get("kind")))
    if kind is None:
        raise AskedWrongly(f"kind is one of {', '.join(KINDS)}")
    try:
        data = bytes.fromhex(str(arguments.get("data", "")))
        host = str(IPv4Address(arguments.get("to", "")))
    except ValueError as error:
        raise AskedWrongly(str(error)) from None
    usual, ours = (
        (NAME_PORT, node.exchanges.port) if kind == NAME_KIND else (DATAGRAM_PORT, node.mailslots.port)
    )
    port = int(arguments.get("port") or usual)
    if not 0 < port < 65536:
        raise AskedWrongly(f"{port} is no port")
    try:
        source = node.local.send(kind, data, Address(host, port), source_port=ours)
    except ValueError as error:
        raise AskedWrongly(str(error)) from None
    return {"sent": len(data), "source": source}


def _send_mailslot(node: Node, arguments: Mapping[str, Any], now: Now) -> dict[str, Any]:
    """`destination`, `mailslot`, `data` in hex; `source` (our own name), `to` (an address; else all on each
    of our networks), `unique` (the message is for one host)."""
    settings = node.settings
    slot = str(arguments.get("mailslot", ""))
    if not slot.upper().startswith(mailslot.PREFIX.decode()) or not slot.isascii() or "\0" in slot:
        raise AskedWrongly(f"{slot!r} is no mailslot: they begin with {mailslot.PREFIX.decode()}")
    if not arguments.get("destination"):
        raise AskedWrongly("a name must be given")
    try:
        data = bytes.fromhex(str(arguments.get("data", "")))
        to = arguments.get("to")
        host = None if to is None else str(IPv4Address(to))
    except ValueError as error:
        raise AskedWrongly(str(error)) from None
    near = None if host is None else node.subnets.find(host)
    subnets = node.subnets.all if host is None else (near,) if near is not None else node.subnets.all[:1]
    if not subnets:
        raise AskedWrongly("there is no network to send it on")
    wires = [
        name.pack(name.parse(str(text), scope=settings.scope, charset=settings.charset))
        for text in (arguments.get("source") or settings.netbios_name, arguments.get("destination", ""))
    ]
    for subnet in subnets:
        node.mailslots.send(
            *(subnet, slot.encode(), data),
            source=wires[0],
            destination=wires[1],
            to=host,
            unique=bool(arguments.get("unique")),
        )
    return {"sent": len(data), "to": [host or subnet.interface.broadcast for subnet in subnets]}


VERBS: dict[str, Callable[[Node, Mapping[str, Any], Now], dict[str, Any]]] = {
    "status": _status,
    "names": _names,
    "stats": _stats,
    "wins-list": _wins_list,
    "wins-add": _wins_add,
    "wins-delete": _wins_delete,
    "wins-partners": _wins_partners,
    "wins-owners": _wins_owners,
    "wins-pull": _wins_pull,
    "wins-push": _wins_push,
    "wins-forget": _wins_forget,
    **browseviews.VERBS,
    "send-packet": _send_packet,
    "send-mailslot": _send_mailslot,
}
