# SPDX-License-Identifier: GPL-3.0-or-later
"""The same lines typed at OpenAFS's bos and bosserver and at pybos and pybosd, side by side, on one machine.

What they say (standard output, standard error, exit status) is the same but for dates; where it is not, the
line carries the reason why, out of DEVIATIONS, and must differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hosts.bos import STATE, BosHost
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("bos", "bosserver")

DEVIATIONS = {
    "status": "what was refused or found wrong is not called done (exit status 0)",
    "reason": "the peer's text is followed by a reason",
    "accepted": "the peer takes what cannot work: it fails later, or harms the file",
    "exec": "exec ends with the command's own status",
    "end": "the peer ends this text by a carriage return",
    "never": "a cron that never runs says so, and no day in 2038",
    "stays": "nothing to bring back: nothing was uninstalled",
}

SETTING = """
ip link set lo up
for name in db2 db3 db4; do echo 10.1.2.${name#db} $name >>/etc/hosts; done
mkdir -p /etc/openafs/server /var/log/openafs /var/lib/openafs/local /opt/ours/bin /opt/theirs/bin
for folder in /etc/openafs /etc/openafs/server %(state)s/etc; do
    echo example.org >$folder/ThisCell
    printf '>example.org\\n127.0.0.1 #localhost\\n' >$folder/CellServDB
done
chmod 755 /etc/openafs /etc/openafs/server /var/lib/openafs /var/log/openafs
chmod 700 /var/lib/openafs/local
printf '#!/bin/sh\\ncat >/dev/null\\n' >/usr/local/bin/note && chmod 755 /usr/local/bin/note
printf '[kernel.bos]\\nerror_stop_policy = backoff\\n' >/etc/pybosd.conf
printf '[Service]\\nReadWritePaths=/opt/ours\\n' >/run/systemd/system/pybosd.service.d/opt.conf
ln -s /opt/pydaemons/bin/pybos /opt/ours/bos
ln -s /usr/bin/bos /opt/theirs/bos
systemctl daemon-reload
"""
"""Both in one cell; OURS is called bos, too, so that it speaks of itself by that name."""

SIDES = ("theirs", "ours")
DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"[ \d]\d \d\d:\d\d:\d\d \d{4}"
)


@dataclass
class Said:
    status: int
    out: str
    err: str


class Both:
    """A machine with both of them. `@@` in a line stands for the side's own folder."""

    def __init__(self, bos: BosHost) -> None:
        self.bos = bos
        self.host = bos.host
        bos.host.run("mkdir", "-p", "/run/systemd/system/pybosd.service.d", check=True)
        bos.host.run("sh", "-ec", SETTING % {"state": STATE}, check=True)
        bos.host.systemctl("restart", "pybosd")
        self.start_peer()

    def start_peer(self) -> None:
        self.peer = self.host.start("/usr/sbin/bosserver", "-noauth", "-nofork")
        wait_for(lambda: self.type("theirs", "status").status == 0, what="the peer")

    def type(self, side: str, line: str) -> Said:
        verb, _, rest = line.partition(" ")
        place = "" if verb in ("help", "apropos") else "localhost "
        plain = " -noauth" if place else ""
        words = f"/opt/{side}/bos {verb} {place}{rest}{plain}".replace("@@", f"/opt/{side}")
        done = self.host.run("sh", "-c", words, timeout=60)
        out, err = (
            DATE.sub("DATE", text.replace(f"/opt/{side}", "@@").replace("@@/bos", "bos"))
            for text in (done.stdout, done.stderr)
        )
        return Said(done.returncode, out, err)

    def compare(self, lines: str) -> None:
        """Each line is `COMMAND [# DEVIATION]`, or `! SHELL COMMAND`, or `~ NAME STATUS`, to wait for."""
        wrong = []
        for line in filter(None, map(str.strip, lines.splitlines())):
            if line.startswith("! "):
                self.host.run("sh", "-ec", line[2:], check=True)
                continue
            if line.startswith("~ "):
                self._settle(*line[2:].split(maxsplit=1))
                continue
            command, _, why = line.partition(" # ")
            theirs, ours = (self.type(side, command) for side in SIDES)
            reasons = why.split(", ") if why else []
            if not _as_declared(theirs, ours, reasons):
                wrong.append(f"{line}\n    theirs {theirs}\n    ours   {ours}")
        assert not wrong, "\n".join(wrong)

    def _settle(self, name: str, text: str) -> None:
        """Processes come to be and end a little after the answer, on both sides."""
        for side in SIDES:
            wait_for(
                lambda side=side: text in self.type(side, f"status {name}").out,
                what=f"{side}: {name} {text}: {self.type(side, f'status {name}')}",
            )


def _as_declared(theirs: Said, ours: Said, reasons: list[str]) -> bool:
    """They differ in exactly what is declared."""
    for reason in reasons:
        match reason:
            case "status":
                if theirs.status or not ours.status:
                    return False
                theirs = Said(ours.status, theirs.out, theirs.err)
            case "reason":
                if not ours.err.startswith(theirs.err.rstrip("\n") + ": "):
                    return False
                ours = Said(ours.status, ours.out, theirs.err)
            case "end":
                if not theirs.err.endswith("\n\r"):
                    return False
                theirs = Said(theirs.status, theirs.out, theirs.err.rstrip("\r"))
            case _:
                return reason in DEVIATIONS and theirs != ours
    return theirs == ours


@pytest.fixture
def both(bos: BosHost) -> Iterator[Both]:
    pair = Both(bos)
    yield pair
    pair.peer.stop()
    bos.host.run("sh", "-c", "rm -rf /run/systemd/system/pybosd.service.d /opt/ours /opt/theirs "
                 "/etc/openafs /var/lib/openafs /var/log/openafs; systemctl daemon-reload")  # fmt: skip


def test_bnodes_are_created_shown_stopped_started_and_deleted_alike(both: Both) -> None:
    both.compare("""
        status
        create a simple "/bin/sleep 1000"
        create a simple "/bin/sleep 1000"
        create b nonsense "/bin/sleep 1000" # reason
        create c simple "/bin/sleep 1000" -notifier /nope # reason
        create c simple "/bin/sleep 1000" -notifier /usr/local/bin/note
        ~ a currently running normally.
        ~ c currently running normally.
        status
        status a
        status -instance a c
        status a -long c
        status -long
        status nope # status
        status a nope # status
        stop nope
        start nope
        delete nope
        startup nope # status
        shutdown nope # status
        restart nope # status
        delete a
        stop a -wait
        status a
        status a -long
        delete a
        status a # status
        shutdown c -wait
        status c
        startup c
        ~ c currently running normally.
        status c -long
        start c
        stop c -wait
        status c
        startup c
        ~ c temporarily enabled
        status c
        restart c
        shutdown -wait
        status
        start c
        ~ c currently running normally.
        restart -all
        restart # status
        restart c -all # status
        restart -bosserver c
        startup
        stop c -wait
        delete c
        status
        create
        create a
        create x y
        create two simple "/bin/sleep 1" "/bin/sleep 2" # accepted
        create f fs /bin/sleep # accepted
        create d dafs "/bin/sleep 1" "/bin/sleep 2" # accepted
        create "with blank" simple "/bin/sleep 1" # accepted
    """)


def test_errors_cron_and_kinds_are_shown_alike(both: Both) -> None:
    both.compare("""
        create t simple "/bin/false"
        ~ t stopped for too many errors
        status t
        stop t -wait
        status t
        create cr cron /bin/true "4:00"
        status cr
        status cr -long
        create cr2 cron /bin/true "never"
        status cr2 # never
        create cr3 cron /bin/true "25:00" # reason
        create cr4 cron /bin/true "sun mon 4:00" # accepted
        create cr5 cron /bin/true
        status cr5
        stop cr cr2 cr5 -wait
        delete cr cr2 cr5
        create fs fs "/bin/sleep 100000" "/bin/sleep 100001" "/bin/true"
        ~ fs currently running normally.
        status fs
        status fs -long
        create dd dafs "/bin/sleep 100002" "/bin/sleep 100003" "/bin/sleep 100004" "/bin/true"
        ~ dd currently running normally.
        status dd
        status dd -long
        stop dd -wait
        delete dd
        salvage
        salvage -volume v
        salvage -all
        ~ fs currently running normally.
        salvage a
        stop fs -wait
        salvage a
        delete fs
        create rel simple "prog arg"
        ~ rel stopped for too many errors
        status rel
    """)
    for side in SIDES:
        assert "Command 1 is '/usr/lib/openafs/prog arg'" in both.type(side, "status rel -long").out


def test_times_users_keys_and_the_cell_are_set_and_shown_alike(both: Both) -> None:
    both.compare("""
        getrestart
        setrestart "sat 3:30"
        setrestart "5:00" -newbinary
        getrestart
        setr "never"
        getr
        setrestart "now"
        getrestart
        setrestart "4:00" -general -newbinary
        setrestart
        adduser alice bob
        adduser alice
        listusers
        removeuser alice
        removeuser alice
        listusers
        listhosts
        addhost db2 db3
        addhost db4 -clone
        addhost db2
        getcell
        removehost db2 db4
        removehost nope # status, reason
        listhosts
        setcellname other.org
        listhosts
        listkeys
        listkeys -showkey
        removekey 7
        setauth maybe
        setauth
        nonsense
        s
        st
        status -nonsense
        status -instance
        apropos create
        apropos zzzz
    """)
    for line in ('setrestart "25:00"', 'setrestart "every day 4:00"'):
        theirs, ours = (both.type(side, line) for side in SIDES)
        start = f"bos: failed to parse {line.split(' ', 1)[1]} as periodic restart time".replace('"', "'")
        assert theirs.status == ours.status == 255
        assert theirs.err.startswith(start) and ours.err.startswith(start)


def test_files_and_commands_are_handled_alike(both: Both) -> None:
    make = (
        "for s in ours theirs; do printf '#!/bin/sh\\n' >/opt/$s/prog; chmod 750 /opt/$s/prog; "
        "touch -d %s /opt/$s/prog; done"
    )
    both.compare(f"""
        ! {make % "2020-01-01"}
        install @@/prog -dir @@/bin
        getdate prog -dir @@/bin
        ! {make % "2021-01-01"}
        install @@/prog -dir @@/bin
        getdate prog -dir @@/bin
        ! {make % "2022-01-01"}
        install @@/prog -dir @@/bin
        getdate prog nope -dir @@/bin
    """)
    listed = [both.host.run("ls", "-l", "--time-style=+%F", f"/opt/{side}/bin").stdout for side in SIDES]
    assert listed[0] == listed[1] and listed[0].count("-rwxr-x---") == 3
    both.compare("""
        uninstall prog -dir @@/bin
        getdate prog -dir @@/bin
        uninstall prog -dir @@/bin
        getdate prog -dir @@/bin
        uninstall prog -dir @@/bin # stays
        getdate prog -dir @@/bin
        install /nope -dir @@/bin
        prune
        prune -bak
        prune -all
        exec "true"
        exec "exit 3" # exec
        exec "nonexistent-program" # exec
        getlog nope # end
        getlog /nope # end
        getlog
    """)
    assert [both.type(side, "exec 'exit 3'").status for side in SIDES] == [0, 3]
    text = both.host.run("cat", "/etc/hostname", check=True).stdout
    for side in SIDES:
        assert both.type(side, "getlog /etc/hostname").out == f"Fetching log file '/etc/hostname'...\n{text}"


def test_restricted_mode_and_authorization_refuse_alike(both: Both) -> None:
    both.compare("""
        create a simple "/bin/sleep 1000"
        getrestricted
        setrestricted 2 # status
        setrestricted 1
        getrestricted
        create x simple /bin/true # reason
        delete a # reason
        exec true # reason
        install /etc/hostname -dir @@/bin # reason
        uninstall prog -dir @@/bin # reason
        getlog /etc/hostname # end
        setrestricted 0 # status, reason
        setrestart "never"
        adduser carol
        stop a -wait
        start a
    """)
    for line in ("prune -all", "prune -core"):
        theirs, ours = (both.type(side, line) for side in SIDES)
        said = "bos: you are not authorized for this operation (failed to prune server files)"
        assert theirs.err.rstrip() == said and ours.err.startswith(said) and theirs.status == ours.status == 6


def test_whoever_is_no_administrator_is_refused_alike(both: Both) -> None:
    both.compare('create a simple "/bin/sleep 1000"\n~ a currently running normally.\nsetauth on')
    link = '#!/bin/sh\nexec runuser -u nobody -- /opt/ours/as/bos "$@"\n'
    both.host.run("sh", "-ec", "mkdir /opt/ours/as; mv /opt/ours/bos /opt/ours/as/bos", check=True)
    both.host.write("/opt/ours/bos", link, mode=0o755)
    both.compare("""
        status
        create b simple /bin/true
        delete a
        start a
        stop a -wait
        startup a # status
        shutdown a # status
        shutdown # status
        restart a # status
        restart -all # status
        restart -bosserver
        adduser dave
        removeuser dave
        addkey -kvno 3 -key 0123456789abcdef
        removekey 3
        listkeys # status
        setcellname x # status
        addhost db2 # status
        setrestart never
        getrestart
        exec true
        getlog BosLog # end
        setauth off # end, status
        prune -bak # end
        install /etc/hostname -dir @@/bin
        uninstall prog -dir @@/bin
        setrestricted 1 # status
    """)


def test_folders_that_are_too_open_are_told_of_alike(both: Both) -> None:
    for side, folder in (("theirs", "/var/lib/openafs/local"), ("ours", f"{STATE}/local")):
        both.host.run("chmod", "777", folder, check=True)
        assert both.type(side, "restart -bosserver").status == 0
        wait_for(lambda side=side: both.type(side, "status").status == 0, what=side)
    both.compare("""
        create a simple "/bin/sleep 1000"
        create b simple "/bin/sleep 2000"
        ~ a currently running normally.
        ~ b currently running normally.
        status
        status -long
        status b -long
        status nope -long # status
    """)
    assert "inappropriate access" in both.type("ours", "status -long").out
