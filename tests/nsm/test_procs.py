# SPDX-License-Identifier: GPL-3.0-or-later
"""The status monitor's procedures as other hosts find them (what they decide: test_monitor)."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.nsm.monitor import Monitor
from pydaemons.nsm.procs import program
from pydaemons.nsm.store import begin
from pydaemons.sunrpc.client import RpcClient
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.message import AcceptStat, pack_call, unpack_reply
from pydaemons.sunrpc.program import Service

ORIGINS = [
    Origin(Transport.UDP, Address(host, 700), Address("10.0.0.1", 600))
    for host in ("127.0.0.1", "10.0.0.2", "fe80::1%eth0")
]


def service() -> Service:
    rpc = RpcClient(random.Random(1))
    monitor = Monitor(begin({}, locks_kept=False), rpc=rpc, names=(b"h1",), restarted=lambda *_: None)
    return Service([program(monitor)], admit=lambda call, now: None, cache=ReplyCache())


def call(version: int, procedure: int, args: bytes = b"", *, to: Service, origin: Origin = ORIGINS[0]):
    message = pack_call(xid=7, program=100024, version=version, procedure=procedure, args=args)
    return unpack_reply(to.receive(message, origin, Now(0.0, 0.0)))


def test_version_1_has_procedures_0_to_6():
    names = {number: row.name for number, row in service().programs[100024].versions[1].items()}
    assert names == {0: "NULL", 1: "STAT", 2: "MON", 3: "UNMON", 4: "UNMON_ALL", 5: "SIMU_CRASH", 6: "NOTIFY"}
    assert call(1, 7, to=service()).accept_stat is AcceptStat.PROC_UNAVAIL


def test_other_versions_are_told_there_is_only_1():
    assert call(2, 0, to=service()).data == bytes.fromhex("0000000100000001")


@given(st.integers(0, 6), st.binary(max_size=100), st.sampled_from(ORIGINS))
def test_any_arguments_are_answered_or_garbage(procedure, args, origin):
    assert call(1, procedure, args, to=service(), origin=origin).accept_stat in (
        AcceptStat.SUCCESS,
        AcceptStat.GARBAGE_ARGS,
    )
