# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: one small process per host that makes its namespaces, and takes everything away in the end.

Started by holder.py as `guard.py SPEC` with a pipe as standard input. It ends the host when that pipe
closes (so also when its creator is killed with SIGKILL), when the time limit is reached, or when the host's
init ends by itself; and should the guard itself be killed, the kernel kills the host's init with it and the
next guard to start sweeps what lay on disk. Words on stdin: "poweroff" asks systemd to shut down in order.
Events on stdout, one JSON object a line: ready (init, work), failed (why), limit, gone.

A host with a name stays when its creator ends, until SIGTERM to its guard or its limit; standing() finds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from hosts import inside, kernel

PREFIX = "pydaemons-host-"
READY_AFTER = 30.0
"""Seconds a host may take to boot; it takes about half a second on an idle machine."""


class BootError(Exception):
    """The host could not be made; the text says what went wrong inside."""


def say(event: str, **more: object) -> None:
    with contextlib.suppress(OSError):
        os.write(1, (json.dumps({"event": event, **more}) + "\n").encode())


def start_time(pid: int) -> str:
    """The kernel's start stamp of a living process, or "": with the pid it names one process for all time."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # dead, though nobody has waited for it yet


class Guard:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.work = tempfile.mkdtemp(prefix=PREFIX)
        self.cgroups = f"{self.work}/cgroups"
        self.cgroup = f"{self.cgroups}/{os.path.basename(self.work)}"
        self.init = 0
        self.creator = os.getppid()
        self.told_to_end = False
        self.end = time.monotonic() + spec["limit"]

    # ---- making

    def prepare(self) -> None:
        os.chmod(self.work, 0o755)
        Path(self.work, "owner").write_text(f"{os.getpid()} {start_time(os.getpid())} {self.spec['kind']}")
        Path(self.work, "name").write_text(self.spec["name"])
        Path(self.work, "hosts").write_text(self.spec["hosts"] or "127.0.0.1 localhost\n::1 localhost\n")
        Path(self.work, "boot_id").write_text(f"{uuid.uuid4()}\n")
        for name in ("console", "resolv.conf"):
            Path(self.work, name).touch()
        os.mkdir(f"{self.work}/root")
        os.mkdir(self.cgroups)
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.make_mounts_private()
        if self.spec["kind"] == "systemd":
            # mounted here and seen by nobody else: works whatever the machine has under /sys/fs/cgroup
            kernel.mount("cgroup2", self.cgroups, "cgroup2")
            self.sweep()
            os.mkdir(self.cgroup)
        else:
            self.sweep()

    def fork(self) -> None:
        ready, tell = os.pipe()
        kernel.unshare(kernel.CLONE_NEWPID)
        self.init = os.fork()
        if self.init == 0:
            os.close(ready)
            self.become_init(tell)
        os.close(tell)
        with os.fdopen(ready, "rb") as pipe:
            why = pipe.read().decode(errors="replace")  # to EOF: exec or the error closes it
        if why != "+":
            raise BootError(why or "the first process ended before it was ready")

    def become_init(self, tell: int) -> None:
        try:
            kernel.die_with_parent()
            os.setsid()
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            if self.spec["kind"] == "systemd":
                # before the cgroup namespace is made, so that systemd's root is this cgroup
                Path(self.cgroup, "cgroup.procs").write_text("0")
            own = kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
            if self.spec["kind"] == "systemd":
                own |= kernel.CLONE_NEWCGROUP
            if self.spec["network"]:
                kernel.setns(self.spec["network"], kernel.CLONE_NEWNET)
            else:
                own |= kernel.CLONE_NEWNET
            kernel.unshare(own)
            inside.boot(self.spec, self.work, tell)
        except BaseException:
            with contextlib.suppress(OSError):
                os.write(tell, traceback.format_exc(limit=4).encode())
        finally:
            os._exit(125)

    def wait_booted(self) -> None:
        """systemd is there when its private socket is: systemctl talks to it from then on."""
        if self.spec["kind"] != "systemd":
            return
        deadline = min(self.end, time.monotonic() + READY_AFTER)
        socket = f"/proc/{self.init}/root/run/systemd/private"
        while not os.path.exists(socket):
            if self.init_ended():
                raise BootError("systemd ended while it booted: " + self.console())
            if time.monotonic() > deadline:
                raise BootError("systemd did not boot in time: " + self.console())
            time.sleep(0.01)

    def console(self) -> str:
        return Path(self.work, "console").read_text(errors="replace")[-2000:] or "(nothing on its console)"

    # ---- watching

    def init_ended(self) -> bool:
        if self.init:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self.init, os.WNOHANG)[0] == 0:
                    return False
            self.init = 0
        return True

    def watch(self) -> bool:
        """Until the host has to go; True when an orderly poweroff was asked for."""
        while True:
            if self.init_ended():
                return False
            if time.monotonic() > self.end:
                say("limit")
                return False
            if self.spec["name"]:
                if self.told_to_end:
                    return False
                time.sleep(0.2)
                continue
            if os.getppid() != self.creator:
                return False
            if select.select([0], [], [], 0.2)[0]:
                word = os.read(0, 64)
                if not word:
                    return False
                if word.strip() == b"poweroff":
                    return True

    def on_sigterm(self, *_: object) -> None:
        self.told_to_end = True

    # ---- taking away

    def poweroff(self) -> None:
        os.kill(self.init, signal.SIGRTMIN + 4)
        deadline = min(self.end, time.monotonic() + 20)
        while not self.init_ended() and time.monotonic() < deadline:
            time.sleep(0.05)

    def remove(self) -> None:
        if self.init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)  # and with it all of its PID namespace
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.init, 0)
        if os.path.isdir(self.cgroup):
            remove_cgroup(self.cgroup)
        with contextlib.suppress(OSError):
            kernel.detach(self.cgroups)
        shutil.rmtree(self.work, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what guards that were killed could not."""
        for path, pid, started, kind in work_folders():
            if start_time(pid) == started or (kind == "systemd" and kind != self.spec["kind"]):
                continue  # alive, or with a cgroup that only a guard of its kind can see
            leftover = f"{self.cgroups}/{path.name}"
            if os.path.isdir(leftover):
                remove_cgroup(leftover)
            shutil.rmtree(path, ignore_errors=True)


