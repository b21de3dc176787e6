# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a daemon, run as a process of its own as systemd would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes.shell import PATIENCE
from fakes.systemd import Systemd
from pydaemons.kit.common import COMMON
from pydaemons.kit.controlclient import ControlClient

LIB = Path(__file__).resolve().parents[2] / "lib"

DAEMON = """
import asyncio, os, sys
sys.path.insert(0, {lib!r})
from pydaemons.engine.effects import Leave, Persist
from pydaemons.kit import sockets
from pydaemons.kit.daemon import Daemon, StartError
from pydaemons.kit.main import run
from pydaemons.kit.varlink import Interface, Method
from pydaemons.tunables.declare import Configuration, Tunables, setting, tunable, Settings
from pydaemons.tunables.kinds import Int, Text

def say(*words):
    print(*words, flush=True)

class Keys(Tunables, prefix="test.demo"):
    port = tunable(Int(0, 65535), 0, doc="Where to listen.")
    pace = tunable(Int(1, 20), 10, doc="How fast.")

class DemoConfiguration(Configuration):
    daemon = "pydemo"
    def __init__(self):
        self.tunables = Keys()

class Engine:
    def __init__(self, effects): self.effects = effects
    def receive(self, data, origin, now):
        if data.startswith(b"keep "): self.effects.append(Persist("kept", data[5:]))
        if data == b"leave": self.effects.append(Leave(1, "asked to"))
        return data
    def tick(self, now): pass
    def deadline(self): return None
    def handle(self, event, now): say("event", type(event).__name__, getattr(event, "new", ""))
    def drain(self):
        effects, self.effects[:] = list(self.effects), []
        return iter(effects)

class Demo(Daemon):
    name = "pydemo"
    summary = "A daemon to try kit.main with."
    def __init__(self): self.configuration = DemoConfiguration()
    def arguments(self, parser): parser.add_argument("--slow", action="store_true")
    def check(self, shell):
        if self.configuration.tunables.port == 13: raise StartError("port 13 brings bad luck", 6)
    def compose(self, shell):
        self.shell = shell
        if self.configuration.tunables.port == 14: raise StartError("port 14 brings no engine", 5)
        say("state", shell.state.read().get("kept", b"").decode(), "in", os.path.basename(shell.state_dir))
        return Engine([])
    async def start(self, driver):
        if self.shell.arguments.slow:
            say("starting")
            await asyncio.sleep(3600)
        self.port = driver.listen(sockets.bind_udp("127.0.0.1", self.configuration.tunables.port))
        say("port", self.port.address.port)
    def reload(self, changes): say("reload", *(change.key for change in changes))
    def signal(self, number): say("signal", number)
    def interfaces(self):
        return [Interface("org.pydaemons.demo", [Method("Pid", lambda p, c: {{"pid": os.getpid()}})])]
    def status(self): return f"pace {{self.configuration.tunables.pace}}"
    async def stop(self): say("stopped")

run(Demo())
"""


class Demo:
    """One process of the daemon above."""

    def __init__(self, folder, *arguments, **environ):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        script = folder / "demo.py"
        script.write_text(DAEMON.format(lib=str(LIB)))
        places = (
            []
            if "RUNTIME_DIRECTORY" in environ
            else ["--run-dir", f"{folder}/run", "--state-dir", f"{folder}/state"]
        )
        config = ["--config", f"{folder}/demo.conf"] if (folder / "demo.conf").exists() else []
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(script), *config, *places, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], **environ},
        )

    def line(self):
        return self.process.stdout.readline().strip()

    def started(self):
        """Its port, once it listens."""
        while not (line := self.line()).startswith("port "):
            assert line, self.process.communicate()[1]
        return int(line.split()[1])

    def kill(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        """Its exit status, what it said and what it logged."""
        if self.process.poll() is None and number:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=6 * PATIENCE)
        return self.process.returncode, out, err

    def control(self, interface=COMMON):
        return ControlClient(f"{self.folder}/run/control", interface)


@pytest.fixture
def demo(tmp_path):
    daemons = []

    def make(*arguments, folder="demo", **environ):
        daemons.append(Demo(tmp_path / folder, *arguments, **environ))
        return daemons[-1]

    yield make
    for daemon in daemons:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.communicate()


@pytest.fixture
def config(tmp_path):
    (tmp_path / "demo").mkdir()
    return tmp_path / "demo" / "demo.conf"


