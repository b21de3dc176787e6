# SPDX-License-Identifier: GPL-3.0-or-later
"""NLM on the wire: one table of cases, for versions 1, 3 and 4 over UDP and TCP, against bin/pylockd.

Each function marked @row is one case; `Wire` gives it two client hosts and a file handle of its own. The
clients share no code with the daemon. The last test has tshark judge every packet the daemon sent.
"""

from __future__ import annotations

import itertools
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hosts import nlmcalls as nlm
from hosts import peers, rpc
from hosts.callbacks import Arrived, Callbacks
from hosts.holder import Process
from hosts.lab import Capture, Host, Lab
from hosts.nlmcalls import LAST, Alock, Result
from hosts.waiting import wait_for

PROCEDURES = {
    1: range(1, 17),
    3: (*range(1, 17), 20, 21, 22, 23),
    4: (*range(1, 17), 20, 21, 22, 23),
}
TIMEOUT = 3
PORT = 4045


@dataclass(frozen=True, slots=True)
class Site:
    """A running pylockd and its client hosts."""

    lab: Lab
    server: Host
    clients: tuple[Host, Host]
    callbacks: tuple[Callbacks, Callbacks]
    ports: dict[bool, int]
    """By whether it is TCP."""
    capture: Capture
    process: Process


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("wire")
    folder.chmod(0o755)
    with Lab(3, limit=280.0) as lab:
        for host in (lab.h1, lab.h2, lab.h3):
            peers.start_rpcbind(host)
        capture = lab.h1.capture(folder / "packets.pcap", "not port 111", device="net0")
        settings = (f"nlm_timeout={TIMEOUT}", f"nlm_udpport={PORT}", f"nlm_tcpport={PORT}")
        configuration = "[pylockd]\n[nsm]\nmode = off\n"
        lockd = peers.start_pylockd(
            lab.h1, configuration, settings=tuple(f"fs.nfs.{setting}" for setting in settings)
        )
        ports = {False: PORT, True: PORT}
        with Callbacks(lab.h2) as first, Callbacks(lab.h3) as second:
            yield Site(
                lab,
                lab.h1,
                (lab.h2, lab.h3),
                (first, second),
                ports,
                capture,
                lockd.process,
            )


class Client:
    """One client host's calls in one row."""

    def __init__(self, wire: Wire, number: int) -> None:
        self.wire = wire
        self.host = wire.site.clients[number]
        self.callbacks = wire.site.callbacks[number]
        self.callbacks.status = nlm.OK
        kind = rpc.Tcp if wire.tcp else rpc.Udp
        self.line = kind(wire.site.server.address, wire.site.ports[wire.tcp], place=self.host.network)

    def alock(self, **where: object) -> Alock:
        return Alock(self.wire.fh, caller=self.host.name.encode()).but(**where)

    def call(self, procedure: int, arguments: bytes = b"", *, version: int | None = None) -> rpc.Reply:
        return self.line.call(
            rpc.NLM, self.wire.version if version is None else version, procedure, arguments
        )

    def result(self, procedure: int, arguments: bytes) -> Result:
        reply = self.call(procedure, arguments)
        assert reply.accepted == 0, reply
        found = nlm.read(procedure, reply.body, self.wire.version)
        assert found is not None and found.cookie == nlm.COOKIE
        return found

    def lock(self, *, procedure: int = nlm.LOCK, **options: object) -> int:
        flags = {name: options.pop(name) for name in ("block", "exclusive", "reclaim") if name in options}
        return self.result(procedure, nlm.lock(self.wire.version, self.alock(**options), **flags)).status

    def wait(self, **options: object) -> int:
        return self.lock(block=True, **options)

    def test(self, *, exclusive: bool = True, **where: object) -> Result:
        return self.result(nlm.TEST, nlm.test(self.wire.version, self.alock(**where), exclusive=exclusive))

    def unlock(self, **where: object) -> int:
        return self.result(nlm.UNLOCK, nlm.unlock(self.wire.version, self.alock(**where))).status

    def cancel(self, *, exclusive: bool = True, **where: object) -> int:
        arguments = nlm.cancel(self.wire.version, self.alock(**where), exclusive=exclusive)
        return self.result(nlm.CANCEL, arguments).status

    def share(self, access: int, mode: int, *, procedure: int = nlm.SHARE, **where: object) -> int:
        return self.result(procedure, nlm.share(self.alock(**where), access=access, mode=mode)).status

    def told(self, procedure: int, *, timeout: float = 30.0) -> Arrived:
        """The next call of this procedure about this row's file, or *_RES."""

        def wanted(found: Arrived) -> bool:
            if found.procedure != procedure:
                return False
            return procedure >= nlm.TEST_RES or found.granted()[2].fh == self.wire.fh

        udp = (self.wire.site.server.address, self.wire.site.ports[False])
        return self.callbacks.next(wanted, server=udp, timeout=timeout)

    def told_nothing(self) -> None:
        """No GRANTED about this row's file has come by the time another call was answered."""
        assert self.call(nlm.NULL).accepted == 0
        udp = (self.wire.site.server.address, self.wire.site.ports[False])
        for found in self.callbacks.drain(udp):
            assert found.procedure >= nlm.TEST_RES or found.granted()[2].fh != self.wire.fh, found


