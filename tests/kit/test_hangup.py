# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import socket

import pytest

from pydaemons.kit.hangup import HangUps


def tell(story):
    """Run `story(hangups, ours, theirs, heard)` on a loop; what was heard in the end."""
    heard = []

    async def life():
        hangups = HangUps(asyncio.get_running_loop())
        ours, theirs = socket.socketpair()
        with ours, theirs:
            hangups.watch(ours.fileno(), lambda: heard.append("gone"))
            await story(hangups, ours, theirs, heard)
            hangups.forget(ours.fileno())
        hangups.close()
        hangups.close()

    asyncio.run(asyncio.wait_for(life(), 30))
    return heard


async def turns(number=20):
    for _ in range(number):
        await asyncio.sleep(0)


def test_a_peer_that_closes_is_told_once():
    async def story(hangups, ours, theirs, heard):
        theirs.close()
        while not heard:
            await asyncio.sleep(0)
        await turns()

    assert tell(story) == ["gone"]


def test_a_peer_that_only_has_no_more_to_say_is_there():
    async def story(hangups, ours, theirs, heard):
        theirs.sendall(b"request")
        theirs.shutdown(socket.SHUT_WR)
        await turns()
        assert not heard and ours.recv(100) == b"request" and ours.recv(1) == b""
        await turns()
        assert not heard
        theirs.close()
        while not heard:
            await asyncio.sleep(0)

    assert tell(story) == ["gone"]


def test_one_that_is_forgotten_is_not_told():
    async def story(hangups, ours, theirs, heard):
        hangups.forget(ours.fileno())
        hangups.forget(ours.fileno())
        theirs.close()
        await turns()

    assert tell(story) == []


def test_a_descriptor_is_watched_once():
    async def story(hangups, ours, theirs, heard):
        with pytest.raises(FileExistsError):
            hangups.watch(ours.fileno(), lambda: None)

    tell(story)
