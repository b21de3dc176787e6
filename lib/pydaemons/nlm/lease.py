# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that are gone for good: `nlm_client_lease`. Read Leases.look.

NFSv3 knows no leases. A client that crashed says so when it is back (SM_NOTIFY), and one that never comes
back keeps its locks for ever. Where an administrator sets a lease, a client that does not call is called:
NULL, of its lock manager. Whatever comes back is a sign of life, be it that nothing listens there: a machine
that is up and has lost its locks says so itself. Only silence counts, of several calls in a row; that our own
network is down says nothing.

Off by default. A client cut off for longer than the lease, with its programs at work on files they have
locked, loses these locks and is told by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from pydaemons.engine.protocol import Now, Transport
from pydaemons.nlm.hosts import Host
from pydaemons.nlm.types import NLM_PROGRAM
from pydaemons.nlm.versions import NEWEST
from pydaemons.sunrpc.client import Outcome, Pending, RpcClient, Target, TimedOut, Unreachable
from pydaemons.sunrpc.lookup import NO_ANSWER

LEAST = 15
"""Seconds that a shorter lease counts as."""
LOOKS = 4
"""Looks in the time of a lease."""
SILENCES = 3
"""Calls in a row that nothing came back of, before a client counts as gone. A process that was stopped for
longer than the lease has heard nobody, and proves nothing by it."""
PROBE = (2.0, 1.5)
"""The waits of one call: shorter than the time between two looks."""

SILENCE = (NO_ANSWER, "No route to host", "Connection timed out", "Host is down")
"""How a call ends, in the words of strerror(3), when nothing came back."""


class Settings(Protocol):
    """The tunable it follows."""

    nlm_client_lease: int


class _Client:
    """What is known of one client's life."""

    __slots__ = ("called", "heard", "probe", "silences")

    def __init__(self, now: Now, called: float) -> None:
        self.heard = now.mono
        """When it last gave a sign of life, as far as we know."""
        self.called = called
        """When it last called, by the wall clock, at the last look."""
        self.probe: Pending | None = None
        self.silences = 0


class Leases:
    """The leases of one lock manager's clients. `lapsed(address, silence, now)` is told of one that gave no
    sign of life for `silence` seconds."""

    def __init__(
        self,
        settings: Settings,
        hosts: Iterable[Host],
        rpc: RpcClient,
        *,
        lapsed: Callable[[str, float, Now], None],
    ) -> None:
        self._settings = settings
        self._hosts = hosts
        self._rpc = rpc
        self._lapsed = lapsed
        self._clients: dict[str, _Client] = {}
        """By address."""
        self._due: float | None = None

    def begin(self, now: Now) -> None:
        """We start, or `nlm_client_lease` is another one: everybody counts as heard now."""
        for client in self._clients.values():
            self._give_up(client, now)
        self._clients.clear()
        self._due = now.mono + self._pause() if self._settings.nlm_client_lease else None

    def deadline(self) -> float | None:
        """When `tick` is wanted; None without leases."""
        return self._due

    def tick(self, now: Now) -> None:
        """Look, if it is time."""
        if self._due is not None and now.mono >= self._due:
            self._due = now.mono + self._pause()
            self.look(now)

    def look(self, now: Now) -> None:
        """Call those who did not call since the last look, and part with those nothing is heard of."""
        lease = self._lease()
        before, self._clients = self._clients, {}
        latest: dict[str, Host] = {}
        """Of one that calls several addresses of ours, what it called last."""
        for host in self._hosts:
            other = latest.setdefault(host.address, host)
            if host.last_seen > other.last_seen:
                latest[host.address] = host
        for address, host in latest.items():
            client = before.pop(address, None) or _Client(now, host.last_seen)
            self._clients[address] = client
            if client.called != host.last_seen:
                client.called = host.last_seen
                self._alive(client, now)
            elif client.silences >= SILENCES and now.mono - client.heard >= lease:
                silence = now.mono - client.heard
                self._alive(client, now)  # it has nothing more to lose
                self._lapsed(address, silence, now)
            elif client.probe is None:
                self._call(host, client, now)
        for client in before.values():
            self._give_up(client, now)

    def _lease(self) -> float:
        return max(LEAST, self._settings.nlm_client_lease)

    def _pause(self) -> float:
        return self._lease() / LOOKS

    def _call(self, host: Host, client: _Client, now: Now) -> None:
        def done(outcome: Outcome, now: Now) -> None:
            client.probe = None
            if is_silence(outcome):
                client.silences += 1
            else:
                self._alive(client, now)

        # over TCP: that nothing listens is known at once
        target = Target(host.address, NLM_PROGRAM, NEWEST, Transport.TCP, source=host.local)
        client.probe = self._rpc.call(target, 0, b"", schedule=PROBE, now=now, done=done, impatient=True)

    def _alive(self, client: _Client, now: Now) -> None:
        client.heard = now.mono
        client.silences = 0

    def _give_up(self, client: _Client, now: Now) -> None:
        if client.probe is not None:
            self._rpc.cancel(client.probe, now)


def is_silence(outcome: Outcome) -> bool:
    """Whether a call ended with no sign of life of the host called."""
    match outcome:
        case TimedOut():
            return True
        case Unreachable(why=why):
            return why.endswith(SILENCE)
        case _:
            return False
