# SPDX-License-Identifier: GPL-3.0-or-later
"""Below floor 3 nothing opens, sleeps, reads a clock, rolls dice, logs or prints."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

import pytest

from house.tree import FLOORS, Module, modules, package_of

# fmt: off
WORLD = {
    "asyncio", "concurrent", "ctypes", "curses", "fcntl", "fileinput", "getpass", "glob", "grp", "http",
    "io", "logging", "mmap", "multiprocessing", "os", "pty", "pwd", "queue", "random", "resource",
    "sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket",
    "socketserver", "sqlite3", "ssl", "subprocess", "sys", "syslog", "tempfile", "termios", "threading",
    "time", "tty", "urllib", "uuid", "sdnotify", "pystemd", "prctl",
}
# fmt: on
"""Modules that reach the world: files, sockets, processes, clocks, chance."""

PURE_PARTS = {"io.BytesIO", "io.StringIO", "os.PathLike", "sys.intern", "sys.maxsize", "sys.byteorder"}
"""Single names of those modules that do nothing of the kind."""

WORLDLY_NAMES = {"pathlib.Path", "datetime.datetime.now", "datetime.date.today", "datetime.datetime.utcnow"}
BUILTINS = {"open", "print", "input", "breakpoint"}
CLOCK_METHODS = {"now", "today", "utcnow"}


def impurities(syntax: ast.Module, imports: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Line and reason for everything that reaches the world."""
    for line, name in imports:
        if name in WORLDLY_NAMES or (name.split(".")[0] in WORLD and name not in PURE_PARTS):
            yield line, f"imports {name}"
    for node in ast.walk(syntax):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in BUILTINS:
            yield node.lineno, f"calls {called.id}()"
        elif isinstance(called, ast.Attribute):
            owner = called.value
            named = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if named in ("datetime", "date") and called.attr in CLOCK_METHODS:
                yield node.lineno, f"reads the clock by {named}.{called.attr}()"
            if named == "pathlib" and called.attr == "Path":
                yield node.lineno, "makes a pathlib.Path; PurePath has no file system"


def pure_modules() -> list[Module]:
    return [m for m in modules() if (package := package_of(m.name)) and FLOORS[package] < 3]


@pytest.mark.parametrize("module", pure_modules(), ids=lambda module: module.name)
def test_a_module_below_floor_3_is_pure(module: Module):
    found = [f"{module.where(line)}: {why}" for line, why in impurities(module.syntax, module.imports())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from os import open as o",
        "import asyncio.events",
        "def f():\n    import socket",
        "from pathlib import Path",
        "data = open('x').read()",
        "import datetime\nd = datetime.datetime.now()",
        "from datetime import datetime\nd = datetime.now()",
        "print('x')",
        "import pathlib\npathlib.Path('x')",
    ],
)
def test_what_reaches_the_world_is_seen(text, tmp_path, monkeypatch):
    assert list(impurities(*parse(text, tmp_path, monkeypatch)))


@pytest.mark.parametrize(
    "text",
    [
        "from io import BytesIO",
        "from pathlib import PurePosixPath",
        "import struct, dataclasses, enum, ipaddress, hashlib",
        "def f(reader):\n    return reader.open(), now.mono",
        "from datetime import timedelta",
    ],
)
def test_what_does_not_passes(text, tmp_path, monkeypatch):
    assert not list(impurities(*parse(text, tmp_path, monkeypatch)))


def parse(text, tmp_path, monkeypatch):
    path = tmp_path / "pydaemons" / "sample.py"
    path.parent.mkdir()
    path.write_text(textwrap.dedent(text))
    monkeypatch.setattr("house.tree.LIB", tmp_path)
    module = Module(path)
    return module.syntax, list(module.imports())
