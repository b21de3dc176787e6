# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pydaemons.engine.protocol import Address
from pydaemons.kit import sockets
from pydaemons.kit.sockets import BindError, Holder, Inherited, address_of, to_sockaddr

LIB = Path(__file__).resolve().parents[2] / "lib"
needs_ipv6 = pytest.mark.skipif(not sockets.has_ipv6(), reason="this kernel has no IPv6")


@pytest.mark.parametrize(
    ("bind", "protocol"), [(sockets.bind_udp, "udp"), (sockets.bind_tcp, "tcp")], ids=["udp", "tcp"]
)
def test_a_port_that_is_taken_names_its_holder(bind, protocol):
    first = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(BindError) as caught:
        bind("127.0.0.1", port)
    comm = Path("/proc/self/comm").read_text().strip()
    assert caught.value.errno == errno.EADDRINUSE
    assert str(caught.value.strerror) == f"{protocol} port {port} is held by {comm} (pid {os.getpid()})"
    first.close()
    bind("127.0.0.1", port).close()


def test_what_is_wrong_with_an_address_is_said():
    with pytest.raises(BindError, match=r"udp port 99 on 192\.0\.2\.1: "):
        sockets.bind_udp("192.0.2.1", 99)
    with pytest.raises(BindError, match="illegal IP address"):
        sockets.bind_tcp("localhost", 0)


@needs_ipv6
def test_both_families_share_a_port_number():
    v4 = sockets.bind_tcp("", 0)
    v6 = sockets.bind_tcp("::", v4.getsockname()[1])
    assert v6.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    assert not v4.getblocking()
    assert not v6.getblocking()
    assert not v6.get_inheritable()


def test_holders_are_found_by_family_and_type():
    sock = sockets.bind_udp("127.0.0.1", 0)
    port = sock.getsockname()[1]
    me = Holder(Path("/proc/self/comm").read_text().strip(), os.getpid())
    assert sockets.holders(socket.SOCK_DGRAM, socket.AF_INET, port) == [me]
    assert sockets.holders(socket.SOCK_STREAM, socket.AF_INET, port) == []
    assert sockets.holders(socket.SOCK_DGRAM, socket.AF_INET6, port) == []


def test_a_connected_stream_is_no_holder_of_its_port():
    listener = sockets.bind_tcp("127.0.0.1", 0)
    client = socket.create_connection(listener.getsockname())
    assert sockets.holders(socket.SOCK_STREAM, socket.AF_INET, client.getsockname()[1]) == []


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("192.0.2.1", 9), Address("192.0.2.1", 9)),
        (("::ffff:192.0.2.1", 9, 0, 0), Address("192.0.2.1", 9)),
        (("2001:db8::1", 9, 0, 0), Address("2001:db8::1", 9)),
        (("fe80::1", 9, 0, 1), Address(f"fe80::1%{socket.if_indextoname(1)}", 9)),
        (("fe80::1", 9, 0, 999999), Address("fe80::1%999999", 9)),
    ],
)
def test_names_of_sockets_become_addresses(name, address):
    assert address_of(name) == address
    if "ffff" not in name[0]:
        assert to_sockaddr(address) == name


@pytest.mark.parametrize("host", ["nfs.example", "", "1.2.3", "::g", "fe80::1%nosuchinterface"])
def test_what_is_not_numeric_is_never_looked_up(host):
    with pytest.raises(OSError):
        to_sockaddr(Address(host, 1))


def listing(environ, code):
    """Run `code` with sockets passed as systemd does: 3 UDP, 4 TCP, 5 a connection, 6 a file."""
    udp, tcp = sockets.bind_udp("127.0.0.1", 0), sockets.bind_tcp("127.0.0.1", 0)
    client = socket.create_connection(tcp.getsockname())
    tcp.setblocking(True)
    served, _ = tcp.accept()
    memory = os.memfd_create("state")
    passed = [udp.fileno(), tcp.fileno(), served.fileno(), memory]
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 100) for descriptor in passed]

    def arrange():
        for i, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + i)
        os.environ["LISTEN_PID"] = str(os.getpid())

    script = f"""
import os, sys
sys.path.insert(0, {str(LIB)!r})
os.environ.update({environ!r})
if os.environ.get("LISTEN_PID") is None: os.environ["LISTEN_PID"] = str(os.getpid())
from pydaemons.kit.sockets import *
{textwrap.dedent(code)}
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        preexec_fn=arrange,
        close_fds=False,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    client.close()
    for descriptor in (*high, memory):
        os.close(descriptor)
    return done.stdout.split("\n"), udp.getsockname(), tcp.getsockname()


def test_what_systemd_passes_is_told_apart_by_what_it_is():
    lines, udp, tcp = listing(
        {"LISTEN_FDS": "4", "LISTEN_FDNAMES": "nlm:nlm:conn-1:state"},
        """
        found = inherited()
        for each in found: print(each.name, each.descriptor, each.listening, each.sock is not None)
        print([name for name in os.environ if name.startswith("LISTEN")], inherited())
        print(any(os.get_inheritable(each.descriptor) for each in found))
        sock = take_listener(found, socket.SOCK_STREAM, socket.AF_INET)
        print(sock.getsockname()[1], sock.getblocking())
        sock = take_listener(found, socket.SOCK_DGRAM, socket.AF_INET, "nlm")
        print(sock.getsockname()[1], sock.getblocking(), sock.getsockopt(0, 8))
        print(take_listener(found, socket.SOCK_STREAM, socket.AF_INET), len(found))
        print(take_listener(found, socket.SOCK_DGRAM, socket.AF_INET6))
        """,
    )
    assert lines[:9] == [
        "nlm 3 True True",
        "nlm 4 True True",
        "conn-1 5 False True",
        "state 6 False False",
        "[] []",
        "False",
        f"{tcp[1]} False",
        f"{udp[1]} False 1",
        "None 2",
    ]


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_FDS": "2", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}, {"LISTEN_FDS": "-1"}],
    ids=["none", "another process", "no number", "negative"],
)
def test_what_is_not_for_us_is_left_alone_and_forgotten(environ):
    lines, _, _ = listing(environ, "print(inherited(), 'LISTEN_PID' in os.environ)")
    assert lines[0] == "[] False"


def test_more_promised_than_there_is_does_no_harm():
    environ = {"LISTEN_FDS": "900", "LISTEN_FDNAMES": "one"}
    lines, _, _ = listing(environ, "print([each.name for each in inherited()][:3])")
    assert lines[0] == "['one', 'unknown', 'unknown']"


def test_a_wanted_name_is_respected():
    sock = sockets.bind_tcp("127.0.0.1", 0)
    passed = [Inherited("rpcbind", sock.fileno(), sock)]
    assert sockets.take_listener(passed, socket.SOCK_STREAM, socket.AF_INET, "nlm") is None
    assert sockets.take_listener(passed, socket.SOCK_STREAM, socket.AF_INET, "rpcbind") is sock
    assert passed == []
