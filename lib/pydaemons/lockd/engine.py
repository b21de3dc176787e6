# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock manager as one engine: NLM rules, status monitor and RPC joined. Read LockEngine.__init__: that is
the wiring.

Packets go straight to the RPC service (`receive` is its method); everything else that happens is sorted out
in `handle`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Protocol

from pydaemons.engine.effects import Append, Effect, Level, Log, Rewrite, SendFailed
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.events import AppendFailed, Persisted, PersistFailed
from pydaemons.engine.protocol import Now, Origin
from pydaemons.lockd.access import Access
from pydaemons.lockd.hacallout import Announced
from pydaemons.lockd.localfs import LocalTable
from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.lockd.trace import Trace
from pydaemons.nlm import procs
from pydaemons.nlm.columns import GRANTED
from pydaemons.nlm.filehandle import Codecs
from pydaemons.nlm.journal import Journal
from pydaemons.nlm.lease import Leases
from pydaemons.nlm.lingering import Monitor
from pydaemons.nlm.prompt import Prompt
from pydaemons.nlm.replay import replay
from pydaemons.nlm.server import PRIVILEGED_PORTS, Server
from pydaemons.nlm.types import NLM_PROGRAM
from pydaemons.nsm import procs as nsm_procs
from pydaemons.nsm.monitor import Monitor as EmbeddedMonitor
from pydaemons.nsm.store import MONITORED
from pydaemons.sunrpc.client import RpcClient
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.message import AuthStat
from pydaemons.sunrpc.program import Call, Program, Service, Undecided
from pydaemons.tunables.declare import TunableChanged

GRACE_ENDED_ID = "5b0f3a7e3d3e4f0c9a3a0e1d5c7b2f61"
GRACE_STARTED_ID = "a0c6a1c6a2f64a44b6b5b3f0f9f0d8e2"
CLIENT_RESTARTED_ID = "c2f7d2f1b8e94f1fb43a4c8f1f6f0a93"
RANDOM_HANDLES_ID = "3c1f0b5f6f0e4a55b0c7a8d9e2f41b76"
LAPSED_ID = "8d0f7c3a5b6e4f1d9c2a4e7b1f608d35"
REFUSED_ID = "e9d2b7c4a1f34d55a6c80f2b7e3d9f10"


class StatusMonitor(Monitor, Protocol):
    """A status monitor as this engine drives it: nsm.monitor, nsm.statd, or nsm.off."""

    state: int
    """Our NSM state number in force, 0 while it is not known."""

    @property
    def hosts(self) -> Sized:
        """Whom it monitors."""

    def begin(self, now: Now) -> None:
        """Notify, or register anew, those whom the last life left."""

    def crash(self, now: Now) -> None:
        """Our locks are gone: clients must be told."""

    def tick(self, now: Now) -> None: ...
    def deadline(self) -> float | None: ...
    def drain(self) -> Iterator[Effect]: ...


@dataclass(frozen=True, slots=True)
class NamesFound:
    """Event: the resolver's answer about a client whose admission hangs on its names."""

    address: str
    names: tuple[str, ...]
    netgroups: tuple[str, ...]


