# SPDX-License-Identifier: GPL-3.0-or-later
"""At most once: replies kept for retransmitted calls (Juszczak, "Improving the Performance and Correctness of
an NFS Server", 1989). A retransmission is the same bytes from the same host and port: xid, procedure and
arguments all agree. The port counts because a program started anew may well begin with the xids of the one
before it; a client that repeats a call over a new connection is not known by it, and its call is executed
again.

Two generations of a dict bound it without any work per entry; a reply is believed for LIFETIME seconds and at
most until `forget`, which the owner calls when a host restarted and its old xids mean nothing any more.

Replies can outlive the process: `fresh` and `dump` give them in a short form, with xid and checksum for the
call, `remember` takes that back.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from pydaemons.sunrpc.message import SUCCESS

LIFETIME = 120.0
"""Seconds; longer than any client goes on retransmitting one xid (the kernel's server uses the same
figure)."""


Digest = tuple[str, bytes, int]
"""Peer host, xid and checksum of a call: with a client's xids changing from call to call, enough to know it
by."""


class ReplyCache:
    """(peer host, call bytes) and port -> reply bytes; holds between `size` and 2 * `size` of the newest."""

    __slots__ = ("_until", "fresh", "hits", "new", "old", "remembered", "size")

    def __init__(self, size: int = 4096) -> None:
        self.size = size
        self.hits = 0
        self.fresh: list[tuple[str, bytes, bytes, float]] | None = None
        """Host, call, reply and time of those kept since the owner last emptied this list; None: the owner
        does not want to know."""
        # the packet path looks whether a call is in one of these before it asks `find`
        self.new: dict[tuple[str, bytes], tuple[bytes, float, int]] = {}
        self.old: dict[tuple[str, bytes], tuple[bytes, float, int]] = {}
        self.remembered: dict[Digest, tuple[bytes, float]] = {}
        self._until = 0.0

    def __len__(self) -> int:
        return len(self.new) + len(self.old) + len(self.remembered)

    def find(self, key: tuple[str, bytes], port: int, mono: float) -> bytes | None:
        """The reply this call from this port got before, or None."""
        kept = self.new.get(key) or self.old.get(key)
        if kept is None:
            return self._recall(key, mono) if self.remembered else None
        if kept[2] != port or mono - kept[1] > LIFETIME:
            return None
        self.hits += 1
        return kept[0]

    def keep(
        self, key: tuple[str, bytes], port: int, reply: bytes, mono: float, *, outlive: bool = True
    ) -> None:
        """Remember a reply; `outlive` this process, where the owner sees to that."""
        new = self.new
        new[key] = (reply, mono, port)
        if len(new) >= self.size:
            self.old = new
            self.new = {}
        if outlive and self.fresh is not None:
            self.fresh.append((*key, reply, mono))

    def forget(self, host: str | None = None) -> None:
        """Forget the replies to one host, or all."""
        if self.fresh is not None:
            self.fresh = [kept for kept in self.fresh if host not in (None, kept[0])]
        if host is None:
            self.new = {}
            self.old = {}
            self.remembered = {}
            return
        self.new = {key: kept for key, kept in self.new.items() if key[0] != host}
        self.old = {key: kept for key, kept in self.old.items() if key[0] != host}
        self.remembered = {key: kept for key, kept in self.remembered.items() if key[0] != host}

    def remember(self, digest: Digest, result: bytes, mono: float) -> None:
        """Take a reply of an earlier process: that it was accepted is understood, `result` stands behind
        that."""
        self.remembered[digest] = (digest[1] + SUCCESS + result, mono)
        self._until = mono + LIFETIME

    def hosts(self) -> set[str]:
        """Whom any reply is for."""
        return {key[0] for kept in (self.remembered, self.old, self.new) for key in kept}

    def dump(self) -> Iterator[tuple[Digest, bytes, float]]:
        """Digest, reply and time of all, the oldest first."""
        for digest, (reply, mono) in self.remembered.items():
            yield digest, reply, mono
        for (host, data), (reply, mono, _) in (*self.old.items(), *self.new.items()):
            yield digest_of(host, data), reply, mono

    def _recall(self, key: tuple[str, bytes], mono: float) -> bytes | None:
        if mono > self._until:
            self.remembered = {}
            return None
        kept = self.remembered.get(digest_of(*key))
        if kept is None or mono - kept[1] > LIFETIME:
            return None
        self.hits += 1
        return kept[0]


def digest_of(host: str, data: bytes) -> Digest:
    """The short form of a call."""
    return host, data[:4], crc32(data)
