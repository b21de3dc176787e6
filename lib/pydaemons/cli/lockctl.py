# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockctl(8): asks pylockd, and calls any NLM server as a client. Read parser, then main; bin runs run.

The daemon side is lockctl_daemon, the client side lockctl_client; each is imported only when it is wanted.
Exit status: 0 done or granted, 1 denied or failed, 2 usage, 3 not granted in time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, NoReturn

import pydaemons
from pydaemons.cli.shared import json_option, run_program, socket_option

if TYPE_CHECKING:
    from pydaemons.cli.lockctl_report import Report, Request

PROG = "pylockctl"
SOCKET = "/run/pylockd/control"
LONGEST_FH = 64
MOST_32, MOST_64 = 2**32 - 1, 2**64 - 1
ACCESS = ("none", "read", "write", "read-write")
FREE_ALL, SHARES = "free-all", ("share", "unshare")
CLIENT_VERBS = ("test", "lock", "unlock", "share", "unshare", FREE_ALL, "null")
OK, FAILED, USAGE = 0, 1, 2

EPILOG = """\
FH is a file handle in hexadecimal, or file:NAME for one made up from NAME (the same everywhere), to try
things out. Exit status: 0 done or granted, 1 denied or failed, 2 usage, 3 not granted in time.
See pylockctl(8).
"""


# ---- arguments


def file_handle(text: str) -> bytes:
    """FH: hexadecimal, or file:NAME for 32 bytes derived from a name."""
    kind, colon, name = text.partition(":")
    if colon and kind == "file":
        if not name:
            raise argparse.ArgumentTypeError("file: wants a name behind it")
        return sha256(b"pylockctl file:" + os.fsencode(name)).digest()
    try:
        handle = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither hexadecimal (two digits per byte) nor file:NAME"
        ) from None
    if not 0 < len(handle) <= LONGEST_FH:
        raise argparse.ArgumentTypeError(f"a file handle has 1 to {LONGEST_FH} bytes, not {len(handle)}")
    return handle


def integer(least: int, most: int) -> Callable[[str], int]:
    """A number within bounds, decimal or by its prefix (0x)."""

    def number(text: str) -> int:
        try:
            value = int(text, 0)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and {most}")
        return value

    return number


