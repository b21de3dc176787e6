# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd before it meets systemd: arguments, the check of -n, and what it is put together from."""

from __future__ import annotations

import pytest

from pydaemons.bosd.daemon import NOT_CONFIGURED, PybosdDaemon
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
    (tmp_path / "state").mkdir()
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
