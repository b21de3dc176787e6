# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS hook (smb.conf: wins hook): a program that hears of every change of a name, as nmbd's does. Read
Hook.run.

The shell runs it by its arguments and nothing else (nmbd.hooks). What such programs do with a name is beyond
us, and many are shell scripts, so only names of harmless bytes are told (CVE-2025-10230).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydaemons.engine.effects import Effect, Level
from pydaemons.netbios import name
from pydaemons.netbios.node.events import WINS_NO_HOOK, RunHook, Say

_HOOKABLE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
"""The only bytes of a name that ever reach a hook: anything else could mean something to a shell."""


class Hook:
    """The program, if there is one. `emit` takes effects, `log` lines for people."""

    __slots__ = ("_emit", "_log", "command")

    def __init__(self, *, emit: Callable[[Effect], None], log: Say) -> None:
        self.command: tuple[str, ...] = ()
        """With its own arguments; empty: none, and `run` does nothing."""
        self._emit = emit
        self._log = log

    def run(self, event: str, wire: bytes, ttl: int, addresses: Iterable[bytes]) -> None:
        """Tell of `add`, `refresh` or `delete` of a name, what is left of its time, and its addresses."""
        if not self.command:
            return
        label = name.label_of(wire)
        raw = label[:15].rstrip(b" ")
        if not raw or not _HOOKABLE.issuperset(raw) or raw[:1] == b"-":
            self._log(
                Level.NOTICE,
                f"WINS: no hook for {name.unpack(wire)}: only A-Z a-z 0-9 . _ - are passed on",
                WINS_NO_HOOK,
            )
            return
        shown = [".".join(map(str, address)) for address in addresses]
        self._emit(RunHook((*self.command, event, raw.decode("ascii"), f"{label[15]:02x}", str(ttl), *shown)))
