# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a lock manager know again what its journal says. Read `replay`; journal.py has the records.

Every record must fit what those before it made: one that does not means that the journal is not what it
should be, and nothing of it can be believed (WireError).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.nlm import records
from pydaemons.nlm.grants import Blocked, Request
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.records import Op
from pydaemons.nlm.server import Server
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.program import Call
from pydaemons.wire.errors import WireError


def replay(server: Server, cache: ReplyCache, payloads: Iterable[bytes | memoryview]) -> None:
    """Apply all records to a server that knows nothing yet. WireError when they make no sense."""
    reading = _Replay(server, cache)
    for payload in payloads:
        data = bytes(payload)
        at, size = 0, len(data)
        try:
            while at < size:
                at = reading.apply[data[at]](data, at)
        except (struct.error, LookupError, ValueError) as error:
            raise WireError(f"a record that makes no sense ({error!r})", at) from None
        if at != size:
            raise WireError("a record cut short", at)


class _Replay:
    """One reading. Each method takes one record at an offset and returns where the next one begins."""

    def __init__(self, server: Server, cache: ReplyCache) -> None:
        self.server = server
        self.cache = cache
        self.addresses: dict[int, str] = {}
        self.hosts: dict[int, Host] = {}
        self.at = 0.0
        self.apply: dict[int, Callable[[bytes, int], int]] = {
            Op.ADDRESS: self._address,
            Op.HOST: self._host,
            Op.OWNER: self._owner,
            Op.SHARED: self._locked,
            Op.EXCLUSIVE: self._locked,
            Op.UNLOCKED: self._unlocked,
            Op.TOGETHER: self._together,
            Op.SHARE: self._share,
            Op.UNSHARE: self._unshare,
            Op.WAITS: self._waits,
            Op.CANCELLED: self._cancelled,
            Op.TOLD: self._told,
            Op.SETTLED: self._settled,
            Op.BENEATH: self._beneath,
            Op.DROPPED: self._dropped,
            Op.SHARES_DROPPED: self._shares_dropped,
            Op.FILE_RELEASED: self._file_released,
            Op.CLEARED: self._cleared,
            Op.GONE: self._gone,
            Op.GRACE: self._grace,
            Op.TIME: self._time,
            Op.REPLIED: self._replied,
            Op.FORGOTTEN: self._forgotten,
            Op.KEYS: self._keys,
        }

    def _keys(self, data: bytes, at: int) -> int:
        size: int
        _, size = records.FILE.unpack_from(data, at)
        start = at + records.FILE.size
        keys = data[start : start + size]
        if keys != self.server.journal.keys:
            raise WireError(f"its files are found by {keys.decode()}", at)
        return start + size

    # -- hosts and owners

    def _address(self, data: bytes, at: int) -> int:
        size: int
        _, number, size = records.ADDRESS.unpack_from(data, at)
        at += records.ADDRESS.size
        self.addresses[number] = data[at : at + size].decode()
        self.server.journal.known(self.addresses[number], number)
        return at + size

    def _host(self, data: bytes, at: int) -> int:
        size: int
        _, number, state, monitored, first, last, size = records.HOST.unpack_from(data, at)
        at += records.HOST.size
        name = data[at : at + size]
        address, _, local = self.addresses[number].partition(" ")
        host = self.server.hosts.get(address, local, name, Now(0.0, first))
        host.name, host.state, host.monitored = name, state, monitored
        host.last_seen = last
        host.number, host.noted = number, True
        self.hosts[number] = host
        return at + size

    def _owner(self, data: bytes, at: int) -> int:
        size: int
        _, number, svid, size = records.OWNER.unpack_from(data, at)
        at += records.OWNER.size
        self.hosts[number].owner(svid, data[at : at + size]).noted = True
        return at + size

    def _owned(self, number: int, svid: int) -> Owner:
        return self.hosts[number].owners[svid]

    # -- locks

    def _locked(self, data: bytes, at: int) -> int:
        size: int
        op, number, svid, start, end, size = records.RANGE.unpack_from(data, at)
        where = at + records.RANGE.size
        file = data[where : where + size]
        owner = self.hosts[number].owners[svid]
        if self.server.table.lock(file, owner, start, end, op == Op.EXCLUSIVE) is not None:
            raise WireError("two locks that exclude each other", at)
        return where + size

    def _unlocked(self, data: bytes, at: int) -> int:
        size: int
        _, number, svid, start, end, size = records.RANGE.unpack_from(data, at)
        at += records.RANGE.size
        self.server.table.unlock(data[at : at + size], self.hosts[number].owners[svid], start, end)
        return at + size

    def _together(self, data: bytes, at: int) -> int:
        size: int
        _, op, count, size = records.TOGETHER.unpack_from(data, at)
        owners_at = at + records.TOGETHER.size + size
        file = data[owners_at - size : owners_at]
        spans_at = owners_at + count * records.PAIR.size
        numbers = records.SPANS[count].unpack_from(data, spans_at)
        pairs = records.PAIR.iter_unpack(data[owners_at:spans_at])
        for pair, start, end in zip(pairs, numbers[:count], numbers[count:], strict=True):
            owner = self._owned(*pair)
            if op == Op.UNLOCKED:
                self.server.table.unlock(file, owner, start, end)
            elif self.server.table.lock(file, owner, start, end, op == Op.EXCLUSIVE) is not None:
                raise WireError("two locks that exclude each other", at)
        following: int = spans_at + records.SPANS[count].size
        return following

    # -- waiters

    def _waits(self, data: bytes, at: int) -> int:
        local_size: int
        fields: tuple[Any, ...] = records.WAITER.unpack_from(data, at)
        _, number, svid, start, end, exclusive, file_size, fh_size, local_size = fields[:9]
        offset, length, version, tcp, asynchronous, peer_port, local_port, since = fields[9:]
        at += records.WAITER.size
        file = data[at : at + file_size]
        at += file_size
        fh = data[at : at + fh_size] or file
        at += fh_size
        local = data[at : at + local_size].decode()
        owner = self._owned(number, svid)
        origin = Origin(
            Transport.TCP if tcp else Transport.UDP,
            Address(owner.host.address, peer_port),
            Address(local, local_port),
        )
        call = Call(origin, args_at=0, version=version)
        request = Request(fh, offset, length, call, asynchronous, since)
        waiter = self.server.waiters.add(file, owner, start, end, exclusive, payload=request)
        waiter.payload = request
        return at + local_size

    def _key(self, data: bytes, at: int) -> tuple[tuple[bytes, Owner, int, int, bool], int]:
        _, number, svid, start, end, exclusive, size = records.KEY.unpack_from(data, at)
        at += records.KEY.size
        return (data[at : at + size], self._owned(number, svid), start, end, exclusive), at + size

    def _cancelled(self, data: bytes, at: int) -> int:
        key, following = self._key(data, at)
        self._left(key, at)
        return following

    def _told(self, data: bytes, at: int) -> int:
        key, following = self._key(data, at)
        blocked = self._left(key, at)
        blocked.beneath = records.nothing_beneath(blocked)
        self.server.grants.remember(blocked)
        return following

    def _beneath(self, data: bytes, at: int) -> int:
        count: int
        key, at = self._key(data, at)
        (count,) = records.COUNT.unpack_from(data, at)
        start = at + records.COUNT.size
        end = start + count * records.PIECE.size
        blocked = self.server.grants.find(key)
        if blocked is None or end > len(data):
            raise WireError("beneath a lock nobody is told of", at)
        pieces = records.PIECE.iter_unpack(data[start:end])
        blocked.beneath = tuple((low, high, records.HELD[held]) for low, high, held in pieces)
        return end

    def _left(self, key: tuple[bytes, Owner, int, int, bool], at: int) -> Blocked:
        waiter = self.server.waiters.cancel(*key)
        if waiter is None:
            raise WireError("a waiter left that never came", at)
        return waiter

    def _settled(self, data: bytes, at: int) -> int:
        key, at = self._key(data, at)
        self.server.grants.forget(key)
        return at

    # -- shares

    def _share_of(self, data: bytes, at: int) -> tuple[bytes, tuple[Host, bytes], int, int, int]:
        _, number, kind, file_size, size = records.SHARE.unpack_from(data, at)
        at += records.SHARE.size
        file = data[at : at + file_size]
        at += file_size
        return file, (self.hosts[number], data[at : at + size]), kind >> 2, kind & 3, at + size

    def _share(self, data: bytes, at: int) -> int:
        file, owner, access, deny, following = self._share_of(data, at)
        if not self.server.shares.share(file, owner, access, deny):
            raise WireError("two shares that exclude each other", at)
        return following

    def _unshare(self, data: bytes, at: int) -> int:
        file, owner, access, deny, at = self._share_of(data, at)
        self.server.shares.unshare(file, owner, access, deny)
        return at

    # -- many at once

    def _dropped(self, data: bytes, at: int) -> int:
        count: int
        _, count = records.NUMBERED.unpack_from(data, at)
        at += records.NUMBERED.size
        end = at + count * records.PAIR.size
        pairs = records.PAIR.iter_unpack(data[at:end])
        # an owner may have been made and forgotten without ever holding anything
        hosts = ((self.hosts.get(number), svid) for number, svid in pairs)
        owners = {host.owners.get(svid) for host, svid in hosts if host is not None}
        self.server.waiters.drop(owners.__contains__)
        self.server.table.drop(owners.__contains__)
        return end

    def _shares_dropped(self, data: bytes, at: int) -> int:
        _, number = records.NUMBERED.unpack_from(data, at)
        host = self.hosts[number]
        self.server.shares.drop(lambda owner: owner[0] is host)
        return at + records.NUMBERED.size

    def _file_released(self, data: bytes, at: int) -> int:
        size: int
        _, size = records.FILE.unpack_from(data, at)
        at += records.FILE.size
        file = data[at : at + size]
        self.server.table.release_file(file)
        self.server.shares.release_file(file)
        return at + size

    def _cleared(self, data: bytes, at: int) -> int:
        self.server.waiters.drop(lambda owner: True)
        self.server.table.clear()
        self.server.shares.clear()
        for host in self.server.hosts:
            host.monitored = False
        return at + 1

    def _gone(self, data: bytes, at: int) -> int:
        _, number = records.NUMBERED.unpack_from(data, at)
        self.server.hosts.remove(self.hosts.pop(number))
        return at + records.NUMBERED.size

    # -- grace, answers

    def _grace(self, data: bytes, at: int) -> int:
        _, active, until = records.GRACE.unpack_from(data, at)
        self.server.grace.active = active
        self.server.grace.until = until if active else None
        return at + records.GRACE.size

    def _time(self, data: bytes, at: int) -> int:
        _, self.at = records.TIME.unpack_from(data, at)
        return at + records.TIME.size

    def _replied(self, data: bytes, at: int) -> int:
        size: int
        _, number, xid, check, size = records.REPLY.unpack_from(data, at)
        at += records.REPLY.size
        digest = self.addresses[number], xid, check
        self.cache.remember(digest, data[at : at + size], self.at)
        return at + size

    def _forgotten(self, data: bytes, at: int) -> int:
        _, number = records.NUMBERED.unpack_from(data, at)
        self.cache.forget(self.addresses[number] if number else None)
        return at + records.NUMBERED.size
