# SPDX-License-Identifier: GPL-3.0-or-later
"""The disposable systemd machine keeps its promises: a real boot, nothing let out, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hosts.guard import PREFIX, standing, start_time
from hosts.holder import HostError
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for

MACHINE = Path(__file__).resolve().parents[1] / "hosts" / "machine.py"

NOTIFIER = """[Unit]
Description=says it is ready after it did something
[Service]
Type=notify
DynamicUser=yes
ProtectSystem=strict
PrivateTmp=yes
RuntimeDirectory=notifier
ExecStart=/usr/bin/python3 -c 'import time, sdnotify; print("at work", flush=True); \\
    tell = sdnotify.SystemdNotifier().notify; tell("STATUS=serving"); tell("READY=1"); time.sleep(600)'
"""

TRESPASSER = """[Service]
Type=oneshot
SystemCallFilter=~mkdir mkdirat
SystemCallErrorNumber=EPERM
ExecStart=/bin/mkdir /run/x
"""


def left_of(name: str) -> list[str]:
    """Whatever there still is of the host whose work folder has this name."""
    places = (tempfile.gettempdir(), "/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    found = [f"{place}/{name}" for place in places if os.path.exists(f"{place}/{name}")]
    for entry in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if name in entry.read_text():
                found.append(f"{entry.parent}: {(entry.parent / 'cmdline').read_text()}")
        except OSError:
            pass  # it ended while we looked
    return found


def guard_of(creator: int) -> tuple[int, str]:
    """The pid of the guard a process started, and the name of its host's work folder."""
    children = Path(f"/proc/{creator}/task/{creator}/children").read_text().split()
    for owner in Path(tempfile.gettempdir()).glob(PREFIX + "*/owner"):
        pid = owner.read_text().split()[0]
        if pid in children:
            return int(pid), owner.parent.name
    raise AssertionError(f"process {creator} has no guard among {children}")


@pytest.mark.needs("systemctl")
def test_it_boots_to_its_target_with_no_failed_unit(boot):
    host = boot()
    assert host.boot_state == "running"
    assert host.run("ps", "-o", "comm=", "-p", "1").stdout.strip() == "systemd"
    assert host.run("hostname").stdout.strip() == "syshost"


@pytest.mark.needs("systemctl")
def test_a_sandboxed_notify_service_starts_and_its_status_and_log_are_seen(boot, tmp_path):
    unit = tmp_path / "notifier.service"
    unit.write_text(NOTIFIER)
    host = boot(units=[unit])
    host.systemctl("start", "notifier")
    assert host.show("notifier", "ActiveState") == "active"
    assert host.show("notifier", "StatusText") == "serving"
    assert "at work" in host.journal("notifier")
    entry = next(e for e in host.journal_entries("notifier") if e["MESSAGE"] == "at work")
    assert entry["_SYSTEMD_UNIT"] == "notifier.service"
    host.systemctl("stop", "notifier")
    assert host.show("notifier", "Result") == "success"


@pytest.mark.needs("systemctl")
def test_an_enabled_unit_is_started_by_the_boot(boot, tmp_path):
    unit = tmp_path / "notifier.service"
    unit.write_text(NOTIFIER)
    host = boot(units=[unit], enable=["notifier.service"])
    assert host.show("notifier", "ActiveState") == "active"


@pytest.mark.needs("systemctl")
def test_nothing_the_outer_machine_enabled_runs_inside(boot):
    names = boot().run(
        "systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"
    )
    running = {line.split()[0] for line in names.stdout.splitlines()}
    assert running == {"dbus.service", "systemd-journald.service"}


@pytest.mark.needs("systemctl")
def test_writing_inside_stays_inside_except_in_writable_binds(boot, tmp_path):
    shared, read = tmp_path / "shared", tmp_path / "read"
    shared.mkdir()
    read.mkdir()
    host = boot(writable=[shared], binds=[read])
    host.write("/etc/only-inside", "x\n")
    assert host.read("/etc/only-inside") == "x\n"
    assert not os.path.exists("/etc/only-inside")
    host.write(f"{shared}/seen", "y\n")
    assert (shared / "seen").read_text() == "y\n"
    assert host.run("touch", f"{read}/denied").returncode != 0
    assert host.run("sh", "-c", "echo 1 >/proc/sys/kernel/panic").returncode != 0


