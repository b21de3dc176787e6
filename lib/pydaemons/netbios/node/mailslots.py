# SPDX-License-Identifier: GPL-3.0-or-later
"""The datagram port of a node: mailslot writes in and out. Read Mailslots.receive, then send and answer.

Browsing and logon say everything in mailslots. Whoever takes part registers with `on` and gets every write to
a name we hold, fragments put together; what nobody takes is for the programs of this machine that wait for
it (see local). Where a packet came from is what the transport says, never what its header says; a source
beyond our networks is heard, but not answered with more bytes than it sent.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import NamedTuple

from pydaemons.engine.effects import Effect, Reply, Send
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.netbios import dgram, mailslot, name
from pydaemons.netbios.dgram import Datagram, Kind
from pydaemons.netbios.mailslot import Write
from pydaemons.netbios.node.events import DATAGRAM_KIND, LocalPacket
from pydaemons.netbios.node.fragments import Fragments
from pydaemons.netbios.node.names import NameTable
from pydaemons.netbios.node.subnet import Source, Standing, Subnet, Subnets
from pydaemons.wire.errors import WireError


class Received(NamedTuple):
    """A write into a mailslot that reached us."""

    subnet: Subnet
    """The network of the sender, or, for one beyond our networks, the one its packet reached."""
    source: bytes
    """The sender's name, wire form, as it claims."""
    destination: bytes
    """The name of ours that it is for, wire form, spelled as we hold it."""
    kind: int
    """dgram.Kind: to one host, to a group, to all."""
    data: bytes
    origin: Origin
    size: int
    """Bytes the sender spent, all headers of this service included."""
    near: bool
    """From one of our networks, or a source the administrator allows: may be answered at length."""


Handler = Callable[[Received, Now], None]


class Counts:
    """What came in on the datagram port and what became of it."""

    __slots__ = ("bad", "not_for_us", "ours", "received", "sent", "too_long", "unhandled")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.bad = 0
        """No datagrams, or no mailslot writes in them."""
        self.not_for_us = 0
        """For names we do not hold: what groups of others say on our network."""
        self.ours = 0
        """In our own name from elsewhere: forged, or our broadcast come back by another way."""
        self.unhandled = 0
        """For mailslots nobody reads, and packets about the service itself."""
        self.too_long = 0
        """Answers kept back: longer than what a source beyond our networks had sent."""


class Mailslots:
    """All mailslots of a node. `silent` are names heard for though they are not claimed (Answers.silent)."""

    def __init__(
        self,
        subnets: Subnets,
        names: NameTable,
        *,
        port: int,
        silent: Callable[[], frozenset[bytes]],
        emit: Callable[[Effect], None],
        entropy: Entropy,
    ) -> None:
        self.port = port
        """Where we listen, and where peers do."""
        self.counts = Counts()
        self.fragments = Fragments()
        self._handlers: dict[bytes, Handler] = {}
        self._subnets = subnets
        self._names = names
        self._silent = silent
        self._emit = emit
        self._id = entropy.getrandbits(16)

    def on(self, slot: bytes, handler: Handler) -> None:
        """Have writes into `slot` (mailslot.BROWSE, ...) come to `handler`; a later call replaces an earlier
        one. A WireError it raises counts as a bad packet."""
        self._handlers[slot.upper()] = handler

    # ---- in

    def receive(self, data: bytes, origin: Origin, source: Source, now: Now) -> None:
        """A packet on the datagram port, from a source that is heard."""
        counts = self.counts
        counts.received += 1
        try:
            packet = dgram.unpack(data)
            if not isinstance(packet, Datagram):
                # an error is about a datagram we do not remember, a query for a server we are not
                counts.unhandled += 1
                self._pass_on(data, origin, "")
                return
            subnet = source.subnet
            destination = None if subnet is None else self._find_own(subnet, packet.destination)
            if subnet is None or destination is None:
                counts.not_for_us += 1
                self._pass_on(data, origin, _slot_of(packet))
                return
            host = origin.peer.host
            if self._speaks_for_us(subnet, packet.source) and not self._subnets.is_own(host):
                counts.ours += 1
                return
            if not packet.whole:
                whole = self.fragments.add(packet, host, now.mono)
                if whole is None:
                    return
                packet = whole
            write = mailslot.unpack(packet.data)
            handler = self._handlers.get(write.key)
            if handler is None:
                counts.unhandled += 1
                self._pass_on(data, origin, write.mailslot.decode("latin-1"))
                return
            near = source.standing is Standing.FULL
            handler(
                Received(
                    *(subnet, packet.source, destination, packet.kind, write.data, origin, len(data), near)
                ),
                now,
            )
        except WireError:
            counts.bad += 1

    def _pass_on(self, data: bytes, origin: Origin, slot: str) -> None:
        """Nobody here takes it."""
        id_ = int.from_bytes(data[2:4], "big")
        self._emit(LocalPacket(DATAGRAM_KIND, id_, data, origin.peer, slot))

    def _find_own(self, subnet: Subnet, wire: bytes) -> bytes | None:
        """The name of ours that is meant, also when it was spelled in lower case."""
        for spelled in (wire, name.upper(wire)):
            if self._names.find(subnet, spelled) is not None or spelled in self._silent():
                return spelled
        return None

    def _speaks_for_us(self, subnet: Subnet, wire: bytes) -> bool:
        holding = self._names.find(subnet, wire)
        return holding is not None and not holding.own.group

    # ---- out

    def send(
        self,
        subnet: Subnet,
        slot: bytes,
        data: bytes,
        *,
        source: bytes,
        destination: bytes,
        to: str | None = None,
        unique: bool = False,
    ) -> None:
        """Write `data` into `slot` of the host or group `destination` in the name `source`, both wire forms,
        out of our address on `subnet`: to all of that network, or to the host `to` alone.

        `unique` is the message type: what browsers broadcast is addressed as to a group even when the name is
        of one host. WireError when it is too long for a datagram."""
        kind = Kind.DIRECT_UNIQUE if unique else Kind.DIRECT_GROUP
        address = Address(to or subnet.interface.broadcast, self.port)
        for packet in self._pack(subnet, kind, slot, data, source=source, destination=destination):
            self._emit(
                Send(
                    Transport.UDP,
                    address,
                    packet,
                    source=subnet.interface.address,
                    source_port=self.port,
                )
            )
            self.counts.sent += 1

    def answer(self, received: Received, slot: bytes, data: bytes, *, source: bytes) -> bool:
        """Write `data` into `slot` of whoever sent `received`, in the name `source` (wire form). False: kept
        back, as the sender is beyond our networks and the answer longer than what it sent."""
        packets = self._pack(
            received.subnet,
            Kind.DIRECT_UNIQUE,
            slot,
            data,
            source=source,
            destination=received.source,
        )
        if not received.near and sum(map(len, packets)) > received.size:
            self.counts.too_long += 1
            return False
        for packet in packets:
            self._emit(Reply(received.origin, packet))
            self.counts.sent += 1
        return True

    def _pack(
        self, subnet: Subnet, kind: Kind, slot: bytes, data: bytes, *, source: bytes, destination: bytes
    ) -> list[bytes]:
        self._id = self._id + 1 & 0xFFFF
        address = IPv4Address(subnet.interface.address).packed
        whole = Datagram(*(kind, self._id, address, self.port, source, destination), Write(slot, data).pack())
        return [packet.pack() for packet in dgram.split(whole)]


def _slot_of(packet: Datagram) -> str:
    """The mailslot it is for, empty if it is for none."""
    try:
        return mailslot.unpack(packet.data).mailslot.decode("latin-1")
    except WireError:
        return ""
