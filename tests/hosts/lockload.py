# SPDX-License-Identifier: GPL-3.0-or-later
"""Client processes that lock and unlock without pause, and know what must be true: for pylockd killed and
restarted under load. Read Worker.run, then Ledger.

Every call has its xid and is sent again as it was until it is answered. Some locks are fought for: nobody may
get what another has. The others are each worker's own, kept in a naive table, byte by byte; in the end the
server's must be the same.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from dataclasses import dataclass, field
from itertools import groupby

from hosts import nlmcalls, rpc
from hosts.lab import Host
from hosts.machine import SystemdHost
from hosts.nlmcalls import Alock
from hosts.waiting import wait_for

PORT = 4045
BUSY, OWN = b"\x33" * 28, b"\x44" * 28
REGION = 64
"""Bytes of OWN that belong to each worker."""


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


@dataclass
class Ledger:
    """Who has which lock, as the clients know it: what must never be two."""

    holders: dict[int, int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    granted: int = 0
    tended: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def take(self, byte: int, svid: int) -> None:
        with self.guard:
            if byte in self.holders:
                self.wrong.append(f"byte {byte} granted to {svid} while {self.holders[byte]} holds it")
            self.holders[byte] = svid
            self.granted += 1

    def give(self, byte: int, svid: int) -> None:
        with self.guard:
            if self.holders.pop(byte, None) != svid:
                self.wrong.append(f"byte {byte} was not {svid}'s any more")


class Worker(threading.Thread):
    """A client process: it locks a byte, checks that nobody else has it, unlocks. Unanswered calls are sent
    again as they were; what an application would see of a restart is counted as an error."""

    def __init__(self, place: Host, ledger: Ledger, svid: int, *, tcp: bool) -> None:
        super().__init__(daemon=True)
        self.svid = svid
        self._tcp = tcp
        self._place = place
        self._ledger = ledger
        self._random = random.Random(svid)
        self._xid = svid << 20
        self._sock = self._connect()
        self.own: dict[int, bool] = {}
        """The naive table: the bytes of its region that it holds, and how (True: exclusively)."""

    def _connect(self) -> socket.socket:
        kind = socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM
        with self._place.network():
            sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(30 if self._tcp else 0.5)
        end = time.monotonic() + 30
        while True:
            try:
                sock.connect((server_of(self._place), PORT))
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
                if self._random.random() < 0.6:
                    self._fight()
                else:
                    self._tend()
        except Exception as error:
            self._ledger.wrong.append(repr(error))

    def _fight(self) -> None:
        """A byte that everybody wants."""
        byte = self._random.randrange(6)
        lock = Alock().but(fh=BUSY, svid=self.svid, offset=byte, length=1)
        status = self._call(nlmcalls.LOCK, nlmcalls.lock(4, lock))
        if status == nlmcalls.OK:
            self._ledger.take(byte, self.svid)
            time.sleep(self._random.random() / 200)
            self._ledger.give(byte, self.svid)
            status = self._call(nlmcalls.UNLOCK, nlmcalls.unlock(4, lock))
            if status != nlmcalls.OK:
                self._ledger.wrong.append(f"UNLOCK answered {status}")
        elif status != nlmcalls.DENIED:
            self._ledger.wrong.append(f"LOCK answered {status}")

    def _tend(self) -> None:
        """Bytes that nobody else wants."""
        start = self._random.randrange(REGION)
        length = self._random.randrange(REGION - start) + 1
        lock = Alock().but(fh=OWN, svid=self.svid, offset=REGION * self.svid + start, length=length)
        if self._random.random() < 0.5:
            exclusive = self._random.random() < 0.5
            status = self._call(nlmcalls.LOCK, nlmcalls.lock(4, lock, exclusive=exclusive))
            self.own.update(dict.fromkeys(range(start, start + length), exclusive))
        else:
            status = self._call(nlmcalls.UNLOCK, nlmcalls.unlock(4, lock))
            for byte in range(start, start + length):
                self.own.pop(byte, None)
        if status != nlmcalls.OK:
            self._ledger.wrong.append(f"its own bytes: {status}")
        self._ledger.tended += 1

    def rows(self) -> set[tuple[int, int, int, str]]:
        """svid, offset, length, mode of what the naive table holds."""
        found = set()
        held = sorted(self.own.items())
        for (_, exclusive), run in groupby(enumerate(held), lambda each: (each[1][0] - each[0], each[1][1])):
            span = [byte for _, (byte, _) in run]
            mode = "write" if exclusive else "read"
            found.add((self.svid, REGION * self.svid + span[0], len(span), mode))
        return found
