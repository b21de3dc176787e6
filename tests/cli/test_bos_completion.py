# SPDX-License-Identifier: GPL-3.0-or-later
"""The bash completion of pybos, asked as bash asks it, against a pybos that says what a daemon would."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pydaemons.cli.bos_syntax import COMMON
from pydaemons.cli.bos_table import VERBS

LIBRARY = Path("/usr/share/bash-completion/bash_completion")
COMPLETION = Path(__file__).resolve().parents[2] / "docs/completion/pybos"

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="bash-completion is not installed")

PROGRAM = """#!/bin/sh
echo "$@" >>asked
case $* in
    *status) printf 'Instance web, currently running normally.\\nInstance a=b, disabled, currently '
        printf 'shutdown.\\n'
        printf '    Auxiliary status is: running now.\\n' ;;
    *listhosts) printf 'Cell name is x\\n    Host 1 is db1\\n    Host 2 is [db2]\\n' ;;
    *listusers) echo 'SUsers are: alice bob ' ;;
esac
"""


@pytest.fixture
def complete(tmp_path):
    (tmp_path / "pybos").write_text(PROGRAM)
    (tmp_path / "pybos").chmod(0o755)
    (tmp_path / "prog").touch()
    (tmp_path / "folder").mkdir()

    def ask(*words):
        """What is offered for the last of the words."""
        line = " ".join(["pybos", *words])
        parted = [
            part
            for word in words
            for part in (word.replace("=", " = ").split(" ") if "=" in word else [word])
        ]
        script = f"""
            source {LIBRARY}; source {shlex.quote(str(COMPLETION))}
            COMP_WORDS=({shlex.join(["pybos", *parted])})
            COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
            COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}
            compopt() {{ :; }}
            _pybos; printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"},
            check=True,
        )
        assert done.stderr == ""
        return {word for word in done.stdout.split("\n") if word}

    return ask


def test_every_operation_is_offered(complete):
    assert complete("") - {"--socket", "--json", "--help", "--version"} == {
        *VERBS,
        "apropos",
        "help",
        "version",
    }
    assert complete("sta") == {"start", "startup", "statistics", "status"}
    assert complete("help", "cr") == {"create"}


@pytest.mark.parametrize("name", VERBS)
def test_every_switch_of_an_operation_is_offered(complete, name):
    switches = {f"-{parameter.name}" for parameter in (*VERBS[name].parameters, *COMMON)}
    assert complete(name, "-") == switches | {"--json", "--socket"}


@pytest.mark.parametrize(
    "line",
    [["status"], ["stop"], ["stop", "-wait"], ["restart", "-instance"], ["status", "web"],
     ["status", "-long"], ["--json", "status"], ["export", "/tmp"]],
)  # fmt: skip
def test_instances_are_asked_of_the_daemon(complete, line):
    assert complete(*line, "") == {"web", "a=b"}


def test_the_daemon_named_is_the_one_asked(complete, tmp_path):
    assert complete("--socket", "/run/x", "status", "w") == {"web"}
    assert (tmp_path / "asked").read_text() == "--socket /run/x status\n"


def test_a_new_instance_is_nobody_elses_name_and_its_type_and_program_follow(complete):
    assert complete("create", "") == set()
    assert complete("create", "x", "") == {"simple", "cron", "fs", "dafs"}
    assert "prog" in complete("create", "x", "simple", "")
    assert complete("create", "-type", "s") == {"simple"}
    assert "prog" in complete("create", "x", "simple", "/bin/x", "-notifier", "")


def test_files_folders_users_and_hosts_where_they_belong(complete):
    assert complete("install", "pr") == {"prog"}
    assert complete("install", "prog", "-dir", "f") == {"folder"}
    assert complete("removehost", "") == {"db1", "[db2]"}
    assert complete("removeuser", "") == {"alice", "bob"}
    assert "root" in complete("adduser", "roo")
    assert complete("setauth", "") == {"on", "off"}
    assert "BosLog" in complete("getlog", "")
    assert "sat" in complete("setrestart", "s")
