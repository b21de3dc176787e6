# SPDX-License-Identifier: GPL-3.0-or-later
"""At most once: replies kept for retransmitted calls (Juszczak, "Improving the Performance and Correctness of
an NFS Server", 1989). A retransmission is the same bytes from the same host: xid, procedure and arguments all
agree.

Two generations of a dict bound it without any work per entry; a reply is believed for LIFETIME seconds and at
most until `forget`, which the owner calls when a host restarted and its old xids mean nothing any more.
"""

from __future__ import annotations

LIFETIME = 120.0
"""Seconds; longer than any client goes on retransmitting one xid (the kernel's server uses the same
figure)."""


class ReplyCache:
    """(peer host, call bytes) -> reply bytes; holds between `size` and 2 * `size` of the newest."""

    __slots__ = ("_new", "_old", "hits", "size")

    def __init__(self, size: int = 4096) -> None:
        self.size = size
        self.hits = 0
        self._new: dict[tuple[str, bytes], tuple[bytes, float]] = {}
        self._old: dict[tuple[str, bytes], tuple[bytes, float]] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def find(self, key: tuple[str, bytes], mono: float) -> bytes | None:
        """The reply this call got before, or None."""
        kept = self._new.get(key) or self._old.get(key)
        if kept is None or mono - kept[1] > LIFETIME:
            return None
        self.hits += 1
        return kept[0]

    def keep(self, key: tuple[str, bytes], reply: bytes, mono: float) -> None:
        """Remember a reply."""
        new = self._new
        new[key] = (reply, mono)
        if len(new) >= self.size:
            self._old = new
            self._new = {}

    def forget(self, host: str | None = None) -> None:
        """Forget the replies to one host, or all."""
        if host is None:
            self._new = {}
            self._old = {}
            return
        self._new = {key: kept for key, kept in self._new.items() if key[0] != host}
        self._old = {key: kept for key, kept in self._old.items() if key[0] != host}
