# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian packages as an administrator meets them: installed, used, upgraded under load, purged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hosts import debs, nlm, peers
from hosts.lab import Host, Lab
from hosts.lockload import PORT, Ledger, Worker, server_of, shown
from hosts.machine import SystemdHost
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("dpkg-buildpackage", "dh", "pybuild", "apt-get")

DAEMONS = ("pylockd", "pynmbd", "pybosd")
SOCKETS = ("pylockd-nlm.socket", "pynmbd.socket")
INSTANCE = "green"
HELD = b"\x11" * 28
NEXT = "0.1.1"
NOT_OURS = re.compile(
    r"/var/(cache|log|lib/(apt|dpkg|systemd|man-db|PackageKit))/|/run/(systemd|udev|log|dbus|user|mount|lock|netns)\b"
    r"|/etc/(ld\.so\.cache|passwd-?|group-?|shadow-?|gshadow-?|subuid-?|subgid-?|\.pwd\.lock)$"
    r"|/usr/lib/python3/dist-packages/__pycache__"
)
"""What installing any package changes."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The packages, and those of the next version."""
    now = debs.copy(tmp_path_factory.mktemp("now") / "pydaemons")
    later = debs.copy(tmp_path_factory.mktemp("later") / "pydaemons", version=NEXT)
    with ThreadPoolExecutor() as pool:
        builds = {"now": pool.submit(debs.build, now), "later": pool.submit(debs.build, later)}
        return {name: build.result() for name, build in builds.items()}


@pytest.fixture(scope="module")
def site(packages: dict[str, list[Path]]) -> Iterator[tuple[Host, SystemdHost]]:
    """A client host, and beside it a machine that has seen the packages but not installed them."""
    with Lab(2) as lab:
        folders = [paths[0].parent for paths in packages.values()]
        hide = ["/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update", "/etc/apt/apt.conf.d/20packagekit"]
        machine = lab.boot("h2", binds=folders, hide=hide, limit=400.0)
        peers.start_rpcbind(lab.h1)
        yield lab.h1, machine


