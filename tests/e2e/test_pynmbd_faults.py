# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong around pynmbd, or is started in an old way: full disks, a super-server."""

from __future__ import annotations

import signal

from fakes.claims import claim, query
from hosts.lab import Host, Lab
from hosts.netbios import CHECKOUT, STATE, ask, start_pynmbd
from hosts.waiting import wait_for
from pydaemons.netbios import nspacket

CONF = """[global]
netbios name = ALPHA
workgroup = TESTGRP
wins support = yes
dns proxy = no
"""
MOST = 2000
SUPER_SERVER = """
import os, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", 137))
os.dup2(sock.fileno(), 0)
sock.close()
os.execv(sys.argv[1], sys.argv[1:])
"""


def is_granted(lab: Lab, text: str) -> bool:
    packet = ask(lab.h2, claim(text, lab.h2.address), lab.h1.address, timeout=2.0)
    return packet is not None and nspacket.unpack(packet).rcode == 0


def is_known(asker: Host, text: str, to: Host) -> bool:
    packet = ask(asker, query(text), to.address)
    return packet is not None and nspacket.unpack(packet).rcode == 0


def test_a_full_disk_holds_back_what_it_cannot_keep_and_nothing_else(lab: Lab) -> None:
    lab.h1.run("mkdir", "-p", STATE, check=True)
    lab.h1.run("mount", "-t", "tmpfs", "-o", "size=64k", "none", STATE, check=True)
    process = start_pynmbd(lab.h1, CONF)
    granted = next(number for number in range(MOST) if not is_granted(lab, f"N{number}#20"))
    assert granted > 0
    assert "cannot write state wins" in process.log
    assert is_known(lab.h2, "N0#20", lab.h1)
    assert is_known(lab.h2, "ALPHA#20", lab.h1)
    lab.h1.run("mount", "-o", "remount,size=8m", STATE, check=True)
    wait_for(lambda: "state wins is written again" in process.log, what="the store to be written again")
    assert is_granted(lab, "LATER#20")
    process.stop(signal.SIGKILL)
    start_pynmbd(lab.h1, CONF, name="again")
    for text in (*(f"N{number}#20" for number in range(granted + 1)), "LATER#20"):
        assert is_known(lab.h2, text, lab.h1), text


def test_a_super_servers_socket_on_standard_input_is_the_name_socket(lab: Lab) -> None:
    lab.h1.write("/run/inetd.py", SUPER_SERVER)
    lab.h1.write("/run/pynmbd.conf", CONF)
    process = lab.h1.start(
        *("/usr/bin/python3", "/run/inetd.py", str(CHECKOUT / "bin/pynmbd"), "-s", "/run/pynmbd.conf"),
        *("--run-dir", "/run/pynmbd", "--state-dir", STATE, "--cache-dir", "/run/cache", "-p", "5137"),
        name="pynmbd",
    )
    wait_for(
        lambda: is_known(lab.h2, "ALPHA#20", lab.h1) or not process.running,
        what=f"answers\n{process.log[-2000:]}",
    )
    assert ask(lab.h2, nspacket.status_request(3), lab.h1.address) is not None
    assert process.stop() == 0
