# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP in batches: up to 64 datagrams a system call, answered from the address they came to. Read
DatagramPort.drain, the packet path; kit.arena is the memory it works on.

An Origin is found by the raw bytes of name and packet information, and only made when they are new. A
datagram may always be lost: what cannot be received or sent is counted, never raised.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from itertools import groupby
from typing import TYPE_CHECKING

from pydaemons.engine.effects import SendFailed
from pydaemons.engine.protocol import Address, Answers, Now, Origin, Run, Transport, behind, how_many
from pydaemons.kit.arena import (
    CMSG,
    DATAGRAM,
    LENGTH_AT,
    MESSAGES,
    MMSGHDR,
    Arena,
    Family,
    recvmmsg,
    sendmmsg,
)
from pydaemons.kit.route import Route
from pydaemons.kit.sockets import address_of

if TYPE_CHECKING:
    from pydaemons.kit.datagrams import Datagrams
    from pydaemons.kit.driver import Driver

ROUNDS = 4
"""Calls per wakeup: others want their turn."""
ORIGINS = 4096
"""Peers known by their raw bytes, per generation and port."""
ERROR_QUEUES: dict[int, tuple[int, int]] = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
"""IP_RECVERR and IPV6_RECVERR."""

_ERROR_REPORTS = tuple(ERROR_QUEUES.values())
_MSG_DONTWAIT = socket.MSG_DONTWAIT


class DatagramRoute(Route):
    """By the port it came in on, to its source, from the address it had been sent to."""

    __slots__ = ("_control", "_name", "port")

    def __init__(self, port: DatagramPort, name: object, control: bytes) -> None:
        self.port = port
        self._name = name
        self._control = control

    def send(self, data: bytes) -> None:
        self.port.send_to(data, self._name, self._control)


