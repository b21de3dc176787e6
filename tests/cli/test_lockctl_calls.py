# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said when a server does not answer as hoped, and how often it is asked."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from fakes.lockserver import free_port
from hosts import rpc
from pydaemons.cli import lockctl_calls
from pydaemons.cli.lockctl import main
from pydaemons.cli.lockctl_calls import Calls, CommandError, may_use_privileged_ports, resolve
from pydaemons.cli.lockctl_report import Request
from pydaemons.engine.protocol import Transport
from pydaemons.kit.sockets import BindError


@pytest.fixture
def answer():
    """`answer(body)`: a UDP server that answers every call with those bytes behind the xid; its port."""
    socks = []

    def serve(body):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(30)
        socks.append(sock)

        def run():
            while True:
                try:
                    data, source = sock.recvfrom(9000)
                except OSError:
                    return
                if data == b"end":
                    return
                sock.sendto(data[:4] + body, source)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return str(sock.getsockname()[1])

    threads = []
    yield serve
    for sock in socks:
        sock.sendto(b"end", sock.getsockname())
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    for sock in socks:
        sock.close()


def accepted(stat, rest=b""):
    return rpc.u32(1, 0, 0, 0, stat) + rest


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (accepted(1), "no lock manager at this port"),
        (accepted(2, rpc.u32(1, 3)), "it does not speak NLM version 4"),
        (accepted(3), "it has no LOCK in NLM version 4"),
        (accepted(4), "LOCK refused: GARBAGE_ARGS"),
        (rpc.u32(1, 1, 1, 5), "LOCK refused: authentication refused: TOOWEAK"),
        (accepted(0, b"\0\0"), "the answer to LOCK makes no sense"),
    ],
)
def test_a_refusal_is_told_in_words(answer, body, said, capsys):
    port = answer(body)
    assert main(["lock", "127.0.0.1", "00", "--udp", "--port", port]) == 1
    error = capsys.readouterr().err
    assert error.startswith("pylockctl: 127.0.0.1, udp port ")
    assert said in error


@pytest.mark.parametrize("way", ["--udp", "--tcp"])
def test_a_closed_port_is_told_at_once(way, capsys):
    assert main(["null", "127.0.0.1", way, "--port", str(free_port()), "--timeout", "300"]) == 1
    assert "Connection refused" in capsys.readouterr().err


def test_a_host_without_rpcbind_leads_to_the_port_option(capsys):
    assert main(["null", "127.0.0.1", "--rpcbind-port", str(free_port()), "--timeout", "300"]) == 1
    assert "its rpcbind: Connection refused; if the lock manager runs without one" in capsys.readouterr().err


def test_silence_ends_with_the_timeout(capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = str(silent.getsockname()[1])
        assert main(["null", "127.0.0.1", "--udp", "--port", port, "--timeout", "0.2"]) == 1
    assert "no answer to NULL within 0.2 s" in capsys.readouterr().err


def test_a_name_with_several_addresses_is_tried_by_all_of_them(server, monkeypatch, capsys):
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *args, **options: [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, 0)) for host in ("127.0.0.7", "127.0.0.1")
        ],
    )
    assert main(["null", "two", "--port", str(server.port)]) == 0
    assert capsys.readouterr().out.startswith("127.0.0.1 answers")


def test_an_unknown_host_is_an_error_of_its_own(monkeypatch, capsys):
    def fail(*args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert main(["null", "nowhere.invalid"]) == 1
    assert capsys.readouterr().err == "pylockctl: nowhere.invalid: Name or service not known\n"


def test_a_source_address_decides_the_family_and_brackets_are_none_of_an_address():
    assert resolve(Request("null", "localhost", source="127.0.0.1")) == ["127.0.0.1"]
    assert resolve(Request("null", "[::1]")) == ["::1"]
    with pytest.raises(CommandError):
        resolve(Request("null", "127.0.0.1", source="::1"))


@pytest.mark.parametrize(
    ("transport", "timeout", "waits"),
    [
        (Transport.TCP, 10.0, (10.0,)),
        (Transport.UDP, 10.0, (1.0, 2.0, 4.0, 3.0)),
        (Transport.UDP, 0.5, (0.5,)),
    ],
)
def test_a_call_is_repeated_over_udp_only_and_all_its_waits_are_the_timeout(transport, timeout, waits):
    async def schedule():
        request = Request("null", "h1", transport=transport, timeout=timeout)
        return Calls(request, ["10.0.0.1"], None, None)._schedule()

    assert asyncio.run(schedule()) == waits


def test_a_privileged_port_is_used_where_it_may_be(monkeypatch):
    def refuse(host, port):
        raise BindError(13, "Permission denied")

    monkeypatch.setattr(lockctl_calls, "bind_udp", refuse)
    assert may_use_privileged_ports(Transport.UDP) is False