def work_folders() -> Iterator[tuple[Path, int, str, str]]:
    """Every host's work folder with its guard's pid and start, and its kind; those of root only."""
    for path in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            if path.lstat().st_uid == os.geteuid():  # anybody may make a folder in /tmp
                pid, started, kind = (path / "owner").read_text().split()
                yield path, int(pid), started, kind
        except (OSError, ValueError):
            continue


def standing(name: str) -> tuple[int, int] | None:
    """The guard's and the init's pid of the host that was told to stay under this name."""
    for path, guard, started, _ in work_folders():
        try:
            if start_time(guard) == started and (path / "name").read_text() == name:
                return guard, int((path / "init").read_text())
        except (OSError, ValueError):
            continue
    return None


def remove_cgroup(top: str) -> None:
    """Kill whatever is still in it, then remove it from the leaves up, as soon as the kernel lets go."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            Path(top, "cgroup.kill").write_text("1")
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if not os.path.isdir(top):
            return
        time.sleep(0.05)


def main() -> int:
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    guard = Guard(json.loads(sys.argv[1]))
    signal.signal(signal.SIGTERM, guard.on_sigterm)
    try:
        guard.prepare()
        guard.fork()
        guard.wait_booted()
        Path(guard.work, "init").write_text(str(guard.init))
        say("ready", init=guard.init, work=guard.work)
        if guard.watch():
            guard.poweroff()
    except (BootError, OSError) as error:
        say("failed", why=str(error))
        return 1
    finally:
        guard.remove()
    say("gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