class Wire:
    """What a row works with."""

    numbers = itertools.count(1)

    def __init__(self, site: Site, version: int, tcp: bool) -> None:
        self.site, self.version, self.tcp = site, version, tcp
        self.fh = b"file %06d" % next(self.numbers)
        self.one, self.two = Client(self, 0), Client(self, 1)

    def old(self, new: int, old: int) -> int:
        """The status to expect: `new` in version 4, `old` before."""
        return new if self.version == 4 else old

    def close(self) -> None:
        self.one.line.close()
        self.two.line.close()


Row = tuple[str, int, bool, Callable[[Wire], None]]
ROWS: list[Row] = []


def row(
    *, versions: tuple[int, ...] = nlm.VERSIONS, tcp: tuple[bool, ...] = (False, True)
) -> Callable[[Callable[[Wire], None]], Callable[[Wire], None]]:
    """Put a case into the table, for these versions and transports."""

    def register(case: Callable[[Wire], None]) -> Callable[[Wire], None]:
        ROWS.extend((case.__name__, version, over, case) for version in versions for over in tcp)
        return case

    return register


def row_each(
    values: dict[str, object], **only: tuple[int, ...]
) -> Callable[[Callable[[Wire, object], None]], None]:
    """A case for each of `values`."""

    def register(case: Callable[[Wire, object], None]) -> None:
        for name, value in values.items():

            def one(wire: Wire, value: object = value) -> None:
                case(wire, value)

            one.__name__ = f"{case.__name__}[{name}]"
            row(**only)(one)

    return register


NEWER = (3, 4)
ONCE = (4,)
"""For cases in which the version is not what matters."""

# ---------------------------------------------------------------------- LOCK, UNLOCK, TEST


@row()
def null_answers_nothing(wire: Wire) -> None:
    for arguments in (b"", bytes(8)):
        reply = wire.one.call(nlm.NULL, arguments)
        assert (reply.accepted, reply.body) == (0, b"")


@row()
def a_lock_is_granted_once_and_again_after_unlock(wire: Wire) -> None:
    assert wire.one.lock() == nlm.OK
    assert wire.two.lock() == nlm.DENIED
    assert wire.one.lock() == nlm.OK, "its own"
    assert wire.one.unlock() == nlm.OK
    assert wire.two.lock() == nlm.OK


@row()
def a_test_is_granted_or_names_the_holder(wire: Wire) -> None:
    assert wire.two.test() == Result(nlm.COOKIE, nlm.OK)
    wire.one.lock(svid=77, offset=5, length=6, oh=b"\0holder", exclusive=False)
    assert wire.two.test(exclusive=False).status == nlm.OK
    assert wire.two.test().holder == nlm.Holder(False, 77, b"\0holder", 5, 6)
    assert wire.one.test(svid=77).status == nlm.OK


@row()
def readers_share_and_keep_writers_out(wire: Wire) -> None:
    assert wire.one.lock(exclusive=False) == wire.two.lock(exclusive=False) == nlm.OK
    assert wire.one.lock(svid=2) == nlm.DENIED
    assert wire.one.lock() == nlm.DENIED, "an upgrade while another reads"
    assert wire.two.unlock() == nlm.OK
    assert wire.one.lock() == nlm.OK
    assert wire.two.lock(exclusive=False) == nlm.DENIED


@row()
def a_downgrade_lets_readers_in(wire: Wire) -> None:
    wire.one.lock()
    assert wire.one.lock(exclusive=False) == nlm.OK
    assert wire.two.lock(exclusive=False) == nlm.OK


@row()
def an_unlock_in_the_middle_splits(wire: Wire) -> None:
    wire.one.lock(offset=0, length=100)
    assert wire.one.unlock(offset=40, length=20) == nlm.OK
    assert wire.two.lock(offset=40, length=20) == nlm.OK
    assert wire.two.test(offset=0, length=40).holder.length == 40
    assert wire.two.test(offset=60, length=40).holder.offset == 60


