# SPDX-License-Identifier: GPL-3.0-or-later
"""BosConfig and the disk below it: read again, wrong, full, read-only; and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hosts.bos import STATE, BosHost
from hosts.waiting import wait_for


def test_a_bad_file_is_refused_with_its_line_and_the_last_good_one_stays(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    bos.wait_status("a", 1)
    good = bos.host.run("cat", f"{STATE}/BosConfig").stdout
    bos.host.write(f"{STATE}/BosConfig", good + "bnode simple b 1\nparm /bin/x\n")
    assert bos.host.run("systemctl", "reload", "pybosd").returncode != 0
    assert bos.bos("reload").returncode == 1
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


# -- the disk


@pytest.fixture
def small(bos: BosHost) -> Iterator[BosHost]:
    """The state folder on a disk of its own, of 512 kB, with one bnode."""
    bos.host.systemctl("stop", "pybosd")
    bos.host.run("mount", "-t", "tmpfs", "-o", "size=512k,mode=755", "state", STATE, check=True)
    bos.start()
    bos.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    bos.wait_status("a", 1)
    yield bos
    bos.host.systemctl("stop", "pybosd")
    bos.host.run("umount", STATE, check=True)


def fill(bos: BosHost) -> None:
    """To the last byte."""
    bos.host.run("sh", "-c", f"cat /dev/zero >{STATE}/fill")
    bos.host.run("sh", "-c", f"cat /dev/zero >{STATE}/rest")


def config(bos: BosHost) -> str:
    return bos.host.run("cat", f"{STATE}/BosConfig", check=True).stdout


def test_on_a_full_disk_changes_are_refused_in_words_carried_out_and_written_later(small: BosHost) -> None:
    bos, before = small, config(small)
    fill(bos)
    done = bos.bos("create", "b", "simple", "/usr/local/bin/counted b 1000 0")
    assert done.returncode == 8, "BZIO"
    assert done.stderr.startswith(
        "pybos: failed to create new server instance b of type 'simple' (I/O error): BosConfig cannot be "
        "written: No space left on device; the change is in force and is written when it can be"
    )
    assert bos.wait_status("b", 1)["file_goal"] == 1
    assert bos.bos("stop", "a", "-wait").returncode == 8
    assert "bos-a.service" not in bos.processes(), "what fills the disk can be stopped"
    assert bos.bos("start", "b").returncode == 8, "nothing new, and still not on disk"
    assert config(bos) == before and bos.host.run("sh", "-c", f"ls -A {STATE} | grep draft").stdout == ""
    told = bos.bos("status")
    assert told.returncode == 0 and "pybos: BosConfig cannot be written there: No space left" in told.stderr
    line = "BosConfig cannot be written (No space left on device)"
    wait_for(lambda: line in bos.host.show("pybosd", "StatusText"), what="the status line")
    bos.do("restart", "b")
    bos.host.run("rm", f"{STATE}/fill", f"{STATE}/rest", check=True)
    wait_for(
        lambda: "bnode simple a 0\n" in config(bos) and "bnode simple b 1\n" in config(bos), what="the file"
    )
    wait_for(lambda: bos.bos("status").stderr == "", what="the end of the complaint")
    bos.do("start", "a")
    wait_for(lambda: bos.host.run("ls", f"{STATE}/history").stdout.split() == ["a", "b"], what="histories")
    assert "bug" not in bos.host.journal("pybosd")


def test_files_that_cannot_be_replaced_are_no_end_either(bos: BosHost) -> None:
    bos.do("create", "a", "simple", "/usr/local/bin/counted a 1000 0")
    bos.wait_status("a", 1)
    in_the_way = [f"{STATE}/{name}" for name in ("BosConfig.draft", "local/UserList.draft", "history/a~")]
    bos.host.run("mkdir", *in_the_way, check=True)
    done = bos.bos("setrestart", "sat 3:30")
    assert done.returncode == 8 and "BosConfig cannot be written: Is a directory" in done.stderr
    assert bos.do("getrestart").startswith("Server localhost restarts at sat 3:30 am\n"), "in force"
    done = bos.bos("adduser", "carol")
    assert done.returncode == 1 and "local/UserList cannot be written" in done.stderr
    bos.kill(bos.processes()["bos-a.service"])
    wait_for(lambda: len(bos.starts("a")) == 2, what="a again, whatever the disk says")
    bos.host.run("rmdir", *in_the_way, check=True)
    wait_for(lambda: "restarttime 15 6 3 30 0\n" in config(bos), what="the file")
    assert bos.host.run("cat", f"{STATE}/local/UserList").stdout == "carol\n"
    text = bos.host.journal("pybosd")
    assert "BosConfig is written again" in text and "bug" not in text


def test_what_was_never_written_is_named_when_it_leaves(small: BosHost) -> None:
    bos, before = small, config(small)
    fill(bos)
    assert bos.bos("create", "b", "simple", "/usr/local/bin/counted b 1000 0").returncode == 8
    bos.host.systemctl("stop", "pybosd")
    assert "BosConfig could not be written to the end: No space left on device" in bos.host.journal("pybosd")
    assert config(bos) == before and bos.processes() == {}
    bos.host.run("rm", f"{STATE}/fill", f"{STATE}/rest", check=True)
    bos.start()
    assert list(bos.status()) == ["a"]
