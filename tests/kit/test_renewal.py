# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal replaced bit by bit: killed at any system call, it says what was appended, and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydaemons.kit import journalfile, renewal
from pydaemons.kit.journalfile import JournalFile
from pydaemons.wire import frames

KIND = "test journal"


def journal(folder: Path) -> JournalFile:
    return JournalFile(str(folder / "journal"), kind=KIND, version=1)


def content(folder: Path) -> list[bytes]:
    """As the next life finds it."""
    next_life = journal(folder)
    found = next_life.open()
    assert found is not None
    parts = [bytes(part) for part in found.payloads]
    next_life.close()
    return parts


class Killed(BaseException):
    """kill -9."""


class Kernel:
    """The system calls of both modules, of which the `last`th is the one before the kill; that one, if it
    writes, writes half. Not of the stamp: within a page the kernel does not stop."""

    NAMES = ("open", "write", "pwrite", "rename", "unlink", "ftruncate", "close")

    def __init__(self, last: int) -> None:
        self.left = last

    def __getattr__(self, name: str) -> Any:
        real: Callable[..., Any] = getattr(os, name)
        if name not in self.NAMES:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Killed
            if self.left == 0 and name in ("write", "pwrite") and arguments[2:] != (frames.STAMP_AT,):
                descriptor, data, *at = arguments
                real(descriptor, data[: len(data) // 2], *at)
                raise Killed
            return real(*arguments, **options)

        return call


STEPS = st.lists(st.sampled_from(["append", "append", "renew", "step", "step", "step"]), max_size=30)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, last=st.integers(0, 120), size=st.sampled_from([1, 40_000]))
def test_killed_at_any_system_call_it_says_what_was_promised(steps, last, size, tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    mine = journal(folder)
    assert mine.rewrite([]) == ""
    promised: list[bytes] = []
    trying: list[bytes] = []
    kernel = Kernel(last)
    patch = pytest.MonkeyPatch()
    patch.setattr(journalfile, "os", kernel)
    patch.setattr(renewal, "os", kernel)
    try:
        for number, step in enumerate(steps):
            if step == "append":
                data = b"%d " % number * size
                trying = [data]
                assert mine.append(data) == ""
                promised.append(data)
                trying = []
            elif step == "renew":
                mine.renew(iter(list(promised)))
            else:
                mine.step()
    except Killed:
        kernel.left = 10**9  # what unwinds here would not in a killed process, and only closes and unlinks
    finally:
        patch.undo()
    found = b"".join(content(folder))
    assert found in (b"".join(promised), b"".join(promised + trying))


def test_what_is_appended_while_it_goes_on_stands_behind_it(tmp_path):
    mine = journal(tmp_path)
    mine.rewrite([b"old"])

    def parts() -> Iterator[bytes]:
        yield b"new"
        assert mine.append(b"one") == ""
        yield b"newer"

    mine.renew(parts())
    assert mine.renewing
    assert mine.step() and mine.step()
    assert content(tmp_path) == [b"old", b"one"], "until the end it is the old one that counts"
    mine.append(b"two")
    while mine.step():
        pass
    assert not mine.renewing
    assert content(tmp_path) == [b"new", b"newer", b"one", b"two"]
    mine.append(b"three")
    assert content(tmp_path) == [b"new", b"newer", b"one", b"two", b"three"]
    assert os.listdir(tmp_path) == ["journal"]


def test_it_comes_to_an_end_however_fast_it_is_appended_to(tmp_path, monkeypatch):
    monkeypatch.setattr(renewal, "SLICE", 10)
    mine = journal(tmp_path)
    mine.rewrite([])
    mine.renew([b"x"] * 20)
    steps = 0
    while mine.step():
        steps += 1
        for _ in range(3):
            mine.append(b"0123456789")
        assert steps < 200
    assert content(tmp_path)[:20] == [b"x"] * 20


@pytest.mark.parametrize("call", ["open", "write", "rename"])
def test_what_fails_leaves_the_old_one_and_nothing_beside_it(tmp_path, monkeypatch, call):
    mine = journal(tmp_path)
    mine.rewrite([b"old"])

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            mine.renew([b"new"])
            while mine.step():
                pass
        assert not mine.renewing
        assert mine.step() is False
    assert mine.append(b"more") == ""
    assert content(tmp_path) == [b"old", b"more"]
    assert os.listdir(tmp_path) == ["journal"]


def test_one_that_is_begun_anew_or_closed_leaves_nothing(tmp_path):
    mine = journal(tmp_path)
    mine.rewrite([b"old"])
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        mine.renew([b"new"] * 5)
        mine.step()
    assert mine.rewrite([b"at once"]) == ""
    assert not mine.renewing
    mine.renew([b"never"])
    mine.close()
    assert content(tmp_path) == [b"at once"]
    assert os.listdir(tmp_path) == ["journal"]
    assert len(os.listdir("/proc/self/fd")) < open_before + 1


def test_one_left_by_a_kill_is_no_hindrance(tmp_path):
    mine = journal(tmp_path)
    mine.rewrite([b"old"])
    mine.renew([b"new"] * 5)
    mine.step()
    # no close: killed
    next_life = journal(tmp_path)
    assert next_life.open() is not None
    assert next_life.rewrite([b"next"]) == ""
    assert content(tmp_path) == [b"next"]
    assert os.listdir(tmp_path) == ["journal"]