@row()
def neighbours_are_one_lock(wire: Wire) -> None:
    for offset in (20, 0, 10):
        wire.one.lock(offset=offset, length=10)
    holder = wire.two.test(offset=5, length=1).holder
    assert (holder.offset, holder.length) == (0, 30)


@row()
def unlocking_nothing_succeeds(wire: Wire) -> None:
    assert wire.one.unlock() == nlm.OK


@row()
def length_zero_is_to_the_end(wire: Wire) -> None:
    wire.one.lock(offset=100, length=0)
    assert wire.two.lock(offset=99, length=1) == nlm.OK
    assert wire.two.lock(offset=2**31 - 1, length=1) == nlm.DENIED
    assert wire.two.test(offset=100, length=1).holder.length == 0
    assert wire.one.unlock(offset=0, length=0) == nlm.OK
    assert wire.two.lock(offset=100, length=0) == nlm.OK


EDGES = {
    "all": (0, 0, nlm.OK),
    "last byte": (LAST, 1, nlm.OK),
    "last byte to the end": (LAST, 0, nlm.OK),
    "one beyond": (LAST, 2, nlm.FBIG),
    "behind the end": (LAST + 1, 0, nlm.FBIG),
    "wrapping": (2**64 - 1, 2**64 - 1, nlm.FBIG),
}


@row_each(EDGES, versions=(4,))
def a_64_bit_range(wire: Wire, edge: tuple[int, int, int]) -> None:
    offset, length, status = edge
    where = {"offset": offset, "length": length}
    assert wire.one.lock(**where) == wire.one.test(**where).status == status
    assert wire.one.unlock(**where) == wire.one.cancel(**where) == status


@row(versions=(1, 3))
def a_32_bit_range_goes_to_its_last_number(wire: Wire) -> None:
    assert wire.one.lock(offset=2**32 - 1, length=2**32 - 1) == nlm.OK
    assert wire.two.lock(offset=2**32 - 1, length=1) == nlm.DENIED


@row(versions=(1, 3))
def a_64_bit_holder_is_shown_as_far_as_32_bits_go(wire: Wire) -> None:
    lock = wire.one.alock(offset=2**40, length=2**41)
    assert nlm.read_result(wire.one.call(nlm.LOCK, nlm.lock(4, lock), version=4).body).status == nlm.OK
    holder = wire.two.test(length=0).holder
    assert (holder.offset, holder.length) == (2**31 - 1, 2**31 - 1)


@row_each({str(size): size for size in (1, 2, 3, 4, 31, 32, 63, 64)})
def a_file_handle_of_n_bytes(wire: Wire, size: int) -> None:
    fh = (
        (wire.fh + bytes(64))[5 : 5 + size]
        if size > 6
        else struct.pack(">Q", hash(wire.fh) & 2**64 - 1)[:size]
    )
    wire.one.unlock(fh=fh)
    assert wire.one.lock(fh=fh) in (nlm.OK, nlm.DENIED)
    assert wire.one.unlock(fh=fh) == nlm.OK


@row()
def a_file_handle_too_long_is_garbage_and_an_empty_one_stale(wire: Wire) -> None:
    for procedure, arguments in (
        (nlm.LOCK, nlm.lock(wire.version, wire.one.alock(fh=bytes(65)))),
        (nlm.TEST, nlm.test(wire.version, wire.one.alock(fh=bytes(65)))),
    ):
        assert wire.one.call(procedure, arguments).accepted == 4
    assert wire.one.lock(fh=b"") == wire.old(nlm.STALE, nlm.NOLOCKS)


@row_each({str(size): size for size in (0, 1, 4, 16, 1024)})
def a_cookie_of_n_bytes_comes_back(wire: Wire, size: int) -> None:
    cookie = bytes(range(256))[:size] * (4 if size == 1024 else 1) if size <= 256 else bytes(range(256)) * 4
    arguments = nlm.lock(wire.version, wire.one.alock(), cookie=cookie)
    assert nlm.read_result(wire.one.call(nlm.LOCK, arguments).body) == Result(cookie, nlm.OK)


@row()
def a_repeated_call_is_answered_again_and_not_executed(wire: Wire) -> None:
    arguments = nlm.unlock(wire.version, wire.one.alock())
    message = rpc.call_bytes(rpc.NLM, wire.version, nlm.UNLOCK, arguments)
    wire.one.lock()
    for _ in range(2):
        wire.one.line.send(message)
        assert rpc.Reply.parse(wire.one.line.receive()).accepted == 0
        assert wire.one.lock() == nlm.OK
    assert wire.two.lock() == nlm.DENIED


