# SPDX-License-Identifier: GPL-3.0-or-later
"""WINS servers that replicate: two pynmbds with each other; smbtorture is next door."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
from pathlib import Path
from typing import Self

import pytest

from fakes.claims import claim, query
from hosts.lab import Host
from hosts.netbios import ask, ctl, start_pynmbd
from hosts.waiting import wait_for
from pydaemons.netbios import name, nspacket, winsra

WINS = "[global]\nnetbios name = SUT\nworkgroup = TESTGRP\nwins support = yes\ndns proxy = no\n"
QUICK = "[net.netbios]\nwins_push_delay = 1\nwins_retry_interval = 1\n"


def conf(name: str, *partners: str) -> str:
    return WINS.replace("SUT", name) + f"wins partners = {' '.join(partners)}\n" + QUICK


def found(asker: Host, server: Host, text: str) -> bool:
    data = ask(asker, query(text), server.address)
    return data is not None and nspacket.unpack(data).rcode == 0


def register(client: Host, server: Host, text: str) -> None:
    data = ask(client, claim(text, client.address), server.address)
    assert data is not None
    assert nspacket.unpack(data).rcode == 0


@pytest.mark.needs("tshark", "tcpdump")
def test_two_servers_know_each_others_names_through_restarts_and_kills(make_lab, tmp_path: Path) -> None:
    lab = make_lab(3)
    capture = lab.h1.capture(tmp_path / "wins.pcap", "tcp port 42", "net0")
    one = start_pynmbd(lab.h1, conf("ONE", lab.h2.address))
    two = start_pynmbd(lab.h2, conf("TWO", lab.h1.address))
    register(lab.h3, lab.h1, "FIRST#20")
    register(lab.h3, lab.h2, "SECOND#20")
    wait_for(lambda: found(lab.h3, lab.h2, "FIRST#20"), what="the first server's name at the second")
    wait_for(lambda: found(lab.h3, lab.h1, "SECOND#20"), what="the second server's name at the first")
    two.send_signal(9)
    two.wait()
    register(lab.h3, lab.h1, "THIRD#20")
    two = start_pynmbd(lab.h2, conf("TWO", lab.h1.address), name="again")
    assert found(lab.h3, lab.h2, "FIRST#20"), "replicas are in the store"
    wait_for(lambda: found(lab.h3, lab.h2, "THIRD#20"), what="what was registered meanwhile")
    register(lab.h3, lab.h2, "FOURTH#20")
    wait_for(lambda: found(lab.h3, lab.h1, "FOURTH#20"), what="the new process' names at the first server")
    owners = {each["owner"]: each for each in json.loads(ctl(lab.h1, "--json", "wins", "owners"))}
    assert set(owners) == {lab.h1.address, lab.h2.address}
    (partner,) = json.loads(ctl(lab.h1, "--json", "wins", "partners"))
    assert (partner["partner"], partner["error"]) == (lab.h2.address, "")
    assert f"[{lab.h2.address} " in ctl(lab.h1, "wins", "list", "SECOND*")
    ctl(lab.h1, "wins", "delete", "FIRST#20")
    ctl(lab.h1, "wins", "push")
    wait_for(lambda: not found(lab.h3, lab.h2, "FIRST#20"), what="the deletion at the second server")
    assert one.stop() == 0
    assert two.stop() == 0
    fields = [word for name in ("winsrepl.repl_cmd", "_ws.malformed") for word in ("-e", name)]
    said = subprocess.run(
        ["tshark", "-r", capture.finish(), "-Y", "winsrepl", "-T", "fields", *fields],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    words = [word for line in said.stdout.splitlines() for word in line.split("\t")[0].split(",")]
    assert {0, 1, 2, 3, 8} <= {int(word, 16) for word in words if word}
    assert not any(line.split("\t")[1] for line in said.stdout.splitlines())


def test_a_reload_makes_partners_and_unmakes_them(make_lab) -> None:
    lab = make_lab(3)
    start_pynmbd(lab.h1, WINS)
    start_pynmbd(lab.h2, conf("TWO", lab.h1.address))
    assert _listening(lab.h1) == ""
    register(lab.h3, lab.h1, "EARLIER#20")
    lab.h1.write("/run/pynmbd.conf", conf("SUT", lab.h2.address))
    ctl(lab.h1, "reload")
    wait_for(lambda: found(lab.h3, lab.h2, "EARLIER#20"), what="a name from before there were partners")
    lab.h1.write("/run/pynmbd.conf", WINS)
    ctl(lab.h1, "reload")
    wait_for(lambda: _listening(lab.h1) == "", what="the port to be closed")


def _listening(host: Host) -> str:
    return str(host.run("ss", "-Hntl", "sport = 42").stdout)


def test_who_is_no_partner_is_hung_up_on(make_lab) -> None:
    lab = make_lab(3)
    start_pynmbd(lab.h1, conf("SUT", lab.h2.address))

    def answer() -> bytes:
        with lab.h3.network(), socket.create_connection((lab.h1.address, 42), timeout=10) as sock:
            try:
                sock.sendall(b"\0\0\0\x29" + winsra.pack(winsra.start(0, 1)))
                return sock.recv(100)
            except ConnectionError:
                return b""

    assert answer() == b""


class Partner:
    """A WINS server of the test's own on `host`, which connects to pynmbd and lends it its connection."""

    def __init__(self, host: Host, server: Host) -> None:
        with host.network():
            self.sock = socket.create_connection((server.address, 42), timeout=20)
        self.say(winsra.pack(winsra.start(0, 7)))
        start = winsra.unpack(self.hear()).body
        assert isinstance(start, winsra.Start)
        self.context = start.context

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def say(self, data: bytes) -> None:
        self.sock.sendall(len(data).to_bytes(4, "big") + data)

    def hear(self) -> bytes:
        size = int.from_bytes(self._read(4), "big")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            assert more, "the server hung up"
            data += more
        return data

    def offer(self, highest: int) -> winsra.Owner:
        """Have names up to this version; what the server wants of them."""
        table = (winsra.Owner(OWNER, highest),)
        self.say(winsra.pack(winsra.replication(winsra.Command.UPDATE, self.context, table)))
        wanted = winsra.unpack(self.hear()).body
        assert isinstance(wanted, winsra.Owner)
        return wanted

    def names(self, versions: range) -> bytes:
        """A names reply with one name for each version."""
        records = tuple(
            winsra.NameRecord(
                name.make(f"N{version}", 0x20),
                winsra.RecordKind.UNIQUE,
                winsra.RecordState.ACTIVE,
                3,
                static=False,
                version=version,
                addresses=(winsra.OwnedAddress(b"", b"\x0a\x07\x07\x09"),),
            )
            for version in versions
        )
        return winsra.pack(winsra.replication(winsra.Command.NAMES_REPLY, self.context, records))


