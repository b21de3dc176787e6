# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.tree import PYSYSCTL, SampleTree


@pytest.fixture
def tree(tmp_path: Path) -> SampleTree:
    return SampleTree(tmp_path)


class Watching:
    """The command while it watches."""

    def __init__(self, tree: SampleTree, *arguments: str) -> None:
        self.tree = tree
        self.process = subprocess.Popen(
            [str(PYSYSCTL), "--watch", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=tree.environment(),
        )
        # it has read the values it compares with as soon as it has an inotify descriptor
        until = time.monotonic() + 20
        while time.monotonic() < until and "inotify" not in self._descriptors():
            time.sleep(0.01)

    def _descriptors(self) -> str:
        folder = Path(f"/proc/{self.process.pid}/fd")
        found = []
        for link in folder.iterdir():
            try:
                found.append(str(link.readlink()))
            except OSError:
                continue
        return " ".join(found)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def watching(tree: SampleTree) -> Iterator[Watching]:
    made = Watching(tree, "fs.sample.port", "fs.sample.mode")
    yield made
    made.end()


def test_changes_are_printed_as_they_happen_and_others_are_not(tree: SampleTree, watching: Watching) -> None:
    tree.run("fs.sample.timeout=4", "fs.sample.port=7")
    assert watching.line() == "fs.sample.port = 7\n"
    (tree.folder / "mode").write_text("hard\n")
    assert watching.line() == "fs.sample.mode = hard\n"


def test_a_key_taken_away_and_put_back_is_still_watched(tree: SampleTree, watching: Watching) -> None:
    (tree.folder / "port").unlink()
    (tree.folder / "port").write_text("9\n")
    assert watching.line() == "fs.sample.port = 9\n"


def test_an_interrupt_ends_it_without_a_word(watching: Watching) -> None:
    watching.process.send_signal(2)
    out, _ = watching.process.communicate(timeout=20)
    assert (out, watching.process.returncode) == ("", -2)


def test_watching_nothing_that_exists_is_an_error(tree: SampleTree) -> None:
    assert tree.run("--watch", "fs.sample.none")[2] == 1
