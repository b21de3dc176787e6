# SPDX-License-Identifier: GPL-3.0-or-later
"""All commands speak one language, and their manual pages know all of it. Who deviates stands here."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from house.commands import Command, Option, commands
from house.tree import ROOT

COMMANDS = {command.name: command for command in commands()}
CONTROL = ("pylockctl", "pynmbctl")
ELDERS = {
    "pysysctl": "sysctl's manners: exit status 1 for usage, its own words for --version",
    "pybos": "bos's manners: switches of one dash, statuses 5 to 8 for usage, 255 without a server",
}


def walk(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    yield path, command
    for verb in command.verbs:
        yield from walk(verb, (*path, verb.name))


def flags(command: Command) -> set[str]:
    return {flag for option in command.options for flag in option.flags}


EVERYTHING = [(name, path, part) for name in COMMANDS for path, part in walk(COMMANDS[name])]
NAMED = [" ".join((name, *path)) for name, path, _ in EVERYTHING]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_and_names_its_version(name: str) -> None:
    assert {"-h", "--help", "-V", "--version"} <= flags(COMMANDS[name])
    for word in ("-h", "--help", "-V", "--version"):
        done = subprocess.run(
            [sys.executable, ROOT / "bin" / name, word],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), word
        assert name in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_is_an_error_with_the_program_s_name_and_nothing_on_stdout(name: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bin" / name, "--no-such-option"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    assert re.search(rf"^{name}: ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2 or name in ELDERS


@pytest.mark.parametrize(("name", "path", "part"), EVERYTHING, ids=NAMED)
def test_each_option_has_a_text_of_one_style(name: str, path: tuple[str, ...], part: Command) -> None:
    def wrong(option: Option) -> bool:
        text = option.help
        return not text or text[0] in " ." or text.endswith(".") or bool(re.match(r"[A-Z][a-z]", text))

    exempt = {"NLM version", "NSM", "NetBIOS", "Prometheus", "Notifier", "UDP"}
    found = [o for o in part.options if wrong(o) and not any(o.help.startswith(word) for word in exempt)]
    assert found == []


@pytest.mark.parametrize("name", CONTROL)
def test_socket_and_json_stand_before_a_verb_or_behind_it(name: str) -> None:
    assert {"--socket", "--json"} <= flags(COMMANDS[name])
    for path, part in walk(COMMANDS[name]):
        if part.verbs:
            continue
        assert "--json" in flags(part), path
        if "HOST" not in [value.name for value in part.operands]:  # those call any server
            assert "--socket" in flags(part), path


@pytest.mark.parametrize("name", COMMANDS)
def test_the_manual_page_knows_every_verb_and_option(name: str) -> None:
    page = re.sub(r"\\f.|\\", "", (ROOT / f"docs/man/{name}.8").read_text())
    page = re.sub(r'[" ]+', " ", page)
    missing = []
    for path, part in walk(COMMANDS[name]):
        missing += [path] if path and not re.search(rf"\b{re.escape(path[-1])}\b", page) else []
        for option in part.options:
            helps = path and option.help == "show help"  # of a verb: what the program's own says of it
            if not helps and not any(
                re.search(rf"(?<![\w-]){re.escape(flag)}\b", page) for flag in option.flags
            ):
                missing.append((*path, option.flags))
    assert missing == []
