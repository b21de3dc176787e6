# SPDX-License-Identifier: GPL-3.0-or-later
"""Every abuse of the folder ends with a valid value in force and the file showing it."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydaemons.engine.effects import Level
from pydaemons.kit import inotify
from pydaemons.kit.runtree import RunTree
from pydaemons.kit.treefolder import LOCK
from pydaemons.tunables import schema
from pydaemons.tunables.declare import TunableChanged, Tunables, live, state, tunable
from pydaemons.tunables.kinds import Int, Seconds, YesNo


class Keys(Tunables, prefix="fs.sample"):
    timeout = tunable(Seconds(3, 20), 10, doc="Timeout.")
    port = tunable(Int(0, 65535), 0, doc="Port.")
    stop = live(YesNo(), False, doc="Stop.")
    held = state(Int(0, 10**9), doc="Held.")


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.entries: list[tuple[Level, str, dict[str, str]]] = []

    def log(
        self,
        level: Level,
        message: str,
        fields: Mapping[str, str] | None = None,
        message_id: str | None = None,
        kind: str | None = None,
    ) -> None:
        self.entries.append((level, message, dict(fields or {})))

    @property
    def warnings(self) -> list[str]:
        return [message for level, message, _ in self.entries if level is Level.WARNING]


class Daemon:
    """A daemon reduced to its tree, with a clock of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = Keys()
        self.log = Lines()
        self.changes: list[TunableChanged] = []
        self.now = 1000.0
        self.held = 0
        self.keys.bind(held=lambda: self.held)
        self.tree = RunTree(
            self.keys, daemon="sampled", log=self.log, changed=self.changes.append, root=str(root)
        )
        self.folder = root / "fs/sample"

    def start(self) -> "Daemon":
        self.tree.open(self.now)
        return self

    def settle(self) -> None:
        """Handle all that was done, and let a second pass."""
        for _ in range(40):
            self.tree.process(self.now)
        for _ in range(10):
            self.now += 0.1
            self.tree.process(self.now)

    def shows(self, name: str = "timeout") -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """On a tmpfs, as the tree always is: a disk would flush every truncated file."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        made = Daemon(Path(folder, "root")).start()
        yield made
        made.tree.close()


def test_the_folder_is_made_with_canonical_values_and_modes_whatever_the_umask_is(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        daemon = Daemon(tmp_path / "root").start()
    finally:
        os.umask(old)
    for folder in (daemon.root, daemon.root / "fs", daemon.folder):
        assert folder.stat().st_mode & 0o7777 == 0o755
    modes = {f.name: f.stat().st_mode & 0o7777 for f in daemon.folder.iterdir()}
    assert modes == {
        "timeout": 0o644,
        "port": 0o644,
        "stop": 0o644,
        "held": 0o444,
        ".schema": 0o444,
        LOCK: 0o600,
    }
    assert (daemon.shows(), daemon.shows("held"), daemon.shows("stop")) == ("10\n", "0\n", "N\n")
    daemon.tree.close()


def test_a_write_in_place_is_applied_and_announced(daemon: Daemon) -> None:
    (daemon.folder / "timeout").write_text("5\n")
    daemon.settle()
    assert daemon.changes == [TunableChanged("fs.sample.timeout", 10, 5)]
    assert (daemon.keys.timeout, daemon.keys.origin("timeout"), daemon.shows()) == (5, "runtime", "5\n")
    level, message, fields = daemon.log.entries[-1]
    assert (level, message) == (Level.NOTICE, "fs.sample.timeout: 10 -> 5")
    assert fields == {"KEY": "fs.sample.timeout", "OLD": "10", "NEW": "5", "ORIGIN": "runtime"}


@pytest.mark.parametrize("text", ["0x10", "  16 \n\n", "020", "16"])
def test_a_value_written_otherwise_is_rewritten_in_its_canonical_form(daemon: Daemon, text: str) -> None:
    (daemon.folder / "timeout").write_text(text)
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows()) == (16, "16\n")


def test_a_canonical_file_renamed_over_the_key_is_taken_and_left_alone(daemon: Daemon) -> None:
    new = daemon.folder / ".new-x"
    new.write_text("7\n")
    new.chmod(0o644)
    inode = new.stat().st_ino
    new.rename(daemon.folder / "timeout")
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows()) == (7, "7\n")
    assert (daemon.folder / "timeout").stat().st_ino == inode


@pytest.mark.parametrize(
    "junk", [b"99\n", b"2", b"abc", b"", b"\n", b"5 6\n", b"\xff\xfe", b"\0" * 10, b"9" * 100_000, b"-1"]
)
def test_a_refused_value_is_put_back_with_one_line_naming_key_value_and_range(
    daemon: Daemon, junk: bytes
) -> None:
    (daemon.folder / "timeout").write_bytes(junk)
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows(), daemon.changes) == (10, "10\n", [])
    ((level, message, fields),) = daemon.log.entries
    assert level is Level.WARNING
    assert message.startswith("fs.sample.timeout: ") and "refused" in message and "3..20" in message
    assert (fields["KEY"], fields["OLD"], fields["RANGE"]) == ("fs.sample.timeout", "10", "3..20")
    assert "REFUSED" in fields


def delete(file: Path) -> None:
    file.unlink()


def link_elsewhere(file: Path) -> None:
    file.unlink()
    (file.parent.parent / "secret").write_text("5\n")
    file.symlink_to(file.parent.parent / "secret")


def dangling_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/nonexistent/target")


def make_folder(file: Path) -> None:
    file.unlink()
    (file / "sub").mkdir(parents=True)
    (file / "sub/file").write_text("5\n")


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def rename_away(file: Path) -> None:
    file.rename(file.parent / "elsewhere")


@pytest.mark.parametrize(
    "abuse", [delete, link_elsewhere, dangling_link, make_folder, make_pipe, rename_away]
)
@pytest.mark.parametrize("name", ["timeout", "held"])
def test_whatever_replaces_a_file_is_replaced_by_the_value_in_force(
    daemon: Daemon, abuse: Callable[[Path], None], name: str
) -> None:
    before = daemon.shows(name)
    abuse(daemon.folder / name)
    daemon.settle()
    file = daemon.folder / name
    assert file.is_file() and not file.is_symlink()
    assert (file.read_text(), daemon.keys.timeout) == (before, 10)
    if name == "timeout":
        assert len(daemon.log.warnings) == 1 and "put back with 10" in daemon.log.warnings[0]
    if abuse is link_elsewhere:
        assert (daemon.folder.parent / "secret").read_text() == "5\n"


@pytest.mark.parametrize(("name", "mode"), [("timeout", 0o644), ("held", 0o444)])
@pytest.mark.parametrize("wrong", [0o600, 0o000, 0o666, 0o4755])
def test_a_changed_mode_is_put_back(daemon: Daemon, name: str, mode: int, wrong: int) -> None:
    (daemon.folder / name).chmod(wrong)
    daemon.settle()
    assert (daemon.folder / name).stat().st_mode & 0o7777 == mode
    assert daemon.keys.timeout == 10


def test_truncate_by_path_is_noticed_though_no_file_was_closed(daemon: Daemon) -> None:
    os.truncate(daemon.folder / "timeout", 0)
    daemon.settle()
    assert daemon.shows() == "10\n"


def test_a_value_written_to_a_read_only_key_is_overwritten(daemon: Daemon) -> None:
    (daemon.folder / "held").chmod(0o644)
    (daemon.folder / "held").write_text("99\n")
    daemon.settle()
    assert daemon.shows("held") == "0\n"
    assert (daemon.folder / "held").stat().st_mode & 0o777 == 0o444


def test_a_file_just_truncated_by_a_slow_writer_is_not_put_back_under_his_hands(daemon: Daemon) -> None:
    with open(daemon.folder / "timeout", "w") as stream:
        daemon.tree.process(daemon.now)
        assert daemon.shows() == ""
        stream.write("6\n")
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows(), daemon.log.warnings) == (6, "6\n", [])


def test_a_writer_who_takes_his_time_still_has_his_say(daemon: Daemon) -> None:
    with open(daemon.folder / "timeout", "w") as stream:
        daemon.settle()
        assert daemon.shows() == "10\n"
        stream.write("6\n")
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows()) == (6, "6\n")


def test_a_late_write_to_a_swapped_out_file_loses_against_a_newer_one(daemon: Daemon) -> None:
    with open(daemon.folder / "timeout", "w") as stream:
        daemon.settle()
        stream.write("6\n")
    (daemon.folder / "timeout").write_text("7\n")
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows()) == (7, "7\n")


def test_of_writes_seen_together_the_later_wins_wherever_it_went(daemon: Daemon) -> None:
    file = daemon.folder / "timeout"
    with open(file, "w") as stream:
        daemon.settle()  # the empty file is swapped out under the writer's hands
        file.chmod(0o644)  # an earlier event with the key's name
        stream.write("6\n")
        stream.flush()
        os.utime(stream.fileno(), ns=(0, file.stat().st_mtime_ns))  # in one tick of the clock
    file.write_text("7\n")
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows()) == (7, "7\n")


def test_a_write_between_reading_and_swapping_is_taken(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = inotify.exchange
    later = iter(["8", "9\n"])

    def racing(folder: int, one: str, other: str) -> None:
        text = next(later, None) if other == "timeout" else None
        if text is not None:
            (daemon.folder / other).write_text(text)
        real(folder, one, other)

    monkeypatch.setattr("pydaemons.kit.treefile.exchange", racing)
    (daemon.folder / "timeout").write_text("7")
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows()) == (9, "9\n")
    assert [change.new for change in daemon.changes] == [7, 8, 9]


def test_ten_thousand_rapid_writes_end_at_the_last(daemon: Daemon) -> None:
    code = """import sys
