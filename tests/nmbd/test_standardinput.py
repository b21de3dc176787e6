# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import os
import socket

import pytest

from pydaemons.nmbd.standardinput import name_socket, when_it_ends


def test_a_datagram_socket_is_a_super_servers_and_nothing_else_is():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with name_socket(sock.fileno()) as passed:
            assert passed.getsockname() == sock.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert name_socket(sock.fileno()) is None
    with open(os.devnull) as null:
        assert name_socket(null.fileno()) is None


def watched(descriptor: int, end: callable) -> list[str]:
    """What happened after `end`, and nothing before."""

    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        left = asyncio.Event()
        assert when_it_ends(loop, left.set, descriptor)
        await asyncio.sleep(0)
        said = ["early"] if left.is_set() else []
        end()
        async with asyncio.timeout(20):
            await left.wait()
        return [*said, "left"]

    return asyncio.run(run())


def test_the_end_of_a_pipe_is_the_end():
    read, write = os.pipe()
    os.write(write, b"what is said there does not matter")
    assert watched(read, lambda: os.close(write)) == ["left"]
    os.close(read)


def test_the_end_of_a_stream_is_the_end():
    ours, theirs = socket.socketpair()
    with ours:
        assert watched(ours.fileno(), theirs.close) == ["left"]


@pytest.mark.parametrize("path", [os.devnull, __file__])
def test_devices_and_files_never_end(path):
    loop = asyncio.new_event_loop()
    with open(path) as file:
        assert not when_it_ends(loop, lambda: None, file.fileno())
    loop.close()
    assert not when_it_ends(loop, lambda: None, 9999)
