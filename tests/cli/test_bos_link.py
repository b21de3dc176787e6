# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a daemon: refusals, and the relay that ssh runs at the other end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pydaemons.cli.bos_link import REFUSED, Link, Refused, UnreachableError

LIB = Path(__file__).resolve().parents[2] / "lib"


@pytest.fixture
def daemon(tmp_path):
    """Answers requests on a socket: `Fail` with a refusal, all else with what was asked."""
    listener = socket.socket(socket.AF_UNIX)
    path = f"{tmp_path}/control"
    listener.bind(path)
    listener.listen()

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                buffer = b""
                while data := client.recv(65536):
                    buffer += data
                    while b"\0" in buffer:
                        message, _, buffer = buffer.partition(b"\0")
                        client.sendall(json.dumps(answer(json.loads(message))).encode() + b"\0")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def answer(request):
    if request["method"].endswith(".Fail"):
        return {"error": REFUSED, "parameters": {"code": 39426, "text": "busy", "message": "why"}}
    return {"parameters": {"result": request["parameters"]}}


def test_a_call_gives_the_result(daemon):
    assert Link(daemon, None).call("Echo", text="x" * 200_000) == {"text": "x" * 200_000}


def test_a_no_carries_code_text_reason_and_exit_status(daemon):
    with pytest.raises(Refused) as caught:
        Link(daemon, None).call("Fail")
    assert (caught.value.code, caught.value.status, str(caught.value)) == (39426, 2, "(busy): why")


def test_a_code_whose_low_byte_is_zero_still_fails():
    assert Refused({"code": 39424, "text": ""}).status == 1


def test_a_machine_that_ssh_does_not_reach_is_named_and_no_journal_of_ours(tmp_path, monkeypatch):
    (tmp_path / "ssh").write_text("#!/bin/sh\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for ask in (lambda link: link.call("Status"), lambda link: link.call_common("Reload")):
        with pytest.raises(UnreachableError, match=r"^no pybosd answers on db1 by ssh$"):
            ask(Link("/run/pybosd/control", "db1"))


def test_another_machine_is_reached_through_ssh(daemon, tmp_path, monkeypatch):
    """With an ssh that runs the words it was given here, under a pybos made of this checkout."""
    (tmp_path / "bin").mkdir()
    note = tmp_path / "ssh-args"
    ssh = f'#!/bin/sh\necho "$@" > {note}\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec "$@"\n'
    start = f"import sys\nsys.path.insert(0, {str(LIB)!r})\nfrom pydaemons.cli.bos import run\nrun()\n"
    pybos = f"#!{sys.executable}\n{start}"
    for name, text in (("ssh", ssh), ("pybos", pybos)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    link = Link(daemon, "db1")
    assert link.call("Echo", text="hello") == {"text": "hello"}
    with pytest.raises(Refused):
        link.call("Fail")
    link._client.close()
    assert note.read_text() == f"-o BatchMode=yes -- db1 pybos --socket {daemon} relay\n"


def test_the_relay_answers_what_was_asked_and_ends(daemon):
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(LIB)!r})\n"
               f"from pydaemons.cli.bos_link import relay\nsys.exit(relay({daemon!r}))"]  # fmt: skip
    done = subprocess.run(
        command, input=b'{"method":"x.Echo","parameters":{}}\0', capture_output=True, timeout=30, check=True
    )
    assert done.stdout == b'{"parameters": {"result": {}}}\0'


def test_the_relay_ends_when_nobody_reads_it_any_more(tmp_path):
    """As when ssh is interrupted under a -wait: the daemon must learn of it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control"))
        listener.listen()
        listener.settimeout(30)
        path = str(tmp_path / "control")
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(LIB)!r})\n"
                   f"from pydaemons.cli.bos_link import relay\nsys.exit(relay({path!r}))"]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(b"{}\0")
            process.stdin.close()
            connection, _ = listener.accept()
            connection.settimeout(30)
            assert connection.recv(100) == b"{}\0" and connection.recv(100) == b""
            process.stdout.close()
            assert process.wait(30) == 1
        connection.close()