@row()
def nobody_elses_lock_is_unlocked_by_name(wire: Wire) -> None:
    wire.one.lock(svid=5)
    assert wire.two.unlock(svid=5, caller=wire.one.host.name.encode()) == nlm.OK
    assert wire.two.lock() == nlm.DENIED


# ---------------------------------------------------------------------- blocking and callbacks


@row()
def a_blocked_lock_is_granted_by_callback(wire: Wire) -> None:
    wire.one.lock(offset=0, length=0)
    assert wire.two.wait(svid=9, offset=3, length=4, oh=b"\xff\0own") == nlm.BLOCKED
    wire.two.told_nothing()
    wire.one.unlock(offset=0, length=0)
    found = wire.two.told(nlm.GRANTED)
    _, exclusive, lock = found.granted()
    assert (lock.fh, lock.svid, lock.offset, lock.length, lock.oh) == (wire.fh, 9, 3, 4, b"\xff\0own")
    assert exclusive and (found.version, found.tcp) == (wire.version, wire.tcp)
    assert found.source[0] == wire.site.server.address
    assert wire.tcp or found.source[1] == wire.site.ports[False]
    assert wire.one.lock(offset=3, length=1) == nlm.DENIED


@row()
def who_blocked_by_msg_is_told_by_msg(wire: Wire) -> None:
    wire.one.lock()
    arguments = nlm.lock(wire.version, wire.two.alock(), block=True, cookie=wire.fh)
    wire.two.line.send(rpc.call_bytes(rpc.NLM, wire.version, nlm.LOCK_MSG, arguments))
    assert wire.two.told(nlm.LOCK_RES).result() == Result(wire.fh, nlm.BLOCKED)
    wire.one.unlock()
    found = wire.two.told(nlm.GRANTED_MSG)
    assert (found.version, found.tcp) == (wire.version, wire.tcp)
    assert wire.one.test().status == nlm.DENIED


@row()
def msg_calls_bring_their_results_back(wire: Wire) -> None:
    wire.one.lock(svid=4)
    version, alock = wire.version, wire.two.alock()
    for procedure, arguments, status in (
        (nlm.TEST_MSG, nlm.test(version, alock, cookie=wire.fh), nlm.DENIED),
        (nlm.LOCK_MSG, nlm.lock(version, alock, cookie=wire.fh), nlm.DENIED),
        (nlm.CANCEL_MSG, nlm.cancel(version, alock, cookie=wire.fh), nlm.OK),
        (nlm.UNLOCK_MSG, nlm.unlock(version, alock, cookie=wire.fh), nlm.OK),
    ):
        wire.two.line.send(rpc.call_bytes(rpc.NLM, version, procedure, arguments))
        found = wire.two.told(procedure + 5)
        result = found.result()
        assert (result.cookie, result.status) == (wire.fh, status)
        assert found.version == version and found.tcp == wire.tcp
        assert found.source[0] == wire.site.server.address
        assert wire.tcp or found.source[1] == wire.site.ports[False]
        if procedure == nlm.TEST_MSG:
            assert result.holder is not None and result.holder.svid == 4


@row()
def a_cancelled_wait_is_over(wire: Wire) -> None:
    wire.one.lock()
    wire.two.wait()
    assert wire.two.cancel(exclusive=False) == nlm.OK, "nothing of that mode waits"
    assert wire.two.cancel() == wire.two.cancel() == nlm.OK
    wire.one.unlock()
    assert wire.one.lock() == nlm.OK
    wire.two.told_nothing()


@row()
def a_cancel_of_what_is_granted_is_denied(wire: Wire) -> None:
    wire.two.callbacks.status = None
    wire.one.lock()
    wire.two.wait()
    wire.one.unlock()
    wire.two.told(nlm.GRANTED)
    assert wire.two.cancel() == nlm.DENIED
    assert wire.one.lock() == nlm.DENIED
    assert wire.two.unlock() == nlm.OK
    assert wire.one.lock() == nlm.OK


@row()
def a_repeated_wait_waits_once(wire: Wire) -> None:
    wire.one.lock()
    assert {wire.two.wait() for _ in range(3)} == {nlm.BLOCKED}
    wire.one.unlock()
    wire.two.told(nlm.GRANTED)
    assert wire.two.unlock() == nlm.OK
    assert wire.one.lock() == nlm.OK
    wire.two.told_nothing()


@row()
def a_client_that_refuses_loses_the_lock_to_the_next(wire: Wire) -> None:
    wire.one.lock(svid=1)
    wire.two.callbacks.status = nlm.DENIED
    wire.two.wait()
    wire.one.wait(svid=2)
    wire.one.unlock(svid=1)
    wire.two.told(nlm.GRANTED)
    assert wire.one.told(nlm.GRANTED).granted()[2].svid == 2


