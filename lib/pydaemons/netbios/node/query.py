# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers about our own names, prepared: what a request holds behind its transaction id is looked up, and
what the answer holds behind it is found. Read Answers.prepare first.

There are few questions about few names, so all are prepared whenever a name or an address changes, and the
frequent request costs one dictionary lookup. A request that is spelled otherwise (lower case, further flags)
is taken apart by node.Node instead and comes to `positive` and `status`.
"""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct

from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import CONFLICT, LONGEST_DATAGRAM, Suffix
from pydaemons.netbios.node.names import ANSWERED, NameTable, State
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Subnet
from pydaemons.netbios.nspacket import Statistics, Status, StatusName

ASKED = Struct(">HHHHH")
"""A header behind its id: flags and four counts."""
ANSWERED_QUERY = bytes.fromhex("8580 0000 0001 0000 0000")
ANSWERED_STATUS = bytes.fromhex("8400 0000 0001 0000 0000")
NB_IN = b"\0\x20\0\1"
NBSTAT_IN = b"\0\x21\0\1"
_TTL_LENGTH = Struct(">IH")
_NB = Struct(">H4s")
QUERY_FLAGS = (0x0000, 0x0010, 0x0100, 0x0110)
STATUS_FLAGS = (0x0000, 0x0010)
MOST_NAMES = (LONGEST_DATAGRAM - 12 - 34 - 10 - 1 - nspacket.STATISTICS_SIZE) // 18
"""Names that fit a node status answer: it never grows beyond one datagram, nor serves as an amplifier."""


class Answers:
    """Everything we say about our own names."""

    def __init__(self, names: NameTable, settings: Settings) -> None:
        self._names = names
        self.ttl = 0
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """The settings changed."""
        self._settings = settings
        self.silent = settings.silent_names()
        """Names answered for but neither claimed nor shown."""

    def prepare(self, subnet: Subnet) -> dict[bytes, bytes]:
        """Request bytes from offset 2 on -> answer bytes from offset 2 on, for askers of this network."""
        prepared: dict[bytes, bytes] = {}
        status = self.status(subnet)
        asked = [name.ANY]
        for wire in [holding.own.wire for holding in self._names.on(subnet)] + list(self.silent):
            answer = self.positive(wire, subnet)
            if answer is None:
                continue
            asked.append(wire)
            holding = self._names.find(subnet, wire)
            group = holding is not None and holding.own.group
            for flags in QUERY_FLAGS:
                if flags == 0x0100 and group and self._settings.wins_support:
                    continue  # a WINS server answers with the limited broadcast address
                prepared[ASKED.pack(flags, 1, 0, 0, 0) + wire + NB_IN] = answer
        for wire in asked:
            for flags in STATUS_FLAGS:
                prepared[ASKED.pack(flags, 1, 0, 0, 0) + wire + NBSTAT_IN] = (
                    ANSWERED_STATUS + wire + NBSTAT_IN + status
                )
        return prepared

    def positive(self, wire: bytes, subnet: Subnet) -> bytes | None:
        """The answer behind its id to a query for an own name; None: we do not have that name."""
        holding = self._names.find(subnet, wire)
        if holding is not None:
            flags = self._settings.nb_flags(holding.own)
            addresses = self._names.addresses(wire, subnet)
        elif wire in self.silent:
            flags = self._settings.node_type
            addresses = [subnet.address]
        else:
            return None
        data = b"".join([_NB.pack(flags, address) for address in addresses])
        return ANSWERED_QUERY + wire + NB_IN + _TTL_LENGTH.pack(self.ttl, len(data)) + data

    def brief_status(self, subnet: Subnet) -> bytes:
        """As `status`, of what a far master wants to know: the host, and that it is domain master."""
        settings = self._settings
        suffixes = (Suffix.WORKSTATION, Suffix.SERVER)
        wires = [settings.wire(settings.netbios_name, suffix) for suffix in suffixes]
        wires.append(settings.wire(settings.workgroup, Suffix.DOMAIN_MASTER))
        held = [holding for wire in wires if (holding := self._names.find(subnet, wire)) is not None]
        shown = [StatusName(name.label_of(each.own.wire), settings.status_flags(each.own)) for each in held]
        data = nspacket.pack_status(Status(tuple(shown), Statistics()))
        return _TTL_LENGTH.pack(0, len(data)) + data

    def status(self, subnet: Subnet) -> bytes:
        """The record of a node status answer behind its type and class: our names, the main one first, then
        in the order of their bytes; as many as one datagram holds."""
        shown = []
        for holding in self._names.on(subnet):
            flags = self._settings.status_flags(holding.own)
            if holding.state is State.CONFLICT:
                flags |= CONFLICT
            elif holding.state not in ANSWERED:
                continue
            shown.append(StatusName(name.label_of(holding.own.wire), flags))
        own = name.make(self._settings.netbios_name, 0, charset=self._settings.charset).label[:15]
        shown.sort(key=lambda entry: (entry.label[:15] != own, entry.label))
        data = nspacket.pack_status(Status(tuple(shown[:MOST_NAMES]), Statistics()))
        return _TTL_LENGTH.pack(0, len(data)) + data


class Prepared:
    """The prepared answers of each network whose hosts asked."""

    def __init__(self, answers: Answers) -> None:
        self.stale = False
        """Names or addresses changed: call `freshen` before the next packet."""
        self._answers = answers
        self._of: dict[Subnet, dict[bytes, bytes]] = {}

    def of(self, subnet: Subnet) -> dict[bytes, bytes]:
        """Those for askers of this network, as Answers.prepare has them; it may be kept."""
        found = self._of.get(subnet)
        if found is None:
            found = self._of[subnet] = self._answers.prepare(subnet)
        return found

    def freshen(self, subnets: Collection[Subnet]) -> None:
        """Make them anew, in place: sources keep the dictionaries. `subnets` are those we are on."""
        self.stale = False
        for subnet in self._of.keys() - set(subnets):
            self._of.pop(subnet).clear()
        for subnet, prepared in self._of.items():
            fresh = self._answers.prepare(subnet)
            prepared.clear()
            prepared.update(fresh)


def answered_status(wire: bytes, status: bytes) -> bytes:
    """A node status answer behind its id."""
    return ANSWERED_STATUS + wire + NBSTAT_IN + status
