# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for packets that were taken apart: who is answered what. Read Rules.receive first.

Queries, node status, defence of our names (RFC 1002 section 5.1.1.5), and the way to the WINS server and the
proxies. What is frequent and spelled as usual never comes here (see node.Node.receive).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from pydaemons.engine.effects import Effect, Level
from pydaemons.engine.protocol import Now, Origin
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import BROADCAST, GROUP, RECURSION_DESIRED, Opcode, Rcode, RecordType, Suffix
from pydaemons.netbios.node.bucket import Bucket
from pydaemons.netbios.node.claim import Claim, claim_of
from pydaemons.netbios.node.events import NAME_CLAIMED, NAME_DEMANDED, Say
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.local import Local
from pydaemons.netbios.node.names import Holding, NameTable
from pydaemons.netbios.node.proxy import FOUND_FOR, KNOWN_FOR, PROXIED, DnsProxy, Known, Waiting, WinsProxy
from pydaemons.netbios.node.query import Answers, answered_status
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Source, Standing, Subnet, Subnets
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.wins import WinsServer
from pydaemons.netbios.node.winsclient import WinsClient
from pydaemons.netbios.nspacket import Packet, Question
from pydaemons.wire.errors import WireError

_CLAIMS = frozenset((Opcode.REGISTRATION, Opcode.MULTIHOMED, Opcode.REFRESH, Opcode.REFRESH_9))
_REFRESHES = frozenset((Opcode.REFRESH, Opcode.REFRESH_9))


FAR_RATE = 20.0
"""Node status answers per second to hosts beyond our networks, all together."""


class Counts:
    """What came in and what became of it."""

    __slots__ = ("answered", "bad", "conflicts", "ours", "packets", "refused", "unknown")

    def __init__(self) -> None:
        self.packets = 0
        self.answered = 0
        self.bad = 0
        """No name service packets."""
        self.refused = 0
        """From where nobody is answered, or too many."""
        self.ours = 0
        """Broadcasts of our own, come back."""
        self.unknown = 0
        """Requests nobody defined."""
        self.conflicts = 0
        """Claims to our names, and demands to give them up."""