@row()
def a_client_in_grace_keeps_the_lock(wire: Wire) -> None:
    wire.two.callbacks.status = nlm.GRACE
    wire.one.lock()
    wire.two.wait()
    wire.one.unlock()
    wire.two.told(nlm.GRANTED)
    assert wire.one.lock() == nlm.DENIED
    assert wire.two.wait() == nlm.OK


@row()
def readers_that_wait_are_told_together(wire: Wire) -> None:
    wire.one.lock()
    for svid in range(5):
        assert wire.two.wait(svid=svid, exclusive=False) == nlm.BLOCKED
    wire.one.unlock()
    svids = {wire.two.told(nlm.GRANTED).granted()[2].svid for _ in range(5)}
    assert svids == set(range(5))


@row()
def waiters_are_served_in_turn(wire: Wire) -> None:
    wire.one.lock()
    for svid in (5, 3, 4):
        wire.two.wait(svid=svid)
    holder, order = wire.one, []
    holder.unlock()
    for _ in range(3):
        order.append(wire.two.told(nlm.GRANTED).granted()[2].svid)
        wire.two.unlock(svid=order[-1])
    assert order == [5, 3, 4]


@row()
def a_circle_of_waits_is_a_deadlock(wire: Wire) -> None:
    one, two = wire.one, wire.two
    other = wire.fh + b" b"
    assert one.lock() == two.lock(fh=other) == one.lock(svid=3, offset=1000) == nlm.OK
    assert one.wait(fh=other) == nlm.BLOCKED
    assert two.wait(offset=1000) == nlm.BLOCKED
    assert one.wait(svid=3) == wire.old(nlm.DEADLOCK, nlm.DENIED)
    one.cancel(fh=other)
    two.cancel(offset=1000)


@row(versions=(4,))
def granted_is_repeated_until_it_is_answered(wire: Wire) -> None:
    wire.two.callbacks.status = None
    wire.one.lock()
    wire.two.wait()
    wire.one.unlock()
    first, second = wire.two.told(nlm.GRANTED), wire.two.told(nlm.GRANTED)
    assert second.moment - first.moment > TIMEOUT * 0.8
    assert first.message == second.message
    wire.two.callbacks.status = nlm.OK
    wire.two.told(nlm.GRANTED, timeout=60)
    assert wire.one.lock() == nlm.DENIED


# ---------------------------------------------------------------------- SHARE, NM_LOCK, FREE_ALL, the rest


@row(versions=NEWER)
def shares_clash_as_their_matrix_says(wire: Wire) -> None:
    kinds = list(itertools.product(range(4), repeat=2))
    for access, deny in kinds:
        assert wire.one.share(access, deny) == nlm.OK
        for other, other_deny in kinds:
            clash = access & other_deny or other & deny
            assert wire.two.share(other, other_deny) == (nlm.DENIED if clash else nlm.OK)
            assert wire.two.share(other, other_deny, procedure=nlm.UNSHARE) == nlm.OK
        assert wire.one.share(access, deny, procedure=nlm.UNSHARE) == nlm.OK


@row(versions=NEWER)
def one_owner_may_share_several_times(wire: Wire) -> None:
    assert wire.one.share(1, 0) == wire.one.share(0, 3) == wire.one.share(3, 3) == nlm.OK
    assert wire.two.share(1, 0) == nlm.DENIED


@row(versions=NEWER)
def unsharing_nothing_succeeds(wire: Wire) -> None:
    assert wire.one.share(3, 3, procedure=nlm.UNSHARE) == nlm.OK


@row(versions=NEWER)
def a_share_of_no_known_kind_fails(wire: Wire) -> None:
    assert wire.one.share(4, 0) == wire.one.share(0, 2**31) == wire.old(nlm.FAILED, nlm.NOLOCKS)


@row(versions=NEWER)
def nm_lock_locks_and_never_blocks(wire: Wire) -> None:
    assert wire.one.lock(procedure=nlm.NM_LOCK) == nlm.OK
    assert wire.two.lock(procedure=nlm.NM_LOCK, block=True) == nlm.DENIED
    assert wire.one.unlock() == nlm.OK
    assert wire.two.lock(procedure=nlm.NM_LOCK) == nlm.OK


