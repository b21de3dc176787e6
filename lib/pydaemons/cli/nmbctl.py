# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbctl(8): what pynmbd is doing, and what it shall do. Read VERBS.

A client of /run/pynmbd/control. Exit status: 0 done, 1 refused or failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pydaemons
from pydaemons.cli import nmbctl_browse, nmbctl_partners
from pydaemons.cli.metrics import Metrics
from pydaemons.cli.shared import json_option, port, run_program, snake_case, socket_option, unanswered
from pydaemons.cli.tables import Column, render, style_of
from pydaemons.kit.controlclient import CallError, ControlClient, NotRunningError

SOCKET = "/run/pynmbd/control"
INTERFACE = "org.pydaemons.nmbd"
COMMON = "org.pydaemons.Daemon"
LONGEST_PAUSE = 86400
LINES = 1000
"""Lines of a wins.dat sent at once."""

Arguments = argparse.Namespace
Body = Callable[[ControlClient, Arguments], Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: what it calls, how its answer looks to people, what it takes."""

    call: Body
    show: Callable[[Any], Iterator[str]]
    help: str
    takes: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    part: str | None = None
    """what --json shows of the answer, if not all: a list is a list, and no object with a list"""


def run() -> NoReturn:
    """The whole program of `bin/pynmbctl`."""
    run_program(main)


def main(argv: Sequence[str] | None = None) -> int:
    """As `run`, returning the exit status."""
    arguments = _parse(argv)
    verb: Verb = arguments.body
    try:
        with ControlClient(arguments.socket, INTERFACE) as daemon:
            answer = verb.call(daemon, arguments)
    except NotRunningError as error:
        print(f"pynmbctl: {unanswered('pynmbd', str(error))}", file=sys.stderr)
        return 1
    except (CallError, RefusedError) as error:
        print(f"pynmbctl: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"pynmbctl: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 1
    if arguments.json and answer is not None and "prometheus" not in answer:
        shown = answer if verb.part is None else answer[verb.part]
        print(json.dumps(snake_case(shown), indent=2, ensure_ascii=False))
    else:
        for line in verb.show(answer) if answer is not None else ():
            print(line)
    sys.stdout.flush()
    return 0


class RefusedError(Exception):
    """The answer is no; the text says why."""


def _parse(argv: Sequence[str] | None) -> Arguments:
    parser = argparse.ArgumentParser(
        prog="pynmbctl", description="Look at pynmbd and steer it.", epilog="See pynmbctl(8)."
    )
    socket_option(parser, SOCKET)
    json_option(parser)
    parser.add_argument("-V", "--version", action="version", version=f"pynmbctl {pydaemons.__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    wins: Any = None
    for words, verb in VERBS.items():
        first, _, second = words.partition(" ")
        if second and wins is None:
            group = verbs.add_parser(first, help="names of the WINS server")
            wins = group.add_subparsers(required=True, metavar="VERB")
        sub = (wins if second else verbs).add_parser(second or first, help=verb.help, description=verb.help)
        verb.takes(sub)
        socket_option(sub, SOCKET, behind=True)
        json_option(sub, behind=True)
        sub.set_defaults(body=verb)
    return parser.parse_args(argv)


# ---- what the verbs call


def _ping(daemon: ControlClient, arguments: Arguments) -> Any:
    return daemon.call(f"{COMMON}.Describe")


def _debug(daemon: ControlClient, arguments: Arguments) -> Any:
    if arguments.level is None:
        return {"status": daemon.call(f"{COMMON}.Describe")["status"]}
    return daemon.call(f"{COMMON}.SetDebug", debug=arguments.level >= 3)


def _reload(daemon: ControlClient, arguments: Arguments) -> Any:
    answer = daemon.call(f"{COMMON}.Reload")
    for problem in answer["problems"]:
        print(f"pynmbctl: {problem}", file=sys.stderr)
    if not answer["usable"]:
        raise RefusedError("the configuration is not usable; the old one stays in force")
    return answer


def _pages(daemon: ControlClient, arguments: Arguments) -> Any:
    names: list[Any] = []
    after: int | None = 0
    while after is not None:
        page = daemon.call("WinsList", pattern=arguments.pattern, state=arguments.state, after=after)
        names += page["names"]
        after = page.get("next")
    return {"names": names}


def _wins_add(daemon: ControlClient, arguments: Arguments) -> Any:
    return daemon.call(
        "WinsAdd", name=arguments.name, addresses=arguments.address, group=arguments.group, ttl=arguments.ttl
    )


def _wins_import(daemon: ControlClient, arguments: Arguments) -> Any:
    with open(arguments.file, encoding="utf-8", errors="surrogateescape") as stream:
        head, *lines = stream.read().split("\n")
    total, problems = 0, []
    for start in range(0, max(len(lines), 1), LINES):
        text = "\n".join([head, *lines[start : start + LINES]])
        answer = daemon.call("WinsImport", text=text.encode("utf-8", "replace").decode())
        total += answer["imported"]
        problems += [_in_file(problem, arguments.file, start) for problem in answer["problems"]]
        if start == 0 and not total and problems:
            raise RefusedError(problems[0])
    return {"imported": total, "problems": problems}


def _in_file(problem: str, file: str, before: int) -> str:
    """What is wrong with a line of a piece, by its place in the whole file."""
    found = re.match(r"wins\.dat:(\d+)(?=: )", problem)
    return problem if found is None else f"{file}:{int(found[1]) + before}{problem[found.end() :]}"


def _wins_export(daemon: ControlClient, arguments: Arguments) -> Any:
    file = daemon.call("WinsExport")["file"]
    if arguments.file is not None:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
        if arguments.file == "-":
            sys.stdout.write(text)
            return None
        with open(arguments.file, "w", encoding="utf-8") as stream:
            stream.write(text)
        file = arguments.file
    return {"file": file}


def _send_packet(daemon: ControlClient, arguments: Arguments) -> Any:
    return daemon.call(
        "SendPacket",
        kind=arguments.kind,
        to=arguments.to,
        port=arguments.port,
        data=_hex(arguments.data),
    )


def _send_mailslot(daemon: ControlClient, arguments: Arguments) -> Any:
    return daemon.call(
        "SendMailslot",
        destination=arguments.destination,
        mailslot=arguments.mailslot,
        data=_hex(arguments.data),
        source=arguments.source,
        to=arguments.to,
        unique=arguments.unique,
    )


def _hex(given: str) -> str:
    """Hex with or without colons, or what comes in on standard input."""
    return sys.stdin.buffer.read().hex() if given == "-" else "".join(given.split(":"))


# ---- how the answers look


def _no_lines(answer: Any) -> Iterator[str]:
    return iter(())


def _show_ping(answer: Any) -> Iterator[str]:
    yield f"PONG from pid {answer['pid']}"


def _show_status(answer: Any) -> Iterator[str]:
    status = answer["status"]
    yield f"{status['name']} in {status['workgroup']}, node type {status['node']}"
    for network in status["networks"]:
        yield f"network {network['network']} by {network['interface']} as {network['address']}"
    if not status["networks"]:
        yield "no network: waiting for one"
    if status["logon"]:
        what = "primary" if status["logon"]["primary"] else "backup"
        behind = f", asking {status['logon']['controller']}" if status["logon"]["controller"] else ""
        yield f"{what} domain controller of {status['workgroup']}{behind}"
    if status["wins"]["server"]:
        yield f"WINS server with {status['wins']['names']} names"
    for server in status["wins_servers"]:
        dead = f" (dead: {', '.join(server['dead'])})" if server["dead"] else ""
        yield f"WINS client of {server['server']} [{server['tag']}]: {server['registered']} names{dead}"
    conflicts = f", in conflict with {', '.join(status['conflicts'])}" if status["conflicts"] else ""
    yield f"{status['names']} names held{conflicts}"
    if status["master_of"]:
        yield f"master browser of {', '.join(status['master_of'])}"
    if status["domain_master"]:
        yield f"domain master browser of {status['workgroup']}"


NAMES = [Column("NAME"), Column("ADDRESS"), Column("INTERFACE"), Column("STATE"), Column("WINS", cut=True)]
WINS = [
    *(Column("NAME"), Column("KIND"), Column("NODE"), Column("STATE"), Column("EXPIRES")),
    *(Column("ADDRESSES", cut=True), Column("ORIGIN")),
]
STATS = [Column("WHAT"), Column("COUNT", right=True)]


def _table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    return iter(render(columns, rows, style_of(sys.stdout)))


def _show_names(answer: Any) -> Iterator[str]:
    rows = []
    for entry in answer["names"]:
        state = f"{entry['state']} ({entry['rival']})" if entry["rival"] else entry["state"]
        group = " (group)" if entry["group"] else ""
        name, wins = entry["name"] + group, " ".join(entry["wins"])
        rows.append((name, entry["address"], entry["interface"], state, wins))
    return _table(NAMES, rows)


def _show_wins(answer: Any) -> Iterator[str]:
    rows = []
    for entry in answer["names"]:
        stamp = time.strftime("%Y-%m-%dT%H:%M", time.localtime(entry["expires"]))
        kind, addresses = "group" if entry["group"] else "unique", " ".join(entry["addresses"])
        origin = nmbctl_partners.origin(entry)
        rows.append((entry["name"], kind, entry["node"], entry["state"], stamp, addresses, origin))
    partners = any(row[-1] for row in rows)
    return _table(WINS if partners else WINS[:-1], rows if partners else [row[:-1] for row in rows])


NOW = {
    "requests under way": "requests",
    "wins names": "wins_names",
    "own names": "names",
    "names in dispute": "names_in_dispute",
    "servers known": "servers",
}
"""of the figures of Stats, those that are how it is now; the others count"""


def _stats(daemon: ControlClient, arguments: Arguments) -> Any:
    answer = daemon.call("Stats")
    if arguments.prometheus:
        answer["prometheus"] = prometheus(answer["stats"])
    return answer


def prometheus(stats: Mapping[str, int]) -> str:
    """The figures of Stats for Prometheus."""
    page = Metrics("pynmbd")
    counted = [({"what": what}, count) for what, count in stats.items() if what not in NOW]
    page.family("events_total", "counter", "Packets and what became of them, by what.", counted)
    for what, name in NOW.items():
        page.gauge(name, f"{what.capitalize()}.", stats[what])
    return page.text()


def _show_stats(answer: Any) -> Iterator[str]:
    if "prometheus" in answer:
        return iter(answer["prometheus"].splitlines())
    return _table(STATS, list(answer["stats"].items()))


def _show_values(answer: Any) -> Iterator[str]:
    for key, value in answer.items():
        if isinstance(value, list):
            yield from (f"{key}: {item}" for item in value)
        else:
            yield f"{key} {value}"


# ---- what they take


def _take_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern over NAME#XX")
    parser.add_argument(
        "--state", choices=("active", "released", "tombstone"), help="only names in this state"
    )


def _take_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="NAME#XX")
    parser.add_argument("address", nargs="+")
    parser.add_argument("--group", action="store_true", help="a name of many hosts")
    parser.add_argument("--ttl", type=int, metavar="SECONDS", help="how long it lasts unless renewed")


def _take_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="NAME#XX")


def _take_partner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("partner", nargs="?", metavar="ADDRESS", help="one partner (all)")


def _take_owner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("owner", metavar="ADDRESS")


def _take_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a wins.dat")


def _take_optional_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", help="copy it there; - for standard output")


def _take_prometheus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prometheus", action="store_true", help="print Prometheus' text format")


def _take_group(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", help="only this workgroup")


def _take_level(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("level", nargs="?", type=int, help="nmbd's levels: 3 and above log everything")


def _take_packet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("nmb", "dgram"), help="name service or datagram service")
    parser.add_argument("to", metavar="ADDRESS")
    parser.add_argument("data", help="the packet in hex; - for standard input, raw")
    parser.add_argument("--port", type=port, help="port to send it to (137 or 138)")


def _take_mailslot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("destination", metavar="NAME#SUFFIX", help="the host or group it is for")
    parser.add_argument("mailslot", metavar="MAILSLOT", help=r"\MAILSLOT\BROWSE and its like")
    parser.add_argument("data", help="what to write, in hex; - for standard input, raw")
    parser.add_argument("--to", metavar="ADDRESS", help="to this host alone, not to all of our networks")
    parser.add_argument("--source", metavar="NAME#SUFFIX", help="in this name (our own)")
    parser.add_argument("--unique", action="store_true", help="as a message for one host")


def _pause(text: str) -> float:
    """Seconds between two looks."""
    try:
        pause = float(text)
    except ValueError:
        pause = 0.0
    if not 0.0 < pause <= LONGEST_PAUSE:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to {LONGEST_PAUSE}")
    return pause


def _take_top(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    # pylockctl's and top(1)'s names first
    add("-d", "--delay", "-i", "--interval", dest="interval", type=_pause, default=1.0, metavar="SECONDS",
        help="seconds between looks (1)")  # fmt: skip
    add("-n", "--iterations", "-c", "--count", dest="count", type=int, default=0, metavar="N",
        help="end after so many looks (1 unless on a terminal)")  # fmt: skip


VERBS = {
    "status": Verb(
        lambda d, a: d.call("Status"), _show_status, "who we are, where, and with whom", part="status"
    ),
    "names": Verb(lambda d, a: d.call("Names"), _show_names, "our own names and their state", part="names"),
    "wins list": Verb(_pages, _show_wins, "the names of the WINS server", _take_list, part="names"),
    "wins add": Verb(_wins_add, _show_values, "put a name in", _take_add),
    "wins delete": Verb(
        lambda d, a: d.call("WinsDelete", name=a.name), _show_values, "take a name out", _take_name
    ),
    "wins export": Verb(_wins_export, _show_values, "write wins.dat now", _take_optional_file),
    "wins import": Verb(_wins_import, _show_values, "take over the names of a wins.dat", _take_file),
    "wins partners": Verb(
        lambda d, a: d.call("WinsPartners"),
        nmbctl_partners.partners,
        "replication, partner by partner",
        part="partners",
    ),
    "wins owners": Verb(
        lambda d, a: d.call("WinsOwners"),
        nmbctl_partners.owners,
        "whose names are known, and how many",
        part="owners",
    ),
    "wins pull": Verb(
        lambda d, a: d.call("WinsPull", partner=a.partner),
        _show_values,
        "ask partners for what is new",
        _take_partner,
    ),
    "wins push": Verb(
        lambda d, a: d.call("WinsPush", partner=a.partner),
        _show_values,
        "tell partners that there is something new",
        _take_partner,
    ),
    "wins forget": Verb(
        lambda d, a: d.call("WinsForget", owner=a.owner),
        _show_values,
        "drop all names of a server that will not come back",
        _take_owner,
    ),
    "stats": Verb(_stats, _show_stats, "counters since the start", _take_prometheus, part="stats"),
    "browse": Verb(nmbctl_browse.browse, nmbctl_browse.show_browse, "workgroups and servers", _take_group),
    "elections": Verb(
        nmbctl_browse.elections, nmbctl_browse.show_elections, "who is master browser, and what we are"
    ),
    "force-election": Verb(
        nmbctl_browse.force_election, nmbctl_browse.show_forced, "hold an election on every network"
    ),
    "top": Verb(
        nmbctl_browse.top, _no_lines, "masters, workgroups, servers and rates, as it happens", _take_top
    ),
    "ping": Verb(_ping, _show_ping, "is it there?"),
    "debug": Verb(_debug, _show_values, "log everything (3 and above) or no longer", _take_level),
    "reload": Verb(_reload, _no_lines, "read the configuration again", lambda parser: None),
    "reload-config": Verb(_reload, _no_lines, "the same, by smbcontrol's name"),
    "send-packet": Verb(_send_packet, _show_values, "send a packet from port 137 or 138", _take_packet),
    "send-mailslot": Verb(
        _send_mailslot, _show_values, "write into a mailslot of a host or group", _take_mailslot
    ),
    "shutdown": Verb(lambda d, a: d.call("Shutdown"), _no_lines, "release the names and leave"),
}
