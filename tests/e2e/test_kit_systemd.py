# SPDX-License-Identifier: GPL-3.0-or-later
"""kit under a real systemd: readiness, the journal, socket activation, connections that survive a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

DAEMON = """
import asyncio, signal, socket, sys
sys.path.insert(0, "/opt/lib")
from pydaemons.engine.effects import Level, Log
from pydaemons.kit import sockets
from pydaemons.kit.daemon import Daemon
from pydaemons.kit.main import run
from pydaemons.tunables.declare import Configuration, Tunables, tunable
from pydaemons.tunables.kinds import Int

class Keys(Tunables, prefix="test.echo"):
    port = tunable(Int(0, 65535), 7001, doc="Where to listen.")

class EchoConfiguration(Configuration):
    daemon = "pyecho"
    def __init__(self):
        self.tunables = Keys()

class Engine:
    def __init__(self): self.count, self.effects = 0, []
    def receive(self, data, origin, now):
        self.count += 1
        text = data.decode()
        self.effects.append(Log(Level.NOTICE, f"für {text}", {"ECHO_TEXT": text}, "ab" * 16))
        return data + b" %d" % self.count
    def tick(self, now): pass
    def deadline(self): return None
    def handle(self, event, now): pass
    def drain(self):
        effects, self.effects = self.effects, []
        return iter(effects)

class Echo(Daemon):
    name = "pyecho"
    summary = "An echo."
    def __init__(self): self.configuration = EchoConfiguration()
    def compose(self, shell):
        self.shell, self.engine = shell, Engine()
        return self.engine
    async def start(self, driver):
        self.driver = driver
        passed = self.shell.inherited
        sock = sockets.take_listener(passed, socket.SOCK_STREAM, socket.AF_INET)
        driver.listen(sock or sockets.bind_tcp("127.0.0.1", self.configuration.tunables.port))
        for item in [item for item in passed if item.name.startswith("client-")]:
            passed.remove(item)
            self.shell.notify.forget(item.name)
            driver.streams.adopt(item.sock)
    def signal(self, number):
        if number == signal.SIGUSR2:
            for i, connection in enumerate(self.driver.streams.connections()):
                if connection.quiet:
                    self.shell.notify.store(f"client-{i}", connection.release().fileno())
            self.driver.leave(0, "handing over")
    def status(self): return f"{self.engine.count} answered, {self.driver.streams.count} connected"

run(Echo())
"""

SERVICE = """[Unit]
Description=An echo
[Service]
Type=notify
ExecStart=/usr/bin/python3 -I /opt/pyecho
DynamicUser=yes
RuntimeDirectory=pyecho
StateDirectory=pyecho
FileDescriptorStoreMax=64
WatchdogSec=10
RestartKillSignal=SIGUSR2
"""

SOCKET = """[Unit]
Description=An echo's socket
[Socket]
ListenStream=127.0.0.1:7002
"""

CLIENT = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.settimeout(30)
for line in sys.stdin:
    data = line.strip().encode()
    sock.sendall((0x80000000 | len(data)).to_bytes(4, "big") + data)
    size = int.from_bytes(sock.recv(4), "big") & 0x7FFFFFFF
    print(sock.recv(size).decode(), flush=True)
"""


@pytest.fixture
def host(boot, tmp_path):
    """A machine with the echo installed."""
    for name, text in {
        "pyecho": DAEMON,
        "client": CLIENT,
        "pyecho.service": SERVICE,
        "pyecho.socket": SOCKET,
    }.items():
        (tmp_path / name).write_text(text)
    units = [tmp_path / "pyecho.service", tmp_path / "pyecho.socket"]
    # A copy: a service with a /tmp of its own would not see a checkout there.
    copies = {tmp_path / "pyecho": "/opt/", tmp_path / "client": "/opt/", ROOT / "lib": "/opt/lib"}
    return boot(units=units, copies=copies)


def ask(host, port, *questions):
    text = "".join(f"{question}\n" for question in questions)
    return host.run("python3", "/opt/client", str(port), input=text, check=True).stdout.split("\n")[:-1]


@pytest.mark.needs("systemctl")
def test_systemd_sees_readiness_status_and_an_orderly_end(host):
    host.systemctl("start", "pyecho")
    assert host.show("pyecho", "StatusText") == "0 answered, 0 connected"
    assert ask(host, 7001, "a", "b") == ["a 1", "b 2"]
    host.systemctl("kill", "-s", "HUP", "pyecho")
    host.systemctl("stop", "pyecho")
    assert host.show("pyecho", "Result") == "success"


@pytest.mark.needs("systemctl")
def test_the_journal_has_fields_level_and_message_id(host):
    host.systemctl("start", "pyecho")
    ask(host, 7001, "Grüße")
    (entry,) = [each for each in host.journal_entries("pyecho") if each.get("ECHO_TEXT")]
    assert entry["MESSAGE"] == "für Grüße"
    assert entry["ECHO_TEXT"] == "Grüße"
    assert entry["PRIORITY"] == "5"
    assert entry["MESSAGE_ID"] == "ab" * 16
    assert entry["SYSLOG_IDENTIFIER"] == "pyecho"
    assert entry["_TRANSPORT"] == "journal"


@pytest.mark.needs("systemctl")
def test_a_socket_of_systemds_is_used_whatever_port_is_configured(host):
    host.systemctl("start", "pyecho.socket")
    assert ask(host, 7002, "wake up") == ["wake up 1"]
    assert host.show("pyecho", "ActiveState") == "active"


@pytest.mark.needs("systemctl")
def test_a_connection_survives_a_restart(host):
    host.systemctl("start", "pyecho.socket")
    script = """
        mkfifo /tmp/ask
        python3 /opt/client 7002 </tmp/ask >/tmp/answers &
        exec 3>/tmp/ask
        echo before >&3
        until grep -q before /tmp/answers; do sleep 0.05; done
        systemctl restart pyecho
        echo after >&3
        exec 3>&-
        wait
        cat /tmp/answers
    """
    done = host.run("timeout", "60", "sh", "-c", script, timeout=90, check=True)
    assert done.stdout.split("\n")[:-1] == ["before 1", "after 1"], "one connection, two processes"
    assert host.show("pyecho", "Result") == "success"
