# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd as two real clients see it: Linux kernels (hosts/vm.py) that mount NFSv3 without `nolock`.

The server is nfs-ganesha with its own lock manager off. Both kernels boot once; everything they and the
server say is captured, and the last test has tshark judge it.
"""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hosts import nlm, peers, rpc
from hosts.lab import Capture, Lab
from hosts.vm import NOT_CONTROL, Guest, Locker
from hosts.vmimage import ImageError, image
from hosts.waiting import wait_for

pytestmark = [
    pytest.mark.needs("qemu-system-x86_64", "rpcbind", "rpc.statd", "sm-notify", "mount.nfs"),
    pytest.mark.needs("ganesha.nfsd", "tcpdump", "tshark", "gcc"),
    pytest.mark.slow,
]

EMBEDDED, STATD = "embedded", "statd"
LOCK, CANCEL, UNLOCK, GRANTED = "2", "3", "4", "5"
PORTS = (2049, 4045, 4055)
"""Of ganesha, of pylockd, and where one test moves it to."""


class Site:
    """The server h1 and its clients h2 and h3, which have its export on /mnt."""

    def __init__(self, lab: Lab, guests: list[Guest], ganesha: peers.Ganesha, folder: Path) -> None:
        self.lab, self.server = lab, lab.h1
        self.one, self.two = guests
        self.export = ganesha.export
        self.folder = folder
        self.captures = 0
        self.wire = self.capture()
        """All of it, from before the first mount."""
        self.lockd: peers.Lockd | None = None
        self.statd: peers.Process | None = None
        self.monitoring = self.mode = ""
        self.newest = self.export
        """What path() named last, on the server."""
        self._numbers = itertools.count(1)

    def serve(self, monitoring: str, *, mode: str = "serve") -> None:
        """pylockd, and rpc.statd if it is to monitor; both stay for the next test if it wants the same."""
        running = self.lockd is not None and self.lockd.process.running
        if not running or (monitoring, mode) != (self.monitoring, self.mode):
            self.stop()
            self.monitoring, self.mode = monitoring, mode
            if monitoring == STATD:
                self.statd = peers.start_statd(self.server)
            self.start()
            self.end_grace()
        for guest in (self.one, self.two):
            if not guest.qemu.running:
                guest.reboot()
            if " /mnt nfs " not in guest.run("cat /proc/mounts"):
                guest.mount("h1", self.export)

    def start(self) -> None:
        configuration = f"[pylockd]\nmode = {self.mode}\n[nsm]\nmode = {self.monitoring}\n"
        settings = ("fs.nfs.nlm_timeout=3", "fs.nfs.nlm_udpport=4045", "fs.nfs.nlm_tcpport=4045")
        self.lockd = peers.start_pylockd(self.server, configuration, settings=settings)

    def stop(self) -> None:
        if self.lockd:
            self.lockd.process.stop(signal.SIGTERM)
        if self.statd:
            self.statd.stop()
        self.lockd = self.statd = None

    def crash(self) -> None:
        """The server's machine loses its memory; its NFS server, which has none to lose, goes on."""
        assert self.lockd
        self.lockd.process.stop(signal.SIGKILL)
        if self.statd:
            self.statd.stop(signal.SIGKILL)
        self.server.new_boot_id()

    def back(self) -> None:
        """As at boot: sm-notify, which runs once per boot, tells those on the list of rpc.statd."""
        if self.monitoring == STATD:
            (self.server.run_dir / "sm-notify.pid").unlink(missing_ok=True)
            self.server.run("sm-notify", check=True)
            self.statd = peers.start_statd(self.server)
        self.start()

    def path(self) -> str:
        """A file nobody used yet, as the clients name it."""
        self.newest = self.export / str(next(self._numbers))
        return f"/mnt/{self.newest.name}"

    def pylockctl(self, *words: str, check: bool = True) -> str:
        return self.server.run(peers.CHECKOUT / "bin" / "pylockctl", *words, check=check).stdout

    def locks(self) -> int:
        """How many locks pylockd knows of."""
        return len(json.loads(self.pylockctl("locks", "--json")))

    def calls(self, procedure: str) -> int:
        """How many of these pylockd had since it started."""
        told = json.loads(self.pylockctl("stats", "--json"))["procedures"]["nlm"]
        return sum(version.get(procedure, 0) for version in told.values())

    def wait_until_queued(self, locker: Locker) -> None:
        """Until pylockd has queued the one request that waits, of `locker`."""
        wait_for(
            lambda: len(json.loads(self.pylockctl("blocked", "--json"))) == 1, what="the lock to be queued"
        )
        assert locker.waits(0.05)

    def end_grace(self) -> None:
        """No test waits for the time to pass; where there is no grace period, this is refused."""
        self.pylockctl("grace", "end", check=False)

    def capture(self) -> Capture:
        """Everything on the server's wire, from now on."""
        self.captures += 1
        path = self.folder / f"{self.captures}.pcap"
        return self.server.capture(path, NOT_CONTROL, device="any")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    try:
        booted = image()
    except ImageError as error:
        pytest.skip(str(error))
    export, folder = tmp_path_factory.mktemp("export"), tmp_path_factory.mktemp("wire")
    for path in (export, *export.parents[:2]):
        path.chmod(0o755)
    with Lab(1, guests=2, limit=300) as lab:
        guests = [Guest(lab, number, booted) for number in (2, 3)]
        peers.start_rpcbind(lab.h1)
        site = Site(lab, guests, peers.start_ganesha(lab.h1, export, nlm=False), folder)
        for guest in guests:
            guest.wait_ready()
        yield site