def apt(machine: SystemdHost, *words: object) -> str:
    options = ("-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0")
    environment = ("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
    done = machine.run(*environment, "apt-get", "-y", "-q", *options, *map(str, words), timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def footprint(machine: SystemdHost) -> set[str]:
    """Files, users and groups of the machine."""
    found = machine.run("find", "/etc", "/usr", "/lib/systemd", "/var", "/run", "/opt", "-xdev", check=True)
    users = machine.run("sh", "-c", "getent passwd; getent group", check=True)
    return {path for path in found.stdout.splitlines() if not NOT_OURS.search(path)} | set(
        users.stdout.splitlines()
    )


@pytest.fixture(scope="module")
def before(site: tuple[Host, SystemdHost]) -> set[str]:
    return footprint(site[1])


@pytest.fixture(scope="module")
def installed(
    site: tuple[Host, SystemdHost], before: set[str], packages: dict[str, list[Path]]
) -> SystemdHost:
    """The machine with the packages installed, nothing started."""
    machine = site[1]
    assert "pylockd" not in str(before)
    apt(machine, "install", *packages["now"])
    return machine


@pytest.fixture(scope="module")
def running(installed: SystemdHost) -> SystemdHost:
    ports = f"[fs.nfs]\nnlm_udpport = {PORT}\nnlm_tcpport = {PORT}\n[nsm]\nmode = embedded\n"
    installed.write("/etc/pylockd.conf.d/50-test.conf", ports)
    installed.run("ip", "netns", "add", INSTANCE, check=True)
    installed.run("ip", "netns", "exec", INSTANCE, "ip", "link", "set", "lo", "up", check=True)
    installed.systemctl("start", *SOCKETS)
    installed.systemctl("start", *DAEMONS, f"pylockd@{INSTANCE}")
    return installed


def test_installing_starts_and_enables_nothing(installed: SystemdHost) -> None:
    for unit in (*(f"{name}.service" for name in DAEMONS), "pylockd-nlm.socket", "pynmbd.socket"):
        assert installed.run("systemctl", "is-enabled", unit).stdout == "disabled\n", unit
        assert installed.show(unit, "ActiveState") == "inactive", unit


def test_the_daemons_start_as_they_are_and_their_status_can_be_read(running: SystemdHost) -> None:
    for name in DAEMONS:
        text = running.run("systemctl", "status", "--no-pager", "--lines=0", name, check=True).stdout
        assert re.search(r"Active: active \(running\)", text)
        assert re.search(r'Status: "\S.*"', text), text
        assert re.search(rf"Docs: man:{name}\(8\)", text)
    assert running.show("pylockd", "User") == "pylockd"
    assert running.show("pynmbd", "User") == "pynmbd"


def test_pysysctl_shows_the_keys_of_all_of_them(running: SystemdHost) -> None:
    shown = running.run("pysysctl", "-a", check=True).stdout
    for key in ("fs.nfs.nlm_timeout", "net.netbios.nmb_port", "kernel.bos.error_stop_limit"):
        assert re.search(rf"^{re.escape(key)} = \d+$", shown, re.MULTILINE), key


def test_every_command_is_there_with_help_a_version_and_a_manual_page(installed: SystemdHost) -> None:
    for name in (*DAEMONS, "pylockctl", "pynmbctl", "pynmblookup", "pysysctl"):
        version = installed.run(name, "--version", check=True)
        assert re.fullmatch(rf"{name} (from pydaemons )?\d+\.\d+\.\d+\n", version.stdout), name
        assert "--version" in installed.run(name, "--help", check=True).stdout
    for page in ("pylockd.8", "pybos.8", "pybosd.BosConfig.5", "pydaemons-tunables.7"):
        section = f"man{page[-1]}"
        assert installed.run("test", "-s", f"/usr/share/man/{section}/{page}.gz").returncode == 0, page


def test_the_journal_explains_a_message(running: SystemdHost) -> None:
    running.run("sh", "-c", "echo 99 >/run/pysysctl/fs/nfs/nlm_timeout", check=True)
    wait_for(lambda: "refused" in running.journal("pylockd"), what="the refusal in the journal")
    text = running.run("journalctl", "-x", "--no-pager", "-u", "pylockd", check=True).stdout
    assert "Subject: A tunable was written with a value that cannot be" in text
    assert '"pysysctl --describe fs.nfs.nlm_timeout" tells what may be written' in text


def test_modules_are_compiled_and_no_launcher_is_slowed_down(installed: SystemdHost) -> None:
    where = "/usr/lib/python3/dist-packages/pydaemons/cli/__pycache__/sysctl.cpython-311.pyc"
    assert installed.run("test", "-s", where).returncode == 0
    for name in ("pysysctl", "pylockd"):
        script = installed.run("sh", "-c", f"cat $(command -v {name})", check=True).stdout
        assert script == (debs.CHECKOUT / "bin" / name).read_text(), name
    traced = "import sys; sys.argv[:] = ['pysysctl', '-V']; exec(open('/usr/sbin/pysysctl').read())"
    done = installed.run("python3", "-ISX", "importtime", "-c", f"__file__='/usr/sbin/pysysctl'; {traced}")
    ours = [line for line in done.stderr.splitlines() if "pydaemons" in line]
    assert 0 < len(ours) < 8 and "argparse" not in done.stderr and "asyncio" not in done.stderr


def test_logcheck_has_nothing_to_report_of_a_day_without_trouble(running: SystemdHost) -> None:
    running.run("pysysctl", "-q", "fs.nfs.nlm_timeout=12", check=True)
    running.systemctl("reload", *DAEMONS)
    running.systemctl("restart", *DAEMONS)
    running.run("journalctl", "--sync")
    script = (
        "cd /tmp; journalctl -b --no-pager -qo short -t pylockd -t pynmbd -t pybosd | grep -v refused >said;"
        "grep -hv '^#' /etc/logcheck/ignore.d.server/py* >rules;"
        "wc -l <said; grep -vEf rules said"
    )
    count, *reported = running.run("sh", "-c", script).stdout.splitlines()
    assert int(count) > 5
    assert reported == []


def upgrade(machine: SystemdHost, packages: list[Path]) -> None:
    names = (*DAEMONS, f"pylockd@{INSTANCE}")
    old = {name: machine.show(name, "MainPID") for name in names}
    opened = {name: machine.show(name, "ActiveEnterTimestampMonotonic") for name in SOCKETS}
    apt(machine, "install", *packages)
    assert opened == {name: machine.show(name, "ActiveEnterTimestampMonotonic") for name in SOCKETS}
    for name in names:
        assert machine.show(name, "ActiveState") == "active"
        assert machine.show(name, "MainPID") != old[name], f"{name} was not restarted"


def test_an_upgrade_under_load_loses_no_lock_and_no_process(
    site: tuple[Host, SystemdHost], running: SystemdHost, packages: dict[str, list[Path]]
) -> None:
    client, machine = site
    machine.run(
        "pybos", "create", "-instance", "held", "-type", "simple", "-cmd", "/bin/sleep 1000", check=True
    )
    child = wait_for(
        lambda: (pid := machine.show("bos-held.service", "MainPID")) != "0" and pid, what="the bnode"
    )
    ledger = Ledger()
    workers = [Worker(client, ledger, svid, tcp=svid % 2 == 0) for svid in range(100, 108)]
    for worker in workers:
        worker.start()
    try:
        with nlm.Client(client, server_of(client), PORT) as one:
            for n in range(50):
                assert one.lock(HELD, offset=100 * n, svid=1 + n % 7) == nlm.STATUS_GRANTED
            wait_for(lambda: ledger.granted > 50 or ledger.wrong, what="load")
            upgrade(machine, packages["later"])
            before = ledger.granted
            wait_for(lambda: ledger.granted > before + 50 or ledger.wrong, what="locks to be granted again")
            for n in range(50):
                assert one.lock(HELD, offset=100 * n, svid=99) == nlm.STATUS_DENIED, n
    finally:
        ledger.over.set()
        for worker in workers:
            worker.join(60)
    assert (ledger.wrong, ledger.errors) == ([], [])
    rows = json.loads(machine.run("pylockctl", "locks", "--json", check=True).stdout)
    assert shown(machine) == {row for worker in workers for row in worker.rows()}
    assert sum(row["file"] == HELD.hex() for row in rows) == 50
    assert machine.show("bos-held.service", "MainPID") == child, "what pybosd runs goes on"
    assert machine.run("pylockd", "--version", check=True).stdout == f"pylockd {NEXT}\n"
    assert machine.run("pysysctl", "-n", "fs.nfs.nlm_end_grace", check=True).stdout == "Y\n", (
        "no grace period"
    )


def test_removed_they_stop_and_purged_they_leave_nothing(running: SystemdHost, before: set[str]) -> None:
    machine = running
    machine.run("dpkg", "--remove", *DAEMONS, check=True, timeout=120)
    for name in (*DAEMONS, f"pylockd@{INSTANCE}", *SOCKETS):
        assert machine.show(name, "ActiveState") == "inactive"
    machine.run("ip", "netns", "delete", INSTANCE, check=True)
    assert machine.run("test", "-e", "/etc/pylockd.conf").returncode == 0, "configuration stays until purged"
    machine.run("rm", "/etc/pylockd.conf.d/50-test.conf", check=True)
    apt(machine, "purge", *debs.NAMES)
    assert machine.run("sh", "-c", "ps -eo comm= | grep '^py'").stdout == ""
    after = footprint(machine)
    assert (sorted(after - before), sorted(before - after)) == ([], [])