class Rules:
    """The slow and complete way."""

    def __init__(
        self,
        settings: Settings,
        tunables: NetbiosTunables,
        *,
        exchanges: Exchanges,
        subnets: Subnets,
        names: NameTable,
        answers: Answers,
        client: WinsClient,
        local: Local,
        emit: Callable[[Effect], None],
        log: Say,
    ) -> None:
        self.settings = settings
        self.tunables = tunables
        self.counts = Counts()
        self.wins: WinsServer | None = None
        self.exchanges = exchanges
        self.subnets = subnets
        self.names = names
        self.dns = DnsProxy(emit=emit, answer=self._wins_answer)
        self._answers = answers
        self._local = local
        self._proxy = WinsProxy(emit=emit, query=client.query, answer=self._proxied_answer)
        self._log = log
        self._far = Bucket(rate=FAR_RATE, burst=FAR_RATE)

    def receive(self, data: bytes, origin: Origin, source: Source, now: Now) -> bytes | None:
        """Any packet."""
        try:
            packet = nspacket.unpack(data)
        except WireError:
            self.counts.bad += 1
            return None
        if packet.response:
            self._response(packet, data, origin, now, far=source.standing is Standing.WINS)
            return None
        broadcast = packet.flags & BROADCAST != 0
        far = source.standing is Standing.WINS
        if far and (broadcast or (self.wins is None and packet.opcode != Opcode.QUERY)):
            self.counts.refused += 1
            return None
        opcode = packet.opcode
        if len(packet.questions) != 1 or packet.questions[0].klass != 1:
            self.counts.bad += 1
            return None
        question = packet.questions[0]
        if opcode == Opcode.QUERY:
            return self._query(packet, question, origin, source, now)
        if opcode not in _CLAIMS and opcode != Opcode.RELEASE:
            self.counts.unknown += 1
            return None
        try:
            claim = claim_of(packet, question, origin)
        except WireError:
            self.counts.bad += 1
            return None
        if opcode == Opcode.RELEASE:
            return self._release(claim, source, now)
        return self._claim(claim, source, now)

    def answered(self, data: bytes, origin: Origin, now: Now) -> None:
        """The answer of a host that we asked ourselves, wherever it is."""
        try:
            self._response(nspacket.unpack(data), data, origin, now, far=True)
        except WireError:
            self.counts.bad += 1

    def _response(self, packet: Packet, data: bytes, origin: Origin, now: Now, *, far: bool) -> None:
        if self.exchanges.receive(packet, origin.peer.host, now, far=far) or self._local.take(data, origin):
            return
        if packet.opcode == Opcode.REGISTRATION and packet.rcode == Rcode.CFT_ERR:
            self.counts.conflicts += 1
            about = name.unpack(packet.answers[0].name) if packet.answers else "a name"
            self._log(
                Level.NOTICE, f"{origin.peer.host} demands that {about} be given up: ignored", NAME_DEMANDED
            )

    def _query(
        self, packet: Packet, question: Question, origin: Origin, source: Source, now: Now
    ) -> bytes | None:
        wire = question.name
        id_ = packet.id.to_bytes(2, "big")
        subnet = source.subnet
        full = source.standing is Standing.FULL and subnet is not None
        if question.kind == RecordType.NBSTAT:
            if not full or subnet is None:
                return self._far_status(id_, wire, subnet, now)
            ours = self._find_own(subnet, wire)
            if ours is None and wire != name.ANY:
                return None
            return id_ + answered_status(wire, self._answers.status(subnet))
        if question.kind != RecordType.NB:
            return None
        if not full and self.wins is None:
            self.counts.refused += 1
            return None
        broadcast = packet.flags & BROADCAST != 0
        wins_asked = bool(packet.flags & RECURSION_DESIRED) and not broadcast
        if wins_asked and self.wins is not None:
            return self._wins_query(packet, wire, origin, now)
        if full and subnet is not None:
            own = self._find_own(subnet, wire)
            if own is not None:
                answer = self._answers.positive(own, subnet)
                if answer is not None:
                    return id_ + answer.replace(own, wire, 1)
        if broadcast:
            if self.settings.wins_proxy:
                return self._proxied(wire, id_, origin, now)
            return None
        if wins_asked:
            return None
        return nspacket.negative_query_answer(packet.id, wire, Rcode.NAM_ERR, asked=packet.flags)

    def _far_status(self, id_: bytes, wire: bytes, subnet: Subnet | None, now: Now) -> bytes | None:
        """Masters of far networks ask the domain master for its name before they report to it. They are told
        that much and seldom: the answer is three times the question."""
        if subnet is None or not self.settings.browsing.domain_master:
            self.counts.refused += 1
            return None
        domain = self.settings.wire(self.settings.workgroup, Suffix.DOMAIN_MASTER)
        if wire not in (domain, name.ANY) or self.names.find(subnet, domain) is None:
            return None
        if not self._far.take(now.mono):
            self.counts.refused += 1
            return None
        return id_ + answered_status(wire, self._answers.brief_status(subnet))

    def _find_own(self, subnet: Subnet, wire: bytes) -> bytes | None:
        """The name of ours that is meant, also when it was spelled in lower case."""
        for spelled in (wire, name.upper(wire)):
            if self.names.find(subnet, spelled) is not None or spelled in self._answers.silent:
                return spelled
        return None

    def _wins_query(self, packet: Packet, wire: bytes, origin: Origin, now: Now) -> bytes | None:
        assert self.wins is not None
        id_ = packet.id.to_bytes(2, "big")
        answer = self.wins.queries.answer(id_, wire, now.wall)
        if answer is None:
            raised = name.upper(wire)
            if raised != wire:
                answer = self.wins.queries.answer(id_, raised, now.wall)
        if answer is not None:
            return answer
        if self.settings.dns_proxy:
            return self.dns.ask(wire, id_, origin, now)
        return nspacket.negative_query_answer(packet.id, wire, Rcode.NAM_ERR, asked=packet.flags, server=True)

    def _wins_answer(self, id_: bytes, wire: bytes, known: Known) -> bytes:
        """The WINS server's answer out of the DNS."""
        number = int.from_bytes(id_, "big")
        if not known.entries:
            return nspacket.negative_query_answer(
                number, wire, Rcode.NAM_ERR, asked=RECURSION_DESIRED, server=True
            )
        return self._told_of(number, wire, known, KNOWN_FOR)

    def _told_of(self, number: int, wire: bytes, known: Known, believed: float) -> bytes:
        """An answer about others: it shall not be believed for longer than what it rests on is here."""
        ttl = min(int(believed), self.tunables.max_ttl)
        return nspacket.answer(Opcode.QUERY, number, wire, nspacket.pack_nb(known.entries), ttl=ttl)

    def _proxied(self, wire: bytes, id_: bytes, origin: Origin, now: Now) -> bytes | None:
        if self.wins is None:
            return self._proxy.ask(wire, id_, origin, now)
        record = self.wins.db.find_live(wire, now.wall) if name.suffix_of(wire) in PROXIED else None
        if record is None or record.group:
            return None
        entries = tuple(
            nspacket.Nb(record.flags, member.address)
            for member in record.members
            if member.expires > now.wall
        )
        return self._proxied_answer(Waiting(origin, id_), wire, Known(entries, 0.0))

    def _proxied_answer(self, waiting: Waiting, wire: bytes, known: Known) -> bytes | None:
        """Nothing for owners on the asker's own network: they answer for themselves."""
        subnet = self.subnets.find(waiting.origin.peer.host)
        if subnet is None or not known.entries or any(nb.flags & GROUP for nb in known.entries):
            return None
        if any(IPv4Address(nb.address) in subnet.network for nb in known.entries):
            return None
        return self._told_of(int.from_bytes(waiting.id, "big"), wire, known, FOUND_FOR)

    def _claim(self, claim: Claim, source: Source, now: Now) -> bytes | None:
        """A registration or refresh by somebody else."""
        broadcast = claim.flags & BROADCAST != 0
        if broadcast or self.wins is None:
            holding = self.names.find(source.subnet, claim.wire)
            if holding is not None and self._intrudes(holding, claim):
                if broadcast and claim.opcode in _REFRESHES:
                    return None
                self.counts.conflicts += 1
                self._log(
                    Level.NOTICE,
                    f"{claim.origin.peer.host} claims our name {name.unpack(claim.wire)}: refused",
                    NAME_CLAIMED,
                )
                return claim.answer(Rcode.ACT_ERR)
            return None if broadcast else claim.answer(Rcode.FMT_ERR)
        return self.wins.claim(claim, now)

    def _intrudes(self, holding: Holding, claim: Claim) -> bool:
        if holding.own.group:
            return not claim.group
        return not any(claim.address == subnet.address for subnet in self.subnets.all)

    def _release(self, claim: Claim, source: Source, now: Now) -> bytes | None:
        if claim.flags & BROADCAST or self.wins is None:
            holding = self.names.find(source.subnet, claim.wire)
            if holding is not None and not holding.own.group and self._intrudes(holding, claim):
                return claim.answer(Rcode.ACT_ERR)
            return None if claim.flags & BROADCAST else claim.answer(Rcode.FMT_ERR)
        return self.wins.release(claim, now)
