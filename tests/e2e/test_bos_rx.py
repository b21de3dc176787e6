# SPDX-License-Identifier: GPL-3.0-or-later
"""The real bos of OpenAFS speaks to pybosd over Rx, and says of it what it says of the real bosserver.

Three machines: pybosd on h1, bosserver on h2, bos on h3. One list of commands goes to both; what bos prints
and how it exits must be the same, but for dates and the machines' names.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from hosts.bos import STATE, BosHost, prepare_afs
from hosts.holder import Process
from hosts.lab import Lab
from hosts.machine import SystemdHost
from hosts.waiting import wait_for

pytestmark = [pytest.mark.needs("bos", "bosserver")]

PATIENT = "/usr/local/bin/patient"
"""A server that ends without a core whatever it is told by. It has no child: one that the shell had just
forked would miss the signal, and systemd wait a minute for it."""
NEVER = "/run/never"
"""A pipe nobody writes to."""
PROGRAM = f"""#!/bin/sh
trap 'exit 0' TERM QUIT
read -r word <>{NEVER}
"""


class Labor(NamedTuple):
    """The machines, and a command that was begun before the first test."""

    ours: BosHost
    peer: SystemdHost
    client: SystemdHost
    sleeper: Process

    def bos(self, host: str, line: str, timeout: float = 60.0) -> tuple[int, str]:
        """Exit code and everything said."""
        verb, *words = shlex.split(line)
        done = self.client.run("bos", verb, host, *words, "-noauth", timeout=timeout)
        return done.returncode, done.stdout + done.stderr

    def do(self, line: str, timeout: float = 60.0) -> str:
        """A bos that must succeed at pybosd."""
        code, said = self.bos("h1", line, timeout)
        assert code == 0, f"bos {line}: {code} {said}{self.ours.tail()}"
        return said


@pytest.fixture(scope="module")
def labor() -> Iterator[Labor]:
    lab = Lab(3, limit=170.0)
    try:
        machines = [lab.boot(f"h{number}") for number in (1, 2, 3)]
        ours, peer, client = machines
        for machine in machines:
            prepare_afs(machine)
            machine.write(PATIENT, PROGRAM, mode=0o755)
            machine.run("mkfifo", NEVER, check=True)
        bos = BosHost(ours)
        ours.run("install", "-d", STATE, f"{STATE}/etc", f"{STATE}/log", check=True)
        ours.run("install", "-d", "-m", "700", f"{STATE}/local", check=True)
        ours.run("cp", "/etc/openafs/ThisCell", "/etc/openafs/CellServDB", f"{STATE}/etc/", check=True)
        ours.write(f"{STATE}/local/NoAuth", "")
        bos.open_rx("0.0.0.0:7007", noauth=False)
        bos.start()
        # of a file that is on every machine, so that it cannot be told which answered
        peer.start("/usr/sbin/bosserver", "-noauth", "-nofork", name="bosserver")
        client.write("/root/inst", "#!/bin/sh\nexit 0\n", mode=0o755)
        wait_for(
            lambda: client.run("bos", "getrestart", "h2", "-noauth").returncode == 0,
            what="bosserver's answer",
        )
        sleeper = client.start("bos", "exec", "h1", "sleep 30; exit 3", "-noauth", name="bos-exec")
        yield Labor(bos, peer, client, sleeper)
    finally:
        lab.close()


DATE = re.compile(r"(Sun|Mon|Tue|Wed|Thu|Fri|Sat) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")


def plain(said: str, host: str) -> str:
    return re.sub(rf"\b{host}\b", "HOST", DATE.sub("DATE", said))


CREATE = f"""
create a simple "{PATIENT}"
create b cron /bin/true 5:00
create f fs "{PATIENT}" "{PATIENT}" "{PATIENT}"
create d dafs "{PATIENT}" "{PATIENT}" "{PATIENT}" "{PATIENT}"
create a simple "{PATIENT}"
create z bogus "{PATIENT}"
create n simple "{PATIENT}" -notifier /nonexistent
create n simple "{PATIENT}" -notifier /bin/true
create c cron /bin/true 25:00
"""
LOOK = """
status
status -long
status a n
status a n -long
status NOPE
listhosts
getrestart
getrestricted
"""
MOVE = f"""
delete a
delete NOPE
start a
start NOPE
stop a -wait
status a -long
stop NOPE
delete a
create a simple "{PATIENT}"
startup
startup NOPE
shutdown a -wait
status a
shutdown NOPE
startup a
restart a
restart NOPE
restart -all
status
shutdown -wait
startup
status
stop f -wait
salvage -all
salvage /vicepa
"""
SITE = """
adduser joe
adduser joe
listusers
removeuser joe
removeuser joe
listusers
addkey -key abc -kvno 1
addkey -key abc -kvno 1
addkey -key abcd -kvno 2
listkeys
listkeys -showkey
removekey 1
removekey 9
listkeys
addhost h3
addhost h3
listhosts
removehost h3
addhost h3 -clone
listhosts
removehost nonono
setcellname example.net
listhosts
setcellname example.org
setrestart 4:00 -general
setrestart "sun 4:00" -newbinary
getrestart
setrestart never -newbinary
setrestart now -general
setrestart 25:00
getrestart
"""
FILES = """
install /root/inst
install /root/inst
getdate inst
getdate nono
uninstall inst
getdate inst
prune -bak -old
prune -all
getdate inst
exec "exit 3"
exec "kill -9 $$"
exec true
exec "test $((2 + 2)) = 4"
getlog nono
getlog /etc/debian_version
"""
RESTRICTED = f"""
setrestricted 1
getrestricted
setrestricted 0
create r simple "{PATIENT}"
delete b
exec true
getlog /etc/hostname
getlog nono
install /root/inst
uninstall inst
prune -all
stop a
start a
listkeys
adduser bill
removeuser bill
"""
NO_MORE = """
setauth on
create r simple /bin/x
delete b
start a
stop a
startup
shutdown
restart a
restart -all
restart -bosserver
adduser bill
removeuser bill
listusers
addkey -key abc -kvno 7
removekey 2
listkeys
setcellname x.org
addhost h3
removehost localhost
listhosts
setauth off
install /root/inst
uninstall inst
getdate inst
prune -all
exec true
getlog BosLog
setrestart never
getrestart
setrestricted 1
getrestricted
status a
status a -long
"""

NEXT_RUN = re.compile(r"(disabled, currently shutdown\.\n)    Auxiliary status is: run next at DATE\.\n")
"""Of a cron bnode that is shut down: bosserver goes on naming one, pybosd does not. What else differs by
intention is in pybosd(8)."""


def test_everything_bos_can_do_is_done_here() -> None:
    """The table of bos help, but for what needs no server."""
    done = {line.split()[0] for part in PARTS for line in globals()[part].splitlines() if line}
    assert done == {
        "addhost", "addkey", "adduser", "create", "delete", "exec", "getdate", "getlog", "getrestart",
        "getrestricted", "install", "listhosts", "listkeys", "listusers", "prune", "removehost", "removekey",
        "removeuser", "restart", "salvage", "setauth", "setcellname", "setrestart", "setrestricted",
        "shutdown", "start", "startup", "status", "stop", "uninstall",
    }  # fmt: skip


PARTS = ("CREATE", "LOOK", "MOVE", "SITE", "FILES", "NO_MORE", "RESTRICTED")


@pytest.mark.parametrize("part", PARTS)
def test_bos_says_the_same_of_both(labor: Labor, part: str) -> None:
    """In this order: what one part makes the next looks at."""
    if part == "RESTRICTED":  # the way back from "setauth on" is at the machine
        labor.ours.do("setauth", "off")
        labor.peer.write("/var/lib/openafs/local/NoAuth", "")
    different = []
    for line in filter(None, globals()[part].splitlines()):
        ours, theirs = ask(labor, line)
        if ours != theirs and not (line.startswith("status") and agree(labor, line)):
            different.append(f"bos {line}\n  pybosd:    {ours}\n  bosserver: {theirs}")
    assert not different, "\n".join(different)


def ask(labor: Labor, line: str) -> list[tuple[int, str]]:
    """What pybosd makes bos say, and what bosserver."""
    answers = []
    for host in ("h1", "h2"):
        code, said = labor.bos(host, line)
        answers.append((code, NEXT_RUN.sub(r"\1", plain(said, host))))
    return answers


def agree(labor: Labor, line: str) -> bool:
    """Whether the two come to say the same: processes take their time to start and to stop."""

    def same() -> bool:
        ours, theirs = ask(labor, line)
        return ours == theirs

    try:
        return bool(wait_for(same, what="the same status", timeout=10.0))
    except AssertionError:
        return False


def test_a_command_of_30_seconds_had_served_others_meanwhile_and_ends(labor: Labor) -> None:
    assert labor.sleeper.wait(60) == 0
    assert labor.sleeper.log == "bos: failed to execute command (Unknown code c 0 (768))\n"