OWNER = b"\x0a\x07\x07\x07"


def test_a_pull_that_was_cut_short_is_made_again_whole_after_kill_9(make_lab) -> None:
    lab = make_lab(3)
    one = start_pynmbd(lab.h1, conf("ONE", lab.h2.address))
    count = 2000
    with Partner(lab.h2, lab.h1) as partner:
        assert partner.offer(count).lowest == 1
        # the latest first: when the end comes, what is stored has the highest versions
        partner.say(partner.names(range(count, 0, -1))[:-20])
        assert partner.sock.recv(1) == b"", "the last name is cut short"
    assert found(lab.h3, lab.h1, f"N{count}#20")
    one.send_signal(9)
    one.wait()
    start_pynmbd(lab.h1, conf("ONE", lab.h2.address), name="again")
    with Partner(lab.h2, lab.h1) as partner:
        wanted = partner.offer(count)
        assert (wanted.highest, wanted.lowest) == (count, 1), "nothing counts as known of what came"
        partner.say(partner.names(range(count, 0, -1)))
        assert winsra.unpack(partner.hear()).kind == winsra.Kind.STOP
    assert all(found(lab.h3, lab.h1, f"N{version}#20") for version in (1, count // 2, count))
    with Partner(lab.h2, lab.h1) as partner:
        assert partner.offer(count + 1).lowest == count + 1


def test_a_partner_that_talks_rubbish_stops_or_vanishes_harms_nobody(make_lab) -> None:
    lab = make_lab(3)
    one = start_pynmbd(lab.h1, conf("ONE", lab.h2.address))
    register(lab.h3, lab.h1, "FIRST#20")
    before = _resident(one.pid)
    dice = random.Random(42)
    for round_ in range(60):
        with Partner(lab.h2, lab.h1) as partner, contextlib.suppress(OSError, AssertionError):
            highest = 10 * (round_ + 1)
            assert partner.offer(highest).highest == highest
            reply = bytearray(partner.names(range(highest - 9, highest + 1)))
            match round_ % 6:
                case 0:  # cut short
                    partner.say(bytes(reply[: dice.randrange(len(reply))]))
                case 1:  # changed
                    for _ in range(dice.randrange(1, 20)):
                        reply[dice.randrange(16, len(reply))] = dice.randrange(256)
                    partner.say(bytes(reply))
                case 2:  # a length beyond reason
                    partner.sock.sendall(b"\xff\xff\xff\xff" + bytes(reply))
                case 3:  # a length that is never reached
                    partner.sock.sendall(b"\x03\xff\xff\xff" + bytes(reply))
                    continue  # and gone
                case 4:  # byte by byte
                    for byte in dice.randbytes(40):
                        partner.sock.sendall(bytes([byte]))
                case _:
                    partner.sock.sendall(dice.randbytes(dice.randrange(1, 5000)))
            partner.sock.settimeout(1)
            partner.sock.recv(1000)
        assert one.running, one.log[-2000:]
    assert found(lab.h3, lab.h1, "FIRST#20")
    with Partner(lab.h2, lab.h1) as partner:
        assert partner.offer(1000).highest == 1000
        lab.unplug(lab.h2)  # in the middle of an answer
    assert found(lab.h3, lab.h1, "FIRST#20")
    assert "Traceback" not in one.log
    assert _resident(one.pid) < before + (20 << 20)
    assert one.stop() == 0


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