class DatagramPort:
    """One UDP socket that feeds the engine."""

    def __init__(
        self,
        driver: Driver,
        owner: Datagrams,
        sock: socket.socket,
        arena: Arena | None,
        *,
        reports_errors: bool = False,
    ) -> None:
        self.sock = sock
        self._reports_errors = reports_errors
        self.address = address_of(sock.getsockname())
        """Where it is bound."""
        self._driver = driver
        self._owner = owner
        self._arena = arena
        self._family = Family(sock.family)
        self._v4 = sock.family == socket.AF_INET
        self._fd = sock.fileno()
        self._origins: dict[bytes, Origin] = {}
        self._older: dict[bytes, Origin] = {}
        driver.loop.add_reader(self._fd, self.drain_plain if arena is None else self.drain)

    def close(self) -> None:
        """Stop feeding the engine and close the socket."""
        self.release().close()

    def release(self) -> socket.socket:
        """Stop feeding the engine; the socket itself goes on (to a successor)."""
        if self._fd >= 0:
            self._driver.loop.remove_reader(self._fd)
            self._owner.forget(self)
            self._fd = -1
        return self.sock

    def drain(self) -> None:
        """The packet path: receive, have the engine answer, send, until nothing is left or it is another's
        turn."""
        arena = self._arena
        assert arena is not None
        driver = self._driver
        fd = self._fd
        memory, words = arena.memory, arena.words
        keys, out_at, out_length_at, answered = arena.keys, arena.out_at, arena.out_length_at, arena.answered
        counts = driver.counts
        for _ in range(ROUNDS):
            count = recvmmsg(fd, arena.rx_at, MESSAGES, _MSG_DONTWAIT, None)
            if count <= 0:
                if count < 0:
                    self._receive_failed(ctypes.get_errno())
                return
            now = driver.now()
            counts["datagrams in"] += count
            late: list[tuple[Origin, bytes]] = []
            if count == 1:
                ready = self._answer_lone(arena, now, late)
            else:
                ready = self._answer(arena, count, now, late)
            if not driver.commit():
                for i in answered[:ready]:
                    at = out_at[i]
                    late.append(
                        (self._find_origin(memory[keys[i]]), memory[at : at + words[out_length_at[i]]])
                    )
                driver.hold(late)
            elif ready or late:
                sent = sendmmsg(fd, arena.tx_at, ready, _MSG_DONTWAIT) if ready else 0
                if sent != ready:
                    sent = self._send_rest(arena, ready, sent)
                counts["datagrams out"] += sent
                for origin, reply in late:
                    driver.answer(origin, reply)
            driver.finish(now)
            if count < MESSAGES or self._fd < 0:
                return

    def _answer(self, arena: Arena, count: int, now: Now, late: list[tuple[Origin, bytes]]) -> int:
        """Have the engine answer the datagrams received, those of one origin that stand together at a time.
        How many answers are ready in the arena; `late` gets those that do not go by it."""
        driver = self._driver
        prompt = driver.prompt
        receive = driver.engine.receive
        memory, words, ints = arena.memory, arena.words, arena.ints
        length_at, data_at = arena.length_at, arena.data_at
        out_at, out_length_at = arena.out_at, arena.out_length_at
        tx_slices, tx_templates, answered = arena.tx_slices, arena.tx_templates, arena.answered
        origins = self._origins
        driver.stirred = prompt is None
        ready = i = end = unseen = vain = 0
        runs: list[Run] = []
        found: list[Answers] = []
        answers: list[bytes] = []
        while i < count:
            if i >= end:
                key = self._usual_key(arena, i)
                if key is None:
                    self._answer_odd(arena, i, now, late)
                    i += 1
                    continue
                origin = origins.get(key) or self._find_origin(key)
                end = i + 1
                while end < count and self._usual_key(arena, end) == key:
                    end += 1
                runs = _runs(arena, i, end)
                unseen = vain = 0
            failed = False
            first = i
            if prompt is not None and not unseen:
                try:
                    prompt.answer(memory, runs, origin, now, found, lead=_nothing)
                except Exception as error:
                    failed = driver.stirred = True
                    k = i + how_many(found)
                    driver.failed(error, memory[data_at[k] : data_at[k] + ints[length_at[k]]], origin)
                for whole, number in found:
                    step = len(whole) // number
                    answers += [whole[at : at + step] for at in range(0, len(whole), step)]
                found.clear()
                vain = 0 if answers or failed else vain + 1
                unseen = max(vain - 1, 1) if vain else 0  # where glances are in vain, they become rarer
                i += len(answers)
            if failed:
                i += 1
            elif i < end:
                if unseen:
                    unseen -= 1
                at = data_at[i]
                data = memory[at : at + ints[length_at[i]]]
                i += 1
                driver.stirred = True
                try:
                    reply = receive(data, origin, now)
                except Exception as error:
                    driver.failed(error, data, origin)
                    reply = None
                if reply is not None:
                    if len(reply) <= DATAGRAM:
                        answers.append(reply)
                    else:
                        late.append((origin, reply))
            runs = behind(runs, i - first)
            for k, reply in enumerate(answers, first):
                length = len(reply)
                memory[tx_slices[ready]] = tx_templates[k]
                at = out_at[k]
                memory[at : at + length] = reply
                words[out_length_at[k]] = length
                answered[ready] = k
                ready += 1
            answers.clear()
        return ready

    def _answer_lone(self, arena: Arena, now: Now, late: list[tuple[Origin, bytes]]) -> int:
        """As `_answer`, for one that came alone, as they do from clients that wait for each answer: without
        the loops."""
        key = self._usual_key(arena, 0)
        if key is None:
            self._answer_odd(arena, 0, now, late)
            return 0
        driver, memory = self._driver, arena.memory
        origin = self._origins.get(key) or self._find_origin(key)
        at = arena.data_at[0]
        size = arena.ints[arena.length_at[0]]
        reply = None
        try:
            if driver.prompt is not None:
                found: list[Answers] = []
                driver.stirred = False
                driver.prompt.answer(memory, [(at, size, size, 1)], origin, now, found, lead=_nothing)
                if found:
                    reply = found[0][0]
            if reply is None:
                driver.stirred = True
                reply = driver.engine.receive(memory[at : at + size], origin, now)
        except Exception as error:
            driver.stirred = True
            driver.failed(error, memory[at : at + size], origin)
        if reply is None:
            return 0
        size = len(reply)
        if size > DATAGRAM:
            late.append((origin, reply))
            return 0
        at = arena.out_at[0]
        memory[arena.tx_slices[0]] = arena.tx_templates[0]
        memory[at : at + size] = reply
        arena.words[arena.out_length_at[0]] = size
        arena.answered[0] = 0
        return 1

    def _usual_key(self, arena: Arena, i: int) -> bytes | None:
        """The raw name and control of a message, turned around for its answer; None if it is an odd one."""
        if arena.ints[arena.flags_at[i]] or arena.words[arena.control_at[i]] != arena.family.control:
            return None
        if self._v4:
            arena.ints[arena.index_at[i]] = 0
        else:
            arena.turn_around(i)
        return arena.memory[arena.keys[i]]

    def _answer_odd(self, arena: Arena, i: int, now: Now, late: list[tuple[Origin, bytes]]) -> None:
        origin = self._odd(arena, i)
        if origin is None:
            return
        at = arena.data_at[i]
        data = arena.memory[at : at + arena.ints[arena.length_at[i]]]
        self._driver.stirred = True
        try:
            reply = self._driver.engine.receive(data, origin, now)
        except Exception as error:
            self._driver.failed(error, data, origin)
            return
        if reply is not None:
            late.append((origin, reply))

    def drain_plain(self) -> None:
        """The same without recvmmsg: where ctypes or the C library does not offer it."""
        driver = self._driver
        replies: list[tuple[Origin, bytes]] = []
        now = driver.now()
        received = 0
        while received < MESSAGES:
            try:
                data, ancillary, flags, name = self.sock.recvmsg(DATAGRAM, 128, _MSG_DONTWAIT)
            except OSError as error:
                self._receive_failed(error.errno or 0)
                break
            received += 1
            driver.counts["datagrams in"] += 1
            if flags & socket.MSG_TRUNC:
                driver.counts["datagrams too long"] += 1
                continue
            control = next(
                (bytes(value) for level, kind, value in ancillary if kind == self._family.type), b""
            )
            origin = self._intern(name, self._family.turn_around(control, name[0]))
            try:
                reply = driver.engine.receive(data, origin, now)
            except Exception as error:
                driver.failed(error, data, origin)
                continue
            if reply is not None:
                replies.append((origin, reply))
        if not received:
            return
        if driver.commit():
            for origin, reply in replies:
                driver.answer(origin, reply)
        else:
            driver.hold(replies)
        driver.finish(now)

    def send_to(self, data: bytes, name: object, control: bytes) -> OSError | None:
        """Send one datagram to `name`; `control` is packet information (whence) or empty. What went wrong is
        returned, not raised: a datagram may always be lost."""
        ancillary = [(self._family.level, self._family.type, control)] if control else []
        try:
            try:
                self.sock.sendmsg([data], ancillary, _MSG_DONTWAIT, name)  # type: ignore[arg-type]
            except OSError:
                # May be an earlier datagram's ICMP error, which the kernel hands to whoever comes next.
                if not self._take_errors():
                    raise
                self.sock.sendmsg([data], ancillary, _MSG_DONTWAIT, name)  # type: ignore[arg-type]
        except OSError as error:
            self._count(error.errno or 0, "send")
            return error
        self._driver.counts["datagrams out"] += 1
        return None

    def _take_errors(self) -> int:
        """Empty the socket's error queue (ip(7), IP_RECVERR; our own sockets have one): each entry carries
        the destination of the datagram it is about. How many."""
        taken = 0
        while self._reports_errors and taken < MESSAGES:
            try:
                _data, ancillary, _flags, name = self.sock.recvmsg(
                    0, 512, socket.MSG_ERRQUEUE | _MSG_DONTWAIT
                )
            except OSError:
                break
            taken += 1
            for level, kind, value in ancillary:
                if (level, kind) in _ERROR_REPORTS and len(value) >= 4:
                    number = int.from_bytes(value[:4], sys.byteorder)
                    self._count(number, "send")
                    self._driver.post(SendFailed(address_of(name), Transport.UDP, os.strerror(number)))
        return taken

    def _find_origin(self, key: bytes) -> Origin:
        """The origin of this raw name and control, from the older generation or new."""
        origin = self._origins.get(key) or self._older.get(key)
        if origin is None:
            family = self._family
            name, control = family.parse_name(key[family.control :]), key[CMSG.size : family.control]
            origin = self._intern(name, control[: family.info])
        if len(self._origins) >= ORIGINS:
            self._older = self._origins
            self._origins = {}
        self._origins[key] = origin
        return origin

    def _intern(self, name: object, control: bytes) -> Origin:
        local = self._family.parse_local(control)
        address = self.address if local is None else Address(local, self.address.port)
        origin = self._owner.intern(address_of(name), address)
        handle = origin.handle
        if not isinstance(handle, DatagramRoute) or handle.port is not self:
            origin.handle = DatagramRoute(self, name, control)
        return origin

    def _odd(self, arena: Arena, i: int) -> Origin | None:
        """A message that is too long (None) or came without its packet information."""
        flags = arena.ints[arena.flags_at[i]]
        key = arena.memory[arena.keys[i]]
        arena.memory[arena.rx_slices[i]] = (
            arena.rx_templates[i][:LENGTH_AT]
            + arena.memory[arena.rx_slices[i].start + LENGTH_AT : arena.rx_slices[i].stop]
        )
        if flags & socket.MSG_TRUNC:
            self._driver.counts["datagrams too long"] += 1
            return None
        return self._intern(self._family.parse_name(key[self._family.control :]), b"")

    def _send_rest(self, arena: Arena, ready: int, sent: int) -> int:
        """sendmmsg stopped early: the message it stopped at is dropped and counted, the others go on."""
        done = 0
        start = 0
        while True:
            if sent < 0:
                number = ctypes.get_errno()
                self._count(number, "send")
                start += 1
                if number in (errno.EAGAIN, errno.ENOBUFS):
                    # The queue is full: more of the same would only be refused one by one.
                    self._driver.counts["datagrams dropped"] += ready - start
                    return done
            else:
                done += sent
                start += sent
            if start >= ready:
                return done
            sent = sendmmsg(self._fd, arena.tx_at + start * MMSGHDR.size, ready - start, _MSG_DONTWAIT)

    def _receive_failed(self, number: int) -> None:
        """recvmmsg gave nothing: EAGAIN is the usual end, anything else an ICMP error that waited."""
        if self._take_errors() == 0 and number not in (errno.EAGAIN, errno.EINTR):
            self._count(number, "receive")

    def _count(self, number: int, what: str) -> None:
        self._driver.counts[f"{what} errors: {errno.errorcode.get(number, number)}"] += 1


def _nothing(size: int) -> bytes:
    """What goes before an answer that is a datagram."""
    return b""


def _runs(arena: Arena, start: int, end: int) -> list[Run]:
    """Where the datagrams from one number to another stand."""
    runs: list[Run] = []
    for size, alike in groupby([arena.ints[at] for at in arena.length_at[start:end]]):
        count = len([*alike])
        runs.append((arena.data_at[start], size, DATAGRAM, count))
        start += count
    return runs
