# SPDX-License-Identifier: GPL-3.0-or-later
"""Name services on a lab's hosts: pynmbd from this checkout and Samba's nmbd, under the same smb.conf.

Each start_* returns when the program answers a node status on the wire, and raises AssertionError with its
log when it does not. NetBIOS broadcasts stay in the lab.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

from hosts.holder import Process
from hosts.lab import Host
from hosts.waiting import wait_for
from pydaemons.netbios import nspacket

CHECKOUT = Path(__file__).resolve().parents[2]
RUN, STATE, TREE = "/run/pynmbd", "/run/pynmbd-state", "/run/pysysctl"

SAMBA_FOLDERS = """
lock directory = /run/nmbd/lock
state directory = /run/nmbd/state
cache directory = /run/nmbd/cache
private dir = /run/nmbd/private
pid directory = /run/nmbd/pid
log level = 0
"""


FAKETIME = "/usr/$LIB/faketime/libfaketime.so.1"
"""$LIB is the dynamic linker's word for this machine's folder of libraries."""
CACHE = "/run/nmbd/cache"
"""Where smbd looks for browse.dat."""
SMB1 = """
server min protocol = NT1
map to guest = bad user
load printers = no
disable spoolss = yes
"""


def ask(host: Host, data: bytes, to: str, *, timeout: float = 1.0, port: int = 0) -> bytes | None:
    """One datagram to port 137 from `host`, and its answer."""
    with host.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", port))
        sock.settimeout(timeout)
        sock.sendto(data, (to, 137))
        try:
            return sock.recv(2000)
        except (TimeoutError, ConnectionError):
            return None


def _until_it_answers(host: Host, process: Process, address: str = "") -> None:
    request = nspacket.status_request(1)

    def answers() -> bool:
        return not process.running or ask(host, request, address or host.address, timeout=0.05) is not None

    wait_for(answers, what=f"{process.name} to answer\n{process.log[-2000:]}")
    assert process.running, f"{process.name} ended with {process.popen.returncode}:\n{process.log[-2000:]}"


def start_pynmbd(host: Host, conf: str, *words: str, wait: bool = True, name: str = "pynmbd") -> Process:
    """pynmbd with this smb.conf; its folders are RUN, STATE and TREE."""
    host.write("/run/pynmbd.conf", conf)
    host.run("mkdir", "-p", CACHE, check=True)
    process = host.start(
        "/usr/bin/env",
        f"PYSYSCTL_ROOT={TREE}",
        str(CHECKOUT / "bin/pynmbd"),
        *(
            "-F",
            "-s",
            "/run/pynmbd.conf",
            "--run-dir",
            RUN,
            "--state-dir",
            STATE,
            "--cache-dir",
            CACHE,
            *words,
        ),
        name=name,
    )
    if wait:
        _until_it_answers(host, process)
    return process


def start_nmbd(host: Host, conf: str, *words: str, address: str = "", speed: int = 1) -> Process:
    """Samba's nmbd with this smb.conf; what it keeps is below /run/nmbd. Its clock runs `speed` times as fast
    as everybody's (libfaketime), for what it does by the minute; entries in its lists age as fast."""
    host.write("/run/smb.conf", conf + SAMBA_FOLDERS)
    folders = [f"/run/nmbd/{part}" for part in ("lock", "state", "cache", "private", "pid")]
    host.run("mkdir", "-p", "/run/samba", *folders, check=True)
    hurried = ("/usr/bin/env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME=+0 x{speed}") if speed != 1 else ()
    process = host.start(
        *(*hurried, "nmbd", "-F", "--no-process-group", "-s", "/run/smb.conf", "-l", "/run/nmbd", *words),
        name="nmbd",
    )
    _until_it_answers(host, process, address)
    return process


def start_smbd(host: Host, conf: str) -> Process:
    """Samba's smbd with this smb.conf, SMB1 included; it reads browse.dat from CACHE."""
    host.write("/run/smbd.conf", conf + SAMBA_FOLDERS + SMB1)
    folders = [f"/run/nmbd/{part}" for part in ("lock", "state", "cache", "private", "pid")]
    host.run("mkdir", "-p", "/run/samba", *folders, check=True)
    # in a session of its own: at its end it signals its whole process group
    process = host.start(
        *("setsid", "smbd", "-F", "--no-process-group", "-s", "/run/smbd.conf", "-l", "/run/nmbd"),
        name="smbd",
    )

    def accepts() -> bool:
        with host.network(), socket.socket() as sock:
            return not process.running or sock.connect_ex(("127.0.0.1", 445)) == 0

    wait_for(accepts, what=f"smbd to accept\n{process.log[-2000:]}")
    assert process.running, f"smbd ended with {process.popen.returncode}:\n{process.log[-2000:]}"
    return process


def ctl(host: Host, *words: str) -> str:
    """pynmbctl on `host`; its output."""
    done = host.run(str(CHECKOUT / "bin/pynmbctl"), "--socket", f"{RUN}/control", *words)
    assert done.returncode == 0, f"pynmbctl {' '.join(words)}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def stats(host: Host) -> dict[str, int]:
    """What pynmbd there has counted."""
    found: dict[str, int] = json.loads(ctl(host, "--json", "stats"))
    return found


def resident(process: Process) -> int:
    """Kilobytes of memory of a process that runs here."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
