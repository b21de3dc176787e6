# SPDX-License-Identifier: GPL-3.0-or-later
"""A host seen from outside: start its guard, enter it, run and start commands in it, let it go.

`Held` is what SystemdHost (machine.py) and Host (lab.py) share; `Process` is a command running inside. Every
command runs in all the host's namespaces (mount, pid, network, uts, ipc, cgroup) and so dies with the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from hosts import inside, kernel
from hosts.waiting import wait_for

Command = Sequence[str | os.PathLike[str]]


class HostError(RuntimeError):
    """The host could not be made, or is gone."""


class Process:
    """A command running in a host. `pid` is its pid as the outer machine sees it."""

    def __init__(self, popen: subprocess.Popen[bytes], *, name: str, log_path: Path | None = None) -> None:
        self.popen = popen
        self.name = name
        self.log_path = log_path
        self.pid = _child_of(popen)

    @property
    def log(self) -> str:
        """Everything it wrote to standard output and error so far."""
        return self.log_path.read_text(errors="replace") if self.log_path else ""

    @property
    def inner_pid(self) -> int:
        """Its pid as the host itself sees it."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("NSpid:")[2].partition("\n")[0].split()[-1])

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def send_signal(self, number: int) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float = 30.0) -> int:
        """Its exit code, or minus the signal it died of; TimeoutExpired when it goes on."""
        return self.popen.wait(timeout)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Signal it and wait; SIGKILL after `timeout`. The exit code as wait() has it."""
        self.send_signal(number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            return self.popen.wait(timeout)

    def wait_for_log(self, text: str, *, timeout: float = 30.0) -> None:
        wait_for(
            lambda: text in self.log or not self.running, timeout=timeout, what=f"{text!r} from {self.name}"
        )
        if text not in self.log:
            raise AssertionError(f"{self.name} ended ({self.popen.returncode}) without {text!r}:\n{self.log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.stop()


def _child_of(popen: subprocess.Popen[bytes]) -> int:
    """The command itself: nsenter stays in the outer PID namespace and forks the command into the inner."""
    children = Path(f"/proc/{popen.pid}/task/{popen.pid}/children")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            found = children.read_text().split()
            if found and Path(f"/proc/{found[0]}/comm").read_text().strip() != "nsenter":
                return int(found[0])
        except OSError:
            pass
        if popen.poll() is not None:
            return popen.pid  # already over; signals are not sent to what is not running
        time.sleep(0.001)
    return popen.pid


def enter_command(
    init: int, flags: Sequence[str], argv: Command, env: dict[str, str], cwd: str | None = None
) -> list[str]:
    """The argv that runs `argv` in the namespaces of process `init`, with nothing of our environment."""
    variables = {
        "PATH": inside.PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SYSTEMD_PAGER": "",
        "SYSTEMD_COLORS": "0",
        **env,
    }
    return [
        *("nsenter", "-t", str(init), *flags, "--", "env", "-i", "-C", cwd or "/"),
        *(f"{name}={value}" for name, value in variables.items()),
        *(os.fspath(word) for word in argv),
    ]


class Held:
    """A host and the lifeline to its guard."""

    enter_flags: tuple[str, ...] = ("-m", "-p", "-u", "-i", "-n", "-r")

    def __init__(self, spec: dict[str, Any], *, environment: dict[str, str] | None = None) -> None:
        if os.geteuid() != 0:
            raise HostError("hosts are made of namespaces: this needs root")
        if shutil.which("nsenter") is None:
            raise HostError("nsenter (util-linux) is not installed")
        self.environment = environment or {}
        self._started: list[Process] = []
        self._limit_reached = False
        self.init = 0
        self.work = Path()
        self._guard = subprocess.Popen(
            ["/usr/bin/python3", "-IB", str(Path(__file__).with_name("guard.py")), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # one that stays must not hold its creator's stderr open: whoever reads that waits for its end
            stderr=subprocess.DEVNULL if spec["name"] else None,
            start_new_session=True,
        )

    def wait_ready(self) -> None:
        """Blocks until the guard reports the host ready; HostError with its reason if it cannot be."""
        event = self._event(timeout=60.0)
        if event.get("event") != "ready":
            self.close()
            raise HostError(event.get("why") or "the host was not made")
        self.init, self.work = event["init"], Path(event["work"])

    def _event(self, *, timeout: float) -> dict[str, Any]:
        assert self._guard.stdout
        if not select.select([self._guard.stdout], [], [], timeout)[0]:
            return {}
        return json.loads(self._guard.stdout.readline() or b"{}")

    @property
    def alive(self) -> bool:
        return self._guard.poll() is None and os.path.isdir(f"/proc/{self.init}")

    # ---- commands

    def command(
        self, argv: Command, *, cwd: str | None = None, env: dict[str, str] | None = None
    ) -> list[str]:
        """The argv that runs `argv` inside: nsenter, a clean environment, a folder."""
        return enter_command(self.init, self.enter_flags, argv, {**self.environment, **(env or {})}, cwd)

    def run(
        self,
        *argv: str | os.PathLike[str],
        input: str | bytes | None = None,
        timeout: float = 60.0,
        check: bool = False,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; output as text. With `check`, AssertionError shows what a failing command wrote."""
        self._need_alive()
        popen = subprocess.Popen(
            self.command(argv, cwd=cwd, env=env),
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        data = input.encode() if isinstance(input, str) else input
        try:
            out, err = popen.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            for pid in (_child_of(popen), popen.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.communicate(timeout=5)
            raise
        done = subprocess.CompletedProcess(argv, popen.returncode, out.decode(), err.decode())
        if check and done.returncode != 0:
            words = " ".join(map(str, argv))
            raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(
        self,
        *argv: str | os.PathLike[str],
        name: str | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
    ) -> Process:
        """Start in the background, output to a log of its own; stopped with the host at the latest."""
        self._need_alive()
        name = name or Path(argv[0]).name
        log_path = self.work / f"{len(self._started)}-{name}.log"
        with open(log_path, "wb") as log:
            popen = subprocess.Popen(
                self.command(argv, cwd=cwd, env=env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = Process(popen, name=name, log_path=log_path)
        self._started.append(process)
        return process

    def run_in_network(self, *argv: str, input: str | None = None) -> None:
        """Run a tool of the outer machine in this host's network only; it must succeed."""
        self._need_alive()
        words = ["nsenter", "-t", str(self.init), "-n", "--", *argv]
        done = subprocess.run(words, input=input, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise HostError(f"{' '.join(argv)}: {done.stderr}{input or ''}")

    def network(self) -> contextlib.AbstractContextManager[None]:
        """Inside the block, sockets this thread creates are on this host."""
        self._need_alive()
        return kernel.network_of(self.init)

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """A file inside the host, made by a process of the host (so links resolve as they do there)."""
        script = 'umask 077; mkdir -p "$(dirname "$1")"; cat >"$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", input=text, check=True)

    def read(self, path: str) -> str:
        return self.run("cat", path, check=True).stdout

    @property
    def limit_reached(self) -> bool:
        """Did the guard end the host at its time limit? (It says so before it acts.)"""
        if not self._limit_reached and self._guard.stdout:
            self._limit_reached = self._event(timeout=0.0).get("event") == "limit"
        return self._limit_reached

    def _need_alive(self) -> None:
        if not self.alive:
            raise HostError("the host reached its time limit" if self.limit_reached else "the host is gone")

    # ---- the end

    def release(self) -> None:
        """Begin the end without waiting for it; close() waits. Several hosts go faster this way."""
        if self._guard.stdin and not self._guard.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()

    def close(self, *, poweroff: bool = False) -> None:
        """Take the host away; returns when nothing is left of it. May be called again."""
        guard = self._guard
        if guard.stdin and not guard.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                if poweroff:
                    guard.stdin.write(b"poweroff\n")
                    guard.stdin.flush()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        guard.wait(30)
            with contextlib.suppress(BrokenPipeError):
                guard.stdin.close()
        try:
            guard.wait(30)
        except subprocess.TimeoutExpired:
            print(f"host guard {guard.pid} hangs; killed", file=sys.stderr)
            guard.kill()
            guard.wait()
        if guard.stdout:
            guard.stdout.close()
            guard.stdout = None
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(10)
            process.log_path = None
        self._started.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
