# SPDX-License-Identifier: GPL-3.0-or-later
"""At most once: replies kept for retransmitted calls (Juszczak, "Improving the Performance and Correctness of
an NFS Server", 1989). A retransmission is the same bytes from the same host and port: xid, procedure and
arguments all agree. The port counts because a program started anew may well begin with the xids of the one
before it; a client that repeats a call over a new connection is not known by it, and its call is executed
again.

A reply is filed under the xid of its call, which a client changes from call to call: that a call is new, as
nearly all are, is told by a look-up of four bytes. Two generations of a dict bound it without any work per
entry; a reply is believed for LIFETIME seconds and at most until `forget`, which the owner calls when a host
restarted and its old xids mean nothing any more.

Calls answered together are kept together, as they stood in their buffer, and are not even filed until
somebody looks for a call (`file`): clients count their xids upwards, so that a call is new whose xid is above
the last one of its peer (`are_new`).

Replies can outlive the process, those that are marked so: `fresh` and `freeze` give them in a short form,
with xid and checksum for the call, `remember` takes that back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple
from zlib import crc32

from pydaemons.engine.protocol import Address
from pydaemons.sunrpc.message import SUCCESS

LIFETIME = 120.0
"""Seconds; longer than any client goes on retransmitting one xid (the kernel's server uses the same
figure)."""

PEERS = 1024
"""So many peers' latest xids are remembered from one generation to the next."""

Digest = tuple[str, bytes, int]
"""Peer host, xid and checksum of a call: with a client's xids changing from call to call, enough to know it
by."""

Key = bytes | tuple[bytes, Address]
"""What a reply is filed under: its xid; xid and peer where another peer's call has that xid."""

new_kept = tuple.__new__
"""`new_kept(Kept, (...))`: one without the detour through its Python-level constructor."""


