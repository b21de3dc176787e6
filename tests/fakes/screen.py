# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal for a command to draw on: what its bytes would show, as lines. It knows the few control
sequences that pydaemons.cli.terminal uses, and refuses all others."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Self

SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")


class Screen:
    """`with Screen([program, ...]) as screen`: the command on a terminal of its own."""

    def __init__(self, command: list[str], *, columns: int = 100, lines: int = 30) -> None:
        self._command = command
        self.columns, self.rows = columns, lines
        self.lines: list[str] = []
        self.alternate = False
        self.written = 0
        """Bytes so far."""
        self._row = self._column = 0
        self._text = ""

    def __enter__(self) -> Self:
        self.master, self.slave = pty.openpty()
        self.resize(self.columns, self.rows)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            self._command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.rows = columns, lines
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait(self, what: Callable[[list[str]], object], *, limit: float = 30.0) -> list[str]:
        """Until the picture is so."""
        end = time.monotonic() + limit
        while not what(self.lines):
            assert time.monotonic() < end, "\n".join(self.lines)
            self.read(0.1)
        return self.lines

    def shows(self, text: str) -> list[str]:
        return self.wait(lambda lines: text in "\n".join(lines))

    def read(self, seconds: float) -> None:
        """Take in what comes."""
        if select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            self.written += len(data)
            self._text += data.decode(errors="ignore")
            self._obey()

    def _obey(self) -> None:
        while self._text:
            if self._text[0] == "\x1b":
                found = SEQUENCE.match(self._text)
                if found is None:
                    return  # not all of it has come
                self._text = self._text[found.end() :]
                self._control(*found.groups())
                continue
            plain = re.match(r"[^\x1b]+", self._text)
            assert plain is not None
            self._text = self._text[plain.end() :]
            self._put(plain.group())

    def _put(self, text: str) -> None:
        while len(self.lines) <= self._row:
            self.lines.append("")
        line = self.lines[self._row].ljust(self._column)
        assert self._column + len(text) <= self.columns, f"wider than the terminal: {text!r}"
        self.lines[self._row] = line[: self._column] + text + line[self._column + len(text) :]
        self._column += len(text)

    def _control(self, numbers: str, letter: str) -> None:
        match numbers, letter:
            case "?1049", ("h" | "l"):
                self.alternate = letter == "h"
            case ("?25", _) | (_, "m"):
                pass
            case "2", "J":
                self.lines = []
            case "", "J":
                del self.lines[self._row :]
            case "", "K":
                if self._row < len(self.lines):
                    self.lines[self._row] = self.lines[self._row][: self._column]
            case _, "H":
                row, column = numbers.split(";")
                self._row, self._column = int(row) - 1, int(column) - 1
                assert self._row < self.rows, "below the terminal's last line"
            case _:
                raise AssertionError(f"what is ESC [ {numbers} {letter}?")
