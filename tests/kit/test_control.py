# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import stat

import pytest

from fakes.shell import PATIENCE, KeptLog, said, until
from pydaemons.kit import control as control_module
from pydaemons.kit.control import AlreadyRunningError, Control
from pydaemons.kit.varlink import Caller, ControlError, Interface, Method

NAME = "org.pydaemons.test"


async def slowly(parameters, caller):
    await asyncio.sleep(0)
    return {"slow": True}


def refuse(parameters, caller):
    raise ControlError(f"{NAME}.Refused", why="because")


def bug(parameters, caller):
    return {"x": 1 / 0}


async def hang(parameters, caller, ended):
    """Answers never, unless it is left alone for ever."""
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise


async def count(parameters, caller):
    for i in range(parameters["to"]):
        yield {"i": i}


class Served:
    """A control socket at work."""

    def __init__(self, folder):
        self.log = KeptLog()
        self.watchers = []
        self.oneway = []
        self.ended = []
        self.control = Control(str(folder), self.log)
        methods = [
            Method(
                "Echo", lambda parameters, caller: parameters, takes="(text: string)", gives="(text: string)"
            ),
            Method(
                "Who", lambda parameters, caller: {"pid": caller.pid, "uid": caller.uid, "gid": caller.gid}
            ),
            Method("Slow", slowly),
            Method("Hang", lambda parameters, caller: hang(parameters, caller, self.ended)),
            Method("Told", self.tell),
            Method("Refuse", refuse),
            Method("Bug", bug),
            Method("Note", lambda parameters, caller: self.oneway.append(1)),
            Method("Only", lambda parameters, caller: {}, trusted=True),
            Method("Count", count, takes="(to: int)", gives="(i: int)", streams=True),
            Method("Watch", lambda parameters, caller: self.watch(), streams=True),
        ]
        self.interface = Interface(NAME, methods)
        self.asked = asyncio.Event()
        self.answer = None

    async def watch(self):
        news = asyncio.Queue()
        self.watchers.append(news)
        try:
            while True:
                yield await news.get()
        finally:
            self.watchers.remove(news)

    def publish(self, item):
        for news in self.watchers:
            news.put_nowait(item)

    async def tell(self, parameters, caller):
        self.asked.set()
        return await self.answer

    def client(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(self.control.path)
        sock.setblocking(False)
        return Talk(sock)


class Talk:
    """A client that shows the wire."""

    def __init__(self, sock):
        self.sock = sock
        self.rest = b""

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def ask(self, method, parameters=None, **more):
        request = {"method": f"{NAME}.{method}", "parameters": parameters or {}, **more}
        await self.send(json.dumps(request).encode() + b"\0")

    async def hear(self):
        """The next message; None when the daemon hung up."""
        while b"\0" not in self.rest:
            try:
                data = await said(self.sock)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.rest += data
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    async def call(self, method, parameters=None, **more):
        await self.ask(method, parameters, **more)
        return await self.hear()


def run(folder, scenario):
    async def live():
        served = Served(folder)
        await served.control.serve([served.interface])
        try:
            await asyncio.wait_for(scenario(served), 6 * PATIENCE)
        finally:
            await served.control.close()
        assert not os.path.exists(served.control.path)

    asyncio.run(live())


def test_a_call_is_answered_in_varlinks_framing(tmp_path):
    async def scenario(served):
        client = served.client()
        await client.send(
            b'{"method":"org.pydaemons.test.Echo","parameters":{"text":"f\xc3\xbcr \\u0000"}}\0'
        )
        data = await said(client.sock)
        assert data == '{"parameters":{"text":"für \\u0000"}}\0'.encode()
        assert await client.call("Slow") == {"parameters": {"slow": True}}
        assert await client.call("Note") == {"parameters": {}}

    run(tmp_path, scenario)


def test_requests_in_one_write_or_byte_by_byte_are_answered_in_order(tmp_path):
    async def scenario(served):
        client = served.client()
        wire = b"".join(
            json.dumps({"method": f"{NAME}.Echo", "parameters": {"text": str(i)}}).encode() + b"\0"
            for i in range(5)
        )
        await client.send(wire)
        for i in range(len(wire)):
            await client.send(wire[i : i + 1])
        answers = [await client.hear() for _ in range(10)]
        assert [answer["parameters"]["text"] for answer in answers] == list("0123401234")

    run(tmp_path, scenario)


def test_long_requests_come_whole_although_little_is_read_at_a_time(tmp_path, monkeypatch):
    sizes, recv = [], socket.socket.recv

    def note(sock, size, *flags):
        sizes.append(size)
        return recv(sock, size, *flags)

    async def scenario(served):
        text = "x" * (3 * control_module.PIECE)
        monkeypatch.setattr(socket.socket, "recv", note)
        assert (await served.client().call("Echo", {"text": text}))["parameters"]["text"] == text

    run(tmp_path, scenario)
    assert max(sizes) == control_module.PIECE


@pytest.mark.parametrize(
    ("method", "parameters", "error", "said_so"),
    [
        ("Nope", {}, "org.varlink.service.MethodNotFound", {"method": f"{NAME}.Nope"}),
        ("Echo", {}, "org.varlink.service.InvalidParameter", {"parameter": "text"}),
        ("Echo", {"text": "a", "b": 1}, "org.varlink.service.InvalidParameter", {"parameter": "b"}),
        ("Refuse", {}, f"{NAME}.Refused", {"why": "because"}),
        ("Count", {"to": 1}, "org.varlink.service.ExpectedMore", {}),
    ],
)
def test_an_error_is_an_answer_and_the_connection_goes_on(tmp_path, method, parameters, error, said_so):
    async def scenario(served):
        client = served.client()
        assert await client.call(method, parameters) == {"error": error, "parameters": said_so}
        assert await client.call("Echo", {"text": "on"}) == {"parameters": {"text": "on"}}

    run(tmp_path, scenario)


def test_an_unknown_interface_is_named(tmp_path):
    async def scenario(served):
        client = served.client()
        await client.send(b'{"method":"org.example.X.Y"}\0')
        error = {
            "error": "org.varlink.service.InterfaceNotFound",
            "parameters": {"interface": "org.example.X"},
        }
        assert await client.hear() == error

    run(tmp_path, scenario)


def test_a_bug_is_logged_and_answered(tmp_path):
    async def scenario(served):
        client = served.client()
        answer = await client.call("Bug")
        assert answer["error"] == "org.pydaemons.InternalError"
        assert served.log.lines == [f"bug, please report: {NAME}.Bug: ZeroDivisionError: division by zero"]
        assert await client.call("Slow")

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\0",
        b"[1,2]\0",
        b'{"method":7}\0',
        b'{"method":"a.b","parameters":[]}\0',
        b"\0",
        b"\xff\xfe\0",
        b"[" * 100000 + b"\0",
        b"x" * (control_module.MESSAGE + 70000),
    ],
    ids=["text", "list", "number", "parameters", "empty", "bytes", "nested", "endless"],
)
def test_garbage_closes_the_connection_and_no_other(tmp_path, garbage):
    async def scenario(served):
        good, bad = served.client(), served.client()
        try:
            await bad.send(garbage)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert await bad.hear() is None
        assert await good.call("Echo", {"text": "x"})
        assert served.log.lines == []

    run(tmp_path, scenario)


