# SPDX-License-Identifier: GPL-3.0-or-later
"""What standard input may be to a daemon: a super-server's socket, or the pipe by which somebody holds it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable


def name_socket(descriptor: int = 0) -> socket.socket | None:
    """A name socket on standard input, as inetd passes it."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        passed = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return None
    if passed.family == socket.AF_INET and passed.type == socket.SOCK_DGRAM:
        return passed
    passed.close()
    return None


def when_it_ends(loop: asyncio.AbstractEventLoop, leave: Callable[[], None], descriptor: int = 0) -> bool:
    """Call `leave` when a pipe or stream on standard input ends: whoever started us in the foreground has
    gone (nmbd -F does so). Terminals, files and devices do not count. Is it watched?"""
    try:
        mode = os.fstat(descriptor).st_mode
        stream = stat.S_ISFIFO(mode) or (stat.S_ISSOCK(mode) and name_socket(descriptor) is None)
        if not stream:
            return False
        os.set_blocking(descriptor, False)
    except OSError:
        return False

    def look() -> None:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(descriptor)
            leave()

    loop.add_reader(descriptor, look)
    return True
