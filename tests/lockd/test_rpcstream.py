# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls over a stream: answered, refused, unanswered."""

from __future__ import annotations

import asyncio
import socket

import pytest

from fakes.rpcbind import FakeRpcbind
from pydaemons.lockd import rpcstream
from pydaemons.lockd.rpcstream import RpcStream, RpcStreamError
from pydaemons.sunrpc.marking import frame
from pydaemons.sunrpc.message import SUCCESS

RPCBIND = 100000


def test_calls_over_one_connection_are_answered_one_after_the_other(tmp_path):
    async def story():
        async with FakeRpcbind(tmp_path / "socket") as rpcbind:
            for where in ({"path": str(tmp_path / "socket")}, {"host": "127.0.0.1", "port": rpcbind.port}):
                stream = await RpcStream.open(RPCBIND, **where)
                stream.version = 2
                assert [await stream.call(0) for _ in range(3)] == [b"", b"", b""]
                assert await stream.call(4) == bytes(4)
                stream.close()

    asyncio.run(story())


def test_nobody_there_is_none(tmp_path):
    async def story():
        assert await RpcStream.open(RPCBIND, path=str(tmp_path / "nothing")) is None
        async with FakeRpcbind(None) as rpcbind:
            pass
        assert await RpcStream.open(RPCBIND, host="127.0.0.1", port=rpcbind.port) is None

    asyncio.run(story())


@pytest.mark.parametrize(
    ("version", "procedure", "why"), [(9, 0, "PROG_MISMATCH"), (2, 99, "cut short|PROC_UNAVAIL|closed")]
)
def test_a_refusal_says_which(tmp_path, version, procedure, why):
    async def story():
        async with FakeRpcbind(None) as rpcbind:
            stream = await RpcStream.open(RPCBIND, host="127.0.0.1", port=rpcbind.port)
            stream.version = version
            with pytest.raises(RpcStreamError, match=why):
                await stream.call(procedure, bytes(16))
            stream.close()

    asyncio.run(story())


async def against(answer, check):
    """`check(stream)` against a server that sends `answer(call)` to each call, or hangs up on None."""

    async def serve(reader, writer):
        while data := await reader.read(4096):
            reply = answer(data[4:])
            if reply is None:
                break
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        stream = await RpcStream.open(RPCBIND, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        await check(stream)
        stream.close()


def test_an_answer_to_another_call_is_passed_over():
    async def check(stream):
        assert await stream.call(0) == b"mine"

    asyncio.run(
        against(
            lambda call: frame(b"\xff\xff\xff\xff" + SUCCESS) + frame(call[:4] + SUCCESS + b"mine"), check
        )
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda call: None, "closed"),
        (lambda call: frame(call[:4] + b"junk"), "makes no sense"),
        (lambda call: b"\xff\xff\xff\xff", "makes no sense"),
        (lambda call: b"", "no answer"),
    ],
)
def test_what_is_no_answer_is_an_error_with_a_reason(answer, why, monkeypatch):
    monkeypatch.setattr(rpcstream, "TIMEOUT", 0.2)

    async def check(stream):
        with pytest.raises(RpcStreamError, match=why):
            await stream.call(0)

    asyncio.run(against(answer, check))


def test_a_privileged_port_is_used_where_allowed():
    async def story():
        peers = []

        async def serve(reader, writer):
            peers.append(writer.get_extra_info("peername")[1])
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            stream = await RpcStream.open(RPCBIND, host="127.0.0.1", port=port, privileged=True)
            while not peers:
                await asyncio.sleep(0.01)
            stream.close()
        return peers[0]

    port = asyncio.run(story())
    assert port < 1024 or _unprivileged()


def _unprivileged() -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", 1023))
        except PermissionError:
            return True
        except OSError:
            pass
    return False