def seconds(text: str) -> float:
    """A time in seconds; inf for ever."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a time")
    return value


def patience(text: str) -> float:
    """A time a call may take: not zero, not endless."""
    value = seconds(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 3600 seconds")
    return value


def owner(text: str) -> tuple[str, int]:
    """CLIENT:SVID; the last colon divides, so that IPv6 addresses need no brackets."""
    client, colon, svid = text.rpartition(":")
    if not colon or not client:
        raise argparse.ArgumentTypeError(f"{text!r} is not CLIENT:SVID")
    return client, integer(-(2**31), MOST_32)(svid)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog=PROG,
        description="Control pylockd, the NFS lock manager, and try out any NLM server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    socket_option(top, SOCKET)
    json_option(top)
    top.add_argument("-V", "--version", action="version", version=f"{PROG} {pydaemons.__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    _daemon_verbs(verbs)
    _client_verbs(verbs)
    return top


def _daemon_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    common = argparse.ArgumentParser(add_help=False)
    which = common.add_mutually_exclusive_group()
    socket_option(which, SOCKET, behind=True)
    which.add_argument(
        "--instance",
        metavar="NAME",
        dest="socket",
        default=argparse.SUPPRESS,
        type=lambda name: SOCKET.replace("pylockd", f"pylockd@{name}"),
        help="pylockd@NAME, of that network namespace",
    )
    json_option(common, behind=True)

    def verb(name: str, text: str, *, table: bool = False) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[common])
        if table:
            sub.add_argument("-n", "--no-headings", action="store_true", help="print no headings")
        return sub

    verb("status", "show how pylockd is")
    locks = verb("locks", "list held locks and shares", table=True)
    locks.add_argument("--client", metavar="CLIENT", help="only of this client (address or name)")
    locks.add_argument("--file", metavar="FH", type=file_handle, help="only on this file")
    locks.add_argument("--svid", metavar="N", type=_svid, help="only of this owner number")
    verb("blocked", "list requests that wait, and for whom", table=True)
    verb("clients", "list clients", table=True)
    graph = verb("graph", "show who waits for whom")
    graph.add_argument("--dot", action="store_true", help="for dot(1) of graphviz")
    top = verb("top", "watch files, holders, waiters and clients")
    top.add_argument(
        "-d", "--delay", metavar="S", type=patience, default=2.0, help="seconds between looks (2)"
    )
    top.add_argument(
        "-n", "--iterations", metavar="N", type=integer(1, 2**31), help="so many looks, in plain text"
    )
    top.add_argument("-1", dest="iterations", action="store_const", const=1, help="one look, as -n 1")
    top.add_argument(
        "-s",
        "--sort",
        choices=("waiting", "locks", "file"),
        default="waiting",
        help="order of files (waiting)",
    )
    release = verb("release", "free locks and shares by force")
    release.add_argument("--server", metavar="ADDRESS", help="all of those that call this address of ours")
    what = release.add_mutually_exclusive_group()
    what.add_argument("--client", metavar="CLIENT", help="all of a client (address or name)")
    what.add_argument("--file", metavar="FH", type=file_handle, help="all on a file")
    what.add_argument("--owner", metavar="CLIENT:SVID", type=owner, help="the locks of one owner")
    what.add_argument("--all", action="store_true", help="all")
    drop = verb("drop-all", "void all locks and start a grace period")
    drop.add_argument("--yes", action="store_true", help="do not ask")
    grace = verb("grace", "show, start or end the grace period")
    grace.add_argument("action", nargs="?", choices=("start", "end"))
    notify = verb("notify", "tell monitored clients that this server restarted")
    notify.add_argument("--client", metavar="CLIENT", help="only this one (address or name)")
    notify.add_argument("--server", metavar="ADDRESS", help="only those that call this address of ours")
    stats = verb("stats", "show counters", table=True)
    stats.add_argument("--prometheus", action="store_true", help="print Prometheus' text format")
    verb("reload", "have the configuration read again")


_svid = integer(-(2**31), MOST_32)


def _client_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("host", metavar="HOST", help="the server: name or address")
    add = common.add_argument
    version = common.add_mutually_exclusive_group()
    for number in (1, 3, 4):
        version.add_argument(
            f"--v{number}", dest="version", action="store_const", const=number, help=f"NLM version {number}"
        )
    transport = common.add_mutually_exclusive_group()
    for name in ("udp", "tcp"):
        transport.add_argument(
            f"--{name}", dest="transport", action="store_const", const=name, help=f"call by {name.upper()}"
        )
    common.set_defaults(version=4, transport="tcp")
    add("--port", metavar="P", type=integer(1, 65535), help="the server's port (asked of its rpcbind)")
    add("--source", metavar="ADDRESS", help="local address to call from")
    add("--timeout", metavar="S", type=patience, default=10.0, help="seconds for each call (10)")
    add("--rpcbind-port", metavar="P", type=integer(1, 65535), default=111, help="port of rpcbind (111)")
    json_option(common, behind=True)

    texts = {
        "test": "ask whether a lock would be granted, and who is in the way",
        "lock": "take a lock",
        "unlock": "release a lock, or part of it",
        "share": "open a file, denying others some ways of opening it",
        "unshare": "take a share back",
        FREE_ALL: "have all locks and shares of this host released",
        "null": "see whether the server answers",
    }
    for name in CLIENT_VERBS:
        sub = verbs.add_parser(
            name, help=f"client: {texts[name]}", description=f"{texts[name].capitalize()}.", parents=[common]
        )
        bare = name in (FREE_ALL, "null")
        sub.add_argument(
            "fh",
            metavar="FH",
            type=file_handle,
            nargs="?" if bare else None,
            help="not needed" if bare else "file handle in hexadecimal, or file:NAME",
        )
        if name != "null":
            sub.add_argument("--name", metavar="CALLER", help="caller_name (this host's name)")
        if name == FREE_ALL:
            sub.add_argument("--state", metavar="N", type=_svid, default=0, help="NSM state number (0)")
        if bare:
            continue
        sub.add_argument("--svid", metavar="N", type=_svid, default=1, help="the owner's number (1)")
        sub.add_argument("--oh", metavar="TEXT", help="owner handle (SVID@CALLER)")
        if name in SHARES:
            for option, text, default in (
                ("--access", "what is wanted", "read-write"),
                ("--deny", "what others are denied", "none"),
            ):
                sub.add_argument(option, choices=ACCESS, default=default, help=f"{text} ({default})")
        else:
            span = integer(0, MOST_64)
            sub.add_argument("--offset", metavar="N", type=span, default=0, help="first byte (0)")
            sub.add_argument("--length", metavar="N", type=span, default=0, help="0: to the end (0)")
            sub.add_argument("--shared", action="store_true", help="a read lock instead of a write lock")
        if name in ("lock", "share"):
            sub.add_argument("--reclaim", action="store_true", help="as held before the server restarted")
        if name == "lock":
            sub.add_argument(
                "--wait",
                metavar="SECONDS",
                nargs="?",
                const=float("inf"),
                type=seconds,
                help="wait for it (=SECONDS: so long), called back as a kernel client is",
            )
            sub.add_argument(
                "--hold",
                metavar="SECONDS",
                type=seconds,
                help="keep it so long (inf: until Ctrl-C), then release",
            )


def _unambiguous(argv: Sequence[str]) -> list[str]:
    """An option whose value may be left out takes one only behind a `=`, as GNU programs have it: `--wait
    HOST` is two things."""
    return [f"{word}=inf" if word == "--wait" else word for word in argv]


def _is_patience(arguments: argparse.Namespace, surplus: list[str]) -> bool:
    """`lock HOST FH --wait 5` can only mean one thing, too: take it."""
    if len(surplus) != 1 or getattr(arguments, "wait", None) != float("inf"):
        return False
    try:
        arguments.wait = seconds(surplus[0])
    except argparse.ArgumentTypeError:
        return False
    return True


# ---- running


def run() -> NoReturn:
    """The whole program of `bin/pylockctl`."""
    run_program(main)


def main(argv: Sequence[str] | None = None) -> int:
    """As `run`, returning the exit status (argparse leaves with 2 by itself)."""
    words = sys.argv[1:] if argv is None else argv
    command_line = parser()
    arguments, surplus = command_line.parse_known_args(_unambiguous(words))
    if surplus and not _is_patience(arguments, surplus):
        command_line.error(f"unrecognized arguments: {' '.join(surplus)}")
    problem = _problem(arguments) if arguments.verb in CLIENT_VERBS else _unclear(arguments)
    if problem:
        command_line.error(f"{arguments.verb}: {problem}")
    return _carry_out(arguments)


def _carry_out(arguments: argparse.Namespace) -> int:
    if arguments.verb in CLIENT_VERBS:
        return _client(arguments)
    from pydaemons.cli import lockctl_daemon  # noqa: PLC0415

    return lockctl_daemon.run(arguments)


def _client(arguments: argparse.Namespace) -> int:
    # half of the interpreter's start time, which the other half of this command does without
    from pydaemons.cli import lockctl_client as client  # noqa: PLC0415
    from pydaemons.cli.lockctl_calls import CommandError, InterruptedCommandError  # noqa: PLC0415
    from pydaemons.cli.lockctl_report import words  # noqa: PLC0415

    request = _request(arguments)

    def show(report: Report) -> None:
        if arguments.json:
            print(json.dumps(report.row()), flush=True)
        elif report.decided:
            print(words(report), flush=True)

    try:
        return client.run(request, say=client.complain, show=show)
    except InterruptedCommandError as error:
        return error.status
    except CommandError as error:
        client.complain(str(error))
        return error.status
    except OSError as error:
        client.complain(error.strerror or str(error))
        return FAILED


def _unclear(arguments: argparse.Namespace) -> str:
    """What is missing on the daemon's side, or contradictory."""
    server = getattr(arguments, "server", None)
    if server is not None and not _is_address(server):
        return f"--server {server} is not an address"
    if arguments.verb == "release":
        whole = arguments.file is not None or arguments.all
        if server is not None and whole:
            return "--server goes with --client and --owner only"
        if server is arguments.client is arguments.owner is None and not whole:
            return "one of --client, --server, --file, --owner, --all is wanted"
    return ""


