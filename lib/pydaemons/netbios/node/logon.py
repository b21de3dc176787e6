# SPDX-License-Identifier: GPL-3.0-or-later
"""Logon requests: hosts look for a domain controller of our domain and are told that we are one. Read
Logons.receive and Logons._sam_answer.

This is the finding only; logging on itself is smbd's. In front of an Active Directory the controller is
asked instead by an LDAP ping, and what it says is told on (nmbd_proxy_logon).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network

from pydaemons.engine.effects import Effect, Level, Send
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.netbios import cldap, logon, mailslot, name
from pydaemons.netbios.cldap import Ping
from pydaemons.netbios.codes import Suffix
from pydaemons.netbios.logon import (
    NO_GUID,
    Answer,
    DcFlag,
    LogonAnswer,
    LogonRequest,
    NtVersion,
    Opcode,
    PrimaryAnswer,
    PrimaryQuery,
    SamAnswer,
    SamAnswer5,
    SamAnswerEx,
    SamRequest,
)
from pydaemons.netbios.node.events import (
    CONTROLLER_SILENT,
    AccountFound,
    FindAccount,
    Resolve,
    Say,
)
from pydaemons.netbios.node.mailslots import Mailslots, Received
from pydaemons.netbios.node.settings import Logon, Settings
from pydaemons.netbios.node.subnet import Source
from pydaemons.wire.errors import WireError

WAITING = 256
"""Answers delayed, and questions to the controller under way; beyond it, clients are left to ask again."""
PING_TRIES = 2
PING_INTERVAL = 1.5
"""A client asks again after five seconds."""
RESOLVE_AGAIN = 300.0
CONTROLLER = b"cldap server"
"""Key of our question to the resolver; no wire form of a name is so short."""
SERVICES = frozenset((mailslot.BROWSE, mailslot.LANMAN, mailslot.NETLOGON, mailslot.NTLOGON))
"""Where services listen: there an answer of ours would be taken for something we say."""
_MACHINE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}\$")
_NEW = NtVersion.V5EX | NtVersion.V5EX_WITH_IP


class _Asked:
    """A question to the controller."""

    __slots__ = ("at", "ping", "received", "request", "tries")

    def __init__(self, received: Received, request: PrimaryQuery | SamRequest, ping: Ping) -> None:
        self.received = received
        self.request = request
        self.ping = ping
        self.tries = PING_TRIES
        self.at = 0.0
        """When to go on."""


class Counts:
    """What was asked and what became of it."""

    __slots__ = ("answered", "forwarded", "requests", "silent")

    def __init__(self) -> None:
        self.requests = 0
        self.answered = 0
        self.forwarded = 0
        """To the controller."""
        self.silent = 0
        """It did not answer, or knew nothing."""


class Logons:
    """The logon server of a node; does nothing as long as the settings have no Logon."""

    def __init__(
        self,
        mailslots: Mailslots,
        settings: Settings,
        *,
        entropy: Entropy,
        emit: Callable[[Effect], None],
        log: Say,
    ) -> None:
        self.counts = Counts()
        self.settings = settings
        self._mailslots = mailslots
        self._entropy = entropy
        self._emit = emit
        self._log = log
        self._delayed: deque[tuple[float, Received, bytes, Answer]] = deque()
        self._accounts: dict[str, list[tuple[Received, SamRequest]]] = {}
        """Who waits for news about an account."""
        self._asked: dict[int, _Asked] = {}
        self._controller = ""
        """Address of the domain controller, once known."""
        self._known_until = 0.0
        mailslots.on(mailslot.NETLOGON, self.receive)
        mailslots.on(mailslot.NTLOGON, self.receive)

    def configure(self, settings: Settings) -> None:
        """The settings (or networks) changed. What was asked under other settings is asked again."""
        before, self.settings = self.settings.logon, settings
        if settings.logon != before:
            self._controller = ""
            self._known_until = 0.0
            self._delayed.clear()
            self._accounts.clear()
            self._asked.clear()

    # ---- requests

    def receive(self, received: Received, now: Now) -> None:
        """A write into a logon mailslot."""
        ours = self.settings.logon
        if ours is None:
            return
        request = logon.unpack_request(received.data)
        if request is None:
            return
        slot = request.mailslot.upper()
        if not slot.startswith(mailslot.PREFIX) or len(slot) > mailslot.LONGEST_NAME or slot in SERVICES:
            raise WireError("an answer is wanted in what is no mailslot for answers", 0)
        self.counts.requests += 1
        match request:
            case LogonRequest() if not ours.controller:
                server = self._server().encode(self.settings.charset, "replace")
                self._answer(received, request.mailslot, LogonAnswer(server))
            case PrimaryQuery() if ours.controller:
                self._forward(received, request, now)
            case PrimaryQuery() if ours.primary:
                self._answer(received, request.mailslot, self._primary_answer(request))
            case SamRequest() if ours.controller:
                self._forward(received, request, now)
            case SamRequest():
                self._answer_sam(received, request, ours, now)

    def _primary_answer(self, request: PrimaryQuery) -> PrimaryAnswer:
        settings = self.settings
        short = settings.netbios_name.encode(settings.charset, "replace")
        if request.version is None:
            return PrimaryAnswer(short, version=None)
        return PrimaryAnswer(short, settings.netbios_name, settings.workgroup)

    def _answer_sam(self, received: Received, request: SamRequest, ours: Logon, now: Now) -> None:
        """Without a user the question is who can log anybody on, and others may be meant to be faster."""
        if request.account_control & logon.TRUSTS and _MACHINE.fullmatch(request.user):
            self._find_account(received, request, now)
            return
        answer = self._sam_answer(received, request, ours, known=not request.user)
        if request.user or not self._is_delayed(received, request, ours):
            self._answer(received, request.mailslot, answer)
        elif len(self._delayed) < WAITING:
            self._delayed.append((now.mono + ours.delay, received, request.mailslot, answer))

    def _find_account(self, received: Received, request: SamRequest, now: Now) -> None:
        """A host asks for the controller that has its own account: what smbd knows Unix knows too.
        People's accounts are not told to whoever asks, they are as unknown here as they are to nmbd."""
        account = request.user.lower()
        waiting = self._accounts.get(account)
        if waiting is None:
            if len(self._accounts) >= WAITING:
                return
            waiting = self._accounts[account] = []
            self._emit(FindAccount(account))
        if len(waiting) < WAITING:
            waiting.append((received, request))

    def found(self, event: AccountFound) -> None:
        """The machine's accounts were looked through."""
        waiting = self._accounts.pop(event.account, ())
        ours = self.settings.logon
        if ours is None:
            return
        for received, request in waiting:
            answer = self._sam_answer(received, request, ours, known=event.known)
            self._answer(received, request.mailslot, answer)

    def _sam_answer(self, received: Received, request: SamRequest, ours: Logon, *, known: bool) -> Answer:
        """In the newest form the asker knows, of those for which we know enough."""
        settings = self.settings
        opcode = Opcode.SAM_LOGON_RESPONSE if known else Opcode.SAM_USER_UNKNOWN
        server, domain = settings.netbios_name, settings.workgroup
        if not ours.realm or not request.version & (NtVersion.V5 | _NEW):
            return SamAnswer(opcode, self._server(), request.user, domain)
        dns = (ours.realm, ours.realm, f"{server.lower()}.{ours.realm}")
        flags = DcFlag.WRITABLE | (DcFlag.PDC if ours.primary else 0)
        address = IPv4Address(received.subnet.interface.address).packed
        if not request.version & _NEW:
            return SamAnswer5(
                *(opcode, self._server(), request.user, domain, NO_GUID, *dns), address=address, flags=flags
            )
        with_ip = bool(request.version & NtVersion.V5EX_WITH_IP)
        return SamAnswerEx(
            *(opcode + logon.EX, flags, NO_GUID, *dns, domain, server, request.user, "", ""),
            address=address if with_ip else None,
            version=NtVersion.V1 | NtVersion.V5EX | (NtVersion.V5EX_WITH_IP if with_ip else 0),
        )

    def _is_delayed(self, received: Received, request: SamRequest, ours: Logon) -> bool:
        host = received.origin.peer.host
        computer = request.computer.lower() or name.unpack(received.source).text().lower()
        return any(_matches(pattern.lower(), computer, host) for pattern in ours.delayed_hosts)

    def _answer(self, received: Received, slot: bytes, answer: Answer) -> None:
        """Give an answer; of our own newer ones, the short old form to whom the long one may not be given."""
        source = self.settings.wire(self.settings.netbios_name, Suffix.WORKSTATION)
        given = self._mailslots.answer(received, slot, answer.pack(), source=source)
        if not given and isinstance(answer, SamAnswer5 | SamAnswerEx) and answer.guid == NO_GUID:
            opcode = answer.opcode - (logon.EX if isinstance(answer, SamAnswerEx) else 0)
            old = SamAnswer(opcode, self._server(), answer.user, answer.domain)
            given = self._mailslots.answer(received, slot, old.pack(), source=source)
        self.counts.answered += given

    def _server(self) -> str:
        return f"\\\\{self.settings.netbios_name}"

    # ---- an Active Directory behind us

    def _forward(self, received: Received, request: PrimaryQuery | SamRequest, now: Now) -> None:
        """Ask the controller what we were asked."""
        if len(self._asked) >= WAITING:
            return
        if not self._find_controller(now):
            return
        id_ = self._entropy.getrandbits(31)
        version = NtVersion.V1 | NtVersion.V5 | _NEW
        if isinstance(request, SamRequest):
            ping = Ping(id_, request.computer, request.user, request.account_control, version)
        else:
            ping = Ping(id_, request.name or request.computer.decode("latin-1"), version=version)
        asked = self._asked[id_] = _Asked(received, request, ping)
        self.counts.forwarded += 1
        self._ask(asked, now)

    def _find_controller(self, now: Now) -> bool:
        """Have the controller's address; False when the resolver must be asked first."""
        assert self.settings.logon is not None
        host = self.settings.logon.controller
        try:
            self._controller = str(IPv4Address(host))
        except ValueError:
            if now.mono >= self._known_until:
                self._known_until = now.mono + PING_INTERVAL
                self._emit(Resolve(CONTROLLER, host))
        return bool(self._controller)

    def resolved(self, addresses: tuple[bytes, ...], now: Now) -> None:
        """The resolver found the controller, or did not. Whoever asked meanwhile asks again."""
        if self.settings.logon is None:
            return
        if addresses:
            self._controller = str(IPv4Address(addresses[0]))
            self._known_until = now.mono + RESOLVE_AGAIN
        else:
            host = self.settings.logon.controller
            self._log(
                Level.WARNING, f"the domain controller {host} has no address: no logons", CONTROLLER_SILENT
            )

    def _ask(self, asked: _Asked, now: Now) -> None:
        asked.tries -= 1
        asked.at = now.mono + PING_INTERVAL
        self._emit(Send(Transport.UDP, Address(self._controller, cldap.PORT), asked.ping.pack()))

    def is_controller(self, origin: Origin) -> bool:
        """Is it whom we ask?"""
        return origin.peer == (self._controller, cldap.PORT)

    def pong(self, data: bytes, origin: Origin, source: Source, now: Now) -> None:
        """A packet from the controller."""
        try:
            pong = cldap.unpack(data)
            asked = self._asked.pop(pong.id, None)
            if asked is None:
                return
            if pong.netlogon is None:
                self.counts.silent += 1
                return
            found = logon.unpack_answer(pong.netlogon)
        except WireError:
            self.counts.silent += 1
            return
        if isinstance(found, SamAnswerEx):
            answer = self._rewritten(asked.request, found)
            if answer is not None:
                self._answer(asked.received, asked.request.mailslot, answer)

    def _rewritten(self, request: PrimaryQuery | SamRequest, found: SamAnswerEx) -> Answer | None:
        """What the controller said, in the form the asker understands."""
        if isinstance(request, PrimaryQuery):
            if not found.flags & DcFlag.PDC:
                return None
            short = found.server.encode(self.settings.charset, "replace")
            if request.version is None:
                return PrimaryAnswer(short, version=None)
            return PrimaryAnswer(short, found.server, found.domain)
        if request.version & _NEW:
            with_ip = bool(request.version & NtVersion.V5EX_WITH_IP) and found.address is not None
            return found._replace(
                address=found.address if with_ip else None,
                version=NtVersion.V1 | NtVersion.V5EX | (NtVersion.V5EX_WITH_IP if with_ip else 0),
            )
        opcode = found.opcode - logon.EX
        server = f"\\\\{found.server}"
        if request.version & NtVersion.V5:
            address = found.address or IPv4Address(self._controller).packed
            return SamAnswer5(
                *(opcode, server, found.user, found.domain, found.guid),
                *(found.forest, found.dns_domain, found.dns_host, address, found.flags),
            )
        return SamAnswer(opcode, server, found.user, found.domain)

    # ---- time

    def tick(self, now: Now) -> None:
        """Give the delayed answers, ask the controller again."""
        delayed = self._delayed
        while delayed and delayed[0][0] <= now.mono:
            _, received, slot, answer = delayed.popleft()
            self._answer(received, slot, answer)
        for id_, asked in list(self._asked.items()):
            if asked.at > now.mono:
                continue
            if asked.tries > 0:
                self._ask(asked, now)
                continue
            del self._asked[id_]
            self.counts.silent += 1
            self._log(
                Level.WARNING, f"the domain controller {self._controller} does not answer", CONTROLLER_SILENT
            )

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = [asked.at for asked in self._asked.values()]
        if self._delayed:
            times.append(self._delayed[0][0])
        return min(times, default=None)


def _matches(pattern: str, computer: str, host: str) -> bool:
    """A host's name (with * and ?), an address, a network, or a beginning of addresses (`10.1.`)."""
    if fnmatchcase(computer, pattern) or fnmatchcase(host, pattern):
        return True
    if pattern.endswith(".") and host.startswith(pattern):
        return True
    try:
        return IPv4Address(host) in IPv4Network(pattern, strict=False)
    except ValueError:
        return False
