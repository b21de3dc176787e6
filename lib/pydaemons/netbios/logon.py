# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts ask logon servers in mailslots and are answered, after [MS-ADTS] section 6.3.1. Read SamRequest
and SamAnswerEx first; `unpack_request`, `unpack_answer` and the `pack` of each class are inverse.

Three generations live side by side: LAN Manager (LogonRequest), NT 4 (PrimaryQuery, SamRequest, SamAnswer)
and Windows 2000 and newer, which ask as NT 4 did, say in `version` what they understand, and are answered
with SamAnswer5 or SamAnswerEx. Numbers are little endian; strings end with a zero.
"""

from __future__ import annotations

from enum import IntFlag
from struct import Struct
from typing import NamedTuple

from pydaemons.wire.cursor import Reader
from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.errors import WireError


class Opcode(OpenEnum):
    """The first word of every message (section 6.3.1.3)."""

    LOGON_REQUEST = 0
    LOGON_RESPONSE2 = 6
    PRIMARY_QUERY = 7
    PRIMARY_RESPONSE = 12
    SAM_LOGON_REQUEST = 18
    SAM_LOGON_RESPONSE = 19
    SAM_PAUSE_RESPONSE = 20
    SAM_USER_UNKNOWN = 21
    SAM_LOGON_RESPONSE_EX = 23
    SAM_PAUSE_RESPONSE_EX = 24
    SAM_USER_UNKNOWN_EX = 25


class NtVersion(IntFlag):
    """What the asker understands, and which form an answer has (section 6.3.1.1)."""

    V1 = 0x1
    V5 = 0x2
    V5EX = 0x4
    V5EX_WITH_IP = 0x8


class DcFlag(IntFlag):
    """What a domain controller can do (section 6.3.1.2), as far as it is said here."""

    PDC = 0x1
    DS = 0x10
    WRITABLE = 0x100


class AccountControl(IntFlag):
    """Kinds of accounts (section 6.3.1.4), as far as it is about machines."""

    INTERDOMAIN_TRUST = 0x40
    WORKSTATION_TRUST = 0x80
    SERVER_TRUST = 0x100


TRUSTS = AccountControl.INTERDOMAIN_TRUST | AccountControl.WORKSTATION_TRUST | AccountControl.SERVER_TRUST
ANSWERS = frozenset((Opcode.SAM_LOGON_RESPONSE, Opcode.SAM_PAUSE_RESPONSE, Opcode.SAM_USER_UNKNOWN))
ANSWERS_EX = frozenset(
    (Opcode.SAM_LOGON_RESPONSE_EX, Opcode.SAM_PAUSE_RESPONSE_EX, Opcode.SAM_USER_UNKNOWN_EX)
)
EX = Opcode.SAM_LOGON_RESPONSE_EX - Opcode.SAM_LOGON_RESPONSE
"""From the opcode of an answer to that of the same answer in its newest form."""
TOKEN = 0xFFFF
"""LmNtToken and Lm20Token, in every message."""
LONGEST = 256
"""Characters of a string that are read."""
POINTERS = 16
"""Compression pointers followed in one name."""
NO_GUID = bytes(16)
_END = Struct("<IHH")
_TOKEN = Struct("<H")
_INET = Struct("<H2x4s8x")
_AF_INET = 2


class LogonRequest(NamedTuple):
    """A LAN Manager client wants a logon server (NETLOGON_LOGON_REQUEST)."""

    computer: bytes
    user: bytes
    mailslot: bytes
    """Where the answer is to go."""
    repeated: int = 0
    """How often it was asked before."""

    def pack(self) -> bytes:
        """The wire form."""
        head = _zeroed(Opcode.LOGON_REQUEST, self.computer, self.user, self.mailslot)
        return head + bytes((self.repeated,)) + _TOKEN.pack(TOKEN)


class PrimaryQuery(NamedTuple):
    """Who is the primary domain controller? (NETLOGON_LOGON_QUERY)."""

    computer: bytes
    mailslot: bytes
    name: str = ""
    """The computer's name once more, in Unicode."""
    version: int | None = NtVersion.V1
    """None: the short form of hosts older than NT, which has neither Unicode nor a version."""

    def pack(self) -> bytes:
        """The wire form."""
        head = _zeroed(Opcode.PRIMARY_QUERY, self.computer, self.mailslot)
        if self.version is None:
            return head + _TOKEN.pack(TOKEN)
        return _aligned(_aligned(head, 2) + _unicode(self.name), 4) + _END.pack(self.version, TOKEN, TOKEN)


