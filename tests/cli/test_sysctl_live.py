# SPDX-License-Identifier: GPL-3.0-or-later
import os
import threading
from pathlib import Path

from fakes.tree import SampleTree
from pydaemons.cli.sysctl_live import is_stale, wait
from pydaemons.cli.sysctl_tree import Tree

OLD = (1_000_000, 1_000_000)


def test_only_an_old_live_key_of_a_running_daemon_is_waited_for(tmp_path: Path) -> None:
    tree = SampleTree(tmp_path, pid=os.getpid())
    walker = Tree(str(tree.root))
    assert not is_stale(walker.find("fs/sample/held"))
    for name in ("held", "stop", "port"):
        os.utime(tree.folder / name, OLD)
    assert is_stale(walker.find("fs/sample/held"))
    assert is_stale(walker.find("fs/sample/stop"))
    assert not is_stale(walker.find("fs/sample/port"))


def test_a_daemon_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    tree = SampleTree(tmp_path)
    os.utime(tree.folder / "held", OLD)
    assert not is_stale(Tree(str(tree.root)).find("fs/sample/held"))


def test_waiting_ends_when_the_file_was_renewed(tmp_path: Path) -> None:
    tree = SampleTree(tmp_path, pid=os.getpid())
    os.utime(tree.folder / "held", OLD)
    place = Tree(str(tree.root)).find("fs/sample/held")
    renew = threading.Timer(0.02, os.utime, [tree.folder / "held"])
    renew.start()
    assert wait(place)
    renew.join()


def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    tree = SampleTree(tmp_path, pid=os.getpid())
    os.utime(tree.folder / "held", OLD)
    assert not wait(Tree(str(tree.root)).find("fs/sample/held"))
    assert tree.run("fs.sample.held") == ("fs.sample.held = 0\n", "", 0)
