# SPDX-License-Identifier: GPL-3.0-or-later
"""DES, against a published example and against what OpenAFS 1.8.9 showed of keys."""

from __future__ import annotations

import pytest

from pydaemons.bnode.des import encrypt
from pydaemons.bnode.sitefiles import key_checksum


def test_the_example_that_every_textbook_has() -> None:
    assert (
        encrypt(bytes.fromhex("133457799bbcdff1"), bytes.fromhex("0123456789abcdef")).hex()
        == "85e813540f0ab405"
    )


def test_parity_counts_for_nothing() -> None:
    key = bytes.fromhex("133457799bbcdff1")
    assert encrypt(bytes(byte ^ 1 for byte in key), bytes(8)) == encrypt(key, bytes(8))


@pytest.mark.parametrize(
    ("key", "shown"), [("5e6d6decd383dfd3", 595471237), ("8f97c79e6794ad5e", 3343685652)]
)
def test_keys_are_shown_as_the_peer_shows_them(key: str, shown: int) -> None:
    assert key_checksum(bytes.fromhex(key)) == shown
