# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of pynmbd: nmbd's options, as far as they mean anything under systemd. Read add."""

from __future__ import annotations

import argparse
from typing import Any

DEBUG_FROM = 3
"""nmbd's debug level from which on everything is logged here."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to the common ones."""
    option = parser.add_argument
    option("-s", "--configfile", dest="config", metavar="FILE", help="the same as --config")
    option("-F", dest="foreground", action="store_true", help="the same as --foreground")
    option("-D", "--daemon", action="store_true", help="accepted: systemd sees to the background")
    option("-i", "--interactive", action="store_true", help="stay in the foreground, log to stdout")
    option("-S", "--log-stdout", action="store_true", help="log to stdout; only with -F or -i")
    option("--no-process-group", action="store_true", help="accepted: none is ever made")
    option("-H", "--hosts", metavar="FILE", help="lmhosts file")
    option("-p", "--port", metavar="PORT", type=_port, help="UDP port of the name service (137)")
    option("--cache-dir", metavar="DIR", help="cache folder ($CACHE_DIRECTORY or /var/cache/pynmbd)")
    option("--pidfile", metavar="FILE", help="write the process id there while running")
    option("-d", "--debug", "--debuglevel", nargs="?", const="3", default="", metavar="LEVEL",
           action=_Level, help="log everything (nmbd's levels from 3 on)")  # fmt: skip


def _port(text: str) -> int:
    """A UDP port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, want 1..65535")
    return int(text)


class _Level(argparse.Action):
    """A number; what is kept is whether it means everything."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, option: Any = None
    ) -> None:
        if not str(value).isdecimal():
            parser.error(f"argument {option}: {value!r} is no level")
        setattr(namespace, self.dest, int(value) >= DEBUG_FROM)
