# SPDX-License-Identifier: GPL-3.0-or-later
"""WINS servers that replicate: two pynmbds with each other; smbtorture is next door."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from fakes.claims import claim, query
from hosts.lab import Host
from hosts.netbios import ask, ctl, start_pynmbd
from hosts.waiting import wait_for
from pydaemons.netbios import nspacket, winsra

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
