# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control commands share: options before or behind the verb, how they end when interrupted, the
keys of their JSON, and what is said when nobody answers.

Behind the verb an option has no default: what is not given there must not undo what stood before.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Container
from typing import Any, NoReturn

SYSTEMD = "/run/systemd/system"
"""There where systemd is PID 1 (sd_booted(3))."""
INTERRUPTED = 128 + signal.SIGINT
"""What the shell says of a program that Ctrl-C ended."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""How output fails that goes to a file."""


def run_program(main: Callable[[], int]) -> NoReturn:
    """A whole program. Ctrl-C ends it without a word, and so does a reader of its output who has enough
    (SIGPIPE, as other programs beside `| head`). Output that cannot be written is an error."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if sys.stdout is None:  # the shell's >&-
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the end
    try:
        try:
            status: str | int | None = main()
        except SystemExit as leaving:  # argparse, after --help
            status = leaving.code
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        # what is in the buffer still would fail once more at the very end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"{os.path.basename(sys.argv[0])}: write error: {error.strerror}", file=sys.stderr)
        status = 1
    sys.exit(status)


def socket_option(
    options: argparse.ArgumentParser | argparse._ArgumentGroup, path: str, *, behind: bool = False
) -> None:
    """--socket PATH."""
    default = argparse.SUPPRESS if behind else path
    options.add_argument("--socket", metavar="PATH", default=default, help=f"control socket ({path})")


def json_option(options: argparse.ArgumentParser, *, behind: bool = False) -> None:
    """--json."""
    default = argparse.SUPPRESS if behind else False
    options.add_argument("--json", action="store_true", default=default, help="print JSON")


def port(text: str) -> int:
    """An option's value: a port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, want 1..65535")
    return int(text)


def snake_case(answer: Any, *, named: Container[str] = ()) -> Any:
    """A daemon's answer with the keys that --json has in all commands: small letters, digits, underscores.
    Values stay; so do the keys below those `named`, which are names of something."""
    if isinstance(answer, list):
        return [snake_case(each, named=named) for each in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        _CAPITAL.sub("_", key).replace(" ", "_").lower(): value
        if key in named
        else snake_case(value, named=named)
        for key, value in answer.items()
    }


_CAPITAL = re.compile("(?<=[a-z0-9])(?=[A-Z])")


def unanswered(daemon: str, error: str) -> str:
    """Why there is no answer (of controlclient.NotRunningError, "PATH: why"), and what to do about it."""
    path, _, why = error.rpartition(": ")
    if why == "not running":
        start = f"systemctl start {daemon}" if os.path.isdir(SYSTEMD) else daemon
        return f"{daemon} is not running ({path} is not answered); start it: {start}"
    if why == os.strerror(13):
        return f"{error}: ask as root, or for another socket (--socket)"
    return f"{error}; see what it says: journalctl -u {daemon}"