class SamRequest(NamedTuple):
    """Who knows this account? (NETLOGON_SAM_LOGON_REQUEST). Without a user: who is a domain controller?"""

    repeated: int
    computer: str
    user: str
    mailslot: bytes
    account_control: int = 0
    """AccountControl: the kinds of accounts that would do."""
    sid: bytes = b""
    """The domain's SID as [MS-DTYP] section 2.4.2 packs it, or nothing."""
    version: int = NtVersion.V1

    def pack(self) -> bytes:
        """The wire form."""
        parts = bytearray(_TOKEN.pack(Opcode.SAM_LOGON_REQUEST) + _TOKEN.pack(self.repeated))
        parts += _unicode(self.computer) + _unicode(self.user) + self.mailslot + b"\0"
        parts += self.account_control.to_bytes(4, "little") + len(self.sid).to_bytes(4, "little")
        if self.sid:
            parts += bytes(-len(parts) % 4) + self.sid
        return bytes(parts) + _END.pack(self.version, TOKEN, TOKEN)


class LogonAnswer(NamedTuple):
    """A LAN Manager client's logon server (NETLOGON_LOGON_RESPONSE2)."""

    server: bytes
    r"""`\\SERVER`."""

    def pack(self) -> bytes:
        """The wire form."""
        return _zeroed(Opcode.LOGON_RESPONSE2, self.server) + _TOKEN.pack(TOKEN)


class PrimaryAnswer(NamedTuple):
    """The primary domain controller (NETLOGON_PRIMARY_RESPONSE)."""

    server: bytes
    name: str = ""
    """The same in Unicode."""
    domain: str = ""
    version: int | None = NtVersion.V1
    """None: the short form, which ends behind the first name."""

    def pack(self) -> bytes:
        """The wire form."""
        head = _zeroed(Opcode.PRIMARY_RESPONSE, self.server)
        if self.version is None:
            return head + _TOKEN.pack(TOKEN)
        names = _unicode(self.name) + _unicode(self.domain)
        # Samba's hosts want the version at a multiple of four; Windows finds it from the end
        return _aligned(_aligned(head, 2) + names, 4) + _END.pack(self.version, TOKEN, TOKEN)


class SamAnswer(NamedTuple):
    """A domain controller, as NT 4 says it (NETLOGON_SAM_LOGON_RESPONSE_NT40)."""

    opcode: int
    server: str
    r"""`\\SERVER`."""
    user: str
    domain: str
    version: int = NtVersion.V1

    def pack(self) -> bytes:
        """The wire form."""
        return _sam(self.opcode, self.server, self.user, self.domain) + _END.pack(self.version, TOKEN, TOKEN)


class SamAnswer5(NamedTuple):
    """A domain controller with its DNS names (NETLOGON_SAM_LOGON_RESPONSE)."""

    opcode: int
    server: str
    user: str
    domain: str
    guid: bytes
    forest: str
    dns_domain: str
    dns_host: str
    address: bytes
    flags: int
    version: int = NtVersion.V1 | NtVersion.V5

    def pack(self) -> bytes:
        """The wire form."""
        parts = bytearray(_sam(self.opcode, self.server, self.user, self.domain))
        parts += self.guid + NO_GUID
        _append_names(parts, self.forest, self.dns_domain, self.dns_host)
        parts += self.address[::-1] + self.flags.to_bytes(4, "little")
        return bytes(parts) + _END.pack(self.version, TOKEN, TOKEN)


