# SPDX-License-Identifier: GPL-3.0-or-later
"""What the security index of a connection stands for. Index 0 is none at all: read Null.

The Rx draft leaves the classes to documents of their own; here is only what they have in common: a challenge
that must be answered before the first call is begun, and a hand on each packet on its way in and out.
"""

from __future__ import annotations

from typing import Protocol

from pydaemons.rx.packet import Header

NONE = 0
"""The index of a connection whose packets prove nothing."""


class Security(Protocol):
    """One connection's security, made by the endpoint when its first packet comes."""

    overhead: int
    """bytes that `seal` adds to a payload"""
    user: str
    """who the other side has proved to be, once it has; empty for nobody"""

    def challenge(self) -> bytes | None:
        """What the client must answer before its calls are begun; None when nothing has to be proved."""

    def respond(self, response: bytes) -> int:
        """The client answered. 0, or the code of the ABORT that ends the connection."""

    def open(self, header: Header, payload: bytes) -> bytes:
        """What a packet says. Raises WireError when it is not from whom it should be."""

    def seal(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """A packet as it travels."""


class Null:
    """No security: whoever can send packets from an address is that address."""

    __slots__ = ()

    overhead = 0
    user = ""

    def challenge(self) -> bytes | None:
        return None

    def respond(self, response: bytes) -> int:
        return 0

    def open(self, header: Header, payload: bytes) -> bytes:
        return payload

    def seal(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        return header, payload
