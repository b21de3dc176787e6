# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd as a program: checked, started, asked, signalled, stopped. Beside a real systemd: tests/e2e."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.peers import CHECKOUT
from hosts.waiting import wait_for
from pydaemons.kit.controlclient import ControlClient, NotRunningError

ALONE = ("rpcbind.mode=off", "nsm.mode=off")
"""Nothing of it shows outside the process but four sockets."""


def command(folder: Path, *extra: str) -> list[str]:
    words = [str(CHECKOUT / "bin" / "pylockd"), "--config", str(folder / "conf")]
    words += ["--run-dir", str(folder / "run"), "--state-dir", str(folder / "state")]
    return [*words, *(f"--set={setting}" for setting in ALONE), *extra]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYSYSCTL_ROOT": str(folder / "tree"), "PYSYSCTL_SYSROOT": str(folder / "none")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conf").write_text("[fs.nfs]\nnlm_timeout = 4\n")
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], ControlClient]]:
    process = subprocess.Popen(command(folder), env=environment(folder), stderr=subprocess.PIPE, text=True)
    control = ControlClient(str(folder / "run" / "control"), "org.pydaemons.lockd")

    def answers() -> bool:
        try:
            return len(control.call("Status")["listeners"]) > 0
        except NotRunningError:
            return False

    try:
        wait_for(answers, what="pylockd to answer")
        yield process, control
    finally:
        control.close()
        process.kill()
        process.communicate()


def test_a_configuration_is_judged_without_starting_anything(folder: Path) -> None:
    good = subprocess.run(
        command(folder, "-n"), env=environment(folder), capture_output=True, text=True, check=False
    )
    assert (good.returncode, good.stdout) == (0, "configuration OK\n")
    (folder / "conf").write_text("[fs.nfs]\nnlm_timeout = 99\n")
    bad = subprocess.run(
        command(folder, "-n"), env=environment(folder), capture_output=True, text=True, check=False
    )
    assert bad.returncode == 6
    assert f"{folder / 'conf'}:2: " in bad.stderr and "3..20" in bad.stderr
    assert not (folder / "run").exists()


def test_it_tells_how_it_is_and_ends_with_status_0(
    running: tuple[subprocess.Popen[str], ControlClient],
) -> None:
    process, control = running
    status = control.call("Status")
    assert {row["transport"] for row in status["listeners"]} == {"udp", "tcp"}
    assert (status["pid"], status["locks"], status["grace"]) == (process.pid, 0, False)
    assert (status["nsm"]["mode"], status["rpcbind"]) == ("off", "not registered with any rpcbind")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_sigusr1_drops_all_and_begins_a_grace_period_that_the_tree_shows(
    running: tuple[subprocess.Popen[str], ControlClient], folder: Path
) -> None:
    process, control = running
    key = folder / "tree" / "fs" / "nfs" / "nlm_end_grace"
    process.send_signal(signal.SIGUSR1)
    wait_for(lambda: control.call("Status")["grace"], what="the grace period")
    wait_for(lambda: key.read_text() == "N\n", what="the tree to show it")
    assert control.call("Status")["grace_left"] <= 20.0, "five times nlm_timeout"
    key.write_text("Y\n")
    wait_for(lambda: not control.call("Status")["grace"], what="the end of the grace period by request")


def test_a_port_written_to_the_tree_is_listened_on_at_once(
    running: tuple[subprocess.Popen[str], ControlClient], folder: Path
) -> None:
    _, control = running
    before = control.call("Status")["listeners"]
    port = before[0]["port"] ^ 1
    (folder / "tree" / "fs" / "nfs" / "nlm_udpport").write_text(f"{port}\n")

    def moved() -> bool:
        return {row["port"] for row in control.call("Status")["listeners"] if row["transport"] == "udp"} == {
            port
        }

    wait_for(moved, what="the new port")


def test_a_port_that_cannot_be_had_is_not_shown_as_if_it_were(
    running: tuple[subprocess.Popen[str], ControlClient], folder: Path
) -> None:
    process, control = running
    key = folder / "tree" / "fs" / "nfs" / "nlm_tcpport"
    before = control.call("Status")["listeners"]
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        key.write_text(f"{port}\n")
        wait_for(lambda: key.read_text() == "0\n", what="the old value")
    assert control.call("Status")["listeners"] == before
    process.terminate()
    said = process.communicate(timeout=30)[1]
    assert f"fs.nfs.nlm_tcpport: tcp port {port} is held by " in said and "; still on port " in said


def test_a_second_one_in_the_same_folder_says_that_one_is_running(
    running: tuple[subprocess.Popen[str], ControlClient], folder: Path
) -> None:
    done = subprocess.run(
        command(folder), env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "already running" in done.stderr
