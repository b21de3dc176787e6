# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the C library can look up, and may take its time over: hosts and Unix accounts. Read Lookups.

Threads do it; what they found comes back to the node as an event.
"""

from __future__ import annotations

import pwd
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.events import AccountFound, FindAccount, Resolve, Resolved

THREADS = 4


class Lookups:
    """Carries out Resolve and FindAccount; `post` takes the events, in any thread."""

    def __init__(self, post: Callable[[object], object]) -> None:
        self._post = post
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="lookup")

    def resolve(self, effect: Resolve, now: Now) -> None:
        """Ask for a host's addresses."""
        self._threads.submit(lambda: self._post(Resolved(effect.wire, addresses(effect.host))))

    def find_account(self, effect: FindAccount, now: Now) -> None:
        """Ask the name service switch, which may look beyond this machine."""
        self._threads.submit(lambda: self._post(AccountFound(effect.account, has_account(effect.account))))

    def close(self) -> None:
        """Forget what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def addresses(host: str) -> tuple[bytes, ...]:
    """The IPv4 addresses of a host; none if it is unknown."""
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(socket.inet_aton(str(entry[4][0])) for entry in found))


def has_account(name: str) -> bool:
    """Is there a Unix account of this name, in lower case or in capitals, as smbd looks for it?"""
    for spelled in (name.lower(), name.upper()):
        try:
            pwd.getpwnam(spelled)
        except (KeyError, OSError):
            continue
        return True
    return False
