#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disposable machine out of namespaces, with a real systemd as PID 1; up in about half a second.

As a library: `with SystemdHost(units=[...], binds=[...]) as host: host.run("systemctl", "start", ...)`.
As a command: `machine.py [options] -- COMMAND [ARG...]` boots one, runs COMMAND in it and exits with its code
(124: the time limit was reached, 125: the machine did not boot). With --name NAME it stays afterwards, the
next command with that name runs in it, and --end NAME takes it away. Python's standard library only.

Inside, / is the outer root under a layer of tmpfs (all writing is lost), with mount, pid, net, uts, ipc and
cgroup namespaces of its own; /etc/systemd/system starts empty, so nothing runs that was not asked for.
guard.py makes and unmakes it, inside.py is its first process, holder.py runs commands in it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.dont_write_bytecode = True  # run as root: nothing of root's shall stay in the checkout
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from hosts.guard import standing
from hosts.holder import Held, HostError, enter_command

__all__ = ["HostError", "SystemdHost"]


class SystemdHost(Held):
    """Booted when the constructor returns: systemd answers and the target has been reached.

    binds     paths of the outer machine seen inside at the same place, read-only
    writable  likewise, but writable: what is written there stays
    copies    {outer file or folder: place inside}; a place ending in / is the folder to copy into
    units     unit files to copy to /etc/systemd/system
    enable    units to start at boot
    keep      units masked by default that are wanted (see inside.MASKED)
    hide      paths that shall not exist inside
    network   a network namespace (path) to join instead of a new one with only lo
    name      stay when the creator ends, under this name (see guard.standing)
    limit     seconds until the host is taken away whatever it does
    """

    enter_flags = ("-m", "-p", "-u", "-i", "-n", "-C", "-r")

    def __init__(
        self,
        *,
        binds: Iterable[str | os.PathLike[str]] = (),
        writable: Iterable[str | os.PathLike[str]] = (),
        copies: Mapping[str | os.PathLike[str], str] | None = None,
        units: Iterable[str | os.PathLike[str]] = (),
        enable: Iterable[str] = (),
        keep: Iterable[str] = (),
        hide: Iterable[str] = (),
        network: str = "",
        hosts: str = "",
        hostname: str = "syshost",
        target: str = "multi-user.target",
        name: str = "",
        limit: float = 120.0,
        environment: dict[str, str] | None = None,
    ) -> None:
        copying = [(os.path.realpath(source), place) for source, place in (copies or {}).items()]
        copying += [(os.path.realpath(unit), "/etc/systemd/system/") for unit in units]
        super().__init__(
            {
                "kind": "systemd",
                "binds": [(os.path.realpath(p), True) for p in binds]
                + [(os.path.realpath(p), False) for p in writable],
                "copies": copying,
                "enable": list(enable),
                "keep": list(keep),
                "hide": ["/etc/init.d", "/var/lib/nfs/sm", "/var/lib/nfs/sm.bak", *hide],
                "network": network,
                "hosts": hosts,
                "hostname": hostname,
                "target": target,
                "name": name,
                "limit": limit,
            },
            environment=environment,
        )
        self.wait_ready()
        self.boot_state = self._wait_booted()

    def _wait_booted(self) -> str:
        """ "running", or "degraded" when a unit failed at boot; the socket may exist before it answers."""
        for _ in range(50):
            state = self.run("systemctl", "is-system-running", "--wait").stdout.strip()
            if state in ("running", "degraded"):
                return state
            time.sleep(0.05)
        raise HostError(f"the machine did not finish booting: {state}")

    def systemctl(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """systemctl that must succeed; on failure the error carries the journal's end."""
        done = self.run("systemctl", *words, timeout=timeout)
        if done.returncode != 0:
            raise AssertionError(f"systemctl {' '.join(words)}: {done.stderr}\n{self.journal(lines=40)}")
        return done

    def show(self, unit: str, name: str) -> str:
        """One property of a unit, e.g. show("pylockd", "ActiveState")."""
        return self.run("systemctl", "show", "--value", "-p", name, unit, check=True).stdout.strip()

    def journal(self, unit: str | None = None, *, lines: int | None = None, output: str = "cat") -> str:
        """The journal (of one unit), everything already sent to it included."""
        self.run("journalctl", "--sync")
        words = ["journalctl", "-b", "--no-pager", "-q", "-o", output]
        words += ["-u", unit] if unit else []
        words += ["-n", str(lines)] if lines else []
        return self.run(*words, check=True).stdout

    def journal_entries(self, unit: str | None = None) -> list[dict[str, Any]]:
        """The journal with all its fields."""
        return [json.loads(line) for line in self.journal(unit, output="json").splitlines()]

    def copy_in(self, source: str | os.PathLike[str], target: str) -> None:
        """A file or a folder's content to `target` inside, modes and links kept."""
        source = Path(source)
        if source.is_dir():
            archive = subprocess.run(["tar", "-C", source, "-cf", "-", "."], capture_output=True, check=True)
            script = 'mkdir -p "$1" && tar -C "$1" -xf -'
            self.run("sh", "-c", script, "sh", target, input=archive.stdout, check=True)
        else:
            script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
            mode = f"{source.stat().st_mode & 0o7777:o}"
            self.run("sh", "-c", script, "sh", target, mode, input=source.read_bytes(), check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="machine.py",
        usage="%(prog)s [options] -- COMMAND [ARG...]",
        description="Boot a disposable machine with a real systemd out of namespaces and run COMMAND in it.",
    )
    add = parser.add_argument
    add("--bind", metavar="PATH", action="append", default=[], help="show PATH inside, read-only")
    add("--writable", metavar="PATH", action="append", default=[], help="show PATH inside, writable")
    add("--copy", metavar="SRC:DST", action="append", default=[], help="copy before boot (DST/ = into)")
    add("--unit", metavar="FILE", action="append", default=[], help="copy a unit to /etc/systemd/system")
    add("--enable", metavar="UNIT", action="append", default=[], help="start UNIT at boot")
    add("--keep", metavar="UNIT", action="append", default=[], help="do not mask UNIT")
    add("--hide", metavar="PATH", action="append", default=[], help="PATH shall not exist inside")
    add("--hostname", default="syshost", help="its name (%(default)s)")
    add("--network", metavar="NETNS", default="", help="join this network namespace (a path)")
    add("--env", metavar="NAME=VALUE", action="append", default=[], help="for COMMAND")
    add("--limit", metavar="SECONDS", type=float, help="for everything (120; with --name 86400)")
    add("--name", default="", help="let it stay under this name, or use the one that stays")
    add("--end", metavar="NAME", default="", help="take away the machine of this name")
    add("--poweroff", action="store_true", help="shut down in order at the end")
    add("--journal", action="store_true", help="print the journal to stderr at the end")
    add("--verbose", action="store_true", help="print timings to stderr")
    add("command", nargs="*", help=argparse.SUPPRESS)
    return parser


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    begun = time.monotonic()

    def say(text: str) -> None:
        if options.verbose:
            print(f"machine: {text} at {(time.monotonic() - begun) * 1000:.0f} ms", file=sys.stderr)

    if options.end:
        return end(options.end)
    if not options.command:
        _parser().error("no command to run")
    if options.limit is None:
        options.limit = 86400.0 if options.name else 120.0
    environment = {"TERM": os.environ.get("TERM", "dumb")}
    environment |= dict(word.split("=", 1) for word in options.env)
    if options.name and (found := standing(options.name)):
        command = enter_command(found[1], SystemdHost.enter_flags, options.command, environment)
        return _code(subprocess.run(command, check=False).returncode)
    try:
        host = SystemdHost(
            name=options.name,
            binds=options.bind,
            writable=options.writable,
            copies=dict(word.rsplit(":", 1) for word in options.copy),
            units=options.unit,
            enable=options.enable,
            keep=options.keep,
            hide=options.hide,
            network=options.network,
            hostname=options.hostname,
            limit=options.limit,
            environment=environment,
        )
    except HostError as error:
        print(f"machine: {error}", file=sys.stderr)
        return 125
    with contextlib.nullcontext() if options.name else host:
        say(f"booted ({host.boot_state})")
        code = subprocess.run(host.command(options.command), check=False).returncode
        if host.limit_reached:
            print(f"machine: the limit of {options.limit:g} s was reached", file=sys.stderr)
            return 124
        say(f"command ended with {code}")
        if options.journal:
            print(host.journal(output="short-monotonic"), end="", file=sys.stderr)
        if options.name:
            return _code(code)
        host.close(poweroff=options.poweroff)
    say("gone")
    return _code(code)


def _code(code: int) -> int:
    """As a shell tells a death by signal."""
    return code if code >= 0 else 128 - code


def end(name: str) -> int:
    """Take away the machine that stays under `name`; 1 when there is none."""
    found = standing(name)
    if found is None:
        print(f"machine: no machine is named {name}", file=sys.stderr)
        return 1
    os.kill(found[0], signal.SIGTERM)
    deadline = time.monotonic() + 30
    while standing(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    return 0 if standing(name) is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
