# SPDX-License-Identifier: GPL-3.0-or-later
"""What pybosd runs, seen from the processes and from systemd: notifiers, cores, the kinds of bnodes."""

from __future__ import annotations

import re

import pytest

from hosts.bos import STATE, BosHost, outer_core_pattern
from hosts.waiting import wait_for


def test_what_it_runs_is_not_confined_by_its_own_unit(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    bos.wait_status("a", 1)
    status = bos.host.run("cat", f"/proc/{bos.processes()['bos-a.service']}/status", check=True).stdout
    assert re.search(r"^NoNewPrivs:\s+0$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+0$", status, re.MULTILINE)
    limits = bos.host.run("cat", f"/proc/{bos.processes()['bos-a.service']}/limits", check=True).stdout
    assert re.search(r"^Max core file size\s+unlimited\s+unlimited", limits, re.MULTILINE)
    assert (
        bos.host.run("readlink", f"/proc/{bos.processes()['bos-a.service']}/cwd").stdout == f"{STATE}/log\n"
    )


def test_a_notifier_reads_exactly_what_the_peer_writes(bos: BosHost) -> None:
    note = "#!/bin/sh\ncat >/run/starts/note.new\nmv /run/starts/note.new /run/starts/note.$BOS_EVENT\n"
    bos.host.write("/usr/local/bin/note", note, mode=0o755)
    bos.do("create", "a", "simple", "/bin/sleep 30023", "-notifier", "/usr/local/bin/note")
    bos.wait_status("a", 1)
    pid = bos.processes()["bos-a.service"]
    bos.kill(pid, 15)
    text = wait_for(lambda: bos.host.run("cat", "/run/starts/note.exit").stdout, what="the notifier")
    assert re.sub(r"\d{10}", "T", text) == (
        f"BEGIN bnode_proc\ncomLine: /bin/sleep 30023\ncoreName: (null)\npid: {pid}\nlastExit: 0\nflags: 1\n"
        "END bnode_proc\nBEGIN bnode\nname: a\nrsTime: T\nrsCount: 0\nprocStartTime: T\nprocStarts: 1\n"
        "lastAnyExit: T\nlastErrorExit: 0\nerrorCode: 0\nerrorSignal: 0\ngoal: 1\nEND bnode\n"
    )
    assert "BNODE: Notifier /usr/local/bin/note will be called" in bos.boslog()
    wait_for(lambda: bos.status("a")["a"]["status"] == 1, what="a again")


def test_a_notifier_that_has_gone_is_one_log_line(bos: BosHost) -> None:
    bos.host.write("/usr/local/bin/note", "#!/bin/sh\n", mode=0o755)
    bos.do("create", "a", "simple", "/bin/sleep 1000", "-notifier", "/usr/local/bin/note")
    bos.wait_status("a", 1)
    bos.host.run("rm", "/usr/local/bin/note", check=True)
    bos.kill(bos.processes()["bos-a.service"])
    wait_for(
        lambda: "BNODE: Failed to find notifier '/usr/local/bin/note'; ignored" in bos.boslog(),
        what="the line",
    )
    assert bos.wait_status("a", 1)["starts"] == 2


def test_a_core_gets_its_bnodes_name_and_prune_removes_it(bos: BosHost) -> None:
    if outer_core_pattern() != "core":
        pytest.skip(f"the kernel puts cores elsewhere: {outer_core_pattern()}")
    bos.do("create", "d", "dafs", *["/bin/sleep 1000"] * 4)
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    bos.wait_status("d", 1)
    bos.wait_status("a", 1)
    for unit in ("bos-a.service", "bos-d-salsrv.service"):
        bos.kill(bos.processes()[unit], 11)
    wait_for(lambda: all(view["has_core"] for view in bos.status().values()), what="both cores")
    assert bos.host.run("ls", f"{STATE}/log").stdout.split() == ["BosLog", "corea", "coresalsrv.d"]
    assert "has core file, currently running normally." in bos.do("status", "a")
    assert ", by salsrv, due to signal 11\n" in bos.do("status", "d", "-long")
    bos.do("prune", "-core")
    wait_for(lambda: not any(view["has_core"] for view in bos.status().values()), what="no cores")


RECORD = """MESSAGE=Process {pid} (crashing) of user 0 dumped core.
MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1
COREDUMP_PID={pid}
COREDUMP_SIGNAL=11
COREDUMP_UNIT={unit}
COREDUMP_FILENAME={path}
"""
"""What systemd-coredump 252 writes, as far as it matters here."""


def test_a_core_that_systemd_coredump_took_is_found_in_the_journal_and_linked(bos: BosHost) -> None:
    """The kernel's pattern is all machines': here only pybosd believes that cores are piped, and the core
    itself goes where nobody looks."""
    if outer_core_pattern() != "core":
        pytest.skip(f"the kernel puts cores elsewhere: {outer_core_pattern()}")
    bos.host.write("/run/pattern", "|/lib/systemd/systemd-coredump %P %u %g %s %t %c %h\n")
    drop_in = "[Service]\nBindReadOnlyPaths=/run/pattern:/proc/sys/kernel/core_pattern\n"
    bos.host.write("/run/systemd/system/pybosd.service.d/pattern.conf", drop_in)
    bos.host.systemctl("daemon-reload")
    bos.host.systemctl("restart", "pybosd")
    crashing = "#!/bin/sh\ncd /run/starts\n[ -e pid ] && exec sleep 1000\necho $$ >pid\nkill -SEGV $$\n"
    bos.host.write("/usr/local/bin/crashing", crashing, mode=0o755)
    bos.do("create", "a", "simple", "/usr/local/bin/crashing")
    wait_for(lambda: bos.status("a")["a"]["starts"] == 2, what="the crash")
    assert "a exited on signal 11 (core dumped)" in bos.boslog()
    pid = int(bos.host.run("cat", "/run/starts/pid", check=True).stdout)
    path = f"/var/lib/systemd/coredump/core.crashing.0.x.{pid}.1.zst"
    bos.host.write(path, "core")
    record = RECORD.format(pid=pid, unit="bos-a.service", path=path)
    bos.host.run("logger", "--journald", input=record, check=True)
    wait_for(lambda: bos.status("a")["a"]["has_core"], what="the core", timeout=60)
    assert bos.host.run("readlink", f"{STATE}/log/corea").stdout == f"{path}\n"
    bos.host.run("rm", path, check=True)
    bos.do("prune", "-core")
    wait_for(lambda: not bos.status("a")["a"]["has_core"], what="no core")
    bos.host.run("rm", "-r", "/run/systemd/system/pybosd.service.d", check=True)
    bos.host.systemctl("daemon-reload")


def test_grandchildren_end_with_a_stop(bos: BosHost) -> None:
    bos.host.write("/usr/local/bin/parent", "#!/bin/sh\nsetsid sleep 4711 &\nexec sleep 4712\n", mode=0o755)
    bos.do("create", "p", "simple", "/usr/local/bin/parent")
    wait_for(lambda: bos.host.run("pgrep", "-f", "sleep 4711").returncode == 0, what="the grandchild")
    bos.do("stop", "p", "-wait")
    assert bos.host.run("pgrep", "-f", "sleep 471").returncode == 1


def test_what_does_not_stop_is_killed_when_its_time_is_over(bos: BosHost) -> None:
    bos.host.write("/run/pysysctl/kernel/bos/stop_timeout", "1\n")
    wait_for(lambda: "stop_timeout" in bos.host.journal("pybosd"), what="the tunable taken")
    bos.host.write(
        "/usr/local/bin/deaf",
        "#!/bin/sh\ntrap '' TERM\n: >/run/starts/deaf\nwhile :; do sleep 0.1; done\n",
        mode=0o755,
    )
    bos.do("create", "deaf", "simple", "/usr/local/bin/deaf")
    wait_for(lambda: bos.host.run("test", "-e", "/run/starts/deaf").returncode == 0, what="deafness")
    bos.do("stop", "deaf", "-wait")
    assert bos.processes() == {}
    assert "deaf exited on signal 9" in bos.boslog()


def test_exec_runs_beside_everything_else(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    slow = bos.host.start(
        "pybos", "exec", "touch /run/begun; until [ -e /run/go ]; do sleep 0.05; done; exit 3"
    )
    wait_for(lambda: bos.host.run("test", "-e", "/run/begun").returncode == 0, what="the command")
    assert bos.do("status") == "Instance a, currently running normally.\n"
    assert slow.running, "other requests are answered meanwhile"
    bos.host.write("/run/go", "")
    assert slow.wait() == 3


def test_fs_salvages_after_a_hard_death_only(bos: BosHost) -> None:
    file = "#!/bin/sh\ntrap 'exit 0' QUIT\nwhile :; do sleep 0.1; done\n"
    bos.host.write("/usr/local/bin/file", file, mode=0o755)
    bos.do("create", "fs", "fs", "/usr/local/bin/file", "/usr/local/bin/counted vol 1000 0",
           "/usr/local/bin/counted salv 0.5 0")  # fmt: skip
    bos.wait_status("fs", 1)
    first = bos.processes()
    assert set(first) == {"bos-fs-file.service", "bos-fs-vol.service"}
    bos.kill(first["bos-fs-vol.service"])
    wait_for(lambda: len(bos.starts("vol")) == 2, what="vol again")
    assert bos.processes()["bos-fs-file.service"] == first["bos-fs-file.service"]
    bos.kill(first["bos-fs-file.service"])
    wait_for(lambda: len(bos.starts("salv")) == 1, what="the salvager")
    assert "Auxiliary status is: salvaging file system." in bos.do("status", "fs")
    wait_for(lambda: len(bos.starts("vol")) == 3, what="vol after the salvage")
    bos.wait_status("fs", 1)
    bos.do("stop", "fs", "-wait")
    bos.do("start", "fs")
    bos.wait_status("fs", 1)
    assert len(bos.starts("salv")) == 1, "a clean stop needs no salvage"


def test_dafs_starts_each_part_again_alone(bos: BosHost) -> None:
    parts = ("f", "v", "ss", "s")
    bos.do("create", "d", "dafs", *[f"/usr/local/bin/counted {part} 1000 0" for part in parts])
    bos.wait_status("d", 1)
    for unit, part in (("file", "f"), ("vol", "v"), ("salsrv", "ss")):
        bos.kill(bos.processes()[f"bos-d-{unit}.service"])
        wait_for(lambda part=part: len(bos.starts(part)) == 2, what=f"{part} again")
    bos.wait_status("d", 1)
    assert [len(bos.starts(part)) for part in parts] == [2, 2, 2, 0]


def test_cron_runs_now_once_and_at_a_time_when_it_comes(bos: BosHost) -> None:
    bos.do("create", "once", "cron", "/usr/local/bin/counted once 0 7", "now")
    wait_for(lambda: "once" not in bos.status(), what="once to be gone")
    assert len(bos.starts("once")) == 1
    assert "cron job once exited with non-zero code 7" in bos.boslog()
    soon = bos.host.run("date", "-d", "+2 seconds", "+%H:%M:%S").stdout.strip()
    bos.do("create", "daily", "cron", "/usr/local/bin/counted daily 0 0", soon)
    wait_for(lambda: len(bos.starts("daily")) == 1, what="daily to run")
    view = wait_for(lambda: (v := bos.status("daily")["daily"])["next_run"] and v, what="its next run")
    assert view["status"] == 1 and view["next_run"] > view["start_time"] + 80_000