class SamAnswerEx(NamedTuple):
    """A domain controller, as Windows 2000 and newer understand it (NETLOGON_SAM_LOGON_RESPONSE_EX); also
    what an LDAP ping brings."""

    opcode: int
    flags: int
    """DcFlag."""
    guid: bytes
    forest: str
    dns_domain: str
    dns_host: str
    domain: str
    server: str
    """Without backslashes here."""
    user: str
    site: str
    client_site: str
    address: bytes | None = None
    """IPv4; sent when the asker wants it (V5EX_WITH_IP)."""
    version: int = NtVersion.V1 | NtVersion.V5EX

    def pack(self) -> bytes:
        """The wire form."""
        parts = bytearray(Struct("<HHI").pack(self.opcode, 0, self.flags) + self.guid)
        _append_names(parts, *self[3:11])
        if self.address is not None:
            parts.append(_INET.size)
            parts += _INET.pack(_AF_INET, self.address)
        return bytes(parts) + _END.pack(self.version, TOKEN, TOKEN)


Request = LogonRequest | PrimaryQuery | SamRequest
Answer = LogonAnswer | PrimaryAnswer | SamAnswer | SamAnswer5 | SamAnswerEx


def unpack_request(data: bytes) -> Request | None:
    """A request, or WireError; None for messages that ask nothing (announcements of account changes, and
    what is not defined)."""
    reader = Reader(data)
    opcode = reader.u16le()
    if opcode == Opcode.LOGON_REQUEST:
        computer, user, slot = _text(reader), _text(reader), _text(reader)
        return LogonRequest(computer, user, slot, reader.u8())
    if opcode == Opcode.PRIMARY_QUERY:
        computer, slot = _text(reader), _text(reader)
        if reader.remaining() < _END.size:
            return PrimaryQuery(computer, slot, version=None)
        _align(reader, 2)
        return PrimaryQuery(computer, slot, _wide(reader), _version(reader))
    if opcode == Opcode.SAM_LOGON_REQUEST:
        count = reader.u16le()
        name, account = _wide(reader), _wide(reader)
        slot = _text(reader)
        control, size = reader.u32le(), reader.u32le()
        if size:
            _align(reader, 4)
        return SamRequest(count, name, account, slot, control, reader.take(size), reader.u32le())
    return None


def unpack_answer(data: bytes) -> Answer:
    """An answer, or WireError."""
    reader = Reader(data)
    opcode = reader.u16le()
    if opcode == Opcode.LOGON_RESPONSE2:
        return LogonAnswer(_text(reader))
    if opcode == Opcode.PRIMARY_RESPONSE:
        short = _text(reader)
        if reader.remaining() < _END.size:
            return PrimaryAnswer(short, version=None)
        _align(reader, 2)
        return PrimaryAnswer(short, _wide(reader), _wide(reader), _version(reader))
    if opcode in ANSWERS_EX:
        return _unpack_ex(reader, opcode)
    if opcode in ANSWERS:
        server, user, domain = _wide(reader), _wide(reader), _wide(reader)
        if reader.remaining() == _END.size:
            return SamAnswer(opcode, server, user, domain, reader.u32le())
        guid = reader.take(16)
        reader.take(16)
        forest, dns_domain, dns_host = _name(reader), _name(reader), _name(reader)
        address, flags = reader.take(4)[::-1], reader.u32le()
        return SamAnswer5(
            *(opcode, server, user, domain, guid, forest, dns_domain, dns_host, address, flags),
            version=reader.u32le(),
        )
    raise WireError(f"message {opcode} is no answer", 0)


