# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd before it meets systemd: arguments, the check of -n, and what it is put together from."""

from __future__ import annotations

import os

import pytest

from pydaemons.bnode.effects import Answer, Remember
from pydaemons.bnode.events import ConfigRead
from pydaemons.bnode.model import Code
from pydaemons.bosd.daemon import NOT_CONFIGURED, PybosdDaemon
from pydaemons.engine.protocol import Now
from pydaemons.kit.daemon import Shell, StartError
from pydaemons.kit.log import Log
from pydaemons.kit.main import main, parse_arguments
from pydaemons.kit.notify import Notifier
from pydaemons.kit.statefile import StateFolder

CONFIG = (
    "restrictmode 0\nrestarttime 16 0 0 0 0\ncheckbintime 3 0 5 0 0\nbnode simple a 1\nparm /bin/x\nend\n"
)


def shell(tmp_path, *words):
    daemon = PybosdDaemon()
    state_dir = str(tmp_path / "state")
    return daemon, Shell(
        config=str(tmp_path / "conf"),
        run_dir=str(tmp_path / "run"),
        state_dir=state_dir,
        state=StateFolder(state_dir),
        log=Log("pybosd"),
        notify=Notifier(),
        arguments=parse_arguments(daemon, list(words)),
    )


def put(tmp_path, text=CONFIG):
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state/BosConfig").write_text(text)


def test_the_peers_options_are_understood(tmp_path):
    _, found = shell(tmp_path, "-noauth", "-restricted", "-pidfiles", "-nofork", "--user")
    arguments = found.arguments
    assert arguments.noauth and arguments.restricted and arguments.pidfiles and arguments.user


def test_it_is_put_together_from_its_folder_and_nothing_is_started(tmp_path):
    put(tmp_path)
    daemon, where = shell(tmp_path, "-restricted", "-pidfiles")
    supervisor = daemon.compose(where)
    assert [bnode.name for bnode in supervisor.bnodes()] == ["a"]
    assert supervisor.restricted and daemon.configuration.tunables.pid_files
    assert list(supervisor.drain()) == []
    assert daemon.folders.log == f"{tmp_path}/state/log"
    assert daemon.status() == "systemd does not answer (systemd has not answered yet), 1 bnodes, 0 processes"


def test_a_wrong_file_stops_it_with_file_and_line_and_touches_nothing(tmp_path):
    put(tmp_path, "restrictmode 0\nbnode what a 1\nend\n")
    daemon, where = shell(tmp_path)
    with pytest.raises(StartError, match=r"BosConfig:2: bnode a: 'what' is no bnode type") as caught:
        daemon.compose(where)
    assert caught.value.status == NOT_CONFIGURED
    assert (tmp_path / "state/BosConfig").read_text() == "restrictmode 0\nbnode what a 1\nend\n"


def test_the_check_judges_bosconfig_too(tmp_path, capsys):
    put(tmp_path, "nonsense\n")
    assert main(PybosdDaemon(), ["-n", "--state-dir", str(tmp_path / "state")]) == NOT_CONFIGURED
    assert "BosConfig:1: 'nonsense' is not known" in capsys.readouterr().err
    (tmp_path / "state/BosConfig").write_text(CONFIG)
    assert main(PybosdDaemon(), ["-n", "--state-dir", str(tmp_path / "state")]) == 0


def test_marks_a_killed_daemon_left_behind_are_removed(tmp_path):
    put(tmp_path)
    (tmp_path / "run/stop").mkdir(parents=True)
    (tmp_path / "run/stop/a").touch()
    daemon, where = shell(tmp_path)
    daemon.compose(where)
    assert not list((tmp_path / "run/stop").iterdir())


def test_notifiers_are_looked_for_where_the_canonical_path_means(tmp_path):
    put(tmp_path)
    daemon, where = shell(tmp_path)
    daemon.configuration.pybosd.set("bin_dir", str(tmp_path), "test")
    daemon.compose(where)
    (tmp_path / "note").touch()
    assert daemon._notifier_exists("/usr/afs/bin/note") and not daemon._notifier_exists("/usr/afs/bin/nope")


