# SPDX-License-Identifier: GPL-3.0-or-later
"""What the procedures carry, against bytes that bos 1.8.9 and bosserver 1.8.9 exchanged."""

from __future__ import annotations

import pytest

from pydaemons.bnode import bozo_types as types
from pydaemons.wire.errors import WireError

CREATE = bytes.fromhex(
    "00000006 73696d706c650000 00000001 61000000 0000000f 2f62696e2f736c656570203130303000"
    "00000000 00000000 00000000 00000000 0000000e 5f5f4e4f4e4f5449464945525f5f0000"
)
INFO = bytes.fromhex(
    "00000006 73696d706c650000 00000001 00000001 6b01b726 00000001"
    "00000000 00000000 00000000 00000000 00000004"
) + bytes(32)
KEYS = bytes.fromhex(
    "00000001 0000005e 0000006d 0000006d ffffffec ffffffd3 ffffff83 ffffffdf ffffffd3"
    "6b01b728 00000000 237e2b85 00000000"
)
RESTART = bytes.fromhex("00000002 0000000f 00000004 00000000 00000000 00000000")

CASES = [
    (
        types.NEW_BNODE,
        CREATE,
        types.NewBnode(b"simple", b"a", b"/bin/sleep 1000", b"", b"", b"", b"", b"__NONOTIFIER__"),
    ),
    (types.INFO, INFO, types.Info(b"simple", 1, 1, 0x6B01B726, 1, 0, 0, 0, 0, 4)),
    (types.NEW_RESTART_TIME, RESTART, types.NewRestartTime(2, 15, 4, 0, 0, 0)),
    (types.STATUS, bytes.fromhex("00000001 00000000"), types.StatusOf(1, b"")),
    (types.TIMES, bytes.fromhex("6b01b728 6b01b728 00000000"), types.Times(0x6B01B728, 0x6B01B728, 0)),
]


@pytest.mark.parametrize(("codec", "data", "value"), CASES)
def test_the_peers_bytes_are_read_and_written_alike(codec, data, value) -> None:  # type: ignore[no-untyped-def]
    assert codec.unpack(data, 0) == value
    assert codec.pack(value) == data


def test_a_key_is_eight_numbers_with_signs() -> None:
    found = types.KEY_INFO.unpack(KEYS, 0)
    key = types.unpack_key(found.key)
    assert (key.hex(), found.checksum) == ("5e6d6decd383dfd3", 595471237)
    assert types.pack_key(key) == found.key


def test_a_string_longer_than_256_bytes_is_malformed() -> None:
    with pytest.raises(WireError):
        types.NAME.unpack((257).to_bytes(4, "big") + bytes(260), 0)


def test_a_string_that_is_no_text_is_malformed() -> None:
    with pytest.raises(WireError):
        types.text(b"\xff\xfe")
