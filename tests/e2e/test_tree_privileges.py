# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree between a daemon without privileges and root: each may write, neither can be made to follow a
link, and nothing root does to the folder outlasts the daemon's next look."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hosts.waiting import wait_for

NOBODY = 65534
DAEMON = """
import os, select, sys, time
sys.path[:0] = sys.argv[2:4]
from fakes.tree import SampleTunables
from pydaemons.kit.log import Log
from pydaemons.kit.runtree import RunTree
tunables = SampleTunables()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
tree = RunTree(tunables, daemon="sampled", log=Log("sampled"), changed=lambda change: None, root=sys.argv[1])
tree.open(time.monotonic())
print("open", file=sys.stderr, flush=True)
while True:
    due = tree.deadline()
    select.select([tree], [], [], None if due is None else max(0, due - time.monotonic()))
    tree.process(time.monotonic())
"""


class Unprivileged:
    """A daemon of its own user, in the folder that user owns; the rest of the tree is root's."""

    def __init__(self, place: Path) -> None:
        place.chmod(0o755)
        self.place = place
        self.root = root = place / "tree"
        self.folder = root / "fs/sample"
        self.folder.mkdir(parents=True)
        os.chown(self.folder, NOBODY, NOBODY)
        self.leave_behind()
        self.log_path = place / "log"
        tests = Path(__file__).resolve().parents[1]
        self.program = place / "program/bin/pysysctl"
        for part in ("bin", "lib"):  # where everybody may read them, whatever the checkout allows
            shutil.copytree(tests.parent / part, place / "program" / part)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", DAEMON, root, tests, tests.parent / "lib"],
                stderr=log,
            )  # fmt: skip
        wait_for(lambda: "open" in self.log)

    def leave_behind(self) -> None:
        """What a daemon that root tried out here has left."""
        for name, text in ((".lock", ""), (".schema", "nonsense"), ("mode", "hard\n"), ("port", "99999\n")):
            file = self.folder / name
            file.write_text(text)
            file.chmod(0o600 if name == ".lock" else 0o644)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def shows(self, text: str, name: str = "timeout") -> None:
        file = self.folder / name
        wait_for(
            lambda: file.is_file() and not file.is_symlink() and file.read_text() == f"{text}\n", what=text
        )

    def sysctl(self, *arguments: str, user: int = 0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, "--root", self.root, *arguments],
            capture_output=True, text=True, user=user, group=user, extra_groups=[], check=False,
        )  # fmt: skip


@pytest.fixture
def daemon():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        made = Unprivileged(Path(folder))
        yield made
        made.process.kill()
        made.process.wait()


def test_root_sets_a_key_and_the_daemon_takes_over_the_file(daemon):
    assert daemon.sysctl("fs.sample.timeout=5").returncode == 0
    wait_for(lambda: "10 -> 5" in daemon.log)
    daemon.shows("5")
    (daemon.folder / "timeout").write_text("0x7")
    daemon.shows("7")
    assert (daemon.folder / "timeout").stat().st_uid == NOBODY


def test_what_a_daemon_of_roots_left_is_in_nobodys_way(daemon):
    daemon.shows("hard", "mode")
    daemon.shows("0", "port")
    assert "fs.sample.port: 99999 is out of range" in daemon.log
    assert (daemon.folder / ".lock").stat().st_uid == NOBODY


def test_others_read_every_key_and_set_none(daemon):
    assert daemon.sysctl("-n", "fs.sample.timeout", user=1).stdout == "10\n"
    done = daemon.sysctl("fs.sample.timeout=5", user=1)
    assert (done.returncode, done.stderr) == (1, 'pysysctl: permission denied on key "fs.sample.timeout"\n')
    daemon.shows("10")


@pytest.mark.parametrize("mode", [0o000, 0o600, 0o777])
def test_a_file_of_roots_with_a_wrong_mode_is_replaced(daemon, mode):
    daemon.sysctl("fs.sample.timeout=5")
    wait_for(lambda: "10 -> 5" in daemon.log)
    (daemon.folder / "timeout").chmod(mode)
    wait_for(lambda: (daemon.folder / "timeout").stat().st_mode & 0o7777 == 0o644)
    daemon.shows("5")


def test_a_folder_of_roots_in_place_of_a_file_gives_way(daemon):
    (daemon.folder / "timeout").unlink()
    (daemon.folder / "timeout/inner").mkdir(parents=True)
    daemon.shows("10")


def test_a_link_of_the_daemons_user_leads_root_nowhere(daemon):
    daemon.process.kill()
    daemon.process.wait()
    victim = daemon.place / "victim"
    victim.write_text("secret\n")
    victim.chmod(0o600)
    (daemon.folder / "port").unlink()
    (daemon.folder / "port").symlink_to(victim)
    for arguments in (["fs.sample.port"], ["fs.sample.port=5"], ["-a"], ["--save", "fs.sample.port=5"]):
        done = daemon.sysctl("--prefix-dir", str(daemon.place / "sys"), *arguments)
        assert "secret" not in done.stdout + done.stderr
        assert victim.read_text() == "secret\n"
    (daemon.folder / "port").unlink()
    (daemon.folder / ".schema").unlink()
    (daemon.folder / ".schema").symlink_to(victim)
    assert "secret" not in daemon.sysctl("--describe").stdout


def test_state_is_fresh_at_one_single_look(daemon):
    file = daemon.folder / "stop"
    wait_for(lambda: time.time() - file.stat().st_mtime > 1.5, what="nobody to have read for a while")
    before = file.stat().st_mtime_ns
    assert daemon.sysctl("fs.sample.stop").stdout == "fs.sample.stop = N\n"
    assert file.stat().st_mtime_ns > before
