# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd on a real systemd: its own life, from start to stop."""

from __future__ import annotations

import json
import re
import signal
from typing import ClassVar

from hosts.bos import STATE, BosHost
from hosts.waiting import wait_for


def test_it_starts_confined_and_ready_with_a_status_line(bos: BosHost) -> None:
    status = bos.host.run("cat", f"/proc/{bos.pid}/status", check=True).stdout
    assert re.search(r"^CapEff:\s+0*200004$", status, re.MULTILINE), "SYS_ADMIN, DAC_READ_SEARCH, no more"
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    wait_for(lambda: bos.host.show("pybosd", "StatusText") == "1 bnodes, 1 processes", what="the status line")


def test_whoever_is_here_may_look_and_no_more(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    nobody = ("runuser", "-u", "nobody", "--")
    assert bos.host.run(*nobody, "pybos", "status", "a").returncode == 0
    assert bos.host.run(*nobody, "cat", "/run/pysysctl/kernel/bos/error_stop_limit").stdout == "11\n"
    assert bos.host.run(*nobody, "cat", f"{STATE}/log/BosLog").returncode == 0
    assert bos.host.run(*nobody, "cat", f"{STATE}/BosConfig").returncode != 0
    assert bos.host.run(*nobody, "ls", f"{STATE}/local").returncode != 0
    assert bos.host.run(*nobody, "pybos", "stop", "a").returncode == 6


def test_a_second_one_refuses_to_start_and_touches_nothing(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    bos.wait_status("a", 1)
    before = bos.processes()
    for words in ((), ("--run-dir", "/run/other")):  # whatever folder its socket is in
        done = bos.host.run("pybosd", *words, timeout=30)
        assert done.returncode == 1 and "already running" in done.stderr
    assert bos.processes() == before and bos.status()["a"]["starts"] == 1


def test_from_a_checkout_with_folders_of_its_own(bos: BosHost) -> None:
    bos.host.systemctl("stop", "pybosd")
    bos.host.write("/root/pybosd.conf", "[kernel.bos]\nerror_stop_limit = 3\n")
    words = ["--config", "/root/pybosd.conf", "--run-dir", "/root/run", "--state-dir", "/root/state"]
    daemon = bos.host.start("/opt/pydaemons/bin/pybosd", *words)
    wait_for(lambda: bos.bos("--socket", "/root/run/control", "status").returncode == 0, what="an answer")
    bos.do("--socket", "/root/run/control", "create", "x", "simple", "/usr/local/bin/counted x 0 1")
    wait_for(lambda: len(bos.starts("x")) == 4, what="four starts")
    assert bos.host.run("ls", "/root/state").stdout.split() == ["BosConfig", "etc", "history", "local", "log"]
    assert daemon.stop() == 0
    assert len(bos.starts("x")) == 4


def test_restart_hands_over_and_stop_stops_all(bos: BosHost) -> None:
    for name in ("a", "b", "c"):
        bos.do("create", name, "simple", f"/usr/local/bin/counted {name} 1000 0")
    bos.wait_status("c", 1)
    before, old = bos.processes(), bos.pid
    bos.host.systemctl("restart", "pybosd")
    assert bos.processes() == before and bos.pid != old
    assert bos.figures()["adopted"] == 3
    bos.host.systemctl("stop", "pybosd")
    assert bos.processes() == {}
    bos.start()
    wait_for(lambda: len(bos.processes()) == 3, what="all three again")
    assert [len(bos.starts(name)) for name in ("a", "b", "c")] == [2, 2, 2]


def test_restart_of_the_server_itself_starts_everything_anew(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    bos.wait_status("a", 1)
    old = bos.pid
    new = bos.host.run("cat", f"{STATE}/BosConfig").stdout.replace("simple a 1", "simple b 1")
    bos.host.write(f"{STATE}/BosConfig.new", new)
    bos.do("restart", "-bosserver")
    wait_for(lambda: bos.pid not in (0, old) and bos.bos("status").returncode == 0, what="the next pybosd")
    bos.wait_status("b", 1)
    assert list(bos.status()) == ["b"] and len(bos.starts("a")) == 2


def test_systemd_itself_may_be_executed_anew(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    bos.wait_status("a", 1)
    bos.host.systemctl("daemon-reexec")
    bos.host.systemctl("daemon-reload")
    wait_for(lambda: bos.status("a")["a"]["status"] == 1, what="contact again")
    bos.kill(bos.processes()["bos-a.service"])
    wait_for(lambda: bos.status("a")["a"]["starts"] == 2, what="an exit that is seen")
    bos.do("stop", "a", "-wait")
    assert bos.processes() == {}


def test_every_action_is_in_the_journal_with_who_what_and_result(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    bos.host.run("runuser", "-u", "nobody", "--", "pybos", "stop", "a")

    def entries() -> list[dict[str, str]]:
        return [entry for entry in bos.host.journal_entries("pybosd") if "BOS_USER" in entry]

    wait_for(lambda: len(entries()) == 2, what="both entries")
    told = [(e["BOS_EVENT"], e["BOS_USER"], e["BOS_CODE"]) for e in entries()]
    assert told == [("Create", "<LocalAuth>", "0"), ("SetStatus", "nobody", "39430")]
    spawned = [e for e in bos.host.journal_entries("pybosd") if e.get("BOS_EVENT") == "SpawnProc"]
    assert [entry["BOS_COMMAND"] for entry in spawned] == ["/bin/sleep 1000"]


class User:
    """A service manager of a user, and a pybosd on it."""

    environment: ClassVar = {"XDG_RUNTIME_DIR": "/run/user/0", "HOME": "/root"}

    def __init__(self, bos: BosHost) -> None:
        self._bos = bos
        host = bos.host
        host.run("mkdir", "-p", "/run/user/0", check=True)
        given = [word for pair in self.environment.items() for word in ("-E", "=".join(pair))]
        words = ["systemd-run", "--unit=manager", "-p", "Delegate=yes", *given]
        host.run(*words, "/lib/systemd/systemd", "--user", check=True)
        socket = "/run/user/0/systemd/private"
        wait_for(lambda: host.run("test", "-S", socket).returncode == 0, what="a manager")
        words = ["--user", "--run-dir", "/root/run", "--state-dir", "/root/state"]
        self._daemon = host.start("/opt/pydaemons/bin/pybosd", *words, env=self.environment)
        wait_for(lambda: bos.bos(*self._socket, "status").returncode == 0, what="an answer")

    _socket = ("--socket", "/root/run/control")

    @property
    def pid(self) -> int:
        """Of the manager."""
        return int(self._bos.host.show("manager", "MainPID"))

    def do(self, *words: str) -> str:
        return self._bos.do(*self._socket, *words, timeout=20)

    def status(self, name: str) -> int:
        found = json.loads(self.do("--json", "status", name))
        (view,) = found["instances"]
        return int(view["status"])

    def stop(self) -> None:
        assert self._daemon.stop() == 0
        self._bos.host.systemctl("stop", "manager")
        self._bos.host.run("rm", "-rf", "/root/run", "/root/state", check=True)


def test_the_manager_of_a_user_will_do(bos: BosHost) -> None:
    user = User(bos)
    user.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    wait_for(lambda: len(bos.starts("a")) == 1, what="its start")
    words = ["systemctl", "--user", "is-active", "bos-a.service"]
    assert bos.host.run(*words, env=user.environment).stdout == "active\n" and bos.processes() == {}
    assert json.loads(user.do("--json", "statistics"))["running"] == 1
    user.stop()


def test_a_manager_that_hangs_keeps_nobody_waiting_and_forgets_nothing(bos: BosHost) -> None:
    user = User(bos)
    user.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    wait_for(lambda: len(bos.starts("a")) == 1 and user.status("a") == 1, what="its start")
    bos.kill(user.pid, signal.SIGSTOP)
    names = ["b", "c", "d"]
    for name in names:
        user.do("create", name, "simple", f"/usr/local/bin/counted {name} 1000 0")
    user.do("stop", "a")
    assert [user.status(name) for name in ("a", "b")] == [2, 3], "about to stop, about to start"
    bos.kill(user.pid, signal.SIGCONT)
    wait_for(lambda: all(len(bos.starts(name)) == 1 for name in names), what="their starts")
    wait_for(lambda: [user.status(name) for name in ("a", "b")] == [0, 1], what="both")
    assert len(bos.starts("a")) == 1
    user.stop()


def test_who_hangs_up_during_a_wait_is_not_waited_for(bos: BosHost) -> None:
    deaf = "#!/bin/sh\ntrap '' TERM\n: >/run/starts/deaf\nwhile :; do sleep 0.1; done\n"
    bos.host.write("/usr/local/bin/deaf", deaf, mode=0o755)
    bos.do("create", "deaf", "simple", "/usr/local/bin/deaf")
    wait_for(lambda: bos.host.run("test", "-e", "/run/starts/deaf").returncode == 0, what="deafness")
    client = bos.host.start("pybos", "stop", "deaf", "-wait")
    wait_for(lambda: bos.figures()["waiting"] == 1, what="the wait")
    client.stop()
    wait_for(lambda: bos.figures()["waiting"] == 0, what="its end")
    request = r'{"method":"org.pydaemons.bosd.WaitAll"}\0'
    bos.host.start("sh", "-c", f"printf '{request}' | pybos relay | sleep 4711")
    wait_for(lambda: bos.figures()["waiting"] == 1, what="the wait of one whose input has ended")
    bos.host.run("pkill", "-f", "^sleep 4711", check=True)
    wait_for(lambda: bos.figures()["waiting"] == 0, what="its end, when nobody reads the relay any more")
    bos.kill(bos.processes()["bos-deaf.service"])
    wait_for(lambda: bos.status("deaf")["deaf"]["status"] == 0, what="the end of deaf")
