# SPDX-License-Identifier: GPL-3.0-or-later
"""An Active Directory controller, as far as an LDAP ping sees one; its BER is not that of lib/."""

from __future__ import annotations

from pydaemons.netbios.logon import SamAnswerEx

GUID = bytes(range(16))
PDC = 0x1 | 0x10 | 0x100
FOUND = SamAnswerEx(
    *(23, PDC, GUID, "ad.example", "ad.example", "dc1.ad.example", "TESTGRP", "DC1", "", "Site", "Site"),
    address=bytes((10, 0, 0, 5)),
    version=0xD,
)


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element, its length in the long form throughout, which is as good."""
    value = b"".join(parts)
    return bytes((tag, 0x84)) + len(value).to_bytes(4, "big") + value


def answer(id_: int, netlogon: bytes | None = None, *, attribute: bytes = b"Netlogon") -> bytes:
    """What the controller says to the ping `id_`: an entry with this value and the end, or the end alone."""
    number = tlv(2, id_.to_bytes(5, "big"))
    end = tlv(0x30, number, tlv(0x65, tlv(10, b"\0"), tlv(4), tlv(4)))
    if netlogon is None:
        return end
    values = tlv(0x30, tlv(4, attribute), tlv(0x31, tlv(4, netlogon)))
    return tlv(0x30, number, tlv(0x64, tlv(4), tlv(0x30, values))) + end


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """The elements one behind the other in `data`."""
    found = []
    while data:
        tag, size, at = data[0], data[1], 2
        if size & 0x80:
            at = 2 + (size & 0x7F)
            size = int.from_bytes(data[2:at], "big")
        found.append((tag, data[at : at + size]))
        data = data[at + size :]
    return found


def asked(data: bytes) -> tuple[int, dict[str, bytes]]:
    """Message id and filter terms of a ping."""
    ((_, message),) = elements(data)
    (_, number), (_, search) = elements(message)
    terms = {}
    for _, term in elements(elements(search)[6][1]):
        (_, name), (_, value) = elements(term)
        terms[name.decode()] = value
    return int.from_bytes(number, "big"), terms