@row(versions=NEWER)
def free_all_frees_the_callers_own_only(wire: Wire) -> None:
    other = wire.fh + b" b"
    wire.one.lock()
    wire.one.share(3, 3)
    wire.two.lock(fh=other)
    reply = wire.one.call(nlm.FREE_ALL, nlm.free_all(wire.two.host.name.encode()))
    assert (reply.accepted, reply.body) == (0, b"")
    assert wire.two.lock() == wire.two.share(3, 3) == nlm.OK
    assert wire.one.lock(fh=other) == nlm.DENIED


@row()
def a_reclaim_outside_grace_is_refused(wire: Wire) -> None:
    assert wire.one.lock(reclaim=True) == nlm.GRACE
    assert wire.two.lock() == nlm.OK


@row()
def granted_to_the_server_is_denied(wire: Wire) -> None:
    assert wire.one.result(nlm.GRANTED, nlm.test(wire.version, wire.one.alock())).status == nlm.DENIED


@row()
def sm_notify_from_afar_frees_nothing(wire: Wire) -> None:
    wire.one.lock()
    for name in (wire.one.host.address, wire.one.host.name):
        wire.two.call(nlm.SM_NOTIFY, nlm.sm_notify(name.encode(), 3))
    assert wire.two.lock() == nlm.DENIED


RESULTS = {"test": 11, "lock": 12, "cancel": 13, "unlock": 14, "granted": 15}


@row_each(RESULTS)
def an_unexpected_result_is_taken_and_ignored(wire: Wire, procedure: int) -> None:
    reply = wire.one.call(procedure, nlm.result(nlm.OK, b"whose?"))
    assert (reply.accepted, reply.body) == (0, b"")


# ---------------------------------------------------------------------- what is not a good call


def _garbage(version: int, procedure: int) -> None:
    def garbage_arguments(wire: Wire) -> None:
        for arguments in (b"", b"\xff" * 4, b"\xff" * 400, rpc.opaque(bytes(1025)) + bytes(500)):
            reply = wire.one.call(procedure, arguments)
            assert (reply.accepted, reply.body) == (4, b"")

    garbage_arguments.__name__ += f"[{procedure}]"
    row(versions=(version,))(garbage_arguments)


for _version, _procedures in PROCEDURES.items():
    for _procedure in _procedures:
        _garbage(_version, _procedure)


@row_each({str(number): number for number in (17, 18, 19, 24, 100, 2**32 - 1)})
def a_procedure_that_is_not_there(wire: Wire, procedure: int) -> None:
    reply = wire.one.call(procedure)
    assert (reply.accepted, reply.body) == (3, b"")


@row_each({str(number): number for number in (20, 21, 22, 23)}, versions=(1,))
def a_procedure_that_version_1_does_not_have(wire: Wire, procedure: int) -> None:
    assert wire.one.call(procedure, nlm.share(wire.one.alock())).accepted == 3


@row_each({str(number): number for number in (0, 2, 5, 2**32 - 1)}, versions=ONCE)
def a_version_that_is_not_there(wire: Wire, version: int) -> None:
    for procedure in (nlm.NULL, nlm.LOCK, 99):
        reply = wire.one.call(procedure, version=version)
        assert (reply.accepted, reply.body) == (2, rpc.u32(1, 4))


@row_each({str(number): number for number in (0, 100003, 100020, 2**32 - 1)}, versions=ONCE)
def a_program_that_is_not_there(wire: Wire, program: int) -> None:
    reply = wire.one.line.call(program, 4, 0)
    assert (reply.accepted, reply.body) == (1, b"")


def sent(client: Client, message: bytes) -> rpc.Reply:
    client.line.send(message)
    return rpc.Reply.parse(client.line.receive())


@row_each({str(number): number for number in (0, 1, 3, 2**32 - 1)}, versions=ONCE)
def another_rpc_version(wire: Wire, version: int) -> None:
    reply = sent(wire.one, rpc.call_bytes(rpc.NLM, 4, 0, rpc_version=version))
    assert (reply.denied, reply.body) == (0, rpc.u32(2, 2))


FLAVORS = {"short": 2, "dh": 3, "krb4": 4, "rsa": 5, "gss": 6, "tls": 7, "unknown": 2**32 - 1}


@row_each(FLAVORS)
def a_credential_of_another_flavour_is_an_auth_error_even_for_null(wire: Wire, flavor: int) -> None:
    for procedure, body in itertools.product((nlm.NULL, nlm.LOCK, nlm.GRANTED, 99), (b"", b"12345")):
        credential = rpc.u32(flavor) + rpc.opaque(body)
        message = rpc.call_bytes(rpc.NLM, wire.version, procedure, credential=credential)
        reply = sent(wire.one, message)
        assert (reply.accepted, reply.denied) == (None, 1)
        assert reply.body in {rpc.u32(number) for number in (1, 2, 5)}