def test_the_caller_is_known_by_the_kernel(tmp_path):
    async def scenario(served):
        answer = await served.client().call("Who")
        assert answer["parameters"] == {"pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid()}

    run(tmp_path, scenario)


def test_what_needs_trust_is_refused_to_others(tmp_path, monkeypatch):
    async def scenario(served):
        client = served.client()
        assert await client.call("Only") == {"parameters": {}}
        monkeypatch.setattr(Caller, "trusted", property(lambda caller: False))
        assert (await client.call("Only"))["error"] == "org.varlink.service.PermissionDenied"

    run(tmp_path, scenario)


def test_a_oneway_call_is_done_and_not_answered(tmp_path):
    async def scenario(served):
        client = served.client()
        await client.ask("Note", oneway=True)
        await client.ask("Refuse", oneway=True)
        assert await client.call("Echo", {"text": "first heard"}) == {"parameters": {"text": "first heard"}}
        assert served.oneway == [1]

    run(tmp_path, scenario)


def test_who_hangs_up_while_waiting_has_its_call_cancelled_and_no_other(tmp_path):
    async def scenario(served):
        one, two = served.client(), served.client()
        await one.ask("Hang")
        await two.ask("Hang")
        assert await served.client().call("Echo", {"text": "x"})
        one.sock.close()
        await until(lambda: served.ended == ["cancelled"])
        assert await served.client().call("Slow") == {"parameters": {"slow": True}}
        assert len(served.ended) == 1
        two.sock.close()
        await until(lambda: len(served.ended) == 2)

    run(tmp_path, scenario)


def test_who_only_has_no_more_to_say_is_answered(tmp_path):
    async def scenario(served):
        client = served.client()
        for _ in range(3):
            await client.ask("Slow")
        client.sock.shutdown(socket.SHUT_WR)
        for _ in range(3):
            assert await client.hear() == {"parameters": {"slow": True}}
        assert await client.hear() is None

    run(tmp_path, scenario)


def test_a_oneway_call_goes_on_without_its_client(tmp_path):
    async def scenario(served):
        client = served.client()
        await client.ask("Hang", oneway=True)
        client.sock.close()
        for _ in range(20):
            assert await served.client().call("Slow")
        assert served.ended == []

    run(tmp_path, scenario)


def test_a_stream_continues_until_its_end(tmp_path):
    async def scenario(served):
        client = served.client()
        await client.ask("Count", {"to": 3}, more=True)
        answers = [await client.hear() for _ in range(4)]
        assert answers == [{"parameters": {"i": i}, "continues": True} for i in range(3)] + [
            {"parameters": {}}
        ]
        assert await client.call("Echo", {"text": "on"}) == {"parameters": {"text": "on"}}

    run(tmp_path, scenario)


def test_an_answer_that_is_there_when_it_closes_is_sent(tmp_path):
    async def scenario(served):
        client, served.answer = served.client(), asyncio.get_running_loop().create_future()
        await client.ask("Told")
        await asyncio.wait_for(served.asked.wait(), PATIENCE)
        served.answer.set_result({"leaving": True})
        await served.control.close()
        assert await client.hear() == {"parameters": {"leaving": True}}
        assert await client.hear() is None

    run(tmp_path, scenario)


def test_a_stream_without_end_ends_with_its_client_and_no_other_does(tmp_path):
    async def scenario(served):
        first, second = served.client(), served.client()
        for client in (first, second):
            await client.ask("Watch", more=True)
        await until(lambda: len(served.watchers) == 2)
        served.publish({"n": 1})
        for client in (first, second):
            assert await client.hear() == {"parameters": {"n": 1}, "continues": True}
        first.sock.close()
        await until(lambda: len(served.watchers) == 1)
        served.publish({"n": 2})
        assert await second.hear() == {"parameters": {"n": 2}, "continues": True}

    run(tmp_path, scenario)


def test_a_client_that_does_not_read_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(control_module, "WRITE_PATIENCE", 0.05)

    async def scenario(served):
        deaf = served.client()
        for _ in range(30):
            await deaf.ask("Echo", {"text": "x" * 100000})
            await asyncio.sleep(0)
            if not served.control._clients:
                break
        await until(lambda: not served.control._clients)

    run(tmp_path, scenario)


def test_clients_that_ask_without_pause_do_not_keep_it_from_closing(tmp_path):
    async def ask_on(client):
        while await client.call("Slow") is not None:
            pass

    for _ in range(10):

        async def scenario(served):
            clients = [asyncio.ensure_future(ask_on(served.client())) for _ in range(4)]
            await asyncio.sleep(0.02)
            await asyncio.wait_for(served.control.close(), PATIENCE)
            await asyncio.gather(*clients, return_exceptions=True)

        run(tmp_path, scenario)


def test_the_number_of_clients_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(control_module, "CLIENTS", 3)

    async def scenario(served):
        clients = [served.client() for _ in range(3)]
        for client in clients:
            assert await client.call("Slow")
        late = served.client()
        assert (await late.hear())["error"] == "org.pydaemons.TooManyClients"
        assert await late.hear() is None
        clients[0].sock.close()
        await until(lambda: len(served.control._clients) == 2)
        assert await served.client().call("Slow")

    run(tmp_path, scenario)


def test_anybody_may_connect(tmp_path):
    async def scenario(served):
        mode = os.stat(served.control.path).st_mode
        assert stat.S_ISSOCK(mode)
        assert mode & 0o777 == 0o666

    run(tmp_path / "not" / "there" / "yet", scenario)


def test_a_path_longer_than_a_socket_address_works(tmp_path):
    async def scenario(served):
        assert len(served.control.path) > 107
        await asyncio.to_thread(lambda: None)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        here = os.open(os.path.dirname(served.control.path), os.O_RDONLY)
        sock.connect(f"/proc/self/fd/{here}/control")
        os.close(here)
        sock.setblocking(False)
        assert await Talk(sock).call("Slow") == {"parameters": {"slow": True}}

    run(tmp_path / ("x" * 120), scenario)


def test_a_second_daemon_learns_who_is_there(tmp_path):
    async def scenario(served):
        with pytest.raises(AlreadyRunningError) as caught:
            Control(str(tmp_path), KeptLog()).claim()
        path = served.control.path
        assert caught.value.strerror == f"already running: {path} is answered by pid {os.getpid()}"
        assert await served.client().call("Slow"), "and the first one is not disturbed"

    run(tmp_path, scenario)


def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path):
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(tmp_path / "control"))
    dead.close()

    async def scenario(served):
        assert await served.client().call("Slow")

    run(tmp_path, scenario)


def test_what_is_no_socket_is_not_removed(tmp_path):
    (tmp_path / "control").write_text("precious")
    with pytest.raises(OSError):
        Control(str(tmp_path), KeptLog()).claim()
    assert (tmp_path / "control").read_text() == "precious"


def test_a_successors_socket_is_left_alone(tmp_path):
    async def live():
        served = Served(tmp_path)
        await served.control.serve([served.interface])
        os.unlink(served.control.path)
        successor = Control(str(tmp_path), KeptLog())
        successor.claim()
        await served.control.close()
        assert os.path.exists(successor.path)
        await successor.close()
        assert not os.path.exists(successor.path)

    asyncio.run(live())


def test_who_locks_the_folder_keeps_no_daemon_from_starting(tmp_path, monkeypatch):
    monkeypatch.setattr(control_module, "CLAIM_PATIENCE", 0.05)
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    control = Control(str(tmp_path), KeptLog())
    control.claim()
    assert stat.S_ISSOCK(os.stat(control.path).st_mode)
    asyncio.run(control.close())
    os.close(folder)
