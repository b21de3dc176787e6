# SPDX-License-Identifier: GPL-3.0-or-later
"""XDR's names for the wire kinds."""

from typing import Annotated, NamedTuple

from pydaemons.wire.record import Codec, Fixed
from pydaemons.wire.xdr import NOTHING, VOID, Bool, Int, UHyper, UInt, array, opaque


class Everything(NamedTuple):
    a: Int
    b: UInt
    c: UHyper
    d: Bool
    e: Annotated[bytes, opaque(9)]
    f: Annotated[tuple[int, ...], array(Fixed("I"), 2)]


def test_each_type_has_its_size_of_rfc_4506() -> None:
    value = Everything(-1, 1, 1, True, b"12345", (7,))
    data = Codec(Everything).pack(value)
    assert data.hex(" ", 4) == (
        "ffffffff 00000001 00000000 00000001 00000001 00000005 31323334 35000000 00000001 00000007"
    )
    assert Codec(Everything).unpack(data, 0) == value


def test_void_is_nothing() -> None:
    assert VOID.pack(NOTHING) == b""
    assert VOID.unpack(b"whatever", 3) == NOTHING