def _is_address(text: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _problem(arguments: argparse.Namespace) -> str:
    """What the options contradict each other in."""
    version = arguments.version
    if version == 1 and arguments.verb in (*SHARES, FREE_ALL):
        return "NLM version 1 has no such procedure; take --v3 or --v4"
    if version < 4 and max(getattr(arguments, "offset", 0), getattr(arguments, "length", 0)) > MOST_32:
        return f"versions 1 and 3 know offsets and lengths up to {MOST_32} only; take --v4"
    if arguments.source is not None and not _is_address(arguments.source):
        return f"--source {arguments.source} is not an address"
    return ""


def _request(arguments: argparse.Namespace) -> Request:
    from pydaemons.cli.lockctl_report import Request  # noqa: PLC0415
    from pydaemons.engine.protocol import Transport  # noqa: PLC0415

    given = vars(arguments)
    name = given.get("name") or os.uname().nodename
    svid = given.get("svid", 1)
    oh = given.get("oh")
    return Request(
        verb=arguments.verb,
        host=arguments.host,
        fh=given.get("fh") or b"",
        offset=given.get("offset", 0),
        length=given.get("length", 0),
        exclusive=not given.get("shared", False),
        wait=given.get("wait"),
        hold=given.get("hold"),
        version=arguments.version,
        transport=Transport(arguments.transport),
        svid=svid - 2**32 if svid >= 2**31 else svid,
        oh=os.fsencode(f"{svid}@{name}" if oh is None else oh),
        name=os.fsencode(name),
        reclaim=given.get("reclaim", False),
        access=ACCESS.index(given.get("access", "none")),
        deny=ACCESS.index(given.get("deny", "none")),
        state=given.get("state", 0),
        port=arguments.port,
        source=arguments.source,
        timeout=arguments.timeout,
        rpcbind_port=arguments.rpcbind_port,
    )
