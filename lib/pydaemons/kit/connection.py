# SPDX-License-Identifier: GPL-3.0-or-later
"""One TCP connection as batches of records. Read Connection.readable, the packet path.

Everything a read completes is one batch: the engine answers its records one after the other and the answers
leave in one send. A peer that does not read its answers is not read from until it does (HIGH_WATER). Framing
is record marking (RFC 5531 §11) unless another is given.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Protocol as TypingProtocol

from pydaemons.engine.effects import Level, SendFailed
from pydaemons.engine.protocol import Answers, Now, Origin, Run, Transport, behind, how_many
from pydaemons.kit.route import Route
from pydaemons.kit.sockets import address_of
from pydaemons.sunrpc import marking
from pydaemons.wire.errors import WireError

if TYPE_CHECKING:
    from pydaemons.kit.streams import Streams

BATCH = 16
"""Records answered together: a client with more of them under way works on the first answers while we do the
rest."""
MANY = 8
"""After so many records in one read the next ones may well be there, and are looked for at once,"""
READS = 4
"""so many times: others want their turn."""
READ = 32768
"""Bytes per read: a batch. What it holds is worked off before others have their turn."""
HIGH_WATER = 262144
"""Unsent bytes from which on we stop reading from a peer."""
LOW_WATER = 65536
"""Unsent bytes down to which we stay stopped."""
UNSENT = 4 << 20
"""Unsent bytes at which a connection is given up: what we say on our own account is not held back by
HIGH_WATER."""
CONNECT = 10.0
"""Seconds to wait for a connection of our own."""


class Deframer(TypingProtocol):
    """The receiving end of a framing."""

    @property
    def pending(self) -> bool:
        """A record has begun and is not complete."""

    @property
    def wanted(self) -> int:
        """Of a record that has begun: how many bytes may be read without reading into the next one."""

    def cut(self, data: bytes) -> tuple[bytes, list[Run]]:
        """The records that the next bytes of the stream complete: a buffer, and where in it they stand;
        WireError when it makes no sense."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How records stand in a stream."""

    deframer: Callable[[int], Deframer]
    """Makes the receiving end for one connection from the longest record allowed."""
    header: Callable[[int], bytes]
    """What goes before a record of this size."""


RECORD_MARKING = Framing(marking.Deframer, marking.mark)


