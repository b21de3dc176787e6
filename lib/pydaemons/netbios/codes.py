# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of the NetBIOS name service, after RFC 1002 section 4.2, and the meaning of name suffixes.

Everything a packet names by number is here once; logs, views and commands print from these.
"""

from __future__ import annotations

from enum import IntEnum

from pydaemons.wire.enums import OpenEnum

NAME_PORT = 137
DATAGRAM_PORT = 138

RESPONSE = 0x8000
"""Header flag: this is an answer."""
AUTHORITATIVE = 0x0400
TRUNCATED = 0x0200
RECURSION_DESIRED = 0x0100
RECURSION_AVAILABLE = 0x0080
BROADCAST = 0x0010
OPCODE_SHIFT = 11
RCODE_MASK = 0x000F

CLASS_IN = 1
LONGEST_DATAGRAM = 576
"""No name service packet of ours is longer (RFC 1001 section 15.1.3)."""


class Opcode(OpenEnum):
    """What a packet is about (RFC 1002 section 4.2.1.1); 0xF is the multi-homed registration of Windows."""

    QUERY = 0
    REGISTRATION = 5
    RELEASE = 6
    WACK = 7
    REFRESH = 8
    REFRESH_9 = 9  # RFC 1002 prints 8 in one place and 9 in another: both are in use
    MULTIHOMED = 15


class Rcode(OpenEnum):
    """How a request ended (RFC 1002 sections 4.2.6, 4.2.11, 4.2.14)."""

    OK = 0
    FMT_ERR = 1
    SRV_ERR = 2
    NAM_ERR = 3
    IMP_ERR = 4
    RFS_ERR = 5
    ACT_ERR = 6
    CFT_ERR = 7


class RecordType(OpenEnum):
    """Types of questions and resource records (RFC 1002 section 4.2.1.3)."""

    A = 1
    NS = 2
    NULL = 10
    NB = 32
    NBSTAT = 33


GROUP = 0x8000
"""NB flag: a group name."""
NODE_B = 0x0000
NODE_P = 0x2000
NODE_M = 0x4000
NODE_H = 0x6000
NODE_MASK = 0x6000
DEREGISTERING = 0x1000
CONFLICT = 0x0800
ACTIVE = 0x0400
PERMANENT = 0x0200


class Suffix(IntEnum):
    """The sixteenth byte of a name, as far as this daemon gives it a meaning."""

    WORKSTATION = 0x00
    MSBROWSE = 0x01
    MESSENGER = 0x03
    DOMAIN_MASTER = 0x1B
    DOMAIN_CONTROLLERS = 0x1C
    MASTER = 0x1D
    ELECTION = 0x1E
    SERVER = 0x20


MEANINGS = {
    (0x00, False): "workstation",
    (0x00, True): "workgroup",
    (0x01, False): "messenger",
    (0x01, True): "master browsers",
    (0x03, False): "messenger",
    (0x06, False): "remote access server",
    (0x1B, False): "domain master browser",
    (0x1C, True): "domain controllers",
    (0x1D, False): "master browser",
    (0x1E, True): "browser elections",
    (0x1F, False): "network DDE",
    (0x20, False): "file server",
    (0x21, False): "remote access client",
    (0xBE, False): "network monitor agent",
    (0xBF, False): "network monitor",
}


def meaning(suffix: int, *, group: bool) -> str:
    """What a suffix stands for, or an empty string."""
    return MEANINGS.get((suffix, group), "")


def node_letter(nb_flags: int) -> str:
    """The node type of NB flags as RFC 1001 section 10 names it (H is Microsoft's)."""
    return "BPMH"[(nb_flags & NODE_MASK) >> 13]