class Kept(NamedTuple):
    """Calls of one size from one peer, and what they were answered together."""

    peer: Address
    data: bytes
    at: int
    size: int
    stride: int
    """Of the calls in `data`, as of an engine.protocol.Run."""
    replies: bytes
    lead: int
    """Bytes before each reply in `replies` that are not its."""
    number: int
    """How many there are."""
    mono: float
    """When they were given."""
    outlive: bool
    """The next process is to know them."""

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Each call and its reply."""
        data, at, size, stride, replies, lead, number = self[1:8]
        step = len(replies) // number
        for start in range(0, len(replies), step):
            yield data[at : at + size], replies[start + lead : start + step]
            at += stride

    def xids(self) -> list[bytes]:
        """That of each call."""
        data, at, stride = self.data, self.at, self.stride
        return [data[start : start + 4] for start in range(at, at + stride * self.number, stride)]

    def reply(self, call: bytes) -> bytes | None:
        """What this call was answered, if it is one of these."""
        return next((reply for data, reply in self.pairs() if data == call), None)


class ReplyCache:
    """call bytes and peer -> reply bytes; holds between `size` and 2 * `size` of the newest."""

    __slots__ = (
        "_latest",
        "_older",
        "_unfiled",
        "_until",
        "_waiting",
        "fresh",
        "hits",
        "new",
        "old",
        "remembered",
        "size",
    )

    def __init__(self, size: int = 4096) -> None:
        self.size = size
        self.hits = 0
        self.fresh: list[Kept] | None = None
        """Those kept since the owner last emptied this list; None: the owner does not want to know."""
        self.new: dict[Key, Kept] = {}
        self.old: dict[Key, Kept] = {}
        self.remembered: dict[Digest, tuple[bytes, float]] = {}
        self._until = 0.0
        self._unfiled: list[Kept] = []
        """Of the new generation, what is not in `new` yet,"""
        self._waiting = 0
        """that many calls;"""
        self._older: list[Kept] = []
        """and of the old generation."""
        self._latest: dict[Address, bytes] = {}
        """The highest xid of each peer among these."""

    def __len__(self) -> int:
        self.file()
        return len(self.new) + len(self.old) + len(self.remembered)

    def are_new(self, xids: Sequence[bytes], lowest: bytes, peer: Address) -> bool:
        """Whether no call from this peer with one of these xids can be known. It may say False of new ones;
        those of earlier processes are not looked at."""
        latest = self._latest.get(peer)
        if latest is not None and lowest <= latest:
            self.file()
        new, old = self.new, self.old
        if not new and not old:
            return True
        return new.keys().isdisjoint(xids) and old.keys().isdisjoint(xids)

    def keep_new(self, kept: Kept, latest: bytes) -> None:
        """Remember calls that `are_new`, of which `latest` is the highest xid."""
        if kept.outlive and self.fresh is not None:
            self.fresh.append(kept)
        self._unfiled.append(kept)
        self._latest[kept.peer] = latest
        self._waiting += kept.number
        self._bound()

    def file(self) -> None:
        """File what is not filed."""
        if self._unfiled or self._older:
            for generation, unfiled in ((self.old, self._older), (self.new, self._unfiled)):
                for kept in unfiled:
                    xids = kept.xids()
                    if generation.keys().isdisjoint(xids):
                        generation.update(zip(xids, repeat(kept)))
                    else:
                        for xid in xids:
                            _file(generation, xid, kept)
            self._unfiled = []
            self._older = []
            self._waiting = 0
            self._latest.clear()

    def find(self, data: bytes, peer: Address, mono: float) -> bytes | None:
        """The reply this call from this peer got before, or None."""
        xid = data[:4]
        self.file()
        if not (xid in self.new or xid in self.old or self.remembered):
            return None
        for generation in (self.new, self.old):
            kept = generation.get(xid)
            if kept is not None and kept.peer != peer:
                kept = generation.get((xid, peer))
            reply = None if kept is None else kept.reply(data)
            if kept is not None and reply is not None:
                if mono - kept.mono > LIFETIME:
                    return None
                self.hits += 1
                return reply
        return self._recall(data, peer.host, mono) if self.remembered else None

    def keep(self, data: bytes, peer: Address, reply: bytes, mono: float, *, outlive: bool = True) -> None:
        """Remember a reply; `outlive` this process, where the owner sees to that."""
        kept = new_kept(Kept, (peer, data, 0, len(data), len(data), reply, 0, 1, mono, outlive))
        self.file()
        _file(self.new, data[:4], kept)
        self._bound()
        if outlive and self.fresh is not None:
            self.fresh.append(kept)

    def _bound(self) -> None:
        """Begin a new generation if this one is large enough."""
        if len(self.new) + self._waiting >= self.size:
            self.old, self.new = self.new, {}
            self._older, self._unfiled = self._unfiled, []
            self._waiting = 0
            if len(self._latest) > PEERS:
                self.file()

    def forget(self, host: str | None = None) -> None:
        """Forget the replies to one host, or all."""
        self.file()
        if self.fresh is not None:
            self.fresh = [kept for kept in self.fresh if host not in (None, kept.peer.host)]
        generations = self.old, self.new
        self.new = {}
        self.old = {}
        if host is None:
            self.remembered = {}
            return
        self.remembered = {key: kept for key, kept in self.remembered.items() if key[0] != host}
        for generation in generations:  # anew, for an xid may have been another's, too
            self.old = self.new
            self.new = {}
            for key, kept in generation.items():
                if kept.peer.host != host:
                    _file(self.new, key if isinstance(key, bytes) else key[0], kept)

    def remember(self, digest: Digest, result: bytes, mono: float) -> None:
        """Take a reply of an earlier process: that it was accepted is understood, `result` stands behind
        that."""
        self.remembered[digest] = (digest[1] + SUCCESS + result, mono)
        self._until = mono + LIFETIME

    def hosts(self) -> set[str]:
        """Whom any reply is for."""
        kept = chain(self.old.values(), self._older, self.new.values(), self._unfiled)
        known = {each.peer.host for each in kept}
        return known | {host for host, _, _ in self.remembered}

    def freeze(self) -> Iterator[tuple[Digest, bytes, float]]:
        """Digest, reply and time of all there are now that outlive us, the oldest first; they may change
        while this is read."""
        if any(each.outlive for each in chain(self._older, self._unfiled)):
            self.file()
        remembered = list(self.remembered.items())
        kept = [item for item in chain(self.old.items(), self.new.items()) if item[1].outlive]
        return chain(((digest, reply, mono) for digest, (reply, mono) in remembered), _thaw(kept))

    def _recall(self, data: bytes, host: str, mono: float) -> bytes | None:
        if mono > self._until:
            self.remembered = {}
            return None
        kept = self.remembered.get(digest_of(host, data))
        if kept is None or mono - kept[1] > LIFETIME:
            return None
        self.hits += 1
        return kept[0]


def _file(generation: dict[Key, Kept], xid: bytes, kept: Kept) -> None:
    there = generation.get(xid)
    generation[xid if there is None or there.peer == kept.peer else (xid, kept.peer)] = kept


def digest_of(host: str, data: bytes) -> Digest:
    """The short form of a call."""
    return host, data[:4], crc32(data)


def _thaw(filed: Iterable[tuple[Key, Kept]]) -> Iterator[tuple[Digest, bytes, float]]:
    """Digest, reply and time of each. Those kept together are filed one behind the other."""
    last: Kept | None = None
    pairs: dict[bytes, tuple[bytes, bytes]] = {}
    for key, kept in filed:
        if kept is not last:
            last = kept
            pairs = {call[:4]: (call, reply) for call, reply in kept.pairs()}
        call, reply = pairs[key if isinstance(key, bytes) else key[0]]
        yield digest_of(kept.peer.host, call), reply, kept.mono
