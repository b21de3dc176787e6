# SPDX-License-Identifier: GPL-3.0-or-later
"""What pylockctl can ask of pylockd, declared once: see `interface`. The rows shown are those of
nlm.views."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from pydaemons.engine.protocol import Now
from pydaemons.kit.varlink import Caller, ControlError, Interface, Method, Value
from pydaemons.lockd.engine import LockEngine
from pydaemons.nlm import survey as look
from pydaemons.nlm import views
from pydaemons.nlm.hosts import Host
from pydaemons.nlm.types import NLM_PROGRAM
from pydaemons.nsm.store import canonical
from pydaemons.sunrpc.program import Procedure

NAME = "org.pydaemons.lockd"
INVALID = "org.varlink.service.InvalidParameter"

STATUS = (
    "(pid: int, version: string, since: float, mode: string, "
    "listeners: [](transport: string, host: string, port: int), "
    "rpcbind: string, nsm: object, connections: int, locks: int, files: int, shares: int, "
    "blocked: int, granting: int, clients: int, grace: bool, grace_left: float, refuse: bool)"
)
SURVEY = (
    "(pid: int, at: float, figures: object, calls: [string]int, decisions: object, files: []object, "
    "clients: []object, complete: bool)"
)
MOST_FILES = 1000
SLICE = 200
"""Rows made and sent at once: about a millisecond."""
STATS = "(procedures: object, statuses: object, rpc: [string]int, shell: [string]int, replies_repeated: int)"


class Daemon(Protocol):
    """What the methods need besides the engine."""

    engine: LockEngine

    def now(self) -> Now: ...
    def overview(self) -> dict[str, Any]: ...
    def counts(self) -> dict[str, int]: ...
    def settle(self) -> None: ...
    def notify(self, client: str | None, server: str | None) -> list[str]: ...


def interface(daemon: Daemon) -> Interface:
    """The methods, over one daemon."""
    engine = daemon.engine

    def changing(change: Callable[[Value], Value]) -> Callable[[Value, Caller], Value]:
        def call(parameters: Value, caller: Caller) -> Value:
            result = change(parameters)
            daemon.settle()
            return result

        return call

    def status(parameters: Value, caller: Caller) -> Value:
        return {**daemon.overview(), **views.figures(engine.server, daemon.now())}

    def locks(parameters: Value, caller: Caller) -> AsyncIterator[Value]:
        file = parameters.get("file")
        return _in_slices(
            "locks",
            views.locks(
                engine.server,
                client=parameters.get("client"),
                file=None if file is None else _key(file),
                svid=parameters.get("svid"),
            ),
        )

    def blocked(parameters: Value, caller: Caller) -> AsyncIterator[Value]:
        return _in_slices("blocked", views.blocked(engine.server, daemon.now()))

    def clients(parameters: Value, caller: Caller) -> Value:
        return {"clients": views.clients(engine.server)}

    def survey(parameters: Value, caller: Caller) -> Value:
        files, order = parameters.get("files", 20), parameters.get("order", "waiting")
        if not 0 <= files <= MOST_FILES:
            raise ControlError(INVALID, parameter="files")
        if order not in ("waiting", "locks", "file"):
            raise ControlError(INVALID, parameter="order")
        now, server = daemon.now(), engine.server
        return {
            "pid": os.getpid(),
            "at": now.mono,
            "figures": views.figures(server, now),
            "calls": calls(daemon),
            "decisions": views.decisions(server),
            **look.survey(server, now, files=files, order=order),
        }

    def release(parameters: Value) -> Value:
        client, server = parameters.get("client"), parameters.get("server")
        file, svid = parameters.get("file"), parameters.get("svid")
        now = daemon.now()
        if file is not None:
            return {"freed": engine.server.release_file(_key(file), now)}
        if client is None and server is None and not parameters.get("all"):
            raise ControlError(INVALID, parameter="client")

        def matches(host: Host) -> bool:
            return client in (None, host.address) and server in (None, host.local)

        freed = engine.server.release(lambda o: matches(o.host) and svid in (None, o.svid), now)
        if svid is None:
            freed += engine.server.release_shares(matches)
        return {"freed": freed}

    def notify(parameters: Value) -> Value:
        addresses = {}
        for name in ("client", "server"):
            try:
                given = parameters.get(name)
                addresses[name] = None if given is None else canonical(given)
            except ValueError:
                raise ControlError(INVALID, parameter=name) from None
        return {"notified": daemon.notify(**addresses)}

    def grace(parameters: Value) -> Value:
        now = daemon.now()
        match parameters["action"]:
            case "start":
                engine.server.owed = None  # all of it, whoever reclaims
                engine.start_grace(now, "started by an administrator")
            case "end":
                engine.end_grace()
            case _:
                raise ControlError(INVALID, parameter="action")
        state = engine.server.grace
        return {"grace": state.active, "grace_left": round(state.left(now.mono), 1)}

    return Interface(
        NAME,
        [
            Method("Status", status, gives=STATUS, doc="How it is, in numbers."),
            Method(
                "Locks",
                locks,
                takes="(client: ?string, file: ?string, svid: ?int)",
                gives="(locks: []object)",
                doc="Held locks and shares, some at a time (call it with `more`).",
                streams=True,
            ),
            Method(
                "Blocked",
                blocked,
                gives="(blocked: []object)",
                doc="Requests that wait, and for whom, some at a time (call it with `more`).",
                streams=True,
            ),
            Method(
                "Clients", clients, gives="(clients: []object)", doc="Clients that hold or wait for anything."
            ),
            Method(
                "Release",
                changing(release),
                takes="(client: ?string, server: ?string, file: ?string, svid: ?int, all: ?bool)",
                gives="(freed: int)",
                doc="Free locks and shares of a client, of all that call an address of ours, of one owner, "
                "of a file, or all.",
                trusted=True,
            ),
            Method(
                "Grace",
                changing(grace),
                takes="(action: string)",
                gives="(grace: bool, grace_left: float)",
                doc="Start or end a grace period.",
                trusted=True,
            ),
            Method(
                "DropAll",
                changing(lambda parameters: {"freed": engine.drop_all(daemon.now())}),
                gives="(freed: int)",
                doc="Void all locks and start a grace period, as the kernel's lockd does at SIGKILL.",
                trusted=True,
            ),
            Method(
                "Notify",
                changing(notify),
                takes="(client: ?string, server: ?string)",
                gives="(notified: []string)",
                doc="Tell monitored clients (those that call an address of ours) that this server "
                "restarted, so that they reclaim their locks; with both, one not monitored here, too.",
                trusted=True,
            ),
            Method(
                "Survey",
                survey,
                takes="(files: ?int, order: ?string)",
                gives=SURVEY,
                doc="One look, bounded: the busiest files with holders and waiters, clients, counters.",
            ),
            Method("Stats", lambda p, caller: stats(daemon), gives=STATS, doc="Counters since the start."),
        ],
        doc="The NFS lock manager.",
    )


async def _in_slices(name: str, rows: Iterator[Value]) -> AsyncIterator[Value]:
    """Packets come between one slice and the next."""
    while some := list(islice(rows, SLICE)):
        yield {name: some}


def _key(file: str) -> bytes:
    try:
        return bytes.fromhex(file)
    except ValueError:
        raise ControlError(INVALID, parameter="file") from None


def stats(daemon: Daemon) -> dict[str, Any]:
    """All counters."""
    engine = daemon.engine
    programs: dict[str, dict[str, dict[str, int]]] = {}
    for program in engine.service.programs.values():
        versions = programs.setdefault(program.name, {})
        for number, procedures in program.versions.items():
            counted = _calls(procedures.values())
            if counted:
                versions[str(number)] = counted
    return {
        "procedures": programs,
        "statuses": views.decisions(engine.server),
        "rpc": {**engine.service.counts, **engine.rpc.counts},
        "shell": daemon.counts(),
        "replies_repeated": engine.cache.hits,
    }


def calls(daemon: Daemon) -> dict[str, int]:
    """NLM calls by procedure, of all versions and both transports."""
    total: Counter[str] = Counter()
    for procedures in daemon.engine.service.programs[NLM_PROGRAM].versions.values():
        total.update(_calls(procedures.values()))
    return dict(total)


def _calls(procedures: Iterable[Procedure]) -> dict[str, int]:
    return {row.name: row.calls for row in procedures if row.calls}
