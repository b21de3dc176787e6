# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of browsing stand on: our names and type, sending frames, asking other nodes. Read Ground.

The parts are localmaster (one network's master), office (being it), election (who is to be it), masterwatch
(is it there?), backup (a copy of its list), announce (when to announce), domainmaster (one group over several
networks), remote (announcements to far networks), browsesync (lists from other masters) and browser, which
joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

from pydaemons.engine.effects import Effect
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Address, Now
from pydaemons.netbios import browse, mailslot, name, nspacket
from pydaemons.netbios.browse import Announcement, Frame, ServerType
from pydaemons.netbios.codes import Suffix
from pydaemons.netbios.node.events import Say
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.mailslots import Mailslots
from pydaemons.netbios.node.names import NameTable
from pydaemons.netbios.node.serverlist import clean_comment
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Subnet, Subnets
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.wins import WinsServer
from pydaemons.netbios.node.winsclient import WinsClient
from pydaemons.netbios.nspacket import Packet, StatusName
from pydaemons.wire.errors import WireError

MSBROWSE = b"\x01\x02__MSBROWSE__\x02\x01"
"""The group of all master browsers of a network."""
TRIES = 3
INTERVAL = 0.5
MOST_ADDRESSES = 64

OnFound = Callable[[tuple[str, ...], Now], None]
"""Called with the addresses that have a name; none when nobody answered."""


class Ground:
    """Shared by all parts of browsing; `settings` changes with the configuration."""

    def __init__(
        self,
        settings: Settings,
        tunables: NetbiosTunables,
        *,
        entropy: Entropy,
        subnets: Subnets,
        names: NameTable,
        exchanges: Exchanges,
        client: WinsClient,
        mailslots: Mailslots,
        wins: Callable[[], WinsServer | None],
        emit: Callable[[Effect], None],
        log: Say,
    ) -> None:
        self.tunables = tunables
        self.entropy = entropy
        self.subnets = subnets
        self.names = names
        self.mailslots = mailslots
        self.emit = emit
        self.log = log
        self.started: float | None = None
        """Monotonic; uptime counts in elections."""
        self._exchanges = exchanges
        self._client = client
        self._wins = wins
        self._updates = 0
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """The settings changed."""
        self.settings = settings
        self.group = settings.workgroup
        self.source = settings.wire(settings.netbios_name, Suffix.WORKSTATION)
        self.master_wire = settings.wire(settings.workgroup, Suffix.MASTER)
        self.election_wire = settings.wire(settings.workgroup, Suffix.ELECTION)
        self.domain_wire = settings.wire(settings.workgroup, Suffix.DOMAIN_MASTER)
        self.masters_wire = name.pack(name.Name(MSBROWSE, settings.scope.encode("latin-1", "replace")))
        self.label = self.encode(settings.netbios_name)
        self.comment = clean_comment(
            settings.browsing.comment.encode(settings.charset, "replace"), settings.charset
        )

    def encode(self, text: str) -> bytes:
        """Text as it stands in frames."""
        return text.encode(self.settings.charset, "replace")

    def is_own(self, shown: str) -> bool:
        """Is it a name of ours?"""
        return shown == self.settings.netbios_name or shown in self.settings.aliases

    def uptime_ms(self, now: Now) -> int:
        """As elections count it."""
        started = now.mono if self.started is None else self.started
        return min(int((now.mono - started) * 1000), 0xFFFFFFFF)

    # ---- sending

    def send(self, subnet: Subnet, frame: Frame, destination: bytes, *, source: bytes | None = None) -> None:
        """A browser frame to all of a network."""
        self.mailslots.send(
            subnet,
            mailslot.LANMAN if isinstance(frame, browse.LanmanAnnouncement) else mailslot.BROWSE,
            browse.pack(frame),
            source=source or self.source,
            destination=destination,
        )

    def send_to(self, host: str, frame: Frame, destination: bytes, *, unique: bool) -> None:
        """A browser frame to one host, wherever it is."""
        subnet = self.subnets.find(host) or next(iter(self.subnets.all), None)
        if subnet is not None:
            self.mailslots.send(
                subnet,
                mailslot.BROWSE,
                browse.pack(frame),
                source=self.source,
                destination=destination,
                to=host,
                unique=unique,
            )

    def announcement(
        self, kind: type[Announcement], shown: str, *, type_: int, period: float, comment: str
    ) -> Announcement:
        """A frame that says `shown` is there."""
        self._updates = self._updates + 1 & 0xFF
        return kind(
            self._updates,
            int(period * 1000),
            self.encode(shown)[: browse.LONGEST_NAME],
            browse.OS_MAJOR,
            browse.OS_MINOR,
            type_ & 0xFFFFFFFF,
            browse.BROWSER_VERSION,
            browse.SIGNATURE,
            self.encode(comment)[: browse.LONGEST_COMMENT],
        )

    def base_type(self) -> int:
        """What we are, offices apart."""
        found = self.settings.browsing.server_type
        return found | (ServerType.POTENTIAL_BROWSER if self.settings.browsing.local_master else 0)

    # ---- asking

    def ask_network(self, subnet: Subnet, wire: bytes, now: Now, found: OnFound) -> None:
        """Who on a network has a name? Whoever answers first."""
        self._ask(
            lambda id_: nspacket.query(id_, wire, broadcast=True),
            Address(subnet.interface.broadcast, self._exchanges.port),
            now,
            source=subnet.interface.address,
            found=found,
        )

    def ask_host(self, host: str, wire: bytes, now: Now, found: OnFound) -> None:
        """Has this host this name?"""
        self._ask(
            lambda id_: nspacket.query(id_, wire, broadcast=False, recursion_desired=False),
            Address(host, self._exchanges.port),
            now,
            source=None,
            found=found,
        )

    def ask_wins(self, wire: bytes, now: Now, found: OnFound) -> None:
        """Who has a name, as WINS knows? Our own database, or our servers'."""
        server = self._wins()
        if server is not None:
            answer = server.queries.answer(b"\0\0", wire, now.wall)
            found(() if answer is None else _addresses(nspacket.unpack(answer)), now)
            return
        self._client.query(
            wire,
            now,
            on_found=lambda entries, ttl, now: found(
                tuple(str(IPv4Address(nb.address)) for nb in entries[:MOST_ADDRESSES]), now
            ),
            on_missing=lambda now: found((), now),
        )

    @property
    def uses_wins(self) -> bool:
        """Is there a WINS server, ours or another?"""
        return self._wins() is not None or bool(self._client.tags)

    def is_registered(self, wire: bytes) -> bool:
        """Is a name of ours in WINS, or is there no WINS?"""
        if self._wins() is not None or not self._client.tags:
            return True
        return any(key[0] == wire for tag in self._client.tags.values() for key in tag.registered)

    def ask_status(
        self, host: str, wire: bytes, now: Now, told: Callable[[tuple[StatusName, ...], Now], None]
    ) -> None:
        """Which names has a host, asked for by one of them? No names: it does not answer."""

        def answered(packet: Packet, source: str, now: Now) -> bool:
            try:
                told(nspacket.unpack_status(packet.answers[0].data).names if packet.answers else (), now)
            except WireError:
                told((), now)
            return True

        self._start(
            lambda id_: nspacket.status_request(id_, wire),
            Address(host, self._exchanges.port),
            now,
            source=None,
            answered=answered,
            silence=lambda now: told((), now),
        )

    def _ask(
        self, build: Callable[[int], bytes], to: Address, now: Now, *, source: str | None, found: OnFound
    ) -> None:
        def answered(packet: Packet, host: str, now: Now) -> bool:
            addresses = _addresses(packet)
            if not addresses and source is not None:
                return False  # a refusal out of turn to a broadcast: somebody else may have the name
            found(addresses, now)
            return True

        self._start(build, to, now, source=source, answered=answered, silence=lambda now: found((), now))

    def _start(
        self,
        build: Callable[[int], bytes],
        to: Address,
        now: Now,
        *,
        source: str | None,
        answered: Callable[[Packet, str, Now], bool],
        silence: Callable[[Now], None],
    ) -> None:
        if self._exchanges.full():
            silence(now)
            return
        self._exchanges.start(
            build,
            to,
            now,
            source=source,
            broadcast=source is not None,
            tries=TRIES,
            interval=INTERVAL,
            on_answer=answered,
            on_silence=silence,
        )


def _addresses(packet: Packet) -> tuple[str, ...]:
    found: Iterable[str] = ()
    for record in packet.answers if not packet.rcode else ():
        try:
            entries = nspacket.unpack_nb(record.data)
        except WireError:
            continue
        found = (*found, *(str(IPv4Address(nb.address)) for nb in entries))
    return tuple(dict.fromkeys(found))[:MOST_ADDRESSES]
