# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of NetBIOS nodes in virtual time. Read Ether.run first.

Each station runs a real engine; what it sends arrives at the stations of that address a moment later: a
broadcast at all of its network, a unicast packet anywhere (there is a router). Loss, duplication and
reordering are parameters; the dice are seeded.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from pydaemons.engine.effects import Effect, Leave, Log, Reply, Send
from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.netbios.node.events import InterfacesChanged, StoreNames, WriteBrowseList
from pydaemons.netbios.node.node import Node
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Interface
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb

PORTS = (137, 138)
EPOCH = 1_700_000_000.0


def interface(address: str, name: str = "net0") -> Interface:
    """An interface on a /24."""
    return Interface(name, 2, address, 24, address.rpartition(".")[0] + ".255")


@dataclass
class Host:
    """Somebody without an engine: sends what the test says, keeps what it gets."""

    ether: Ether
    address: Address
    got: list[tuple[Address, bytes]] = field(default_factory=list)

    def send(self, data: bytes, to: str, port: int = 137) -> None:
        self.ether.carry(data, self.address, Address(to, port))

    def ask(self, data: bytes, to: str, seconds: float = 5.0) -> list[bytes]:
        """Send, let time pass, and return the answers."""
        self.got.clear()
        self.send(data, to)
        self.ether.run(seconds)
        return [data for _, data in self.got]


@dataclass
class Station:
    """A node with its shell's memory."""

    node: Node
    addresses: list[str]
    logs: list[str] = field(default_factory=list)
    other: list[Effect] = field(default_factory=list)
    stored: dict[bytes, bytes] = field(default_factory=dict)
    left: bool = False
    lists: list[str] = field(default_factory=list)
    """Every browse.dat it wrote."""
    origins: dict[tuple[Address, Address], Origin] = field(default_factory=dict)


class Ether:
    """The wire and the clock."""

    def __init__(self, seed: int = 1, *, loss: float = 0.0, twice: float = 0.0, jitter: float = 0.0) -> None:
        self.dice = random.Random(seed)
        self.loss, self.twice, self.jitter = loss, twice, jitter
        self.mono = 1000.0
        self.stations: list[Station] = []
        self.hosts: list[Host] = []
        self.seen: list[tuple[Address, Address, bytes]] = []
        self._flying: list[tuple[float, int, Address, Address, bytes]] = []
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.on_effect: Callable[[Station, Effect], None] = lambda station, effect: None

    @property
    def now(self) -> Now:
        return Now(self.mono, EPOCH + self.mono)

    def add(self, settings: Settings, *addresses: str, db: WinsDb | None = None) -> Station:
        tunables = NetbiosTunables()
        node = Node(settings, tunables, entropy=random.Random(self.dice.random()), db=db)
        station = Station(node, list(addresses))
        self.stations.append(station)
        self.tell(station, InterfacesChanged(tuple(interface(a, f"net{i}") for i, a in enumerate(addresses))))
        return station

    def host(self, address: str, port: int = 1137) -> Host:
        host = Host(self, Address(address, port))
        self.hosts.append(host)
        return host

    def remove(self, station: Station) -> None:
        """Pull the plug."""
        self.stations.remove(station)

    def tell(self, station: Station, event: object) -> None:
        station.node.handle(event, self.now)
        self._drain(station)

    def tune(self, station: Station, key: str, text: str) -> None:
        """Set a tunable as the shell does."""
        changed = station.node.tunables.set(key, text, "test")
        assert changed is not None
        self.tell(station, changed)

    def carry(self, data: bytes, source: Address, to: Address) -> None:
        self.seen.append((source, to, data))
        if self.dice.random() < self.loss:
            return
        for _ in range(2 if self.dice.random() < self.twice else 1):
            at = self.mono + 0.001 + self.dice.uniform(0.0, self.jitter)
            heapq.heappush(self._flying, (at, next(self._order), source, to, data))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._planned, (self.mono + seconds, next(self._order), act))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.mono + seconds
        while True:
            if self._planned and self._planned[0][0] <= self.mono:
                heapq.heappop(self._planned)[2]()
                continue
            times = [station.node.deadline() for station in self.stations]
            due = [at for at in times if at is not None]
            if self._flying:
                due.append(self._flying[0][0])
            if self._planned:
                due.append(self._planned[0][0])
            if not due or min(due) > end:
                break
            at = min(due)
            self.mono = max(self.mono, at)
            if self._flying and self._flying[0][0] <= self.mono:
                _, _, source, to, data = heapq.heappop(self._flying)
                self._deliver(source, to, data)
                continue
            for station in list(self.stations):
                deadline = station.node.deadline()
                if deadline is not None and deadline <= self.mono:
                    station.node.tick(self.now)
                    self._drain(station)
        self.mono = end

    def _deliver(self, source: Address, to: Address, data: bytes) -> None:
        for host in self.hosts:
            if host.address == to:
                host.got.append((source, data))
        if to.port not in PORTS:
            return
        for station in list(self.stations):
            for address in station.addresses:
                same_net = address.rpartition(".")[0] == to.host.rpartition(".")[0]
                if address == to.host or (to.host.endswith(".255") and same_net):
                    key = source, Address(address, to.port)
                    origin = station.origins.get(key)
                    if origin is None:
                        origin = Origin(Transport.UDP, source, key[1])
                        station.origins[key] = origin
                    answer = station.node.receive(data, origin, self.now)
                    self._drain(station)
                    if answer is not None:
                        self.carry(answer, origin.local, source)

    def _drain(self, station: Station) -> None:
        for effect in station.node.drain():
            self.on_effect(station, effect)
            match effect:
                case Send(to=to, data=data, source=source, source_port=port):
                    self.carry(data, Address(source or station.addresses[0], port or 137), to)
                case Reply(origin=origin, data=data):
                    self.carry(data, origin.local, origin.peer)
                case Log(message=message):
                    station.logs.append(message)
                case StoreNames(records=records):
                    for wire, packed in records.items():
                        if packed is None:
                            station.stored.pop(wire, None)
                        else:
                            station.stored[wire] = packed
                case WriteBrowseList(text=text):
                    station.lists.append(text)
                case Leave():
                    station.left = True
                case _:
                    station.other.append(effect)
