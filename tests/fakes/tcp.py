# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of a driver's TCP listener on the same loop."""

from __future__ import annotations

import asyncio
import socket

from fakes.shell import said
from pydaemons.kit import sockets
from pydaemons.sunrpc.marking import Deframer


def open_listener(driver):
    return driver.listen(sockets.bind_tcp("127.0.0.1", 0))


async def connect(listener, **options):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for name, value in options.items():
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", listener.address.port))
    return sock


async def read_records(sock, count):
    deframer, records = Deframer(1 << 24), []
    while len(records) < count:
        data = await said(sock)
        assert data, f"closed after {len(records)} of {count} records"
        records += deframer.feed(data)
    assert not deframer.pending
    return records


async def closed(sock):
    """Whether the peer ends it (and says nothing more)."""
    try:
        return await said(sock) == b""
    except ConnectionResetError:
        return True