@pytest.fixture
def systemd(tmp_path):
    systemd = Systemd(f"{tmp_path}/notify")
    yield systemd
    systemd.sock.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_end_and_ends_with_0(demo, number):
    daemon = demo()
    port = daemon.started()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", port))
        client.send(b"hello")
        assert client.recv(100) == b"hello"
    status, out, err = daemon.end(number)
    assert (status, err) == (0, "")
    assert out == "stopped\n"
    assert not os.path.exists(f"{daemon.folder}/run/control")


def test_state_is_there_after_a_kill(demo):
    daemon = demo()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", daemon.started()))
        client.send(b"keep this")
        assert client.recv(100) == b"keep this"
    daemon.end(signal.SIGKILL)
    again = demo()
    assert again.line() == "state this in state"
    again.started()
    assert again.end()[0] == 0


def test_the_engine_may_end_it_with_a_status_and_a_reason(demo):
    daemon = demo()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", daemon.started()))
        client.send(b"leave")
        status, out, err = daemon.end(None)
    assert (status, out, err) == (1, "stopped\n", "pydemo: error: leaving: asked to\n")


def test_a_reload_tells_the_engine_what_changed_and_keeps_the_old_when_it_is_wrong(demo, config):
    config.write_text("[test.demo]\npace = 3\n")
    daemon = demo()
    daemon.started()
    config.write_text("[test.demo]\npace = 4\n")
    daemon.kill(signal.SIGHUP)
    assert daemon.line() == "reload test.demo.pace"
    assert daemon.line() == "event TunableChanged 4"
    config.write_text("[test.demo]\npace = 99\n")
    with daemon.control() as control:
        (problem,) = control.call("Reload")["problems"]
        assert problem.startswith(f"{config}:2: test.demo.pace: 99 is out of range")
        assert control.call("Describe")["status"] == "pace 4"
    status, _, err = daemon.end()
    assert status == 0
    assert f"pydemo: error: {problem}\n" in err
    assert "keeping the old one" in err


def test_signals_reach_the_daemon_and_those_without_meaning_do_nothing(demo):
    daemon = demo()
    daemon.started()
    for number in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):
        daemon.kill(number)
        if number != signal.SIGPIPE:
            assert daemon.line() == f"signal {int(number)}"
    assert daemon.end()[0] == 0


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[test.demo]\npace = 99\n", ":2: test.demo.pace: 99 is out of range"),
        ("[test.demo]\nspeed = 1\n", ":2: test.demo.speed: unknown key"),
        ("pace = 1\n", ":1: text before the first section"),
        ("[test.demo]\nport = 13\n", "port 13 brings bad luck"),
    ],
)
def test_a_wrong_configuration_is_named_by_line_and_the_daemon_does_not_start(demo, config, text, wrong):
    config.write_text(text)
    status, out, err = demo().end(None)
    assert (status, out) == (6, "")
    assert wrong in err
    assert "Traceback" not in err
    status, out, checked = demo("-n").end(None)
    assert (status, out) == (6, "")
    assert wrong in checked


def test_a_missing_file_matters_when_it_was_named(demo, tmp_path):
    status, _, err = demo("--config", f"{tmp_path}/none.conf").end(None)
    assert status == 6
    assert f"{tmp_path}/none.conf: cannot be read: No such file or directory" in err


def test_a_good_configuration_passes_the_check_without_a_trace(demo, config):
    config.write_text("[test.demo]\npace = 3\n")
    daemon = demo("--check", "--set", "port=99")
    assert daemon.end(None) == (0, "configuration OK\n", "")
    assert sorted(os.listdir(daemon.folder)) == ["demo.conf", "demo.py"]


def test_the_command_line_wins(demo, config):
    config.write_text("[test.demo]\npace = 3\n")
    daemon = demo("--set", "pace=5", "--set", "test.demo.port=0", "--foreground")
    daemon.started()
    with daemon.control() as control:
        assert control.call("Describe")["status"] == "pace 5"
    assert daemon.end()[0] == 0


@pytest.mark.parametrize(
    ("option", "status"), [("--version", 0), ("--help", 0), ("--nonsense", 2), ("operand", 2)]
)
def test_options_answer_without_touching_anything(demo, option, status):
    daemon = demo(option)
    got, out, err = daemon.end(None)
    assert got == status
    assert (out if status == 0 else err).startswith("pydemo " if option == "--version" else "usage: pydemo")
    assert os.listdir(daemon.folder) == ["demo.py"]


