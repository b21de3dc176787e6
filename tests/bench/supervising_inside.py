# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the disposable machine: SIDE NUMBER CRASHES are its arguments, one JSON line of figures its answer.

Imports of a side stand where it begins: a machine need not have what the others use.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
MARKS = "/run/marks"
STAMP = "/usr/local/bin/stamp"
STEP = 0.0002
GLANCE = 0.005
"""Seconds between two looks for what takes seconds: looking is not to take a processor from others"""
PATIENCE = 60.0
SETTLE = 2.0
"""after the starts, until the journal and everybody else has come to rest"""
SILENT: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
"""daemons must not keep our output open"""

sys.path.insert(0, str(CHECKOUT / "lib"))


def until(true: Callable[[], Any], what: str, step: float = STEP) -> Any:
    """Poll; nothing here takes PATIENCE unless it hangs."""
    deadline = time.monotonic() + PATIENCE
    while not (value := true()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(step)
    return value


def marks() -> dict[str, int]:
    """Pid of the newest process by name."""
    found: dict[str, int] = {}
    for entry in os.listdir(MARKS):
        name, _, pid = entry.partition(".")
        found[name] = int(pid)
    return found


def resident(pid: int) -> int:
    """Bytes of memory in use by a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no memory of {pid}")


def timed(command: list[str]) -> float:
    """Median milliseconds of a command, of nine runs."""
    times = []
    for _ in range(9):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


class Side:
    """One supervisor."""

    pid = 0

    def begin(self) -> None: ...
    def create(self, names: list[str]) -> None: ...
    def status(self) -> list[str]: ...
    def stop(self, names: list[str]) -> None: ...
    def adopt(self) -> float | None:
        return None

    def end(self) -> None: ...


class Pybosd(Side):
    def begin(self) -> None:
        from pydaemons.cli.bos_link import Link

        self.link = Link("/run/pybosd/control", None)
        self.pid = self._main_pid()

    def _main_pid(self) -> int:
        command = ["systemctl", "show", "--value", "-p", "MainPID", "pybosd"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def create(self, names: list[str]) -> None:
        for name in names:
            self.link.call("Create", instance=name, type="simple", commands=[f"{STAMP} {name}"])

    def status(self) -> list[str]:
        return ["/usr/bin/pybos", "status"]

    def stop(self, names: list[str]) -> None:
        self.link.call("ShutdownAll")
        self.link.call("WaitAll")

    def adopt(self) -> float | None:
        """From kill -9 to a status that knows all again."""
        from pydaemons.cli.bos_link import Link
        from pydaemons.kit.controlclient import NotRunningError

        want = len(marks())
        begun = time.perf_counter()
        os.kill(self.pid, signal.SIGKILL)

        def known() -> bool:
            try:
                return Link("/run/pybosd/control", None).call("Statistics")["adopted"] == want
            except (NotRunningError, OSError):
                return False

        until(known, "the next pybosd")
        taken = time.perf_counter() - begun
        self.begin()
        return taken


class Bosserver(Side):
    def begin(self) -> None:
        for folder in ("/etc/openafs/server", "/var/log/openafs", "/var/lib/openafs/local"):
            os.makedirs(folder, exist_ok=True)
        for folder in ("/etc/openafs", "/etc/openafs/server"):
            Path(folder, "ThisCell").write_text("example.org\n")
            Path(folder, "CellServDB").write_text(">example.org\n127.0.0.1 #localhost\n")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.process = subprocess.Popen(["/usr/sbin/bosserver", "-noauth", "-nofork"], **SILENT)
        self.pid = self.process.pid
        until(lambda: subprocess.run(self.status(), capture_output=True, check=False).returncode == 0, "bos")

    def create(self, names: list[str]) -> None:
        for name in names:
            command = ["bos", "create", "localhost", name, "simple", f"{STAMP} {name}", "-noauth"]
            subprocess.run(command, check=True)

    def status(self) -> list[str]:
        return ["bos", "status", "localhost", "-noauth"]

    def stop(self, names: list[str]) -> None:
        subprocess.run(["bos", "shutdown", "localhost", "-wait", "-noauth"], check=True)

    def end(self) -> None:
        self.process.kill()


class Pystemd(Side):
    """StartTransientUnit by pystemd on one connection, and systemd's Restart=always: no supervisor at all."""

    pid = 1

    def begin(self) -> None:
        from pystemd.dbuslib import DBusAddress

        self.bus = DBusAddress(b"unix:path=/run/systemd/private", True)
        self.bus.open()

    def create(self, names: list[str]) -> None:
        from pydaemons.bnode.effects import StartUnit
        from pydaemons.bnode.model import Restart, Signal
        from pydaemons.bosd.bus import MANAGER, ROOT, SYSTEMD
        from pydaemons.bosd.properties import of_process, start_transient_unit

        for name in names:
            unit = f"raw-{name}.service"
            effect = StartUnit(unit, name, (STAMP, name), Restart.ALWAYS, Signal.TERM, 60, 12, 30)
            arguments = start_transient_unit(unit, of_process(effect, folder="/", bar="/run/nobar"))
            self.bus.call_method(SYSTEMD, ROOT, MANAGER, b"StartTransientUnit", arguments)

    def status(self) -> list[str]:
        return ["systemctl", "list-units", "--no-pager", "raw-*.service"]

    def stop(self, names: list[str]) -> None:
        subprocess.run(["systemctl", "stop", "raw-*.service"], check=True)


class Supervisord(Side):
    CONFIG = "/run/supervisord.conf"

    def begin(self) -> None:
        self.text = (
            "[unix_http_server]\nfile=/run/s.sock\n[supervisord]\nnodaemon=true\nlogfile=/run/s.log\n"
            "minfds=4096\n[supervisorctl]\nserverurl=unix:///run/s.sock\n[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        )
        Path(self.CONFIG).write_text(self.text)
        command = ["supervisord", "-c", self.CONFIG]
        self.process = subprocess.Popen(command, **SILENT)
        self.pid = self.process.pid
        until(lambda: os.path.exists("/run/s.sock"), "supervisord")
        time.sleep(0.5)

    def create(self, names: list[str]) -> None:
        programs = [
            f"[program:{name}]\ncommand={STAMP} {name}\nautorestart=true\nstartsecs=0\n"
            "stdout_logfile=NONE\nstderr_logfile=NONE\n"
            for name in names
        ]
        Path(self.CONFIG).write_text(self.text + "".join(programs))
        command = ["supervisorctl", "-c", self.CONFIG, "update"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def status(self) -> list[str]:
        return ["supervisorctl", "-c", self.CONFIG, "status"]

    def stop(self, names: list[str]) -> None:
        command = ["supervisorctl", "-c", self.CONFIG, "stop", "all"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def end(self) -> None:
        self.process.kill()


SIDES: dict[str, type[Side]] = {
    "pybosd": Pybosd,
    "bosserver": Bosserver,
    "pystemd": Pystemd,
    "supervisord": Supervisord,
}


def crash(name: str) -> float:
    """Milliseconds from SIGKILL to the mark of the next process."""
    pid = marks()[name]
    os.unlink(f"{MARKS}/{name}.{pid}")
    begun = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    prefix = f"{name}."
    until(lambda: any(entry.startswith(prefix) for entry in os.listdir(MARKS)), f"{name} again")
    return (time.perf_counter() - begun) * 1000


def main(side_name: str, number: int, crashes: int) -> None:
    os.makedirs(MARKS, exist_ok=True)
    Path(STAMP).write_text(f"#!/bin/sh\n: >{MARKS}/$1.$$\nexec sleep 100000\n")
    os.chmod(STAMP, 0o755)
    names = [f"n{index}" for index in range(number)]
    side = SIDES[side_name]()
    side.begin()
    empty = resident(side.pid)
    begun = time.perf_counter()
    side.create(names)
    until(lambda: len(os.listdir(MARKS)) >= number, "all to run", GLANCE)
    figures: dict[str, Any] = {"create": time.perf_counter() - begun, "empty": empty / 1024}
    time.sleep(SETTLE)
    figures["bytes"] = (resident(side.pid) - empty) / number
    figures["status"] = timed(side.status())
    times = []
    for index in range(crashes):
        times.append(crash(names[index * number // crashes]))
        time.sleep(0.05)
    figures["crash"] = statistics.median(times)
    figures["adopt"] = side.adopt()
    begun = time.perf_counter()
    side.stop(names)
    figures["stop"] = time.perf_counter() - begun
    side.end()
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