@row()
def auth_none_is_as_good_as_auth_sys(wire: Wire) -> None:
    arguments = nlm.lock(wire.version, wire.one.alock())
    message = rpc.call_bytes(rpc.NLM, wire.version, nlm.LOCK, arguments, credential=rpc.AUTH_NONE)
    assert nlm.read_result(sent(wire.one, message).body).status == nlm.OK


@row(versions=ONCE)
def a_verifier_where_none_is_due_is_an_auth_error(wire: Wire) -> None:
    message = rpc.u32(1, rpc.CALL, 2, rpc.NLM, 4, 0) + rpc.AUTH_NONE + rpc.u32(6) + rpc.opaque(b"sig")
    reply = sent(wire.one, message)
    assert (reply.denied, reply.body) == (1, rpc.u32(3))


@row(versions=ONCE)
def what_is_no_call_is_dropped_and_harms_nothing(wire: Wire) -> None:
    good = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, nlm.lock(4, wire.one.alock()))
    for junk in (b"", b"x", bytes(11), rpc.u32(1, 2, 3), rpc.u32(9, 1, 0, 0, 0, 0), good[:30], b"\xff" * 200):
        wire.one.line.send(junk)
    assert wire.one.lock() == nlm.OK
    assert wire.two.lock() == nlm.DENIED


@row(versions=ONCE)
def every_call_cut_short_is_garbage_or_dropped(wire: Wire) -> None:
    good = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, nlm.lock(4, wire.one.alock()), xid=0x7A7A7A7A)
    start = len(rpc.call_bytes(rpc.NLM, 4, nlm.LOCK))
    for size in range(start, len(good)):
        assert sent(wire.one, good[:size]).accepted == 4
    assert wire.two.lock() == nlm.OK


# ---------------------------------------------------------------------- TCP streams, UDP sizes


@row_each({str(size): size for size in (1, 3, 4, 5, 7, 64)}, versions=ONCE, tcp=(True,))
def fragments_of_n_bytes(wire: Wire, size: int) -> None:
    message = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, nlm.lock(4, wire.one.alock()))
    wire.one.line.send(message, fragment=size)
    assert nlm.read_result(rpc.Reply.parse(wire.one.line.receive()).body).status == nlm.OK


@row(versions=ONCE, tcp=(True,))
def empty_fragments_between_the_others(wire: Wire) -> None:
    message = rpc.call_bytes(rpc.NLM, 4, nlm.NULL)
    half = len(message) // 2
    pieces = [b"", message[:half], b"", message[half:], b""]
    marks = [0, 0, 0, 0, 0x80000000]
    wire.one.line.send_raw(b"".join(rpc.u32(m | len(p)) + p for m, p in zip(marks, pieces, strict=True)))
    assert rpc.Reply.parse(wire.one.line.receive()).accepted == 0


@row(versions=ONCE, tcp=(True,))
def a_record_in_segments_of_one_byte(wire: Wire) -> None:
    message = rpc.call_bytes(rpc.NLM, 4, nlm.NULL)
    for byte in rpc.u32(0x80000000 | len(message)) + message:
        wire.one.line.send_raw(bytes([byte]))
    assert rpc.Reply.parse(wire.one.line.receive()).accepted == 0


@row(versions=nlm.VERSIONS, tcp=(True,))
def many_records_in_one_segment_are_answered_in_order(wire: Wire) -> None:
    calls = []
    for number in range(100):
        lock = wire.one.alock(offset=20 * number)
        calls.append(rpc.call_bytes(rpc.NLM, wire.version, nlm.LOCK, nlm.lock(wire.version, lock)))
    wire.one.line.send_raw(b"".join(rpc.u32(0x80000000 | len(call)) + call for call in calls))
    replies = [rpc.Reply.parse(wire.one.line.receive()) for _ in calls]
    assert [reply.xid for reply in replies] == [int.from_bytes(call[:4]) for call in calls]
    assert {nlm.read_result(reply.body).status for reply in replies} == {nlm.OK}


@row_each({"2 GiB": 0xFFFFFFFF, "1 GiB": 0xC0000000, "not the last": 0x7FFFFFFF}, versions=ONCE, tcp=(True,))
def a_record_of_a_size_nobody_sends_closes_the_connection(wire: Wire, mark: int) -> None:
    wire.one.line.send_raw(rpc.u32(mark) + bytes(100))
    with pytest.raises((EOFError, ConnectionError)):
        wire.one.line.receive()
    assert wire.two.lock() == nlm.OK, "others go on"


