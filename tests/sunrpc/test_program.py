# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service answers calls: every way of RFC 5531 to refuse, and at most once what must not be
repeated."""

from struct import pack
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.network import Clock, Origins
from pydaemons.engine.protocol import Now, Origin
from pydaemons.sunrpc import message
from pydaemons.sunrpc import program as program_module
from pydaemons.sunrpc.auth import pack_sys
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.message import AcceptStat, AuthStat
from pydaemons.sunrpc.program import (
    KNOWN_CALLS_PER_ORIGIN,
    LONGEST_KEPT,
    Call,
    Procedure,
    Program,
    Service,
    Undecided,
)
from pydaemons.wire.record import Codec
from pydaemons.wire.xdr import VOID, UInt, Void


class Number(NamedTuple):
    value: UInt


NUMBER = Codec(Number)
CRED = pack_sys(b"client")


class Bench:
    """A service with three procedures: double (idempotent), count (not), silent (never answers)."""

    def __init__(self) -> None:
        self.count = 0
        self.calls: list[Call] = []
        self.verdict: AuthStat | None = None
        self.undecided = False
        self.replies: list[bytes] = []
        self.clock, self.origin = Clock(), Origins()
        table = {
            0: Procedure(0, "NULL", VOID, VOID, lambda args, call, now: Void()),
            1: Procedure(1, "DOUBLE", NUMBER, NUMBER, self.double),
            2: Procedure(2, "COUNT", NUMBER, NUMBER, self.counting, once=True),
            3: Procedure(3, "SILENT", NUMBER, VOID, lambda args, call, now: None),
        }
        self.cache = ReplyCache()
        self.service = Service(
            [Program(300, "bench", {2: table, 5: table})],
            admit=self.admit,
            cache=self.cache,
            replies=lambda data, origin, now: self.replies.append(data),
        )

    def double(self, args: Number, call: Call, now: Now) -> Number:
        self.calls.append(call)
        return Number(args.value * 2 & 0xFFFFFFFF)

    def counting(self, args: Number, call: Call, now: Now) -> Number:
        self.count += 1
        return Number(self.count)

    def admit(self, call: Call, now: Now) -> AuthStat | None:
        if self.undecided:
            raise Undecided
        return self.verdict

    def call(
        self,
        procedure: int,
        value: int = 21,
        *,
        xid: int = 1,
        program: int = 300,
        version: int = 5,
        cred: bytes | None = CRED,
        host: str = "10.0.0.2",
        port: int = 700,
        args: bytes | None = None,
    ) -> bytes | None:
        body = NUMBER.pack(Number(value)) if args is None else args
        data = message.pack_call(
            xid=xid, program=program, version=version, procedure=procedure, args=body, cred=cred
        )
        return self.send(data, self.origin(host, port))

    def send(self, data: bytes, origin: Origin) -> bytes | None:
        return self.service.receive(data, origin, self.clock.now)


def success(value: int, xid: int = 1) -> bytes:
    return pack(">I", xid) + message.SUCCESS + NUMBER.pack(Number(value))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_call_is_answered_with_its_result_each_time(bench: Bench) -> None:
    for xid in (1, 2, 3):
        assert bench.call(1, 21, xid=xid) == success(42, xid)


def test_the_same_caller_and_procedure_is_one_call_object(bench: Bench) -> None:
    bench.call(1, xid=1)
    bench.call(1, xid=2)
    bench.call(1, xid=3, host="10.0.0.3")
    assert bench.calls[0] is bench.calls[1]
    assert bench.calls[2] is not bench.calls[0]
    assert bench.calls[0].credential is not None
    assert bench.calls[0].version == 5


@pytest.mark.parametrize(
    ("what", "tail"),
    [
        ({"program": 301}, message.accepted(AcceptStat.PROG_UNAVAIL)),
        ({"version": 3}, message.prog_mismatch(2, 5)),
        ({"version": 9}, message.prog_mismatch(2, 5)),
        ({"procedure": 17}, message.accepted(AcceptStat.PROC_UNAVAIL)),
        ({"args": b"\0\0"}, message.accepted(AcceptStat.GARBAGE_ARGS)),
        ({"cred": pack(">II", 6, 4) + b"gss!"}, message.denied(AuthStat.BADCRED)),
        ({"cred": pack(">II", 6, 4) + b"gss!", "program": 301}, message.denied(AuthStat.BADCRED)),
    ],
)
def test_each_refusal_of_rfc_5531_is_given_as_often_as_asked(
    bench: Bench, what: dict[str, object], tail: bytes
) -> None:
    for xid in (5, 6):
        reply = bench.call(**{"procedure": 1, **what}, xid=xid)  # type: ignore[arg-type]
        assert reply == pack(">I", xid) + tail
    assert sum(bench.service.counts.values()) == 2


def test_another_rpc_version_is_told_which_is_spoken(bench: Bench) -> None:
    assert bench.send(pack(">III", 8, 0, 3), bench.origin("h")) == pack(">I", 8) + message.RPC_MISMATCH


def test_a_refused_client_is_told_so_until_the_rules_change(bench: Bench) -> None:
    bench.verdict = AuthStat.TOOWEAK
    assert bench.call(1) == pack(">I", 1) + message.denied(AuthStat.TOOWEAK)
    bench.verdict = None
    assert bench.call(1) == pack(">I", 1) + message.denied(AuthStat.TOOWEAK)
    bench.service.forget_callers()
    assert bench.call(1) == success(42)


def test_an_undecided_admission_drops_the_call_and_asks_again(bench: Bench) -> None:
    bench.undecided = True
    assert bench.call(1) is None
    bench.undecided = False
    assert bench.call(1) == success(42)


def test_a_repeated_call_is_not_executed_again(bench: Bench) -> None:
    assert bench.call(2, xid=1) == success(1, 1)
    assert bench.call(2, xid=1) == success(1, 1)
    assert bench.count == 1
    assert bench.call(2, xid=2) == success(2, 2)
    assert bench.call(2, xid=1, host="10.0.0.9") == success(3, 1), "another host's xids are its own"
    assert bench.call(2, xid=1, value=5) == success(4, 1), "other arguments are another call"
    assert bench.call(2, xid=1, port=701) == success(5, 1), "a program started anew counts from 1 again"


def test_a_procedure_without_an_answer_sends_none(bench: Bench) -> None:
    assert bench.call(3) is None


def test_replies_to_our_own_calls_are_passed_on(bench: Bench) -> None:
    data = pack(">I", 77) + message.SUCCESS
    assert bench.send(data, bench.origin("h")) is None
    assert bench.replies == [data]


@given(st.binary(max_size=120))
def test_any_bytes_are_answered_or_dropped(data: bytes) -> None:
    bench = Bench()
    for _ in range(2):
        reply = bench.send(data, bench.origin("h"))
        assert reply is None or reply[:4] == data[:4]


@given(st.integers(0, 71), st.integers(0, 255))
def test_one_changed_byte_of_a_good_call_does_no_harm(at: int, value: int) -> None:
    bench = Bench()
    data = bytearray(message.pack_call(xid=1, program=300, version=5, procedure=1, args=bytes(4), cred=CRED))
    data[at % len(data)] = value
    reply = bench.send(bytes(data), bench.origin("h"))
    assert reply is None or reply[:4] == bytes(data[:4])
    assert bench.call(1) == success(42)


def test_a_caller_with_ever_new_credentials_is_bounded(bench: Bench) -> None:
    for uid in range(5 * KNOWN_CALLS_PER_ORIGIN):
        assert bench.call(1, cred=pack_sys(b"c", uid=uid)) == success(42)
    assert len(bench.service._known[bench.origin("10.0.0.2")]) <= KNOWN_CALLS_PER_ORIGIN


def test_callers_from_ever_new_ports_with_ever_new_credentials_are_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_module, "KNOWN_CALLS", 100)
    monkeypatch.setattr(program_module, "KNOWN_CALLS_PER_ORIGIN", 20)
    for number in range(1000):
        credential = pack_sys(b"c", uid=number % 30)
        assert bench.call(1, cred=credential, port=number // 40) == success(42)
        assert sum(map(len, bench.service._known.values())) <= 100


def test_the_answer_to_a_call_with_much_behind_its_arguments_is_not_kept(bench: Bench) -> None:
    assert bench.call(2, args=bytes(8)) == success(1)
    assert bench.call(2, args=bytes(8)) == success(1)
    assert bench.call(2, args=bytes(LONGEST_KEPT)) == success(2)
    assert bench.call(2, args=bytes(LONGEST_KEPT)) == success(3)
    assert len(bench.cache) == 1
