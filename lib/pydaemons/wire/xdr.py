# SPDX-License-Identifier: GPL-3.0-or-later
"""XDR types (RFC 4506) as annotations for records: `svid: Int`, `fh: Annotated[bytes, opaque(64)]`."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydaemons.wire.record import Array, Codec, Fixed, Opaque, Truth

INT = Fixed("i")
UINT = Fixed("I")
UHYPER = Fixed("Q")

Int = Annotated[int, INT]
UInt = Annotated[int, UINT]
UHyper = Annotated[int, UHYPER]
Bool = Annotated[bool, Truth()]


def opaque(longest: int) -> Opaque:
    """`opaque x<longest>`; a `string<longest>` is the same on the wire and stays bytes here."""
    return Opaque(longest)


def array(item: object, longest: int) -> Array:
    """`item x<longest>`."""
    return Array(item, longest)


class Void(NamedTuple):
    """No arguments, no results."""


VOID = Codec(Void)
NOTHING = Void()