class LockEngine:
    """Everything pylockd knows and decides."""

    def __init__(
        self,
        configuration: PylockdConfiguration,
        *,
        access: Access,
        entropy: Entropy,
        hostname: bytes,
        monitor: Callable[[RpcClient, LockEngine], StatusMonitor],
        programs: list[Program],
        locks_lost: bool = False,
        local: LocalTable | None = None,
        callout: Callable[..., None] | None = None,
    ) -> None:
        """`programs` are served beside NLM (and the status monitor, where it is ours); `locks_lost`: clients
        held locks when the last life ended; `local`: where locks are taken on real files as well; `callout`:
        who is told which clients come to be monitored, and restart (lockd.hacallout)."""
        settings = configuration.tunables
        self.configuration = configuration
        self.access = access
        self.cache = ReplyCache()
        self.cache.fresh = []
        self.rpc = RpcClient(entropy, machine_name=hostname, rpcbind_port=configuration.rpcbind.port)
        self.monitor = monitor(self.rpc, self)
        if isinstance(self.monitor, EmbeddedMonitor):
            programs = [*programs, nsm_procs.program(self.monitor)]
        self._locks_lost = locks_lost
        self._callout = callout
        self._local = local
        self._effects: deque[Effect] = deque()
        self._rewrite = False
        self._prepared = False
        self.server = Server(
            settings,
            monitor=self.monitor if callout is None else Announced(self.monitor, callout),
            rpc=self.rpc,
            entropy=entropy,
            hostname=hostname,
            forget=self.cache.forget,
            key=self._file_key(),
            table=local,
            refusal=None if local is None else local.refusal,
            journal=Journal(self._key_name()),
            refuse=configuration.pylockd.mode == "refuse",
        )
        self.leases = Leases(settings, self.server.hosts, self.rpc, lapsed=self._lapsed)
        nlm = procs.program(self.server, self.server.answer)
        self.service = Service(
            [nlm, *programs], admit=self._admit, cache=self.cache, replies=self.rpc.receive_reply
        )
        self.prompt = Prompt(self.server, self.service)
        self.trace = Trace(nlm, say=self._say, key=self.server.file, hosts=self.server.hosts)
        self.trace.set(settings.nlm_debug)
        self.grace_changed: Callable[[], None] = lambda: None
        """Called when a grace period begins or ends, for who shows it."""
        self._refused: set[str] = set()
        self._undurable: set[str] = set()
        """State files that cannot be written just now."""
        settings.bind(
            nsm_local_state=lambda: self.monitor.state,
            nlm_end_grace=lambda: not self.server.grace.active,
            nlm_locks=lambda: len(self.server.table),
            nlm_shares=lambda: len(self.server.shares),
            nlm_blocked=lambda: len(self.server.waiters),
            nlm_clients=lambda: len(self.server.hosts),
        )

    # -- the engine's seam

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        """A call that `prompt` did not answer."""
        reply = self.service.receive(data, origin, now)
        host = self.server.hosts.find((origin.peer.host, origin.local.host))
        if host is not None:
            host.calls += 1
        if self.trace.flags:
            self.trace.received(data, origin, reply)
        elif reply is not None and reply[-4:] == GRANTED:
            self.prompt.met(data, origin, reply)
        return reply

    def tick(self, now: Now) -> None:
        """Retransmissions, grants, the grace period, the monitor."""
        self.rpc.tick(now)
        self.monitor.tick(now)
        self.leases.tick(now)
        if self._local is not None:
            self._local.tick(self.server, now)
        if self.server.tick(now):
            self._grace_ended()
        self.trace.looked()

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        local = None if self._local is None else self._local.deadline()
        leases = self.leases.deadline()
        times = (self.rpc.deadline(), self.monitor.deadline(), self.server.deadline(), leases, local)
        return min((t for t in times if t is not None), default=None)

    def handle(self, event: object, now: Now) -> None:
        """What is not a packet."""
        match event:
            case SendFailed():
                self.rpc.send_failed(event, now)
            case TunableChanged(key=key):
                self._changed(key, now)
            case AppendFailed():
                self._rewrite = True
            case PersistFailed(name=name):
                self._undurable.add(name)
                self.service.forget_callers()
            case Persisted(name=name):
                self._undurable.discard(name)
            case NamesFound():
                self.access.resolved(event.address, event.names, event.netgroups, now.mono)
            case _:
                pass  # clock steps and the like: every timer here runs on monotonic time

    def drain(self) -> Iterator[Effect]:
        """What is to be done: the monitor's records first, then the journal, for answers wait for them."""
        effects = list(self.monitor.drain())
        data = self.server.journal.take(self.cache, self.server.grace)
        if data:
            effects.append(Append(data))
            self._rewrite = self._rewrite or self.server.journal.overgrown
        if self._rewrite:
            self._rewrite = False
            effects.append(Rewrite(self.snapshot()))
        effects += self.rpc.drain()
        if self.trace.flags:
            self.trace.carried(effects)
        effects += self._effects
        self._effects.clear()
        return iter(effects)

    # -- what the daemon and its operators tell

    def start_grace(self, now: Now, why: str) -> None:
        """Begin a grace period."""
        self.server.grace.start(now.mono)
        self.grace_changed()
        seconds = self.server.grace.period()
        self.log(
            Level.NOTICE,
            f"grace period of {seconds} s: {why}",
            GRACE_STARTED_ID,
            NLM_GRACE_SECONDS=str(seconds),
        )

    def end_grace(self) -> bool:
        """End it early; False when there is none."""
        ended = self.server.grace.end()
        if ended:
            self._grace_ended()
        return ended

    def drop_all(self, now: Now) -> int:
        """Void all locks and start a grace period; how many locks there were."""
        freed = self.server.drop_all(now)
        self.monitor.crash(now)
        self.start_grace(now, f"all locks dropped on request ({freed})")
        return freed

    def restore(self, payloads: Iterable[bytes | memoryview]) -> None:
        """Know what the journal of the last process says. WireError when it makes no sense: this engine is
        then of no use."""
        replay(self.server, self.cache, payloads)

    def snapshot(self) -> Iterator[bytes]:
        """A journal that says what is known now."""
        return self.server.journal.snapshot(self.server, self.cache)

    def prepare(self, now: Now) -> None:
        """Before the first packet: real files are locked as the journal says, and what was lost is for those
        who had it."""
        if self._local is not None and not self._prepared:
            self._local.begin(self.server)
        self._prepared = True
        if self._locks_lost:
            self._locks_lost = False
            self.start_grace(now, "clients held locks when this server last stopped")

    def begin(self, now: Now) -> None:
        """The sockets stand: notify clients of what was lost, or go on where the last process stopped."""
        self.prepare(now)
        self.monitor.begin(now)
        self.server.resume(now)
        self.leases.begin(now)

    def reload(self) -> None:
        """The configuration was read again: its rules of admission hold from the next call on."""
        self.server.refuse = self.configuration.pylockd.mode == "refuse"
        self._refused.clear()
        self.service.forget_callers()

    def log(self, level: Level, message: str, message_id: str | None = None, **fields: str) -> None:
        """Say something in the journal."""
        self._effects.append(Log(level, message, fields, message_id))

    def client_restarted(self, address: str, state: int, now: Now) -> None:
        """The status monitor says that a client lost its memory."""
        freed = self.server.host_restarted(address, state, now)
        self.rpc.forget_host(address)  # its lock manager has another port now
        text = f"client {address} restarted: {freed} locks and shares freed"
        self.log(Level.NOTICE, text, CLIENT_RESTARTED_ID, NLM_CLIENT=address, NLM_FREED=str(freed))
        if self._callout is not None:
            self._callout("sm-notify", address, address, str(state))

    def crash_simulated(self, now: Now) -> None:
        """SM_SIMU_CRASH: the monitor told everybody that we crashed, so let it be true."""
        freed = self.server.drop_all(now)
        self.start_grace(now, f"a crash was simulated ({freed} locks)")

    # -- how it is done

    def _file_key(self) -> Callable[[bytes, str], bytes] | None:
        """`[handles]`: what the lock table knows a file by; None, and no detour, if that is the handle."""
        handles = self.configuration.handles
        if handles.codec == "opaque" and not handles.codec_at and self._local is None:
            return None
        at = dict(pair.split("=", 1) for pair in handles.codec_at)

        def warn(text: str) -> None:
            self.log(Level.WARNING, text, RANDOM_HANDLES_ID)

        return Codecs(handles.codec, at, warn=warn).key

    def _key_name(self) -> bytes:
        """The same in short, for the journal."""
        handles = self.configuration.handles
        return " ".join((handles.codec, *handles.codec_at)).encode()

    def _changed(self, key: str, now: Now) -> None:
        if (
            key == self.configuration.tunables.key("nlm_end_grace")
            and self.configuration.tunables.nlm_end_grace
        ):
            self.end_grace()
        elif key == self.configuration.tunables.key("nlm_max_locks"):
            self.server.limits_changed()
        elif key == self.configuration.tunables.key("nlm_client_lease"):
            self.leases.begin(now)
        elif key == self.configuration.tunables.key("nlm_debug"):
            self.trace.set(self.configuration.tunables.nlm_debug)
            self.service.forget_callers()  # what is answered at a glance is not seen

    def _say(self, text: str) -> None:
        self.log(Level.INFO, text)

    def _lapsed(self, address: str, silence: float, now: Now) -> None:
        """No sign of life of a client for longer than its lease."""
        states = [host.state for host in self.server.hosts if host.address == address]
        freed = self.server.host_restarted(address, max(states, default=0), now)
        if freed:
            gone = f"client {address} gave no sign of life for {silence:.0f} s"
            text = f"{gone}: {freed} locks and shares freed"
            self.log(Level.WARNING, text, LAPSED_ID, NLM_CLIENT=address, NLM_FREED=str(freed))

    def _grace_ended(self) -> None:
        self.server.owed = None
        self.grace_changed()
        self.log(Level.NOTICE, "grace period over", GRACE_ENDED_ID)

    def _admit(self, call: Call, now: Now) -> AuthStat | None:
        """lockd_authenticate: NULL and callbacks are for all, whose rules look for themselves; the rest for
        allowed clients. Programs beside NLM judge their own callers."""
        procedure, program = call.procedure, call.program
        if procedure is None or program is None or program.number != NLM_PROGRAM:
            return None
        if procedure.number == 0 or procedure.number in procs.CALLBACKS:
            return None
        peer = call.origin.peer
        allowed = self.access.admits(peer.host, now.mono)
        if allowed is None or f"{MONITORED}/{peer.host}" in self._undurable:
            # not yet known, or not yet on disk: a repeated LOCK must not be told it is held before that is
            # durable
            raise Undecided
        why = ""
        if not allowed:
            why = "is not in [access] allow"
        elif self.configuration.access.require_privileged_port and peer.port >= PRIVILEGED_PORTS:
            why = f"calls from port {peer.port}, and [access] require_privileged_port is on"
        if not why:
            return None
        if peer.host not in self._refused and len(self._refused) < 1000:
            self._refused.add(peer.host)
            self.log(
                Level.WARNING,
                f"refused {procedure.name}: {peer.host} {why}",
                REFUSED_ID,
                NLM_CLIENT=peer.host,
            )
        return AuthStat.TOOWEAK if allowed else AuthStat.BADCRED
