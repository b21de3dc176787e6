# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GRANTED a client takes for its own, byte for byte, and how it answers."""

from __future__ import annotations

import random

import pytest

from fakes.network import Clock, Origins
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import Alock
from pydaemons.cli.lockctl_engine import Awaited, LockClient
from pydaemons.engine.protocol import Transport
from pydaemons.sunrpc.client import Target

SERVER, PORT = "10.0.0.1", 4045
MINE = Alock(fh=b"\x01\x02", svid=-7, offset=10, length=20)


class Client:
    """The engine, waiting for MINE."""

    def __init__(self, transport: Transport = Transport.UDP) -> None:
        self.clock = Clock()
        self.origins = Origins("10.0.0.2", 999)
        self.transport = transport
        self.heard = []
        self.engine = LockClient(random.Random(1), hostname=b"h2", rpcbind_port=111, heard=self.heard.append)
        self.engine.server = Target(SERVER, rpc.NLM, 4, transport, port=PORT, privileged=True)
        self.engine.awaited = Awaited(MINE.fh, MINE.svid, MINE.offset, MINE.length)

    def receive(self, procedure, lock=MINE, *, version=4, host=SERVER, program=rpc.NLM):
        args = nlm.test(version, lock, cookie=b"cook")
        call = rpc.call_bytes(program, version, procedure, args, credential=rpc.AUTH_NONE)
        reply = self.engine.receive(call, self.origins(host, transport=self.transport), self.clock.now)
        return None if reply is None else rpc.Reply.parse(reply)

    def status(self, *args, **options):
        result = self.receive(*args, **options).result()
        assert result.opaque() == b"cook"
        return result.u32()

    def sent(self):
        return list(self.engine.drain())


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_the_lock_waited_for_is_accepted_again_and_again(version):
    client = Client()
    assert [client.status(nlm.GRANTED, version=version) for _ in range(2)] == [nlm.OK] * 2
    assert [heard.wrong for heard in client.heard] == ["", ""]
    assert client.heard[0].procedure == "GRANTED"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fh": b"\x01"}, "file handle"),
        ({"svid": 7}, "svid"),
        ({"offset": 9}, "offset"),
        ({"length": 0}, "length"),
    ],
)
def test_any_other_lock_is_denied_and_what_differs_is_told(change, named):
    client = Client()
    assert client.status(nlm.GRANTED, MINE.but(**change)) == nlm.DENIED
    assert f"its {named} is" in client.heard[0].wrong


def test_owner_handle_and_caller_name_do_not_matter():
    assert Client().status(nlm.GRANTED, MINE.but(oh=b"whatever", caller=b"server")) == nlm.OK


def test_a_grant_from_another_address_is_denied():
    client = Client()
    assert client.status(nlm.GRANTED, host="10.0.0.9") == nlm.DENIED
    assert client.heard[0].wrong == "it comes from 10.0.0.9, the lock was asked of 10.0.0.1"


def test_nothing_is_accepted_when_nothing_is_waited_for():
    client = Client()
    client.engine.awaited = None
    assert client.status(nlm.GRANTED) == nlm.DENIED


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(("lock", "status"), [(MINE, nlm.OK), (MINE.but(svid=8), nlm.DENIED)])
def test_granted_msg_is_answered_by_a_call_to_the_lock_manager(transport, lock, status):
    client = Client(transport)
    reply = client.receive(nlm.GRANTED_MSG, lock)
    assert reply is None or reply.accepted == 0
    (send,) = client.sent()
    assert (send.transport, send.to) == (transport, (SERVER, PORT))
    assert send.source_port == (999 if transport is Transport.UDP else None)
    assert send.privileged is (transport is Transport.TCP)
    assert send.data.endswith(nlm.result(status, b"cook"))
    assert int.from_bytes(send.data[20:24]) == nlm.GRANTED_RES
    assert client.engine.acknowledging == 1


def test_an_acknowledgement_nobody_answers_is_repeated_once_and_then_over():
    client = Client()
    client.receive(nlm.GRANTED_MSG)
    sent = client.sent()
    for _ in range(5):
        client.clock.pass_(0.5)
        client.engine.tick(client.clock.now)
        sent += client.sent()
    assert len(sent) == 2
    assert client.engine.acknowledging == 0
    assert client.engine.deadline() is None


@pytest.mark.parametrize("procedure", [nlm.TEST, nlm.LOCK, nlm.SHARE, nlm.FREE_ALL])
def test_a_client_serves_no_locks(procedure):
    assert Client().receive(procedure).accepted == 3  # PROC_UNAVAIL


def test_it_is_no_rpcbind_until_it_is_told_to_be_one():
    client = Client()
    assert client.receive(0, program=rpc.PORTMAP, version=2).accepted == 1  # PROG_UNAVAIL
    client.engine.portmapper.set(rpc.NLM, 4, "udp", 4045)
    client.engine.serve_portmapper()
    call = rpc.call_bytes(rpc.PORTMAP, 2, 3, rpc.u32(rpc.NLM, 4, rpc.UDP, 0))
    reply = client.engine.receive(call, client.origins(SERVER), client.clock.now)
    assert rpc.Reply.parse(reply).result().u32() == 4045
    listing = rpc.call_bytes(rpc.PORTMAP, 2, 4)
    reply = client.engine.receive(listing, client.origins(SERVER), client.clock.now)
    assert rpc.Reply.parse(reply).denied == 1