def test_a_port_that_is_taken_names_its_holder_and_nothing_is_ready(demo, systemd):
    first = demo()
    port = first.started()
    second = demo("--set", f"port={port}", folder="second", NOTIFY_SOCKET=systemd.path)
    status, _, err = second.end(None)
    assert status == 1
    assert err == f"pydemo: error: udp port {port} is held by pydemo (pid {first.process.pid})\n"
    said = systemd.hear()
    assert said == [f"STATUS=udp port {port} is held by pydemo (pid {first.process.pid})", "ERRNO=98"]


def test_an_engine_that_cannot_be_put_together_leaves_nothing_behind(demo):
    daemon = demo("--set", "port=14")
    assert daemon.end(None) == (5, "", "pydemo: error: port 14 brings no engine\n")
    assert os.listdir(f"{daemon.folder}/run") == []


def test_a_second_one_of_the_same_folder_says_who_runs(demo):
    first = demo()
    first.started()
    status, _, err = demo().end(None)
    assert status == 1
    assert err.endswith(f"run/control is answered by pid {first.process.pid}\n")
    with first.control("org.pydaemons.demo") as control:
        assert control.call("Pid") == {"pid": first.process.pid}


def test_a_second_one_of_the_same_state_folder_says_who_works_in_it(demo):
    first = demo()
    first.started()
    second = demo("--run-dir", f"{first.folder}/other")
    status, _, err = second.end(None)
    assert (status, err) == (
        1,
        f"pydemo: error: already running: {first.folder}/state is worked in by pid {first.process.pid}\n",
    )
    assert not os.path.exists(f"{first.folder}/other/control")
    assert first.end()[0] == 0
    assert demo().started()


def test_systemd_is_told_each_step(demo, config, systemd):
    config.write_text("[test.demo]\npace = 3\n")
    daemon = demo(NOTIFY_SOCKET=systemd.path)
    daemon.started()
    assert systemd.hear() == ["READY=1", "STATUS=pace 3"]
    config.write_text("[test.demo]\npace = 4\n")
    daemon.kill(signal.SIGHUP)
    assert systemd.hear()[0] == "RELOADING=1"
    assert systemd.hear() == ["READY=1", "STATUS=pace 4"]
    daemon.kill(signal.SIGTERM)
    assert systemd.hear() == ["STOPPING=1"]
    assert systemd.hear()[0].startswith("EXTEND_TIMEOUT_USEC=")
    assert daemon.end(None)[0] == 0


def test_the_status_line_follows_what_happens(demo, systemd):
    daemon = demo(NOTIFY_SOCKET=systemd.path)
    port = daemon.started()
    assert systemd.hear() == ["READY=1", "STATUS=pace 10"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.send(b"x")
    # Nothing changed in the text: nothing is sent.
    time.sleep(1.5)
    assert systemd.silent()
    assert daemon.end()[0] == 0


def test_the_watchdog_is_fed_from_the_loop(demo, systemd):
    daemon = demo(NOTIFY_SOCKET=systemd.path, WATCHDOG_USEC="100000")
    daemon.started()
    heard = [systemd.hear() for _ in range(5)]
    assert heard.count(["WATCHDOG=1"]) == 4
    assert daemon.end()[0] == 0


def test_a_start_that_waits_can_be_ended_and_never_was_ready(demo, systemd):
    daemon = demo("--slow", NOTIFY_SOCKET=systemd.path)
    while daemon.line() != "starting":
        pass
    with daemon.control() as control:
        assert control.call("Describe")["name"] == "pydemo"
    status, out, err = daemon.end()
    assert (status, err) == (0, "")
    assert out == "stopped\n"
    assert systemd.hear() == ["STOPPING=1"]


def test_systemds_folders_are_the_defaults(demo, tmp_path):
    (tmp_path / "r").mkdir()
    environ = {"RUNTIME_DIRECTORY": f"{tmp_path}/r:{tmp_path}/other", "STATE_DIRECTORY": f"{tmp_path}/s"}
    daemon = demo(**environ)
    assert daemon.line() == "state  in s"
    daemon.started()
    assert os.listdir(tmp_path / "r") == ["control"]
    assert daemon.end()[0] == 0


def test_the_process_has_the_daemons_name_and_gains_no_privileges(demo):
    pytest.importorskip("prctl")
    daemon = demo()
    daemon.started()
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert "Name:\tpydemo\n" in status
    assert "NoNewPrivs:\t1\n" in status
    assert daemon.end()[0] == 0
