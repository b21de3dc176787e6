# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd on a disposable systemd machine: installed from this checkout, asked by pybos."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hosts.machine import SystemdHost
from hosts.strict import be_strict
from hosts.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = "/opt/pydaemons"
STATE = "/var/lib/pybosd"

COUNTED = """#!/bin/sh
# counted NAME SECONDS STATUS: note the start, live so long, end so
echo "$(cut -d' ' -f1 /proc/uptime) $$" >>/run/starts/$1
[ "$2" = 0 ] || sleep "$2"
exit $3
"""
"""A program whose starts can be counted from outside, whatever anybody says about them."""

AFRESH = f"""
systemctl stop pybosd 'bos-*' 'pybosd-*'
systemctl reset-failed
umount {STATE} 2>/dev/null
rm -rf {STATE} /run/pybosd /run/starts/* /run/pysysctl/kernel/bos/* /usr/lib/openafs /etc/pybosd.conf
mkdir /usr/lib/openafs
journalctl --sync
journalctl --rotate --vacuum-files=1 2>/dev/null
"""


class BosHost:
    """A machine with pybosd and pybos."""

    def __init__(self, host: SystemdHost) -> None:
        self.host = host
        host.run("mkdir", "-p", HOME, "/run/starts", check=True)
        host.copy_in(CHECKOUT / "lib", f"{HOME}/lib")
        host.run("/usr/bin/python3", "-m", "compileall", "-q", f"{HOME}/lib", check=True)
        for name, place in (("pybosd", "sbin"), ("pybos", "bin")):
            host.copy_in(CHECKOUT / "bin" / name, f"{HOME}/bin/{name}")
            host.run("ln", "-s", f"{HOME}/bin/{name}", f"/usr/{place}/{name}", check=True)
        host.copy_in(CHECKOUT / "units/pybosd.service", "/etc/systemd/system/pybosd.service")
        host.copy_in(CHECKOUT / "units/tmpfiles.d/pybosd.conf", "/etc/tmpfiles.d/pybosd.conf")
        host.write("/usr/local/bin/counted", COUNTED, mode=0o755)
        host.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/pybosd.conf", check=True)
        be_strict(host, "pybosd")

    def start(self) -> None:
        self.host.systemctl("start", "pybosd")

    def begin(self) -> None:
        """As if just installed, and started: nothing of what was before is left, nor its journal."""
        self.host.run("sh", "-c", AFRESH, check=True, timeout=120)
        self.start()

    def open_rx(self, listen: str = "127.0.0.1:7007", *, noauth: bool = True) -> None:
        """Let OpenAFS's bos in, from the next start on."""
        self.host.copy_in(CHECKOUT / "units/pybosd-rx.socket", "/etc/systemd/system/pybosd-rx.socket")
        place = "/etc/systemd/system/pybosd-rx.socket.d/listen.conf"
        self.host.write(place, f"[Socket]\nListenDatagram=\nListenDatagram={listen}\n")
        self.host.write("/etc/pybosd.conf", f"[rx]\nnoauth = {'yes' if noauth else 'no'}\n")
        self.host.systemctl("daemon-reload")
        self.host.systemctl("enable", "pybosd-rx.socket")

    @property
    def pid(self) -> int:
        """Of pybosd; 0 while it is not there."""
        return int(self.host.show("pybosd", "MainPID"))

    def bos(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        return self.host.run("pybos", *words, timeout=timeout)

    def do(self, *words: str, timeout: float = 60.0) -> str:
        """A pybos that must succeed; what it said."""
        done = self.bos(*words, timeout=timeout)
        assert done.returncode == 0, f"pybos {' '.join(words)}: {done.returncode} {done.stderr}{self.tail()}"
        return done.stdout

    def call(self, requests: Iterable[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Many requests over one connection."""
        script = (
            f"import json, sys\nsys.path.insert(0, {HOME + '/lib'!r})\n"
            "from pydaemons.cli.bos_link import Link\n"
            "link = Link('/run/pybosd/control', None)\n"
            "print(json.dumps([link.call(verb, **given) for verb, given in json.load(sys.stdin)]))\n"
        )
        done = self.host.run(
            "/usr/bin/python3", "-c", script, input=json.dumps(list(requests)), check=True, timeout=120
        )
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    def status(self, *names: str) -> dict[str, dict[str, Any]]:
        """The long status by name."""
        done = self.bos("--json", "status", *names)
        assert done.stdout, done.stderr + self.tail()
        return {view["name"]: view for view in json.loads(done.stdout)["instances"]}

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.do("--json", "statistics"))
        return found

    def starts(self, name: str) -> list[tuple[float, int]]:
        """When `counted NAME` was started, and its pids."""
        out = self.host.run("sh", "-c", f"cat /run/starts/{name} 2>/dev/null").stdout
        return [(float(at), int(pid)) for at, pid in (line.split() for line in out.splitlines())]

    def processes(self) -> dict[str, int]:
        """Main pids of all bos-* units, asked of systemd and not of us."""
        words = ["systemctl", "show", "-p", "Id,MainPID", "bos-*.service"]
        out = self.host.run(*words, check=True).stdout
        rows = [
            dict(line.split("=", 1) for line in block.splitlines()) for block in out.strip().split("\n\n")
        ]
        return {row["Id"]: int(row["MainPID"]) for row in rows if row.get("MainPID", "0") != "0"}

    def wait_status(self, name: str, number: int, *, timeout: float = 60.0) -> dict[str, Any]:
        return wait_for(
            lambda: (view := self.status(name)[name])["status"] == number and view,
            what=f"{name} in status {number}{self.tail()}",
            timeout=timeout,
        )

    def kill(self, pid: int, number: int = 9) -> None:
        self.host.run("kill", f"-{number}", str(pid), check=True)

    def boslog(self) -> str:
        return self.host.run("cat", f"{STATE}/log/BosLog", check=True).stdout

    def tail(self) -> str:
        return "\n" + self.host.journal("pybosd", lines=30)


def prepare_afs(host: SystemdHost, cell: str = "example.org") -> None:
    """What OpenAFS's programs want to find on a machine."""
    folders = (
        "/etc/openafs",
        "/etc/openafs/server",
        "/var/lib/openafs/local",
        "/var/log/openafs",
        "/usr/lib/openafs",
    )
    for folder in folders:
        host.run("install", "-d", "-m", "700" if folder.endswith("local") else "755", folder, check=True)
    for folder in folders[:2]:
        host.write(f"{folder}/ThisCell", f"{cell}\n")
        host.write(f"{folder}/CellServDB", f">{cell}\n127.0.0.1 #localhost\n")


def outer_core_pattern() -> str:
    """Where the kernel, which all machines share, puts cores."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        return file.read().strip()