class Loop:
    """What is planned, for whoever wants it to happen."""

    def __init__(self):
        self.later = []

    def call_later(self, seconds, what):
        self.later.append(what)


class Shelled:
    """A driver, as far as effects are concerned."""

    def __init__(self):
        self.loop, self.failing, self.posted = Loop(), {}, []

    def post(self, event):
        self.posted.append(event)


class Answers:
    def __init__(self):
        self.given = []

    def answer(self, answer):
        self.given.append(answer)


def composed(tmp_path):
    """A daemon that was put together and is not started."""
    put(tmp_path)
    daemon, where = shell(tmp_path)
    daemon.compose(where)
    daemon._driver, daemon._desk = Shelled(), Answers()
    return daemon


NOW = Now(1.0, 2.0)


def test_a_yes_whose_file_cannot_be_written_is_an_error_that_says_what_is_in_force(tmp_path):
    daemon = composed(tmp_path)
    daemon._driver.failing = {"BosConfig": "No space left on device"}
    daemon._answer(Answer(1, Code.OK, {}, keeps=("BosConfig",)), NOW)
    daemon._answer(Answer(2, Code.OK, {}, keeps=("local/UserList",)), NOW)
    daemon._answer(Answer(3, Code.EXISTS, {}, keeps=("BosConfig",)), NOW)
    first, second, third = daemon._desk.given
    assert first.code == Code.IO
    assert first.reason.startswith(
        "BosConfig cannot be written: No space left on device; the change is in force"
    )
    assert (second.code, third.code) == (Code.OK, Code.EXISTS)


def test_a_history_the_disk_refuses_is_written_later_and_told_once(tmp_path, capfd):
    daemon = composed(tmp_path)
    folder = tmp_path / "state/history"
    folder.rmdir()
    for name in "ab":
        daemon._remember(Remember(f"history/{name}", b"{}"), NOW)
    (again,) = daemon._driver.loop.later
    again()
    folder.mkdir()
    assert capfd.readouterr().err.count("cannot be written") == 1
    daemon._driver.loop.later.pop()()
    assert sorted(os.listdir(folder)) == ["a", "b"]
    assert "written again" in capfd.readouterr().err


def test_the_status_line_names_what_cannot_be_written(tmp_path):
    daemon = composed(tmp_path)
    daemon.supervisor.trouble = ""
    daemon.supervisor.unwritten["BosConfig"] = "Read-only file system"
    assert daemon.status() == "BosConfig cannot be written (Read-only file system), 1 bnodes, 0 processes"


class Nothing:
    """A driver that remembers, a tree and a log that do nothing."""

    def __init__(self):
        self.posted = []

    def post(self, event):
        self.posted.append(event)

    def publish(self):
        pass

    def reopen(self):
        pass


def without_its_file(tmp_path, text):
    """A daemon composed from `text`, whose BosConfig is gone since."""
    put(tmp_path, text)
    daemon, where = shell(tmp_path)
    daemon.compose(where)
    daemon._shell, daemon._driver, daemon._tree, daemon._boslog = where, Nothing(), Nothing(), Nothing()
    (tmp_path / "state/BosConfig").unlink()
    return daemon


def test_a_reload_before_there_is_a_bnode_misses_no_file(tmp_path):
    daemon = without_its_file(tmp_path, "restrictmode 0\n")
    daemon.reload([])
    assert not [event for event in daemon._driver.posted if isinstance(event, ConfigRead)]


def test_a_reload_of_a_wrong_file_is_an_error_with_its_line_and_ends_none(tmp_path):
    daemon = without_its_file(tmp_path, CONFIG)
    put(tmp_path, CONFIG + "bnode simple b 1\nparm /bin/x\n")
    with pytest.raises(StartError, match=r"BosConfig:\d+: bnode b has no end"):
        daemon.reload([])
    assert daemon._driver.posted == []


def test_a_reload_that_misses_the_file_of_its_bnodes_is_an_error_and_ends_none(tmp_path):
    daemon = without_its_file(tmp_path, CONFIG)
    with pytest.raises(FileNotFoundError):
        daemon.reload([])
    assert daemon._driver.posted == []
