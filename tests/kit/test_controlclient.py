# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fakes.shell import KeptLog
from pydaemons.kit.control import Control
from pydaemons.kit.controlclient import CallError, ControlClient, NotRunningError
from pydaemons.kit.varlink import ControlError, Interface, Method

NAME = "org.pydaemons.test"
LIB = Path(__file__).resolve().parents[2] / "lib"


def refuse(parameters, caller):
    raise ControlError(f"{NAME}.HostUnknown", host="nfs1")


def explain(parameters, caller):
    raise ControlError(f"{NAME}.Bad", message="in a sentence")


async def count(parameters, caller):
    for i in range(3):
        yield {"i": i}


@pytest.fixture
def path(tmp_path):
    """A control socket served by another thread."""
    control = Control(str(tmp_path), KeptLog())
    control.claim()
    ended = threading.Event()

    async def serve():
        methods = [
            Method("Echo", lambda parameters, caller: parameters, takes="(text: ?string, big: ?object)"),
            Method("Refuse", refuse),
            Method("Explain", explain),
            Method("Count", count, streams=True),
        ]
        await control.serve([Interface(NAME, methods)])
        await asyncio.to_thread(ended.wait)
        await control.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield control.path
    ended.set()
    thread.join()


def test_calls_share_a_connection(path):
    with ControlClient(path, NAME) as daemon:
        assert daemon.call("Echo", text="für") == {"text": "für"}
        first = daemon._sock
        assert daemon.call(f"{NAME}.Echo") == {}
        assert daemon._sock is first


def test_parameters_that_are_none_are_left_out(path):
    with ControlClient(path, NAME) as daemon:
        assert daemon.call("Echo", text=None) == {}


def test_a_long_answer_arrives_whole(path):
    with ControlClient(path, NAME) as daemon:
        assert daemon.call("Echo", big=["x" * 1000] * 200)["big"] == ["x" * 1000] * 200


def test_an_error_says_it_in_words(path):
    with ControlClient(path, NAME) as daemon:
        with pytest.raises(CallError, match=r"^host unknown: host nfs1$") as caught:
            daemon.call("Refuse")
        assert caught.value.name == f"{NAME}.HostUnknown"
        assert caught.value.parameters == {"host": "nfs1"}
        with pytest.raises(CallError, match=r"^in a sentence$"):
            daemon.call("Explain")
        assert daemon.call("Echo", text="on") == {"text": "on"}


def test_a_stream_is_an_iterator(path):
    with ControlClient(path, NAME) as daemon:
        assert list(daemon.watch("Count")) == [{"i": 0}, {"i": 1}, {"i": 2}]


def test_a_daemon_that_does_not_run_is_said_so(tmp_path):
    with pytest.raises(NotRunningError, match="control: not running"):
        ControlClient(f"{tmp_path}/control", NAME).call("Echo")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(f"{tmp_path}/control")
    dead.close()
    with pytest.raises(NotRunningError, match="control: not running"):
        ControlClient(f"{tmp_path}/control", NAME).call("Echo")


def test_a_daemon_that_hangs_or_hangs_up_is_said_so(tmp_path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{tmp_path}/control")
    listener.listen()
    client = ControlClient(f"{tmp_path}/control", NAME, timeout=0.05)
    with pytest.raises(NotRunningError, match="no answer within"):
        client.call("Echo")
    listener.accept()[0].close()
    with pytest.raises(NotRunningError):
        client.call("Echo")


def test_a_daemon_that_left_is_no_signal_that_ends_the_command(tmp_path):
    """Commands have SIGPIPE end them, as `| head` wants it."""
    program = """if True:
        import os, signal, socket, sys
        sys.path.insert(0, sys.argv[2])
        from pydaemons.kit.controlclient import ControlClient, NotRunningError
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        server = socket.socket(socket.AF_UNIX)
        server.bind(sys.argv[1])
        server.listen()
        client = ControlClient(sys.argv[1], "x")
        client._ask("Echo", {}, more=False)
        server.accept()[0].close()
        try:
            client.call("Echo")
        except NotRunningError:
            print("said so")
    """
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s"), str(LIB)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "said so\n"), done.stderr


def test_a_command_does_not_pay_for_an_event_loop():
    code = f"import sys; sys.path.insert(0, {str(LIB)!r}); import pydaemons.kit.controlclient as c; "
    code += "print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"asyncio", "logging", "dataclasses", "inspect"} & set(done.stdout.split())
