# SPDX-License-Identifier: GPL-3.0-or-later
"""The bash completions of pynmbctl and pynmblookup, asked as bash asks them."""

import shlex
import subprocess
from pathlib import Path

import pytest

from house.tree import ROOT
from pydaemons.cli import nmblookup
from pydaemons.cli.nmbctl import VERBS

LIBRARY = Path("/usr/share/bash-completion/bash_completion")

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="bash-completion is not installed")


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A pynmbctl that knows three names and notes how it was called."""
    path = tmp_path / "pynmbctl"
    path.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/called\n'
        'printf "%s unique H active    2026-01-01 00:00 10.0.0.4\\n" PRINTER#20 PRINTER#00 "OFFICE GRP#00"\n'
    )
    path.chmod(0o755)
    return path


def complete(command: str | Path, *words: str) -> list[str]:
    """What is offered for the last of the words."""
    name = Path(command).name
    script = f"""
        source {LIBRARY}; source {ROOT}/docs/completion/{name}
        COMP_WORDS=({shlex.join([str(command), *words])})
        COMP_CWORD={len(words)}; COMP_LINE={shlex.quote(" ".join([str(command), *words]))}
        COMP_POINT=${{#COMP_LINE}}
        compopt() {{ :; }}
        _{name}; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == ""
    return sorted(word for word in done.stdout.split("\n") if word)


def test_every_verb_is_offered(command):
    first = {words.split()[0] for words in VERBS}
    second = {words.split()[1] for words in VERBS if " " in words}
    assert {word for word in complete(command, "") if not word.startswith("-")} == first
    assert set(complete(command, "wins", "")) == second
    assert complete(command, "--socket", "/run/x", "wins", "im") == ["import"]


def test_names_are_offered_as_the_daemon_knows_them(command, tmp_path):
    assert complete(command, "wins", "delete", "PR") == ["PRINTER#00", "PRINTER#20"]
    assert (tmp_path / "called").read_text() == "wins list PR*\n"
    complete(command, "--socket", "/run/x", "wins", "list", "PR")
    assert (tmp_path / "called").read_text() == "--socket /run/x wins list PR*\n"


def test_states_and_files_are_offered_where_they_fit(command, tmp_path, monkeypatch):
    (tmp_path / "wins.dat").write_text("")
    monkeypatch.chdir(tmp_path)
    assert complete(command, "wins", "list", "--state", "r") == ["released"]
    assert complete(command, "wins", "import", "wi") == ["wins.dat"]


def test_every_option_of_pynmblookup_is_offered(capsys):
    with pytest.raises(SystemExit):
        nmblookup.main(["--help"])
    shown = {
        word.strip(",[]") for word in capsys.readouterr().out.split() if word.lstrip("[").startswith("-")
    }
    known = {word for word in shown if word not in ("-", "--")}
    assert known
    assert known - set(complete("pynmblookup", "-")) == set()
