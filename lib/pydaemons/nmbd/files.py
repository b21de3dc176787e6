# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for others to read: wins.dat, and namelist.debug at SIGHUP, in the forms nmbd writes. Read Files.

Both are replaced as a whole. A big wins.dat is written in pieces between packets; it is an export, the names
themselves are in the store.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from itertools import islice
from typing import IO

from pydaemons.kit.clock import now
from pydaemons.kit.log import Log
from pydaemons.netbios import name
from pydaemons.netbios.codes import ACTIVE, PERMANENT, Suffix
from pydaemons.netbios.node import handover, lmhosts, winsdat, winsrecord
from pydaemons.netbios.node.events import WriteBrowseList
from pydaemons.netbios.node.handover import Handover
from pydaemons.netbios.node.names import ANSWERED
from pydaemons.netbios.node.node import Node

HANDOVER = "handover"
LMHOSTS = "/etc/samba/lmhosts"
PIECE = 200
"""Lines between two looks at the network: less than a millisecond."""


WRITE_AGAIN = 30.0
"""Seconds until a list that could not be written is tried again."""


@contextmanager
def _replacing(path: str, suffix: str) -> Iterator[IO[str]]:
    """A file beside `path` that takes its place when all is written, and goes when that cannot be."""
    beside = f"{path}.{suffix}"
    try:
        with open(beside, "w", encoding="utf-8", errors="surrogateescape") as stream:
            yield stream
        os.rename(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def write(path: str, lines: Iterator[str], *, mode: int | None = None) -> None:
    """Replace a file, at once; `mode` is whom it is for, whatever the umask says."""
    with _replacing(path, "new") as stream:
        if mode is not None:
            os.fchmod(stream.fileno(), mode)
        stream.writelines(lines)


async def write_slowly(path: str, lines: Iterator[str]) -> None:
    """Replace a file, giving way to the network between pieces. `write` may do so meanwhile."""
    with _replacing(path, "part") as stream:
        while piece := list(islice(lines, PIECE)):
            stream.write("".join(piece))
            await asyncio.sleep(0.002)


def take_handover(run_dir: str, log: Log) -> Handover | None:
    """What the last process told this one, if it did. Once: it is gone afterwards."""
    file = f"{run_dir}/{HANDOVER}"
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
        os.unlink(file)
        return handover.parse(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # WireError is a ValueError
        log.warning(f"{file}: {error}; the names are claimed anew")
        return None


def wins_lines(node: Node, wall: float) -> Iterator[str]:
    """A wins.dat of what is known now."""
    own = {own.wire for own in node.settings.names()}
    return winsdat.format_(list(node.db.records.items()), wall, charset=node.settings.charset, own=own)


def namelist(node: Node, wall: float) -> Iterator[str]:
    """A namelist.debug: every network with our names, the names by hand, the WINS server's names."""
    for subnet in node.subnets.all:
        yield _head(subnet.interface.address)
        for holding in node.names.on(subnet):
            if holding.state in ANSWERED:
                addresses = node.names.addresses(holding.own.wire, subnet)
                flags = node.settings.status_flags(holding.own)
                if not holding.own.group:
                    flags |= PERMANENT
                yield _entry(holding.own.wire, "SELF_NAME", flags, addresses, death=0, refresh=holding.since)
        for wire in sorted(node.settings.silent_names()):
            flags = node.settings.node_type | ACTIVE
            yield _entry(wire, "PERMANENT_NAME", flags, [subnet.address], death=0, refresh=wall)
    if node.hosts:
        yield _head("REMOTE_BROADCAST_SUBNET")
        for host in node.hosts:
            for suffix in (Suffix.WORKSTATION, Suffix.SERVER) if host.suffix is None else (host.suffix,):
                wire = node.settings.wire(host.name, suffix)
                address = IPv4Address(host.address).packed
                yield _entry(wire, "LMHOSTS_NAME", ACTIVE, [address], death=0, refresh=wall)
    if node.wins is not None:
        own = {own.wire for own in node.settings.names()}
        yield _head("WINS_SERVER_SUBNET")
        for wire, packed in list(node.db.records.items()):
            record = winsrecord.unpack(packed)
            if record.state == winsrecord.State.ACTIVE and record.expires > wall:
                addresses = [member.address for member in record.members]
                # by then it must have been refreshed: when it will be is the owner's business
                ends = record.expires
                flags = record.flags | ACTIVE
                if wire in own and not record.group:
                    flags |= PERMANENT
                yield _entry(wire, "REGISTER_NAME", flags, addresses, death=ends, refresh=ends)


def _head(title: str) -> str:
    return f"Subnet {title}\n{'-' * 22}\n"


def _entry(
    wire: bytes, source: str, flags: int, addresses: list[bytes], *, death: int, refresh: float
) -> str:
    ends = f"{_date(death)}\n" if death else "PERMANENT"
    shown = " ".join(str(IPv4Address(address)) for address in addresses)
    return (
        f"\tName = {name.unpack(wire)}\tSource = {source}\n"
        f"b_flags = {flags >> 8:x}\tdeath_time = {ends}\trefresh_time = {_date(refresh)}\n\n"
        f"\t\tnumber of IPS = {len(addresses)}\t{shown}\n\n"
    )


def _date(wall: float) -> str:
    return time.asctime(time.localtime(wall))


class Files:
    """What one daemon writes and reads besides its store. Nothing here is worth failing for: what does not
    work is said and left."""

    def __init__(self, node: Node, *, log: Log, run_dir: str, state_dir: str) -> None:
        self._node = node
        self._log = log
        self._run_dir = run_dir
        self._namelist = f"{run_dir}/namelist.debug"
        self._wins_dat = f"{state_dir}/wins.dat"
        self._dumped = -1
        """The revision of the database that was written last."""
        self._dump: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._unwritable = ""
        self._dumping: asyncio.Task[None] | None = None

    def load_lmhosts(self, file: str | None) -> None:
        """Read names by hand, from nmbd's file when none is named."""
        missing_ok = file is None
        file = file or LMHOSTS
        text = self._read(file, missing_ok=missing_ok)
        if text is None:
            if missing_ok:
                self._node.hosts = ()
            return
        hosts, problems = lmhosts.parse(text, file)
        for problem in problems:
            self._log.warning(problem)
        self._node.hosts = tuple(hosts)

    def import_wins(self, text: str) -> tuple[int, list[str]]:
        """Take names over from the text of a wins.dat: how many, and what was wrong with it."""
        if self._node.wins is None:
            return 0, ["this is no WINS server (wins support = no)"]
        records, problems = winsdat.parse(text, "wins.dat", charset=self._node.settings.charset)
        for wire, packed in records.items():
            self._node.db.put(wire, packed)
        return len(records), problems

    def import_old_wins(self) -> None:
        """An empty store beside a wins.dat: somebody moves over from nmbd."""
        own = {own.wire for own in self._node.settings.names()}
        if self._node.wins is None or any(wire not in own for wire in self._node.db.records):
            return
        text = self._read(self._wins_dat, missing_ok=True)
        if text is None:
            return
        count, problems = self.import_wins(text)
        for problem in problems[:20]:
            self._log.warning(problem)
        self._log.notice(f"{count} names taken over from {self._wins_dat}")

    def export(self) -> str:
        """Write wins.dat now; where it is."""
        if self._dumping is not None:
            self._dumping.cancel()  # what it has to say is older
        self._write(self._wins_dat, wins_lines(self._node, now().wall))
        return self._wins_dat

    def begin_to_dump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write wins.dat from time to time, when names have changed. Called again, the time counts from
        then."""

        def dump() -> None:
            db = self._node.db
            idle = self._dumping is None or self._dumping.done()
            if self._node.wins is not None and db.revision != self._dumped and idle:
                self._dumped = db.revision
                self._dumping = asyncio.ensure_future(self._export_slowly())
            self.begin_to_dump(loop)

        if self._dump is not None:
            self._dump.cancel()
        self._dump = loop.call_later(self._node.tunables.wins_dump_interval, dump)

    def hand_over(self, told: Handover) -> None:
        """Tell the next process."""
        self._write(f"{self._run_dir}/{HANDOVER}", iter([told.format()]))

    def dump_namelist(self) -> None:
        """Write namelist.debug."""
        self._write(self._namelist, namelist(self._node, now().wall))

    def write_browse_list(self, effect: WriteBrowseList, folder: str) -> None:
        """Replace browse.dat, which smbd reads as the user it serves. What cannot be written is said once and
        tried again: the list may not change for long, while a full disk becomes less full."""
        path = f"{folder}/browse.dat"
        if self._again is not None:
            self._again.cancel()
            self._again = None
        try:
            write(path, iter([effect.text]), mode=0o644)
        except OSError as error:
            if path != self._unwritable:
                self._log.warning(f"{path}: {error.strerror}; smbd lists no servers")
            self._unwritable = path
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(WRITE_AGAIN, self.write_browse_list, effect, folder)
        else:
            self._unwritable = ""

    def write_pid_file(self, file: str | None) -> None:
        """Note our process id."""
        if file:
            self._write(file, iter([f"{os.getpid()}\n"]))

    def remove_pid_file(self, file: str | None) -> None:
        """We leave."""
        if file:
            try:
                os.unlink(file)
            except OSError:
                pass

    async def _export_slowly(self) -> None:
        try:
            await write_slowly(self._wins_dat, wins_lines(self._node, now().wall))
        except OSError as error:
            self._log.warning(f"{self._wins_dat}: {error.strerror}")

    def _read(self, file: str, *, missing_ok: bool = False) -> str | None:
        try:
            with open(file, encoding="utf-8", errors="surrogateescape") as stream:
                return stream.read()
        except OSError as error:
            if not (missing_ok and isinstance(error, FileNotFoundError)):
                self._log.warning(f"{file}: {error.strerror}")
        return None

    def _write(self, file: str, lines: Iterator[str]) -> None:
        try:
            write(file, lines)
        except OSError as error:
            self._log.warning(f"{file}: {error.strerror}")