@pytest.mark.needs("systemctl")
def test_files_and_folders_are_copied_in_before_and_after_boot(boot, tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").write_text("deep\n")
    (tree / "tool").write_text("#!/bin/sh\necho ran\n")
    (tree / "tool").chmod(0o755)
    host = boot(copies={tree: "/opt/before", tree / "tool": "/usr/local/bin/"})
    host.copy_in(tree, "/opt/after")
    assert host.read("/opt/before/deep/file") == host.read("/opt/after/deep/file") == "deep\n"
    assert host.run("tool").stdout == "ran\n"
    assert not os.path.exists("/opt/before") and not os.path.exists("/usr/local/bin/tool")


@pytest.mark.needs("systemctl", "unshare")
def test_a_file_system_mounted_on_srv_is_seen_inside_and_not_written(tmp_path):
    script = f"""
        mount -t tmpfs tmpfs /srv && echo kept >/srv/file || exit 9
        {sys.executable} {MACHINE} -- sh -c 'cat /srv/file; echo lost >/srv/file'; cat /srv/file
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("kept\nkept\n", "")


@pytest.mark.needs("systemctl")
def test_two_machines_have_a_boot_id_and_a_network_each(boot):
    one, two = boot(), boot()
    ids = [host.read("/proc/sys/kernel/random/boot_id") for host in (one, two)]
    outer = Path("/proc/sys/kernel/random/boot_id").read_text()
    assert len({*ids, outer}) == 3
    assert one.run("ip", "-br", "link").stdout.split()[0] == "lo"
    assert len({one.run("readlink", "/proc/1/ns/net").stdout for one in (one, two)}) == 2


@pytest.mark.needs("systemctl")
def test_the_code_of_a_command_is_kept_and_a_hanging_one_is_ended(boot):
    host = boot()
    assert host.run("sh", "-c", "exit 7").returncode == 7
    with pytest.raises(subprocess.TimeoutExpired):
        host.run("sleep", "300", timeout=0.5)
    wait_for(lambda: "sleep" not in host.run("ps", "-A", "-o", "comm=").stdout, what="the sleeper's end")


@pytest.mark.needs("systemctl")
def test_closing_leaves_no_folder_cgroup_mount_or_process(boot):
    host = boot()
    host.systemctl("is-active", "dbus")
    name = host.work.name
    assert len(left_of(name)) > 3
    host.close()
    assert left_of(name) == []
    with pytest.raises(HostError):
        host.run("true")


@pytest.mark.needs("systemctl")
@pytest.mark.parametrize("poweroff", [False, True], ids=["killed", "powered off"])
def test_the_command_line_gives_the_code_of_its_command(poweroff):
    options = ["--poweroff"] if poweroff else []
    done = subprocess.run(
        [sys.executable, MACHINE, *options, "--", "sh", "-c", "systemctl is-active dbus; exit 3"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "active\n", "")


@pytest.mark.needs("systemctl")
def test_the_command_line_ends_at_its_limit_with_124():
    done = subprocess.run(
        [sys.executable, MACHINE, "--limit", "2", "--", "sleep", "300"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 124
    assert "limit of 2 s" in done.stderr


@pytest.mark.needs("systemctl")
@pytest.mark.parametrize("victim", ["creator", "guard", "both"])
def test_being_killed_leaves_nothing_behind(boot, victim):
    creator = subprocess.Popen(
        [sys.executable, MACHINE, "--limit", "100", "--", "sh", "-c", "echo up; sleep 300"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with creator:
        assert creator.stdout.readline() == "up\n"
        guard, name = guard_of(creator.pid)
        if victim in ("guard", "both"):
            os.kill(guard, signal.SIGKILL)
        if victim in ("creator", "both"):
            creator.kill()
        creator.wait(60)
    if victim != "creator":
        wait_for(lambda: not start_time(guard), what="the guard's end")
        # nobody was left to tidy the disk: the next machine to start does
        boot().close()
    wait_for(lambda: not left_of(name), what=f"nothing left: {left_of(name)}")


@pytest.mark.needs("systemctl")
def test_a_named_machine_stays_for_the_next_command_until_it_is_ended():
    name = f"test-{os.getpid()}"

    def machine(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, MACHINE, *words], capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout

    try:
        assert machine("--name", name, "--", "touch", "/run/here") == (0, "")
        guard, init = standing(name)
        assert machine("--name", name, "--", "sh", "-c", "ls /run/here; exit 4") == (4, "/run/here\n")
        assert standing(name) == (guard, init)
    finally:
        assert machine("--end", name) == (0, "")
    assert standing(name) is None
    assert not os.path.exists(f"/proc/{init}")
    assert machine("--end", name) == (1, "")


@pytest.mark.needs("systemctl")
def test_a_host_that_cannot_boot_says_why(boot):
    with pytest.raises(HostError, match=r"no unit nowhere\.service to enable"):
        boot(enable=["nowhere.service"])


@pytest.mark.needs("systemctl")
def test_a_call_that_a_unit_s_filter_refuses_is_seen_once_the_unit_is_strict(boot):
    host = boot()
    host.write("/etc/systemd/system/trespasser.service", TRESPASSER)
    host.systemctl("daemon-reload")
    host.run("systemctl", "start", "trespasser")
    assert violations(host) == []
    be_strict(host, "trespasser")
    host.run("systemctl", "start", "trespasser")
    wait_for(lambda: violations(host), what="the journal to tell of it")