@pytest.fixture
def served(site) -> Site:
    site.serve(EMBEDDED)
    return site


@pytest.fixture(params=[EMBEDDED, STATD])
def either(site, request) -> Site:
    """Once with pylockd as the status monitor, once with the host's rpc.statd."""
    site.serve(request.param)
    return site


@pytest.fixture
def pair(served) -> Iterator[tuple[Locker, Locker]]:
    """A process on each client with the same file open."""
    path = served.path()
    with served.one.locker(path) as one, served.two.locker(path) as two:
        yield one, two


def calls(path: Path, wanted: str, *fields: str) -> list[list[str]]:
    """The `fields` of every frame of a capture that matches.

    A client's port may be one that tshark knows as something else's: the server's ports decide.
    """
    words = ["tshark", "-r", str(path), "-Y", wanted, "-T", "fields"]
    words += [
        word for port in PORTS for over in ("udp", "tcp") for word in ("-d", f"{over}.port=={port},rpc")
    ]
    words += [word for field in fields for word in ("-e", field)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_a_mount_without_nolock_locks_at_the_server(served, pair):
    one, _ = pair
    assert "local_lock=none" in served.one.run("grep /mnt /proc/mounts")
    assert one.lock(0, 100)
    wait_for(lambda: served.locks() == 1, what="the lock to be at the server")


def test_a_lock_of_another_client_is_refused_and_its_holder_shown(pair):
    one, two = pair
    assert one.lock(100, 50)
    assert not two.lock(120, 1)
    assert two.test(0, 0) == "held w 100 50"
    assert two.test(150, 10) == "free"
    assert two.lock(150, 10)
    one.unlock(100, 50)
    assert two.lock(120, 1)


def test_a_lock_across_four_gigabytes_is_the_same_for_both(pair):
    one, two = pair
    assert one.lock(2**32 - 10, 20)
    assert two.test(2**33, 0) == "free"
    assert two.test(0, 0) == f"held w {2**32 - 10} 20"
    assert one.lock(2**62, 0)
    assert not two.lock(2**63 - 2, 1)


def test_a_blocked_lock_is_granted_by_callback_after_the_unlock_and_not_before(served, pair):
    one, two = pair
    capture = served.capture()
    assert one.lock(0, 10)
    two.lockw(0, 10)
    served.wait_until_queued(two)
    one.unlock(0, 10)
    assert two.granted()
    assert not one.lock(5, 1)
    frames = calls(capture.finish(), "nlm.procedure_v4 && rpc.msgtyp == 0", "nlm.procedure_v4", "ip.src")
    h1, h2, h3 = served.server.address, served.one.address, served.two.address
    assert frames == [[LOCK, h2], [LOCK, h3], [UNLOCK, h2], [GRANTED, h1], [LOCK, h2]]


def test_unlocking_the_middle_leaves_both_ends_locked(pair):
    one, two = pair
    assert one.lock(0, 100)
    one.unlock(40, 20)
    assert two.lock(45, 1)
    assert not two.lock(39, 1)
    assert not two.lock(60, 1)
    assert two.test(50, 0) == "held w 60 40"


def test_shared_locks_go_together_and_keep_writers_out(served, pair):
    one, two = pair
    assert one.rlock(0, 10) and two.rlock(0, 10)
    assert not two.lock(0, 10)
    two.lockw(0, 10)
    served.wait_until_queued(two)
    one.unlock(0, 10)
    assert two.granted(), "the last reader left may write"
    assert not one.rlock(0, 10)


def test_a_killed_process_gives_back_what_it_held(served, pair):
    one, two = pair
    assert one.lock(0, 0)
    two.lockw(10, 10)
    served.wait_until_queued(two)
    one.kill()
    assert two.granted()


def test_a_signal_ends_the_wait_and_the_server_forgets_it(served, pair):
    one, two = pair
    capture = served.capture()
    assert one.lock(0, 10)
    two.lockw(0, 10)
    served.wait_until_queued(two)
    two.kill("USR1")
    assert two.answer() == "EINTR"
    assert one.lock(100, 10)
    one.unlock(0, 10)
    assert one.lock(0, 10), "nobody waited for it any more"
    path = capture.finish()
    assert len(calls(path, f"nlm.procedure_v4 == {CANCEL} && rpc.msgtyp == 0", "frame.number")) == 1
    assert not calls(path, f"nlm.procedure_v4 == {GRANTED}", "frame.number")


def test_whole_files_are_locked_by_flock(served, pair):
    one, two = pair
    assert one.call("flocksh") == "ok" and two.call("flocksh") == "ok"
    assert one.call("flock") == "EAGAIN"
    assert one.call("funlock") == "ok" and two.call("flock") == "ok"
    one.ask("flockw")
    served.wait_until_queued(one)
    two.close()
    assert one.answer() == "ok"


def test_two_clients_adding_to_one_number_lose_nothing(served, pair):
    for locker in pair:
        locker.ask("add 40")
    assert [locker.answer() for locker in pair] == ["ok", "ok"]
    assert served.newest.read_text() == "80"


def test_clients_over_ipv6_wait_and_are_called_back(served):
    path = "/six" + served.path().removeprefix("/mnt")
    capture = served.capture()
    for guest in (served.one, served.two):
        guest.mount("[fd00:97::1]", served.export, "vers=3,proto=tcp6,mountproto=tcp6,hard", where="/six")
    with served.one.locker(path) as one, served.two.locker(path) as two:
        assert one.lock(0, 10)
        assert not two.lock(0, 10)
        two.lockw(0, 10)
        served.wait_until_queued(two)
        one.unlock(0, 10)
        assert two.granted()
    for guest in (served.one, served.two):
        guest.unmount("/six")
    granted = calls(capture.finish(), f"nlm.procedure_v4 == {GRANTED} && rpc.msgtyp == 0", "ipv6.dst")
    assert granted == [[served.two.address6]]


def test_the_call_back_leaves_from_the_address_that_was_mounted(served):
    path = "/other" + served.path().removeprefix("/mnt")
    served.server.add_address("10.97.0.99/24")
    served.two.mount("10.97.0.99", served.export, where="/other")
    with served.one.locker(path.replace("/other", "/mnt")) as one, served.two.locker(path) as two:
        assert one.lock(0, 10)
        two.lockw(0, 10)
        served.wait_until_queued(two)
        one.unlock(0, 10)
        assert two.granted(), "Linux takes no notice of GRANTED from another address"
    served.two.unmount("/other")


def test_one_client_that_has_mounted_two_addresses_excludes_itself(served):
    """To Linux these are two servers: it numbers the owners of locks anew and keeps no peace between them."""
    path = "/twice" + served.path().removeprefix("/mnt")
    served.server.add_address("10.97.0.98/24")
    served.one.mount("10.97.0.98", served.export, where="/twice")
    mine = path.replace("/twice", "/mnt")
    with served.one.locker(mine) as here, served.one.locker(path) as there:
        assert here.lock(0, 10)
        assert not there.lock(5, 10)
        assert there.test(0, 0) == "held w 0 10"
        there.unlock(0, 0)
        assert not there.lock(0, 0), "nobody frees another's lock"
        there.lockw(0, 10)
        served.wait_until_queued(there)
        here.unlock(0, 10)
        assert there.granted()
    served.one.unmount("/twice")


def test_processes_that_wait_for_each_other_are_told_of_the_deadlock(served, pair):
    one, two = pair
    assert one.lock(0, 1) and two.lock(1, 1)
    one.lockw(1, 1)
    served.wait_until_queued(one)
    assert two.call("lockw 0 1") == "EDEADLK"
    two.unlock(1, 1)
    assert one.granted()


def test_a_lock_manager_that_refuses_everything_lets_no_client_hang(site):
    site.serve(EMBEDDED, mode="refuse")
    with site.one.locker(site.path()) as one:
        assert one.call("lock 0 10") == "ENOLCK"
        assert one.call("lockw 0 10") == "ENOLCK"


def test_locks_dropped_by_the_administrator_are_reclaimed_at_once(served, pair):
    one, two = pair
    assert one.lock(0, 10)
    capture = served.capture()
    served.pylockctl("drop-all")
    wait_for(lambda: served.locks() == 1, what="the lock to be reclaimed")
    served.end_grace()
    assert not two.lock(0, 10)
    wire = capture.finish()
    reclaims = calls(wire, "nlm.reclaim == 1 && rpc.msgtyp == 0", "ip.src")
    seen = (" ".join(frame) for frame in calls(wire, "tcp || udp", "ip.src", "_ws.col.Info"))
    assert reclaims == [[served.one.address]], "\n".join(seen)


def test_a_waiting_client_that_cannot_be_reached_is_called_again(served, pair):
    one, two = pair
    assert one.lock(0, 10)
    two.lockw(0, 10)
    served.wait_until_queued(two)
    served.two.unplug()
    one.unlock(0, 10)
    assert not one.lock(0, 10), "it is the other's already"
    served.two.unplug(back=True)
    assert two.granted()


def test_an_unlock_while_the_server_is_away_is_not_lost(served, pair):
    one, two = pair
    assert one.lock(0, 10) and one.lock(20, 10)
    served.lockd.process.stop(signal.SIGKILL)
    one.ask("unlock 0 10")
    assert one.waits(0.5)
    served.start()
    assert one.answer() == "ok"
    served.end_grace()
    assert two.lock(0, 10)
    assert not two.lock(20, 10)


def test_hundreds_of_locks_are_reclaimed(served, pair):
    one, two = pair
    assert one.call("many 300") == "ok"
    served.crash()
    served.back()
    wait_for(lambda: served.locks() == 300, what="all to be reclaimed")
    served.end_grace()
    assert two.test(598, 0) == "held w 598 1"
    assert not two.lock(0, 0)


def test_clients_follow_when_the_port_moves(served, pair):
    one, two = pair
    assert one.lock(0, 10)
    (served.server.run_dir / "pysysctl/fs/nfs/nlm_tcpport").write_text("4055\n")
    place = served.lab.switch.network
    address = served.server.address
    wait_for(lambda: rpc.getport(address, rpc.NLM, 4, rpc.TCP, place=place) == 4055, what="the port to move")
    assert not two.lock(0, 10)
    two.lockw(0, 10)
    one.unlock(0, 10)
    assert two.granted()


def test_a_rebooted_client_has_its_old_locks_freed(either):
    path = either.path()
    with either.two.locker(path) as two:
        one = either.one.locker(path)
        assert one.lock(0, 10)
        assert not two.lock(0, 10)
        either.one.crash()
        two.lockw(0, 10)
        either.wait_until_queued(two)  # nothing tells the server yet
        either.one.reboot()
        assert two.granted()


def test_a_rebooted_server_has_locks_reclaimed_and_lets_no_rival_in_between(either):
    path = either.path()
    with (
        either.one.locker(path) as one,
        either.two.locker(path) as two,
        either.two.locker(path) as waiting,
    ):
        assert one.lock(0, 10) and two.lock(20, 10)
        waiting.lockw(0, 10)
        either.wait_until_queued(waiting)
        capture = either.capture()
        either.crash()
        two.ask("lock 0 10")
        either.back()
        wait_for(lambda: either.locks() == 2, what="both clients to reclaim")
        port = rpc.getport(either.server.address, rpc.NLM, 4, place=either.server.network)
        with nlm.Client(either.server, either.server.address, port) as newcomer:
            assert newcomer.lock(b"a handle") == nlm.STATUS_GRACE
        either.end_grace()
        assert two.answer() == "EAGAIN"
        assert not one.lock(20, 10)
        assert two.test(0, 10) == "held w 0 10"
        one.unlock(0, 10)
        assert waiting.granted()
    reclaims = calls(capture.finish(), "nlm.reclaim == 1 && rpc.msgtyp == 0", "ip.src")
    assert sorted(map(list, set(map(tuple, reclaims)))) == [[either.one.address], [either.two.address]]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_restarted_pylockd_leaves_clients_their_locks_and_their_turn(served, how):
    path = served.path()
    with (
        served.one.locker(path) as one,
        served.two.locker(path) as two,
        served.two.locker(path) as waiting,
    ):
        assert one.lock(0, 10)
        waiting.lockw(0, 10)
        served.wait_until_queued(waiting)
        served.lockd.process.stop(how)
        served.start()
        wait_for(lambda: served.locks() == 1, what="the lock to be known")
        served.end_grace()
        assert not two.lock(0, 10)
        one.unlock(0, 10)
        assert waiting.granted()


def test_two_clients_adding_to_one_number_lose_nothing_though_pylockd_is_killed(served, pair):
    for locker in pair:
        locker.ask("add 100")
    wait_for(lambda: int(served.newest.read_text() or "0") > 20, what="them to be at it")
    served.lockd.process.stop(signal.SIGKILL)
    served.start()
    assert [locker.answer(60) for locker in pair] == ["ok", "ok"]
    assert served.newest.read_text() == "200"


@pytest.mark.needs("sqlite3")
def test_a_database_that_two_clients_write_stays_whole_though_pylockd_is_killed(served):
    """SQLite, whose locks are what most people want a lock manager for; each INSERT is a process."""
    database, rows = served.path(), 8
    sqlite = [
        f"{guest.bring('sqlite3')} -cmd '.timeout 120000' {database}" for guest in (served.one, served.two)
    ]
    served.one.run(f"{sqlite[0]} 'CREATE TABLE t (who, n)'")
    scripts = [
        f'for n in $(seq {rows}); do {command} "INSERT INTO t VALUES ({who}, $n)" || exit 1; done'
        for who, command in enumerate(sqlite)
    ]
    with ThreadPoolExecutor() as pool:
        writing = [
            pool.submit(guest.run, script, timeout=200)
            for guest, script in zip((served.one, served.two), scripts, strict=True)
        ]
        for _ in range(3):
            pid = served.lockd.process.pid
            wait_for(lambda: served.calls("LOCK") > 8 or all(w.done() for w in writing), what="locks")
            served.lockd.process.stop(signal.SIGKILL)
            served.start()
            assert served.lockd.process.pid != pid
        assert [each.result() for each in writing] == ["", ""]
    wanted = "SELECT who, count(*), count(DISTINCT n) FROM t GROUP BY who; PRAGMA integrity_check"
    assert served.two.run(f"{sqlite[1]} '{wanted}'").split() == [f"0|{rows}|{rows}", f"1|{rows}|{rows}", "ok"]
    wait_for(lambda: served.locks() == 0, what="the last lock to be given back")


def test_nothing_on_the_wire_was_malformed(served, pair):
    for locker in pair:
        assert locker.lock(0, 1)
        locker.unlock(0, 1)
    path = served.wire.finish()
    assert calls(path, "nlm", "frame.number")
    assert not calls(path, "rpc && (_ws.malformed || _ws.expert.severity >= 0x800000)", "frame.number")
