# SPDX-License-Identifier: GPL-3.0-or-later
"""Client processes that lock and unlock without pause, and know what must be true: for pylockd killed and
restarted under load. Read Worker.run, then Ledger.

Every call has its xid and is sent again as it was until it is answered. Some locks are fought for: nobody may
get what another has, waited for or not. The others are each worker's own, kept in a naive table, byte by
byte; in the end the server's must be the same.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from itertools import groupby

from hosts import nlmcalls, rpc
from hosts.callbacks import Arrived, Callbacks
from hosts.lab import Host
from hosts.machine import SystemdHost
from hosts.nlmcalls import Alock
from hosts.waiting import wait_for

PORT = 4045
BUSY, OWN = b"\x33" * 28, b"\x44" * 28
"""How the handles of the files fought for begin, and of those that everybody has a part of."""
REGION = 64
"""Bytes of each OWN file that belong to each worker."""
Row = tuple[str, int, int, int, str]
"""File, svid, offset, length, mode."""
Key = tuple[bytes, int, int]
"""File, svid, byte: what somebody waits for."""


def handle(kind: bytes, number: int) -> bytes:
    """The file of that number."""
    return kind + number.to_bytes(4, "big")


def server_of(client: Host) -> str:
    return client.address.rsplit(".", 1)[0] + ".2"


def kill(machine: SystemdHost) -> None:
    """kill -9, and wait for systemd to have started the next one."""
    pid = machine.show("pylockd", "MainPID")
    machine.run("systemctl", "reset-failed", "pylockd")
    machine.run("kill", "-9", pid, check=True)
    wait_for(
        lambda: (
            machine.show("pylockd", "ActiveState") == "active"
            and machine.show("pylockd", "MainPID") not in (pid, "0")
        ),
        what="systemd to have restarted it",
    )


def restart(machine: SystemdHost) -> None:
    machine.run("systemctl", "reset-failed", "pylockd")
    machine.systemctl("restart", "pylockd")


def shown(machine: SystemdHost) -> set[Row]:
    """The locks on OWN files, as pylockd tells."""
    rows = json.loads(machine.run("pylockctl", "locks", "--json", check=True).stdout)
    return {
        (row["file"], row["svid"], row["offset"], row["length"], row["mode"])
        for row in rows
        if row["file"].startswith(OWN.hex())
    }


@dataclass
class Ledger:
    """Who has which lock, as the clients know it: what must never be two."""

    holders: dict[tuple[bytes, int], int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    granted: int = 0
    waited: int = 0
    """Of these, after a callback."""
    tended: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def take(self, fh: bytes, byte: int, svid: int) -> None:
        with self.guard:
            holder = self.holders.get((fh, byte))
            if holder is not None:
                self.wrong.append(f"byte {byte} of {fh.hex()} granted to {svid} while {holder} holds it")
            self.holders[fh, byte] = svid
            self.granted += 1

    def give(self, fh: bytes, byte: int, svid: int) -> None:
        with self.guard:
            if self.holders.pop((fh, byte), None) != svid:
                self.wrong.append(f"byte {byte} of {fh.hex()} was not {svid}'s any more")


class Turns(threading.Thread):
    """The lock manager of the workers' host: takes GRANTED for whoever waits, as Linux does. Its rpcbind must
    run."""

    def __init__(self, place: Host, ledger: Ledger) -> None:
        super().__init__(daemon=True)
        self._callbacks = Callbacks(place)
        self._callbacks.judge = self._judge
        self._server = server_of(place), PORT
        self._ledger = ledger
        self._guard = threading.Lock()
        self._waiting: dict[Key, threading.Event] = {}

    def expect(self, key: Key) -> threading.Event:
        """Set when a GRANTED of this came, and was acknowledged."""
        with self._guard:
            return self._waiting.setdefault(key, threading.Event())

    def forget(self, key: Key) -> bool:
        """Wait no longer; whether it was granted until now."""
        with self._guard:
            return self._waiting.pop(key).is_set()

    def _judge(self, call: Arrived) -> int:
        _, _, lock = call.granted()
        with self._guard:
            mine = self._waiting.get((lock.fh, lock.svid, lock.offset))
            if mine is None:
                return nlmcalls.DENIED
            mine.set()
            return nlmcalls.OK

    def run(self) -> None:
        try:
            while not self._ledger.over.is_set():
                self._callbacks.serve(0.5, self._server)
        except Exception as error:
            self._ledger.wrong.append(f"callbacks: {error!r}")


class Worker(threading.Thread):
    """A client process: it locks a byte, checks that nobody else has it, unlocks. Unanswered calls are sent
    again as they were; what an application would see of a restart is counted as an error.

    `way` is where its datagrams go instead of to the server (hosts/badnet.py), `files` how many files there
    are of each kind; with `turns` some locks are waited for. So often as `cuts` says a TCP connection ends
    between a call and its answer."""

    def __init__(
        self,
        place: Host,
        ledger: Ledger,
        svid: int,
        *,
        tcp: bool,
        way: tuple[str, int] | None = None,
        files: int = 1,
        turns: Turns | None = None,
        cuts: float = 0.0,
    ) -> None:
        super().__init__(daemon=True)
        self.svid = svid
        self._tcp = tcp
        self._place = place
        self._server = way if way is not None and not tcp else (server_of(place), PORT)
        self._files = files
        self._turns = turns
        self._cuts = cuts
        self._ledger = ledger
        self._random = random.Random(svid)
        self._xid = svid << 20
        self._sock = self._connect()
        self.own: dict[tuple[bytes, int], bool] = {}
        """The naive table: the bytes of its regions that it holds, and how (True: exclusively)."""

    def _connect(self) -> socket.socket:
        kind = socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM
        with self._place.network():
            sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(30 if self._tcp else 0.5)
        end = time.monotonic() + 30
        while True:
            try:
                sock.connect(self._server)
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)
            else:
                return sock

    def _exchange(self, message: bytes) -> bytes:
        if not self._tcp:
            self._sock.send(message)
            return self._sock.recv(4096)
        self._sock.sendall(rpc.u32(0x8000_0000 | len(message)) + message)
        if self._random.random() < self._cuts:
            self._sock.close()
            self._sock = self._connect()
            self._sock.sendall(rpc.u32(0x8000_0000 | len(message)) + message)
        data = b""
        while len(data) < 4 or len(data) < 4 + (int.from_bytes(data[:4]) & 0x7FFF_FFFF):
            more = self._sock.recv(4096)
            if not more:
                raise ConnectionResetError("closed by the server")
            data += more
        return data[4:]

    def _call(self, procedure: int, arguments: bytes) -> int:
        self._xid += 1
        message = rpc.call_bytes(rpc.NLM, 4, procedure, arguments, xid=self._xid)
        end = time.monotonic() + 60
        while True:
            assert time.monotonic() < end, "no answer"
            try:
                data = self._exchange(message)
            except TimeoutError:
                if self._tcp:
                    self._ledger.errors.append(f"{self.svid}: a call got lost")
                    self._sock = self._connect()
                continue
            except OSError as error:
                self._ledger.errors.append(f"{self.svid}: {error}")
                self._sock = self._connect()
                continue
            if data[:4] == message[:4]:
                found = nlmcalls.read(procedure, rpc.Reply.parse(data).body, 4)
                assert found is not None
                return found.status

    def run(self) -> None:
        try:
            while not self._ledger.over.is_set():
                draw = self._random.random()
                if draw < 0.4:
                    self._tend()
                elif draw < 0.5 and self._turns is not None:
                    self._queue(self._turns)
                else:
                    self._fight()
        except Exception as error:
            self._ledger.wrong.append(repr(error))

    def _wanted(self) -> Alock:
        """A byte that everybody wants."""
        fh = handle(BUSY, self._random.randrange(self._files))
        return Alock().but(fh=fh, svid=self.svid, offset=self._random.randrange(6), length=1)

    def _fight(self) -> None:
        lock = self._wanted()
        status = self._call(nlmcalls.LOCK, nlmcalls.lock(4, lock))
        if status == nlmcalls.OK:
            self._enjoy(lock)
        elif status != nlmcalls.DENIED:
            self._ledger.wrong.append(f"LOCK answered {status}")

    def _queue(self, turns: Turns) -> None:
        """Wait for its turn; sometimes it gives up before."""
        lock = self._wanted()
        key = lock.fh, lock.svid, lock.offset
        patience = 0.01 if self._random.random() < 0.2 else 20.0  # then ask again, as Linux does after 30
        granted = turns.expect(key)
        status = nlmcalls.BLOCKED
        while status == nlmcalls.BLOCKED and not self._ledger.over.is_set():
            status = self._call(nlmcalls.LOCK, nlmcalls.lock(4, lock, block=True))
            if status == nlmcalls.BLOCKED and (granted.wait(patience) or patience < 1):
                break
        if status == nlmcalls.BLOCKED and not granted.is_set():
            status = self._call(nlmcalls.CANCEL, nlmcalls.cancel(4, lock))
            if status == nlmcalls.DENIED:
                granted.set()  # too late: it is ours, if nobody told us yet
            elif status != nlmcalls.OK:
                self._ledger.wrong.append(f"CANCEL answered {status}")
            status = nlmcalls.BLOCKED
        if turns.forget(key) or status == nlmcalls.OK:
            self._ledger.waited += 1
            self._enjoy(lock)
        elif status != nlmcalls.BLOCKED:
            self._ledger.wrong.append(f"a blocking LOCK answered {status}")

    def _enjoy(self, lock: Alock) -> None:
        """It is ours: nobody else may have it, and we give it back."""
        self._ledger.take(lock.fh, lock.offset, self.svid)
        time.sleep(self._random.random() / 200)
        self._ledger.give(lock.fh, lock.offset, self.svid)
        status = self._call(nlmcalls.UNLOCK, nlmcalls.unlock(4, lock))
        if status != nlmcalls.OK:
            self._ledger.wrong.append(f"UNLOCK answered {status}")

    def _tend(self) -> None:
        """Bytes that nobody else wants."""
        fh = handle(OWN, self._random.randrange(self._files))
        start = self._random.randrange(REGION)
        length = self._random.randrange(REGION - start) + 1
        lock = Alock().but(fh=fh, svid=self.svid, offset=REGION * self.svid + start, length=length)
        span = [(fh, byte) for byte in range(start, start + length)]
        if self._random.random() < 0.5:
            exclusive = self._random.random() < 0.5
            status = self._call(nlmcalls.LOCK, nlmcalls.lock(4, lock, exclusive=exclusive))
            self.own.update(dict.fromkeys(span, exclusive))
        else:
            status = self._call(nlmcalls.UNLOCK, nlmcalls.unlock(4, lock))
            for place in span:
                self.own.pop(place, None)
        if status != nlmcalls.OK:
            self._ledger.wrong.append(f"its own bytes: {status}")
        self._ledger.tended += 1

    def rows(self) -> set[Row]:
        """What the naive table holds."""
        found = set()
        held = sorted((fh, byte, exclusive) for (fh, byte), exclusive in self.own.items())
        for (fh, _, exclusive), run in groupby(
            enumerate(held), lambda each: (each[1][0], each[1][1] - each[0], each[1][2])
        ):
            span = [byte for _, (_, byte, _) in run]
            mode = "write" if exclusive else "read"
            found.add((fh.hex(), self.svid, REGION * self.svid + span[0], len(span), mode))
        return found