def _unpack_ex(reader: Reader, opcode: int) -> SamAnswerEx:
    reader.u16le()
    flags, guid = reader.u32le(), reader.take(16)
    forest, dns_domain, dns_host = _name(reader), _name(reader), _name(reader)
    domain, server, user = _name(reader), _name(reader), _name(reader)
    site, client_site = _name(reader), _name(reader)
    address = None
    if reader.remaining() > _END.size:
        inner = reader.restrict(reader.u8())
        if inner.remaining() >= 8 and inner.u16le() == _AF_INET:
            inner.take(2)
            address = inner.take(4)
    return SamAnswerEx(
        *(opcode, flags, guid, forest, dns_domain, dns_host, domain, server, user, site, client_site),
        address=address,
        version=reader.u32le(),
    )


# ---- strings


def _zeroed(opcode: int, *texts: bytes) -> bytes:
    return _TOKEN.pack(opcode) + b"".join(text + b"\0" for text in texts)


def _aligned(head: bytes, to: int) -> bytes:
    return head + bytes(-len(head) % to)


def _unicode(text: str) -> bytes:
    return text.encode("utf-16-le", "replace") + b"\0\0"


def _sam(opcode: int, *texts: str) -> bytes:
    return _TOKEN.pack(opcode) + b"".join(map(_unicode, texts))


def _align(reader: Reader, to: int) -> None:
    reader.take(-reader.offset % to)


def _version(reader: Reader) -> int:
    """Some align it, some do not."""
    surplus = reader.remaining() - _END.size
    if 0 < surplus < 4:
        reader.take(surplus)
    return reader.u32le()


def _text(reader: Reader) -> bytes:
    end = reader.data.find(b"\0", reader.offset, min(reader.end, reader.offset + LONGEST + 1))
    if end < 0:
        raise WireError("a string without an end", reader.offset)
    text = reader.take(end - reader.offset)
    reader.take(1)
    return text


def _wide(reader: Reader) -> str:
    start = reader.offset
    found = bytearray()
    while (char := reader.take(2)) != b"\0\0":
        found += char
        if len(found) > 2 * LONGEST:
            raise WireError("a string without an end", start)
    try:
        return found.decode("utf-16-le")
    except UnicodeDecodeError:
        raise WireError("no UTF-16", start) from None


def _append_names(parts: bytearray, *names: str) -> None:
    """Names in the manner of RFC 1035 section 4.1.4, each ending that was written before a pointer to it."""
    known: dict[tuple[bytes, ...], int] = {}
    for text in names:
        labels = tuple(label.encode()[:63] for label in text.split(".") if label)
        for i in range(len(labels)):
            at = known.get(labels[i:])
            if at is not None:
                parts += (0xC000 | at).to_bytes(2, "big")
                break
            known[labels[i:]] = len(parts)
            parts.append(len(labels[i]))
            parts += labels[i]
        else:
            parts.append(0)


def _name(reader: Reader) -> str:
    """A name of those; pointers must point backwards."""
    data, at, end = reader.data, reader.offset, reader.end
    start = lowest = at
    behind = -1
    labels: list[bytes] = []
    pointers = 0
    while True:
        if at >= end:
            raise WireError("a name runs out of the message", at)
        size = data[at]
        if size >= 0xC0:
            if at + 2 > end:
                raise WireError("a name runs out of the message", at)
            target = (size & 0x3F) << 8 | data[at + 1]
            pointers += 1
            if target >= lowest or pointers > POINTERS:
                raise WireError("a compression pointer that leads nowhere", at)
            behind = at + 2 if behind < 0 else behind
            at = lowest = target
            continue
        at += 1
        if size == 0:
            break
        if size > 63 or at + size > end:
            raise WireError("a name runs out of the message", at)
        labels.append(data[at : at + size])
        at += size
        if sum(map(len, labels)) > LONGEST:
            raise WireError("a name without an end", start)
    reader.take((at if behind < 0 else behind) - start)
    try:
        return b".".join(labels).decode()
    except UnicodeDecodeError:
        raise WireError("no UTF-8", start) from None
