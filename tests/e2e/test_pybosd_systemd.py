# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd on a real systemd: what it promises about processes, seen from the processes and from systemd."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from hosts.bos import STATE, BosHost, outer_core_pattern
from hosts.machine import SystemdHost
from hosts.waiting import wait_for

Boot = Callable[..., SystemdHost]


@pytest.fixture
def bos(boot: Boot) -> BosHost:
    """A machine with pybosd running."""
    host = BosHost(boot(limit=240.0))
    host.start()
    return host


# -- the daemon


def test_it_starts_confined_and_ready_with_a_status_line(bos: BosHost) -> None:
    status = bos.host.run("cat", f"/proc/{bos.pid}/status", check=True).stdout
    assert re.search(r"^CapEff:\s+0*200004$", status, re.MULTILINE), "SYS_ADMIN, DAC_READ_SEARCH, no more"
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    wait_for(lambda: bos.host.show("pybosd", "StatusText") == "1 bnodes, 1 processes", what="the status line")


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


def test_a_second_one_refuses_to_start_and_touches_nothing(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    bos.wait_status("a", 1)
    before = bos.processes()
    done = bos.host.run("pybosd", timeout=30)
    assert done.returncode == 1 and "already running" in done.stderr
    assert bos.processes() == before and bos.status()["a"]["starts"] == 1


def test_from_a_checkout_with_folders_of_its_own(boot: Boot) -> None:
    bos = BosHost(boot(limit=120.0))
    bos.host.write("/root/pybosd.conf", "[kernel.bos]\nerror_stop_limit = 3\n")
    words = ["--config", "/root/pybosd.conf", "--run-dir", "/root/run", "--state-dir", "/root/state"]
    daemon = bos.host.start("/opt/pydaemons/bin/pybosd", *words)
    wait_for(lambda: bos.bos("--socket", "/root/run/control", "status").returncode == 0, what="an answer")
    bos.do("--socket", "/root/run/control", "create", "x", "simple", "/usr/local/bin/counted x 0 1")
    wait_for(lambda: len(bos.starts("x")) == 4, what="four starts")
    assert bos.host.run("ls", "/root/state").stdout.split() == ["BosConfig", "etc", "history", "local", "log"]
    assert daemon.stop() == 0
    assert len(bos.starts("x")) == 4


# -- the error stop, exact to the exit


def test_a_program_that_fails_at_once_is_started_exactly_12_times(bos: BosHost) -> None:
    for number in range(4):
        bos.do("create", f"x{number}", "simple", f"/usr/local/bin/counted x{number} 0 1")
    bos.do("create", "missing", "simple", "/nonexistent")
    for name in ("x0", "x1", "x2", "x3", "missing"):
        view = wait_for(
            lambda name=name: (v := bos.status(name)[name])["errorStop"] and v, what=f"{name} stopped"
        )
        assert (view["goal"], view["fileGoal"], view["starts"]) == (0, 1, 12), view
    bos.host.run("sleep", "2")
    assert [len(bos.starts(f"x{number}")) for number in range(4)] == [12] * 4
    assert bos.status("missing")["missing"]["errorCode"] == 203
    said = "temporarily disabled, stopped for too many errors, currently shutdown."
    assert bos.do("status", "x0") == f"Instance x0, {said}\n"


@pytest.mark.slow
def test_windows_are_the_peers_to_the_second(bos: BosHost) -> None:
    """One each 2.6 s stops at the 12th exit, one each 3.2 s never, 22 s of life before do not count."""
    late = "#!/bin/sh\n[ -e /run/starts/late ] && exec counted late 1 1\nexec counted late 22 1\n"
    bos.host.write("/usr/local/bin/late", late, mode=0o755)
    bos.do("create", "often", "simple", "/usr/local/bin/counted often 2.6 1")
    bos.do("create", "seldom", "simple", "/usr/local/bin/counted seldom 3.2 1")
    bos.do("create", "late", "simple", "/usr/local/bin/late")
    view = wait_for(
        lambda: (v := bos.status("late")["late"])["errorStop"] and v, what="late stopped", timeout=90
    )
    assert view["starts"] == 12
    shown = bos.status()
    assert shown["often"]["errorStop"] and shown["often"]["starts"] == 12
    assert not shown["seldom"]["errorStop"] and shown["seldom"]["flapping"]
    assert (len(bos.starts("often")), len(bos.starts("late"))) == (12, 12)
    wait_for(lambda: len(bos.starts("seldom")) >= 14, what="seldom goes on", timeout=60)


def test_back_off_retries_and_ends_with_the_final_trip(bos: BosHost) -> None:
    for setting in ("error_stop_policy=backoff", "error_stop_limit=2", "error_stop_window=1",
                    "backoff_max=2", "backoff_trips=3"):  # fmt: skip
        key, value = setting.split("=")
        bos.host.write(f"/run/pysysctl/kernel/bos/{key}", value + "\n")
    wait_for(lambda: "error_stop_policy" in bos.host.journal("pybosd"), what="the tunables taken")
    bos.do("create", "x", "simple", "/usr/local/bin/counted x 0 1")
    wait_for(
        lambda: (v := bos.status("x")["x"])["errorStop"] and v["retryAt"] is None and v["starts"] >= 6,
        what="the final stop",
    )
    log = bos.boslog()
    pauses = re.findall(r"x will retry start in (\d+) seconds", log)
    assert pauses == ["1", "2", "2"]
    assert log.count("BNODE 'x' repeatedly failed to start") == 4
    before = len(bos.starts("x"))
    bos.host.run("sleep", "3")
    assert len(bos.starts("x")) == before


def test_restarts_by_hand_never_count(bos: BosHost) -> None:
    bos.do("create", "x", "simple", "/usr/local/bin/counted x 1000 0")
    bos.call([("Restart", {"instance": "x"}), ("WaitStatus", {"instance": "x", "goal": 1})] * 30)
    view = bos.wait_status("x", 1)
    assert (view["starts"], view["exitsInWindow"], view["errorStop"]) == (31, 0, False)


def test_a_start_by_hand_ends_an_error_stop(bos: BosHost) -> None:
    bos.do("create", "x", "simple", "/usr/local/bin/counted x 0 1")
    wait_for(lambda: bos.status("x")["x"]["errorStop"], what="the stop")
    bos.host.write("/usr/local/bin/counted", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
    bos.do("start", "x")
    assert bos.wait_status("x", 1)["errorStop"] is False
    assert bos.host.run("ls", "/run/pybosd/stop").stdout == ""


# -- exits, notifiers, cores, processes


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
    wait_for(lambda: all(view["hasCore"] for view in bos.status().values()), what="both cores")
    assert bos.host.run("ls", f"{STATE}/log").stdout.split() == ["BosLog", "corea", "coresalsrv.d"]
    assert "has core file, currently running normally." in bos.do("status", "a")
    assert ", by salsrv, due to signal 11\n" in bos.do("status", "d", "-long")
    bos.do("prune", "-core")
    wait_for(lambda: not any(view["hasCore"] for view in bos.status().values()), what="no cores")


def test_grandchildren_end_with_a_stop(bos: BosHost) -> None:
    bos.host.write("/usr/local/bin/parent", "#!/bin/sh\nsetsid sleep 4711 &\nexec sleep 4712\n", mode=0o755)
    bos.do("create", "p", "simple", "/usr/local/bin/parent")
    wait_for(lambda: bos.host.run("pgrep", "-f", "sleep 4711").returncode == 0, what="the grandchild")
    bos.do("stop", "p", "-wait")
    assert bos.host.run("pgrep", "-f", "sleep 471").returncode == 1


def test_what_does_not_stop_is_killed_when_its_time_is_over(bos: BosHost) -> None:
    bos.host.write("/run/pysysctl/kernel/bos/stop_timeout", "1\n")
    wait_for(lambda: "stop_timeout" in bos.host.journal("pybosd"), what="the tunable taken")
    bos.host.write("/usr/local/bin/deaf", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n", mode=0o755)
    bos.do("create", "deaf", "simple", "/usr/local/bin/deaf")
    bos.wait_status("deaf", 1)
    bos.host.run("sleep", "0.3")
    bos.do("stop", "deaf", "-wait")
    assert bos.processes() == {}
    assert "deaf exited on signal 9" in bos.boslog()


def test_exec_runs_beside_everything_else(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    slow = bos.host.start("pybos", "exec", "sleep 5; exit 3")
    wait_for(lambda: bos.host.run("pgrep", "-f", "^sleep 5").returncode == 0, what="the command")
    assert bos.do("status") == "Instance a, currently running normally.\n"
    assert slow.running, "other requests are answered meanwhile"
    assert slow.wait() == 3


# -- kinds


def test_fs_salvages_after_a_hard_death_only(bos: BosHost) -> None:
    file = "#!/bin/sh\ntrap 'exit 0' QUIT\nwhile :; do sleep 0.1; done\n"
    bos.host.write("/usr/local/bin/file", file, mode=0o755)
    bos.do("create", "fs", "fs", "/usr/local/bin/file", "/usr/local/bin/counted vol 1000 0",
           "/usr/local/bin/counted salv 1 0")  # fmt: skip
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
    for unit in list(bos.processes()):
        bos.kill(bos.processes()[unit])
        bos.host.run("sleep", "0.3")
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
    view = wait_for(lambda: (v := bos.status("daily")["daily"])["nextRun"] and v, what="its next run")
    assert view["status"] == 1 and view["nextRun"] > view["startTime"] + 80_000


# -- the supervisor's own life


@pytest.mark.slow
def test_killing_it_ten_times_under_load_touches_nobody_and_forgets_nothing(bos: BosHost) -> None:
    names = [f"q{number}" for number in range(90)]
    requests = [(name, f"/usr/local/bin/counted {name} 10000 0") for name in names]
    requests += [(f"c{number}", f"/usr/local/bin/counted c{number} 4 1") for number in range(10)]
    bos.call(
        ("Create", {"instance": name, "type": "simple", "commands": [command]}) for name, command in requests
    )
    bos.do("stop", "q0", "-wait")
    bos.do("shutdown", "q1", "-wait")
    quiet = names[2:]
    wait_for(lambda: all(len(bos.starts(name)) == 1 for name in (quiet[0], quiet[-1])), what="all started")
    before = bos.processes()
    for _ in range(10):
        old = bos.pid
        bos.kill(old)
        wait_for(lambda old=old: bos.pid not in (0, old), what="the next pybosd")
        wait_for(lambda: bos.bos("statistics").returncode == 0, what="its answer")
        assert bos.figures()["adopted"] >= 88
    after = bos.processes()
    for name in quiet:
        assert after[f"bos-{name}.service"] == before[f"bos-{name}.service"], f"{name} was restarted"
        assert len(bos.starts(name)) == 1
    shown = bos.status()
    assert {shown[name]["starts"] for name in quiet} == {1}
    assert (shown["q0"]["fileGoal"], shown["q1"]["goal"], shown["q1"]["fileGoal"]) == (0, 0, 1)
    for number in range(10):
        view, told = shown[f"c{number}"], len(bos.starts(f"c{number}"))
        assert not view["errorStop"], "an exit each 4 s is fine"
        assert abs(view["starts"] - told) <= 1, (view, told)
    text = bos.host.journal("pybosd")
    assert text.count("Adopted") == 10 and "bug, please report" not in text


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


def test_exits_while_it_was_away_are_counted(bos: BosHost) -> None:
    bos.do("create", "x", "simple", "/usr/local/bin/counted x 1000 0")
    bos.wait_status("x", 1)
    bos.host.run("systemctl", "kill", "-s", "STOP", "pybosd", check=True)
    for number in range(3):
        bos.kill(bos.processes()["bos-x.service"])
        wait_for(lambda n=number: len(bos.starts("x")) == n + 2, what="systemd's own restart")
    bos.host.run("systemctl", "kill", "-s", "KILL", "pybosd", check=True)
    wait_for(lambda: bos.bos("statistics").returncode == 0, what="the next pybosd")
    view = bos.wait_status("x", 1)
    assert (view["starts"], view["exitsInWindow"]) == (4, 3)


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


def test_a_bad_file_is_refused_with_its_line_and_the_last_good_one_stays(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    bos.wait_status("a", 1)
    good = bos.host.run("cat", f"{STATE}/BosConfig").stdout
    bos.host.write(f"{STATE}/BosConfig", good + "bnode simple b 1\nparm /bin/x\n")
    bos.bos("reload")
    wait_for(
        lambda: f"{STATE}/BosConfig:7: bnode b has no end" in bos.host.journal("pybosd"), what="the line"
    )
    assert list(bos.status()) == ["a"] and bos.status()["a"]["status"] == 1
    bos.host.run("systemctl", "restart", "pybosd")
    wait_for(lambda: bos.host.show("pybosd", "ActiveState") == "failed", what="the refusal")
    assert bos.host.show("pybosd", "ExecMainStatus") == "6"
    assert set(bos.processes()) == {"bos-a.service"}, "and nobody is touched"
    bos.host.write(f"{STATE}/BosConfig", good)
    bos.start()
    assert bos.wait_status("a", 1)["starts"] == 1


def test_a_new_line_in_the_file_takes_effect_at_reload(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/bin/sleep 1000")
    good = bos.host.run("cat", f"{STATE}/BosConfig").stdout
    bos.host.write(f"{STATE}/BosConfig", good + "bnode simple b 1\nparm /bin/sleep 2000\nend\n")
    bos.host.systemctl("reload", "pybosd")
    wait_for(lambda: "b" in bos.status(), what="b")
    bos.wait_status("b", 1)


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


def test_the_manager_of_a_user_will_do(boot: Boot) -> None:
    host = boot(limit=120.0)
    bos = BosHost(host)
    host.run("mkdir", "-p", "/run/user/0", check=True)
    environment = {"XDG_RUNTIME_DIR": "/run/user/0", "HOME": "/root"}
    words = ["systemd-run", "-p", "Delegate=yes", "-E", "XDG_RUNTIME_DIR=/run/user/0", "-E", "HOME=/root"]
    host.run(*words, "/lib/systemd/systemd", "--user", check=True)
    wait_for(lambda: host.run("test", "-S", "/run/user/0/systemd/private").returncode == 0, what="a manager")
    words = ["--user", "--run-dir", "/root/run", "--state-dir", "/root/state"]
    daemon = host.start("/opt/pydaemons/bin/pybosd", *words, env=environment)
    wait_for(lambda: bos.bos("--socket", "/root/run/control", "status").returncode == 0, what="an answer")
    bos.do("--socket", "/root/run/control", "create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    wait_for(lambda: len(bos.starts("a")) == 1, what="its start")
    listed = host.run("systemctl", "--user", "is-active", "bos-a.service", env=environment).stdout
    assert listed == "active\n" and bos.processes() == {}
    assert json.loads(bos.do("--socket", "/root/run/control", "--json", "statistics"))["running"] == 1
    assert daemon.stop() == 0


def test_one_session_typed_as_an_administrator_would(bos: BosHost) -> None:
    """Files come and go on the machine itself; the texts of everything else are in tests/cli."""
    host = bos.host
    host.write("/root/server", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
    assert bos.do("install", "/root/server") == "pybos: installed file /root/server\n"
    bos.do("create", "s", "simple", "server", "-notifier", "/bin/true")
    bos.wait_status("s", 1)
    assert host.run("stat", "-c", "%a", "/usr/lib/openafs/server").stdout == "755\n"
    host.write("/root/server", "#!/bin/sh\nexec sleep 2000\n", mode=0o755)
    bos.do("install", "/root/server")
    bos.do("restart", "s")
    wait_for(lambda: host.run("pgrep", "-f", "^sleep 2000").returncode == 0, what="the new one")
    said = bos.do("getdate", "server")
    assert re.fullmatch(
        r"File /usr/afs/bin/server dated [^,]+, \.BAK file dated [^,]+, no \.OLD file\.\n", said
    )
    assert bos.do("uninstall", "server") == "pybos: uninstalled file server\n"
    assert "1000" in host.run("cat", "/usr/lib/openafs/server").stdout
    bos.do("install", "/root/server")
    bos.do("prune", "-bak")
    assert host.run("ls", "/usr/lib/openafs/server.BAK").returncode != 0

    host.write("/usr/lib/openafs/salvager", '#!/bin/sh\necho "$@" >SalvageLog\nsleep 1\n', mode=0o755)
    bos.do("create", "fs", "fs", "/bin/sleep 1", "/bin/sleep 1000", "salvager")
    assert bos.do("salvage", "a", "-showlog") == (
        "pybos: shutting down 'fs'.\nStarting salvage.\npybos: salvage completed\n"
        "SalvageLog:\n-force /vicepa\npybos: restarting 'fs'.\n"
    )
    bos.do("stop", "fs", "s", "-wait")
    bos.do("delete", "fs", "s")
    assert bos.do("status") == ""
    bos.do("setrestart", "sat 3:30")
    assert bos.do("getrestart").startswith("Server localhost restarts at sat 3:30 am\n")
    assert "<LocalAuth> is executing SetRestart" in bos.do("getlog", "BosLog")
    assert bos.bos("getlog", "nope").returncode == 1
    assert bos.do("getlog", "/etc/hostname").endswith(f"{host.run('cat', '/etc/hostname').stdout}")
    bos.do("setrestricted", "1")
    assert bos.bos("exec", "true").returncode == 6
    host.run("systemctl", "kill", "-s", "FPE", "pybosd", check=True)
    wait_for(lambda: bos.do("getrestricted") == "Restricted mode is off\n", what="the way back")
    assert bos.bos("exec", "exit 3").returncode == 3