class Connection(Route):
    """One TCP connection; the `handle` of its Origin."""

    __slots__ = (
        "_asked",
        "_deframer",
        "_done",
        "_driver",
        "_ending",
        "_fd",
        "_framing",
        "_header",
        "_key",
        "_out",
        "_paused",
        "_read",
        "_streams",
        "_timer",
        "_unseen",
        "_vain",
        "active",
        "connecting",
        "origin",
        "sock",
    )

    def __init__(
        self, streams: Streams, sock: socket.socket, origin: Origin, framing: Framing, key: object = None
    ) -> None:
        self.sock = sock
        self.origin = origin
        self.active = streams.driver.now().mono
        """When something last came or left, in monotonic seconds."""
        self.connecting = key is not None
        self._streams = streams
        self._driver = streams.driver
        self._fd = sock.fileno()
        self._deframer = framing.deframer(streams.record_limit)
        self._framing = framing
        self._header = framing.header
        self._key = key
        """Which connection of our own it is; None if it came in."""
        self._asked = 0
        """Records sent on our own account since something last came."""
        self._out = bytearray()
        self._paused = False
        self._ending = False
        self._timer: asyncio.TimerHandle | None = None
        self._read = READ
        self._vain = 0
        """Glances in a row at which nothing could be answered,"""
        self._unseen = 0
        """and how many packets are taken without one for that."""
        self._done: Callable[[socket.socket], None] | None = None
        """Who takes the socket over between two records."""
        origin.handle = self

    def start(self) -> None:
        """Begin to read, or to wait for the connection to stand."""
        if self.connecting:
            self._timer = self._driver.loop.call_later(CONNECT, self._give_up)
            self._driver.loop.add_writer(self._fd, self._connected)
        else:
            self._driver.loop.add_reader(self._fd, self.readable)

    @property
    def outgoing(self) -> bool:
        """We opened it."""
        return self._key is not None

    @property
    def quiet(self) -> bool:
        """Between records, with nothing to send: could be closed or handed over without loss."""
        return not self._out and not self._deframer.pending and not self.connecting

    def readable(self) -> None:
        """The packet path: read and answer; again, where so much came that more may be there."""
        for _ in range(READS):
            if self._take() < MANY or self._fd < 0 or self._paused:
                return

    def _take(self) -> int:
        """One read, its records through the engine, their answers in one send. How many records."""
        driver = self._driver
        try:
            data = self.sock.recv(self._read)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self.lost(error)
            return 0
        if not data:
            self._ended()
            return 0
        try:
            data, runs = self._deframer.cut(data)
        except WireError as error:
            driver.counts["streams out of step"] += 1
            peer = self.origin.peer.host
            text = f"closing the connection with {peer}: {error}"
            driver.log.log(Level.INFO, text, {"PEER": peer}, kind="stream out of step")
            self.lost(None)
            return 0
        now = driver.now()
        self.active = now.mono
        self._asked = 0
        self._streams.touch(self)
        if not runs:
            if self._done is not None:
                self._settle()
            return 0
        driver.stirred = driver.prompt is None
        records = runs[0][3]
        if len(runs) == 1 and records <= BATCH:
            self._answer(data, runs, records, now)
        else:
            records = self._answer_in_batches(data, runs, now)
        driver.finish(now)
        if self._done is not None:
            self._settle()
        return records

    def _answer_in_batches(self, data: bytes, runs: list[Run], now: Now) -> int:
        batch: list[Run] = []
        room = BATCH
        records = 0
        for at, size, stride, count in runs:
            left = count
            records += count
            while left > room:
                batch.append((at, size, stride, room))
                at += stride * room  # where the rest of the run begins
                left -= room
                self._answer(data, batch, BATCH, now)
                batch, room = [], BATCH
            batch.append((at, size, stride, left))
            room -= left
        self._answer(data, batch, BATCH - room, now)
        return records

    def _answer(self, data: bytes, batch: list[Run], count: int, now: Now) -> None:
        """One batch of so many: through the engine, what it decided made durable, the answers sent."""
        driver = self._driver
        driver.counts["records in"] += count
        answers: list[Answers] = []
        self._answer_runs(data, batch, count, now, answers)
        if len(answers) == 1:
            whole, answered = answers[0]
        else:
            whole, answered = b"".join([each for each, _ in answers]), how_many(answers)
        if not driver.commit():
            driver.hold([(self.origin, reply) for reply in self._records(whole)])
        elif answered:
            driver.counts["records out"] += answered
            self._write(whole)

    def _records(self, stream: bytes) -> list[bytes]:
        """What stands in a stream of whole records."""
        data, runs = self._framing.deframer(UNSENT).cut(stream)
        return [
            data[start : start + size]
            for at, size, stride, count in runs
            for start in range(at, at + stride * count, stride)
        ]

    def _answer_runs(self, data: bytes, runs: list[Run], left: int, now: Now, answers: list[Answers]) -> None:
        """What the engine answers at a glance, and the others one by one: so many in all. Where glances are
        in vain, they become rarer."""
        prompt = self._driver.prompt
        while left:
            if prompt is not None and not self._unseen:
                found: list[Answers] = []
                failed = False
                try:
                    prompt.answer(data, runs, self.origin, now, found, lead=self._header)
                except Exception as error:
                    failed = self._driver.stirred = True
                    at, size, _, _ = behind(runs, how_many(found))[0]
                    self._driver.failed(error, data[at : at + size], self.origin)
                answers += found
                done = how_many(found) + failed
                left -= done
                self._vain = 0 if done else min(self._vain + 1, BATCH)
                if not left:
                    return
                self._unseen = 0 if done else max(self._vain - 1, 1)
                runs = behind(runs, done)
                if failed:
                    continue
            if self._unseen:
                self._unseen -= 1
            at, size, _, _ = runs[0]
            self._receive(data[at : at + size], now, answers)
            runs = behind(runs, 1)
            left -= 1

    def _receive(self, record: bytes, now: Now, answers: list[Answers]) -> None:
        self._driver.stirred = True
        try:
            reply = self._driver.engine.receive(record, self.origin, now)
        except Exception as error:
            self._driver.failed(error, record, self.origin)
            return
        if reply is not None:
            answers.append((self._header(len(reply)) + reply, 1))

    def send(self, data: bytes) -> None:
        """Send one record, apart from a batch."""
        if self._fd < 0:
            self._driver.counts["replies to closed connections"] += 1
            return
        self._driver.counts["records out"] += 1
        self._write(self._header(len(data)) + data)

    def ask(self, data: bytes) -> None:
        """Send one record on our own account: should the connection fail before something came back, that is
        told."""
        self._asked += 1
        self.active = self._driver.now().mono
        self.send(data)

    def close(self) -> None:
        """Close, dropping what is not sent."""
        if self._fd < 0:
            return
        self.release().close()

    def release(self) -> socket.socket:
        """Give up the connection without closing its socket (it goes on elsewhere)."""
        loop = self._driver.loop
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        self._fd = -1
        self._out.clear()
        self._streams.forget(self, self._key)
        return self.sock

    def hand_over(self, done: Callable[[socket.socket], None]) -> None:
        """Give the socket to `done`, to go on elsewhere: between two records, when all answers are sent. Not
        if the connection ends before."""
        self._done = done
        self._settle()

    def _settle(self) -> None:
        """Come to rest: finish the record that has begun, and begin none."""
        if self._fd < 0 or self._done is None:
            return
        if self._deframer.pending:
            self._read = min(READ, self._deframer.wanted)
        elif self._out:
            self._driver.loop.remove_reader(self._fd)
        else:
            self._done(self.release())

    def lost(self, error: OSError | None) -> None:
        """The connection is of no use any more."""
        asked, self._asked = self._asked, 0
        self.close()
        if asked and self._key is not None:
            reason = "connection lost" if error is None else error.strerror or str(error)
            self._driver.post(SendFailed(self.origin.peer, Transport.TCP, reason))

    def _write(self, data: bytes) -> None:
        out = self._out
        if out or self.connecting:
            out += data
        else:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self.lost(error)
                return
            if sent == len(data):
                return
            out += memoryview(data)[sent:]
            self._driver.loop.add_writer(self._fd, self._writable)
        if len(out) > UNSENT:
            self._driver.counts["connections closed: peer does not read"] += 1
            self.lost(OSError(errno.ENOBUFS, "peer does not read"))
        elif len(out) > HIGH_WATER and not self._paused:
            self._paused = True
            self._driver.loop.remove_reader(self._fd)

    def _writable(self) -> None:
        out = self._out
        try:
            sent = self.sock.send(out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lost(error)
            return
        del out[:sent]
        self.active = self._driver.now().mono
        if not out:
            self._driver.loop.remove_writer(self._fd)
            if self._ending:
                self.lost(None)
                return
            if self._done is not None:
                self._settle()
                if self._fd < 0:
                    return
        if self._paused and len(out) <= LOW_WATER:
            self._paused = False
            if not self._ending and (self._done is None or self._deframer.pending):
                self._driver.loop.add_reader(self._fd, self.readable)

    def _ended(self) -> None:
        """The peer sends no more; what it asked is still answered."""
        if self._out and not self.outgoing:
            self._ending = True
            self._driver.loop.remove_reader(self._fd)
        else:
            self.lost(None)

    def _connected(self) -> None:
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.lost(OSError(number, os.strerror(number)))
            return
        loop = self._driver.loop
        self.connecting = False
        self.origin = Origin(Transport.TCP, self.origin.peer, address_of(self.sock.getsockname()), self)
        if self._timer is not None:
            self._timer.cancel()
        loop.remove_writer(self._fd)
        loop.add_reader(self._fd, self.readable)
        if self._out:
            loop.add_writer(self._fd, self._writable)

    def _give_up(self) -> None:
        self.lost(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