for n in range(10000):
    with open(sys.argv[1], "w") as f:
        f.write(str((n * 7) % 30) + "\\n" * (n % 2))
with open(sys.argv[1], "w") as f:
    f.write("13")
"""
    with subprocess.Popen([sys.executable, "-IS", "-c", code, str(daemon.folder / "timeout")]) as writer:
        start = time.monotonic() - daemon.now
        while writer.poll() is None:
            daemon.now = time.monotonic() - start  # a writer who is not let run is not a late one
            daemon.tree.process(daemon.now)
    assert writer.returncode == 0
    daemon.settle()
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows()) == (13, "13\n")


def test_an_overflow_of_the_queue_has_everything_looked_at(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    (daemon.folder / "timeout").write_text("5\n")
    (daemon.folder / "port").write_text("boo")
    lost = inotify.Inotify.read
    overflow = [[inotify.Happening(-1, b"", inotify.Q_OVERFLOW)]]

    def read(self: inotify.Inotify) -> list[inotify.Happening]:
        if overflow:
            lost(self)
            return overflow.pop()
        return lost(self)

    monkeypatch.setattr(inotify.Inotify, "read", read)
    daemon.settle()
    assert (daemon.keys.timeout, daemon.shows(), daemon.shows("port")) == (5, "5\n", "0\n")


def test_a_queue_that_really_overflowed_is_made_up_for(daemon: Daemon) -> None:
    for number in range(9000):
        (daemon.folder / "timeout").write_text(f"{3 + number % 18}\n")
        (daemon.folder / "port").write_text(f"{number}\n")
    daemon.settle()
    assert (daemon.keys.timeout, daemon.keys.port, daemon.shows("port")) == (3 + 8999 % 18, 8999, "8999\n")


def test_two_daemons_do_not_fight_over_a_folder(daemon: Daemon) -> None:
    second = Daemon(daemon.root).start()
    assert second.log.warnings and "another daemon serves it" in second.log.warnings[0]
    (daemon.folder / "timeout").write_text("5\n")
    second.settle()
    daemon.settle()
    assert (daemon.keys.timeout, second.keys.timeout) == (5, 10)
    daemon.tree.close()
    second.now += 10
    second.settle()
    (daemon.folder / "timeout").write_text("6\n")
    second.settle()
    assert second.keys.timeout == 6
    second.tree.close()


def test_a_key_written_while_the_daemon_was_away_is_applied_when_it_starts(daemon: Daemon) -> None:
    daemon.tree.close()
    (daemon.folder / "timeout").write_text("5\n")
    again = Daemon(daemon.root).start()
    assert (again.keys.timeout, again.keys.origin("timeout")) == (5, "runtime")
    again.tree.close()


def test_writing_the_same_value_again_while_the_daemon_is_away_counts_as_well(daemon: Daemon) -> None:
    (daemon.folder / "timeout").write_text("5\n")
    daemon.settle()
    daemon.tree.close()
    os.utime(daemon.folder / "timeout")  # the stamp of the new write, were it in the same tick
    (daemon.folder / "timeout").write_text("5\n")
    again = Daemon(daemon.root).start()
    assert again.keys.timeout == 5
    again.tree.close()


def test_a_value_of_the_last_life_is_not_taken_for_one_written_since(daemon: Daemon) -> None:
    (daemon.folder / "timeout").write_text("5\n")
    daemon.settle()
    daemon.tree.close()
    again = Daemon(daemon.root).start()
    assert (again.keys.timeout, again.shows(), again.log.entries) == (10, "10\n", [])
    again.tree.close()


def test_nonsense_written_while_the_daemon_was_away_is_refused_at_start(daemon: Daemon) -> None:
    daemon.tree.close()
    (daemon.folder / "timeout").write_text("500\n")
    again = Daemon(daemon.root).start()
    assert (again.keys.timeout, again.shows()) == (10, "10\n")
    assert again.log.warnings == [
        "fs.sample.timeout: 500 is out of range, refused; want a whole number 3..20 (seconds); 10 stays"
    ]
    again.tree.close()


def test_an_order_to_a_live_key_does_not_outlive_the_daemon_it_was_meant_for(daemon: Daemon) -> None:
    daemon.tree.close()
    (daemon.folder / "stop").write_text("Y\n")
    again = Daemon(daemon.root).start()
    assert (again.keys.stop, again.shows("stop"), again.changes) == (False, "N\n", [])
    again.tree.close()


def test_a_live_key_shows_what_is_so_rather_than_what_was_asked(daemon: Daemon) -> None:
    daemon.keys.bind(stop=lambda: False)
    for _ in range(2):
        (daemon.folder / "stop").write_text("Y\n")
        daemon.settle()
        assert daemon.shows("stop") == "N\n"
    assert [change.new for change in daemon.changes] == [True, True]


def test_state_is_refreshed_while_somebody_reads_and_costs_nothing_otherwise(daemon: Daemon) -> None:
    daemon.settle()
    daemon.held = 41
    daemon.now += 60
    daemon.tree.process(daemon.now)
    assert daemon.tree.deadline() is None
    assert daemon.shows("held") == "0\n"  # nobody had looked; this look is noticed
    daemon.tree.process(daemon.now)
    assert daemon.shows("held") == "41\n"
    for number in range(42, 60):
        daemon.held = number
        deadline = daemon.tree.deadline()
        assert deadline is not None and deadline <= daemon.now + 0.5
        daemon.now = deadline
        daemon.tree.process(daemon.now)
        assert daemon.shows("held") in (f"{number}\n", f"{number - 1}\n")  # at most an interval old
    for _ in range(200):
        daemon.now += 0.1
        daemon.tree.process(daemon.now)
    assert daemon.tree.deadline() is None


def test_a_reader_of_any_key_finds_fresh_state_at_his_next_look(daemon: Daemon) -> None:
    daemon.held = 7
    daemon.shows("timeout")
    daemon.tree.process(daemon.now)
    assert daemon.shows("held") == "7\n"


def test_nobody_keeps_the_daemon_busy_by_reading(daemon: Daemon) -> None:
    daemon.settle()
    daemon.shows()
    daemon.tree.process(daemon.now)
    calls = 0
    for _ in range(1000):
        daemon.shows()
        daemon.shows("port")
        calls += bool(select.select([daemon.tree], [], [], 0)[0])
        daemon.tree.process(daemon.now)
    assert calls <= 1  # what our own refreshing caused


def test_refreshing_renews_the_files_time_so_that_a_reader_knows_it_is_fresh(daemon: Daemon) -> None:
    file = daemon.folder / "held"
    os.utime(file, (1, 1))
    daemon.settle()
    file.read_text()
    daemon.settle()
    assert file.stat().st_mtime > 1_000_000


def test_the_schema_tells_value_origin_and_the_running_process(daemon: Daemon) -> None:
    (daemon.folder / "timeout").write_text("5\n")
    daemon.settle()
    told = schema.parse((daemon.folder / ".schema").read_text())
    assert (told.daemon, told.prefix, told.pid) == ("sampled", "fs.sample", os.getpid())
    assert (told.rows["timeout"].get("value"), told.rows["timeout"].get("origin")) == ("5", "runtime")
    daemon.tree.close()
    assert schema.parse((daemon.folder / ".schema").read_text()).pid == 0


def test_a_schema_taken_away_is_written_again(daemon: Daemon) -> None:
    (daemon.folder / ".schema").unlink()
    daemon.settle()
    assert schema.parse((daemon.folder / ".schema").read_text()).prefix == "fs.sample"


def test_values_changed_from_elsewhere_are_shown(daemon: Daemon) -> None:
    daemon.keys.set("timeout", "12", "/etc/sampled.conf:3")
    daemon.tree.publish(daemon.now)
    daemon.settle()
    assert daemon.shows() == "12\n"
    assert daemon.changes == []
    told = schema.parse((daemon.folder / ".schema").read_text())
    assert told.rows["timeout"].get("origin") == "/etc/sampled.conf:3"


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_folder_taken_away_is_made_again(daemon: Daemon, how: str) -> None:
    if how == "removed":
        for file in daemon.folder.iterdir():
            file.unlink()
        daemon.folder.rmdir()
    else:
        daemon.folder.rename(daemon.root / "other")
    daemon.settle()
    assert daemon.shows() == "10\n"
    (daemon.folder / "timeout").write_text("5\n")
    daemon.settle()
    assert daemon.keys.timeout == 5


def test_a_root_that_cannot_be_made_is_said_once_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("in the way")
    daemon = Daemon(tmp_path / "root").start()
    for _ in range(5):
        daemon.now += 10
        daemon.settle()
    assert len(daemon.log.warnings) == 1
    (tmp_path / "root").unlink()
    daemon.now += 10
    daemon.settle()
    assert daemon.shows() == "10\n"
    daemon.tree.close()


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root/fs").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root/fs/sample").symlink_to(tmp_path / "elsewhere")
    daemon = Daemon(tmp_path / "root").start()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(daemon.log.warnings) == 1
    daemon.tree.close()


def test_a_full_disk_is_said_once_and_the_values_are_shown_when_there_is_room_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    full = [True]

    def write(fd: int, data: bytes) -> int:
        if full[0]:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr("pydaemons.kit.treefile.os.write", write)
    for value in ("5 ", "6 ", "7 "):
        with open(daemon.folder / "timeout", "w") as stream:
            full[0] = False
            stream.write(value)
            stream.flush()
            full[0] = True
        daemon.settle()
    assert daemon.keys.timeout == 7
    assert len([line for line in daemon.log.warnings if "No space" in line]) == 1
    full[0] = False
    daemon.now += 10
    daemon.settle()
    daemon.settle()
    assert daemon.shows() == "7\n"
    assert schema.parse((daemon.folder / ".schema").read_text()).rows["timeout"].get("value") == "7"


def test_leftovers_of_interrupted_writers_and_old_keys_are_swept_at_start(daemon: Daemon) -> None:
    (daemon.folder / ".new-timeout-1-1").write_text("5\n")
    text = (daemon.folder / ".schema").read_text() + "former\tmode=0644\n"
    daemon.tree.close()
    (daemon.folder / ".schema").chmod(0o644)
    (daemon.folder / ".schema").write_text(text)
    (daemon.folder / "former").write_text("1\n")
    again = Daemon(daemon.root).start()
    again.settle()
    again.now += 60
    again.tree.tick(again.now)
    assert sorted(os.listdir(again.folder)) == sorted([".schema", LOCK, "held", "port", "stop", "timeout"])
    again.tree.close()


def test_files_of_others_in_the_folder_are_left_alone(daemon: Daemon) -> None:
    (daemon.folder / "notes").write_text("mine")
    daemon.settle()
    assert (daemon.folder / "notes").read_text() == "mine"


ABUSES = st.sampled_from(
    ["5\n", "20", "0x4", "21\n", "", "junk", delete, dangling_link, make_folder, rename_away, "look", "wait"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(ABUSES, max_size=12))
def test_any_sequence_of_abuses_ends_with_the_file_showing_the_value_in_force(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    daemon = Daemon(tmp_path_factory.mktemp("tree")).start()
    last = None
    file = daemon.folder / "timeout"
    for step in steps:
        if step == "look":
            daemon.tree.process(daemon.now)
        elif step == "wait":
            daemon.settle()
        elif isinstance(step, str):
            if file.is_file() or not os.path.lexists(file):
                file.write_text(step)
                last = step
        elif os.path.lexists(file) and file.is_file() and not file.is_symlink():
            step(file)
            last = None
    daemon.settle()
    daemon.settle()
    assert file.is_file() and not file.is_symlink()
    assert file.read_text() == f"{daemon.keys.timeout}\n"
    if last in ("5\n", "20", "0x4"):
        assert daemon.keys.timeout == int(last, 0)
    daemon.tree.close()
