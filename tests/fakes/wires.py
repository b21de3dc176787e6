# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP between stations of an Ether, for WINS replication. Read Wires.effect."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from fakes.ether import Ether, Station
from pydaemons.engine.effects import Effect
from pydaemons.netbios.node.events import CloseLink, LinkClosed, LinkOpened, LinkReceived, OpenLink, SendLink

DELAY = 0.001


class Client:
    """A partner without an engine: sends what the test says, keeps what it gets."""

    def __init__(self, wires: Wires, station: Station, host: str, link: int) -> None:
        self.got: list[bytes] = []
        self.closed = False
        self._wires = wires
        self._station = station
        self._link = link
        self.host = host

    def send(self, data: bytes) -> None:
        self._wires.deliver(self._station, LinkReceived(self._link, data))

    def hang_up(self) -> None:
        self._wires.drop(self._station, self._link)
        self._wires.deliver(self._station, LinkClosed(self._link, "gone"))


class Wires:
    """All connections. `cut` hosts cannot be reached; what passes is counted by sender."""

    def __init__(self, ether: Ether) -> None:
        self.cut: set[str] = set()
        self.said: list[tuple[str, str, bytes]] = []
        self.servers: dict[str, Callable[[bytes], list[bytes]]] = {}
        """Partners without an engine: host -> what it answers."""
        self._ether = ether
        self._ends: dict[tuple[int, int], tuple[Station, int] | Client | str] = {}
        """Station and its link -> the other end."""
        self._numbers = count(1)
        ether.on_effect = self.effect

    def connect(self, station: Station, host: str) -> Client:
        """A connection from `host`."""
        link = next(self._numbers)
        client = Client(self, station, host, link)
        self._ends[id(station), link] = client
        self.deliver(station, LinkOpened(link, host, ours=False))
        return client

    def deliver(self, station: Station, event: object) -> None:
        self._ether.later(DELAY, lambda: station in self._ether.stations and self._ether.tell(station, event))

    def drop(self, station: Station, link: int) -> None:
        self._ends.pop((id(station), link), None)

    def break_all(self) -> None:
        """Every connection dies."""
        for (key, link), _ in list(self._ends.items()):
            for station in self._ether.stations:
                if id(station) == key:
                    self.deliver(station, LinkClosed(link, "connection reset"))
        self._ends.clear()

    def effect(self, station: Station, effect: Effect) -> None:
        match effect:
            case OpenLink(link, host, source):
                self._open(station, link, host, source)
            case SendLink(link, data):
                end = self._ends.get((id(station), link))
                self.said.append((station.addresses[0], self._name(end), data))
                if isinstance(end, Client):
                    end.got.append(data)
                elif isinstance(end, str):
                    for answer in self.servers[end](data):
                        self.deliver(station, LinkReceived(link, answer))
                elif end is not None:
                    self.deliver(end[0], LinkReceived(end[1], data))
            case CloseLink(link):
                end = self._ends.pop((id(station), link), None)
                if isinstance(end, Client):
                    end.closed = True
                elif isinstance(end, tuple):
                    self._ends.pop((id(end[0]), end[1]), None)
                    self.deliver(end[0], LinkClosed(end[1], "closed by the other side"))

    def _open(self, station: Station, link: int, host: str, source: str) -> None:
        if host in self.servers and host not in self.cut:
            self._ends[id(station), link] = host
            self.deliver(station, LinkOpened(link, host, ours=True))
            return
        other = next((each for each in self._ether.stations if host in each.addresses), None)
        if other is None or host in self.cut or source in self.cut:
            self.deliver(station, LinkClosed(link, "no route to host"))
            return
        number = next(self._numbers)
        self._ends[id(station), link] = (other, number)
        self._ends[id(other), number] = (station, link)
        self.deliver(other, LinkOpened(number, source, ours=False))
        self.deliver(station, LinkOpened(link, host, ours=True))

    @staticmethod
    def _name(end: object) -> str:
        if isinstance(end, tuple):
            return str(end[0].addresses[0])
        return end.host if isinstance(end, Client) else str(end)
