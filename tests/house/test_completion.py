# SPDX-License-Identifier: GPL-3.0-or-later
"""What zsh, fish and bash offer for the commands, asked as they are asked at a terminal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from house.commands import Command, commands
from house.completion import BY_HAND
from house.tree import ROOT, TESTS

FOLDER = ROOT / "docs/completion"
COMMANDS = {command.name: command for command in commands()}
LIBRARY = Path("/usr/share/bash-completion/bash_completion")


def run(*words: object) -> list[str]:
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PATH": f"{os.environ['PATH']}:{ROOT}/bin"},
        check=False,
    )
    assert done.stderr == "", done.stderr
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def zsh(line: str) -> set[str]:
    return set(run("zsh", "-f", TESTS / "house/completion.zsh", FOLDER / "zsh", line))


def fish(line: str) -> set[str]:
    name = line.split(maxsplit=1)[0]
    text = f"source {FOLDER}/fish/{name}.fish; complete -C '{line}'"
    return {each.split("\t", 1)[0] for each in run("fish", "--no-config", "-c", text)}


def first_words(command: Command) -> tuple[str, set[str]]:
    """A line and what must be offered at its end: the verbs, or the options."""
    if command.verbs:
        return f"{command.name} ", {verb.name for verb in command.verbs}
    flags = {flag for option in command.options for flag in option.flags if flag.startswith("--")}
    return f"{command.name} --", flags


def test_every_program_has_completions_for_three_shells() -> None:
    programs = {path.name for path in (ROOT / "bin").glob("py*")}
    assert set(COMMANDS) == programs
    assert {path.name[1:] for path in (FOLDER / "zsh").iterdir()} == programs
    assert {path.stem for path in (FOLDER / "fish").iterdir()} == programs
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == programs


@pytest.mark.needs("zsh")
@pytest.mark.parametrize("name", COMMANDS)
def test_zsh_offers_verbs_and_options(name: str) -> None:
    line, expected = first_words(COMMANDS[name])
    assert expected <= {word.rstrip("=") for word in zsh(line)}


@pytest.mark.needs("fish")
@pytest.mark.parametrize("name", COMMANDS)
def test_fish_offers_verbs_and_options(name: str) -> None:
    line, expected = first_words(COMMANDS[name])
    assert expected <= {word.rstrip("=") for word in fish(line)}


@pytest.mark.needs("zsh", "fish")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pynmbctl wins ", {"list", "add", "delete", "export", "import"}),
        ("pynmbctl wins list --state ", {"active", "released", "tombstone"}),
        ("pylockctl grace ", {"start", "end"}),
        ("pybos help cr", {"create"}),
    ],
)
def test_both_know_what_follows_a_verb(line: str, offered: set[str]) -> None:
    assert offered <= zsh(line)
    assert offered <= fish(line)


@pytest.mark.needs("zsh", "fish")
def test_both_ask_the_command_what_only_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pysysctl"
    program.write_text('#!/bin/sh\n[ "$1" = -aN ] && printf "fs.nfs.nlm_timeout\\nfs.nfs.nlm_locks\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert {"fs.nfs.nlm_timeout", "fs.nfs.nlm_locks"} <= zsh("pysysctl fs.nfs.")
    assert {"fs.nfs.nlm_timeout", "fs.nfs.nlm_locks"} <= fish("pysysctl fs.nfs.")


@pytest.mark.skipif(not LIBRARY.exists(), reason="bash-completion is not installed")
@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(BY_HAND)))
def test_bash_offers_options_and_files_behind_those_that_take_one(name: str, tmp_path: Path) -> None:
    def bash(*words: str) -> set[str]:
        line = " ".join([name, *words])
        text = f"""source {LIBRARY}; source {FOLDER}/{name}; cd {tmp_path}
            COMP_WORDS=({name} {" ".join(repr(word) for word in words)}); COMP_CWORD={len(words)}
            COMP_LINE={line!r}; COMP_POINT={len(line)}; compopt() {{ :; }}
            _{name.replace("-", "_")}; printf '%s\\n' "${{COMPREPLY[@]}}" """
        return set(run("bash", "--norc", "-c", text))

    (tmp_path / "one.conf").touch()
    (tmp_path / "folder").mkdir()
    assert {"--help", "--version"} <= bash("--")
    if name != "pydaemons-setup":
        assert bash("--config", "") == {"one.conf", "folder"}
        assert bash("--state-dir", "") == {"folder"}
        assert bash("--set", "") == set()