@row(versions=ONCE, tcp=(True,))
def fragments_without_end_close_the_connection(wire: Wire) -> None:
    with pytest.raises((EOFError, ConnectionError, TimeoutError)):
        for _ in range(4000):
            wire.one.line.send_raw(rpc.u32(1000) + bytes(1000))
        wire.one.line.receive()
    assert wire.two.lock() == nlm.OK


@row(versions=ONCE, tcp=(True,))
def a_client_that_sends_no_more_still_gets_its_answers(wire: Wire) -> None:
    wire.one.line.send(rpc.call_bytes(rpc.NLM, 4, nlm.NULL))
    wire.one.line.sock.shutdown(1)
    assert rpc.Reply.parse(wire.one.line.receive()).accepted == 0


@row(versions=ONCE, tcp=(True,))
def locks_outlive_the_connection_they_came_by(wire: Wire) -> None:
    wire.one.lock()
    wire.one.line.close()
    assert wire.two.lock() == nlm.DENIED


@row(versions=ONCE, tcp=(False,))
def a_datagram_of_any_size_harms_nothing(wire: Wire) -> None:
    message = rpc.call_bytes(rpc.NLM, 4, nlm.NULL)
    for size in (0, 1, 1472, 1473, 8800, 9216, 9217, 20000, 65507):
        wire.one.line.send((message + bytes(size))[:size] if size else b"")
    assert wire.one.lock() == nlm.OK


@row(versions=ONCE, tcp=(False,))
def a_call_as_long_as_a_datagram_may_be_is_answered(wire: Wire) -> None:
    lock = wire.one.alock(caller=b"c" * 1024, oh=b"o" * 1024, fh=bytes(64))
    message = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, nlm.lock(4, lock, cookie=b"k" * 1024))
    assert nlm.read_result(sent(wire.one, message).body).cookie == b"k" * 1024
    assert nlm.read_result(wire.one.call(nlm.UNLOCK, nlm.unlock(4, lock)).body).status == nlm.OK


# ---------------------------------------------------------------------- the table


def test_the_table_is_as_long_as_it_should_be():
    assert len(ROWS) >= 250
    assert len({(name, version, tcp) for name, version, tcp, _ in ROWS}) == len(ROWS)


@pytest.mark.needs("rpcbind", "tcpdump")
@pytest.mark.parametrize(
    ("version", "tcp", "case"),
    [
        pytest.param(version, tcp, case, id=f"v{version}-{'tcp' if tcp else 'udp'}-{name}")
        for name, version, tcp, case in ROWS
    ],
)
def test_row(site, version, tcp, case):
    wire = Wire(site, version, tcp)
    try:
        case(wire)
    finally:
        wire.close()
    assert site.process.running


@pytest.mark.needs("rpcbind", "tcpdump")
def test_nlm_timeout_written_to_the_tree_is_obeyed_by_the_next_callback(site):
    wire = Wire(site, 4, tcp=False)
    key = "/run/pysysctl/fs/nfs/nlm_timeout"
    try:
        site.server.run("sh", "-c", f"echo 6 >{key}", check=True)
        wait_for(lambda: site.server.read(key) == "6\n", what="the tree")
        wire.two.callbacks.status = None
        wire.one.lock()
        wire.two.wait()
        wire.one.unlock()
        first, second = wire.two.told(nlm.GRANTED), wire.two.told(nlm.GRANTED, timeout=60)
        assert second.moment - first.moment > 6 * 0.8
        assert wire.two.unlock() == nlm.OK
    finally:
        site.server.run("sh", "-c", f"echo {TIMEOUT} >{key}", check=True)
        wire.close()


@pytest.mark.needs("tcpdump", "tshark")
def test_tshark_finds_nothing_wrong_with_any_packet_of_the_daemon(site):
    """The clients' own packets are often wrong on purpose: only those from the server are judged.

    A client's port, drawn at random, may be one that tshark knows as something else's: what the server's port
    says is taken for RPC, whatever else it looks like.
    """
    packets = site.capture.finish()
    decode = [word for port in ("udp.port", "tcp.port") for word in ("-d", f"{port}=={PORT},rpc")]

    def shown(expression: str, *, source: Host = site.server) -> list[str]:
        words = f"ip.src == {source.address} && ({expression})"
        command = ["tshark", "-2", *decode, "-r", packets, "-Y", words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout.splitlines()

    assert len(shown("nlm")) > 250
    assert len(shown("rpc && _ws.malformed", source=site.clients[0])) > 10, "it can tell"
    assert shown("rpc && _ws.malformed") == []
    assert shown("rpc && _ws.expert.severity == error && !tcp.analysis.flags") == []
    assert shown(f"udp.srcport == {PORT} && !rpc && !icmp") == []
