# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsers on an Ether: stations with browsing settings, and frames taken out of what was seen. Read Net,
frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fakes.ether import Ether, Host, Station
from pydaemons.engine.effects import Effect
from pydaemons.engine.protocol import Address
from pydaemons.netbios import browse, dgram, mailslot, name
from pydaemons.netbios.browse import Frame, ServerType
from pydaemons.netbios.dgram import Datagram, Kind
from pydaemons.netbios.node.browsedat import Line
from pydaemons.netbios.node.browsesync import FetchList, ListFetched
from pydaemons.netbios.node.localmaster import LocalMaster
from pydaemons.netbios.node.office import Role
from pydaemons.netbios.node.serverlist import Told
from pydaemons.netbios.node.settings import Browsing, Settings


class Net(Ether):
    """An Ether that notes when things were sent."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.times: list[float] = []

    def carry(self, data: bytes, source: Address, to: Address) -> None:
        if len(self.times) != len(self.seen):
            del self.times[:]  # the test began anew
        self.times.append(self.mono)
        super().carry(data, source, to)


def serve_lists(net: Ether, *, silent: frozenset[str] = frozenset()) -> list[FetchList]:
    """Have every station answer for its browse.dat as an smbd beside it would; hosts in `silent` do not. The
    fetches asked for are in what is returned."""
    asked: list[FetchList] = []

    def effect(of: Station, effect: Effect) -> None:
        if not isinstance(effect, FetchList):
            return
        asked.append(effect)
        owner = next((each for each in net.stations if effect.host in each.addresses), None)
        if owner is None or effect.host in silent:
            net.tell(of, ListFetched(effect.host, effect.group, error="no route to it"))
            return
        lines = list(owner.node.browser.lines())
        net.tell(
            of,
            ListFetched(
                effect.host,
                effect.group,
                tuple(_matching(lines, effect.servers, effect.group)),
                tuple(_matching(lines, effect.groups, None)),
            ),
        )

    net.on_effect = effect
    return asked


def _matching(lines: list[Line], types: int | None, group: str | None) -> Iterator[Told]:
    """What smbd picks: any bit in common, groups or hosts, local ones only when so asked."""
    for line in lines:
        if types is None or not line.type & types or (line.type ^ types) & ServerType.DOMAIN_ENUM:
            continue
        if types & ServerType.LOCAL_LIST_ONLY and not line.type & ServerType.LOCAL_LIST_ONLY:
            continue
        if group in (None, line.group):
            yield Told(line.name, line.type & ~ServerType.LOCAL_LIST_ONLY, line.comment)


@dataclass(frozen=True)
class Sent:
    """A frame on the wire."""

    at: float
    host: str
    to: str
    source: name.Name
    destination: name.Name
    frame: Frame


def station(net: Ether, text: str, *addresses: str, level: int = 20, **how: Any) -> Station:
    """A node in GRP; further words are those of Settings or Browsing."""
    of_settings = {key: how.pop(key) for key in list(how) if key in Settings.__dataclass_fields__}
    settings = Settings(text, **({"workgroup": "GRP"} | of_settings), browsing=Browsing(**how))
    found = net.add(settings, *addresses)
    found.node.tunables.set("os_level", str(level), "test")
    return found


def place(of: Station, number: int = 0) -> LocalMaster:
    return list(of.node.browser.places.values())[number]


def masters(net: Ether) -> list[Station]:
    """Who is local master of its first network."""
    return [each for each in net.stations if place(each).office.role is Role.MASTER]


def frames(net: Net, kind: type[Frame], host: str | None = None) -> list[Sent]:
    """The frames of a kind among what was seen (and sent by `host`)."""
    found = []
    for at, (source, to, data) in zip(net.times, net.seen, strict=True):
        if to.port != 138 or (host is not None and source.host != host):
            continue
        packet = dgram.unpack(data)
        assert isinstance(packet, Datagram)
        write = mailslot.unpack(packet.data)
        unpack = browse.unpack_lanman if write.mailslot == mailslot.LANMAN else browse.unpack
        frame = unpack(write.data)
        if type(frame) is kind:
            found.append(
                Sent(
                    at,
                    source.host,
                    to.host,
                    name.unpack(packet.source),
                    name.unpack(packet.destination),
                    frame,
                )
            )
    return found


def say(
    net: Ether,
    host: Host,
    frame: Frame | bytes,
    *,
    source: str,
    to: str = "GRP#1e",
    address: str = "10.0.0.255",
    slot: bytes = mailslot.BROWSE,
) -> None:
    """Have somebody without an engine say a frame."""
    data = frame if isinstance(frame, bytes) else browse.pack(frame)
    ip = bytes(map(int, host.address.host.split(".")))
    names = (name.pack(name.parse(each)) for each in (source, to))
    packet = Datagram(Kind.DIRECT_GROUP, 7, ip, 138, *names, mailslot.Write(slot, data).pack())
    host.send(packet.pack(), address, 138)
    net.run(0.1)
