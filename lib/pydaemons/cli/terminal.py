# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal that a command fills as top(1) does: no flicker, keys without Enter. Read Terminal.

with Terminal() as terminal:
    terminal.draw(lines)
    key = terminal.key(2.0)

The command's picture is on the alternate screen, so that the terminal's own content is there again at the
end, at Ctrl-Z, and at every signal that ends a process.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType, TracebackType

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
LEAVE = "\x1b[?25h\x1b[?1049l"
KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x0c": "redraw",
}
KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
RESIZED = "resized"
ENDED = "ended"
"""The terminal is gone: nobody will press a key any more."""
ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """Standard input and output, which are both a terminal."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self._in)
        self._shown: list[str] = []
        self._typed = ""
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Terminal:
        self._handlers = {
            number: signal.signal(number, self._signal)
            for number in (signal.SIGWINCH, signal.SIGTSTP, *ENDING)
        }
        # a signal that comes just before select() would else be noticed after it
        self._waker = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._waker)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._leave()
        os.close(self._wake)
        os.close(self._woken)

    def size(self) -> os.terminal_size:
        """Columns and lines."""
        return os.get_terminal_size(self._out)

    def draw(self, lines: list[str]) -> None:
        """Show these lines; only what is not there already is written, in one piece."""
        lines = lines[: self.size().lines]
        changed = [
            f"\x1b[{number};1H{line}\x1b[K"
            for number, line in enumerate(lines, 1)
            if number > len(self._shown) or self._shown[number - 1] != line
        ]
        if len(lines) < len(self._shown):
            changed.append(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._shown = lines
        self._write("".join(changed))

    def forget(self) -> None:
        """What is on the screen may be anything: the next picture is drawn whole."""
        self._shown = []
        self._write("\x1b[2J")

    def key(self, timeout: float) -> str:
        """The next key, by its letter or its name in KEYS; RESIZED, ENDED; empty when the time is over."""
        end = time.monotonic() + timeout
        while True:
            while self._typed:
                found = KEY.match(self._typed)
                assert found is not None
                self._typed = self._typed[found.end() :]
                key = found.group()
                if key in KEYS or key[0] != "\x1b":
                    return KEYS.get(key, key)
            ready, _, _ = select.select([self._in, self._wake], [], [], max(0.0, end - time.monotonic()))
            if self._wake in ready:
                if {signal.SIGWINCH, signal.SIGTSTP}.isdisjoint(os.read(self._wake, 64)):
                    continue
                self.forget()
                return RESIZED
            if self._in not in ready:
                return ""
            try:
                data = os.read(self._in, 16)
            except OSError:
                data = b""
            if not data:
                return ENDED
            self._typed = data.decode(errors="replace")

    def _signal(self, number: int, frame: FrameType | None) -> None:
        if number in ENDING:
            raise SystemExit(128 + number)
        if number == signal.SIGTSTP:
            self._leave()
            os.kill(os.getpid(), signal.SIGSTOP)  # until somebody says SIGCONT
            self._enter()

    def _enter(self) -> None:
        tty.setcbreak(self._in)
        self._write(ENTER)

    def _leave(self) -> None:
        try:
            self._write(LEAVE)
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)
        except (OSError, termios.error):
            pass  # hung up: there is nothing to restore

    def _write(self, text: str) -> None:
        rest = text.encode(errors="replace")
        while rest:
            rest = rest[os.write(self._out, rest) :]
