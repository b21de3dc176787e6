# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon side of pylockctl when it gets no answer."""

from __future__ import annotations

from pydaemons.cli.lockctl import main
from pydaemons.kit.varlink import Caller


def test_a_daemon_that_is_not_running_is_one_line_and_says_what_to_start(tmp_path, capsys):
    assert main(["status", "--socket", str(tmp_path / "control")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pylockd is not running" in line
    assert "start it:" in line


def test_those_who_may_not_are_told_so(ctl, server, monkeypatch):
    monkeypatch.setattr(Caller, "trusted", property(lambda caller: False))
    for words in (["release", "--all"], ["drop-all"], ["grace", "end"], ["notify"], ["reload"]):
        refused = ctl(*words)
        assert refused.status == 1
        assert refused.err == (
            f"pylockctl: {words[0]}: permission denied: only root and pylockd's own user may do that\n"
        )
    assert ctl("locks").status == 0
