# SPDX-License-Identifier: GPL-3.0-or-later
"""Options before the verb or behind it; interrupts and pipes; what is said when nobody answers."""

import argparse
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from pydaemons.cli import shared

BIN = Path(__file__).resolve().parents[2] / "bin"


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser()
    shared.socket_option(top, "/run/x/control")
    shared.json_option(top)
    verb = top.add_subparsers(required=True).add_parser("verb")
    shared.socket_option(verb, "/run/x/control", behind=True)
    shared.json_option(verb, behind=True)
    return top


@pytest.mark.parametrize(
    ("words", "socket", "json"),
    [
        (["verb"], "/run/x/control", False),
        (["--socket", "/a", "--json", "verb"], "/a", True),
        (["verb", "--json", "--socket=/b"], "/b", True),
        (["--socket", "/a", "verb", "--socket", "/b"], "/b", False),
    ],
)
def test_options_stand_before_the_verb_or_behind_it(parser, words, socket, json):
    found = parser.parse_args(words)
    assert (found.socket, found.json) == (socket, json)


def test_a_daemon_that_is_not_running_is_named_with_what_starts_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "SYSTEMD", str(tmp_path))
    said = shared.unanswered("pyxd", "/run/x/control: not running")
    assert said == "pyxd is not running (/run/x/control is not answered); start it: systemctl start pyxd"
    monkeypatch.setattr(shared, "SYSTEMD", str(tmp_path / "none"))
    assert shared.unanswered("pyxd", "/c: not running").endswith("start it: pyxd")


def test_a_socket_one_may_not_open_is_told_so():
    assert "ask as root" in shared.unanswered("pyxd", "/run/x/control: Permission denied")


def test_a_daemon_that_hangs_is_looked_up_in_the_journal():
    said = shared.unanswered("pyxd", "/c: no answer within 30 s")
    assert said == "/c: no answer within 30 s; see what it says: journalctl -u pyxd"


CONTROL = ["pylockctl", "pynmbctl", "pybos"]


@pytest.mark.parametrize("program", CONTROL)
def test_a_command_interrupted_while_it_waits_for_its_daemon_ends_with_130(program, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control"))
        listener.listen()
        listener.settimeout(30)
        command = [BIN / program, "--socket", tmp_path / "control", "status"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            connection, _ = listener.accept()
            connection.settimeout(30)
            with connection:
                assert connection.recv(1000)
                running.send_signal(signal.SIGINT)
                assert running.communicate(timeout=30) == (b"", b"")
    assert running.returncode == 130


@pytest.mark.parametrize("program", CONTROL)
def test_all_commands_say_alike_that_their_daemon_does_not_run_and_how_to_start_it(program, tmp_path):
    path, daemon = (
        tmp_path / "none",
        {"pylockctl": "pylockd", "pynmbctl": "pynmbd", "pybos": "pybosd"}[program],
    )
    done = subprocess.run(
        [BIN / program, "--socket", path, "status"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == (255 if program == "pybos" else 1)
    assert done.stderr.startswith(f"{program}: {daemon} is not running ({path} is not answered); start it: ")


@pytest.mark.parametrize("program", [*CONTROL, "pynmblookup", "pydaemons-setup"])
def test_who_has_read_enough_ends_a_command_without_a_word(program):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [BIN / program, "--help"], stdout=write, stderr=subprocess.PIPE, timeout=30, check=False
    )
    os.close(write)
    assert (done.returncode in (-signal.SIGPIPE, 128 + signal.SIGPIPE), done.stderr) == (True, b"")


@pytest.mark.parametrize("program", ["pylockctl", "pynmbctl", "pynmblookup", "pydaemons-setup"])
def test_output_that_cannot_be_written_is_an_error_in_one_line(program):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [BIN / program, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=30, check=False
        )
    assert (done.returncode, done.stderr.decode()) == (
        1,
        f"{program}: write error: No space left on device\n",
    )


def test_a_command_without_standard_output_works(tmp_path):
    done = subprocess.run(
        f"{BIN}/pylockctl --help >&-", shell=True, stderr=subprocess.PIPE, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_keys_of_json_are_in_snake_case_and_names_stay():
    answer = {
        "errorStop": [{"nextRun": None}],
        "own names": 3,
        "unwritten": {"myBnode x": "ENOSPC"},
        "a_b": "cD",
    }
    assert shared.snake_case(answer, named=("unwritten",)) == {
        "error_stop": [{"next_run": None}],
        "own_names": 3,
        "unwritten": {"myBnode x": "ENOSPC"},
        "a_b": "cD",
    }
