# SPDX-License-Identifier: GPL-3.0-or-later
"""Things run once: names of their own, an end for everybody who waits for one."""

from __future__ import annotations

from pydaemons.bosd.errands import Errands


def add(errands, done, *, data=None):
    return errands.add(["/bin/n", "x"], "notify", data, (), done)


def test_each_has_a_unit_name_of_its_own():
    errands = Errands("/l")
    one, _ = add(errands, print)
    two, _ = add(errands, print)
    assert one.name != two.name and one.name.startswith("pybosd-notify-")
    assert one.name in errands and "pybosd-notify-1.service" not in errands


def test_its_unit_is_forgotten_by_systemd_and_reads_what_it_is_given():
    _, arguments = add(Errands("/l"), print, data=b"BEGIN")
    values = [value for _, value in arguments]
    assert b"inactive-or-failed" in values
    assert values[values.index(b"StandardInput") + 2] == b"data"
    assert b"StandardInputData" in values


def test_the_end_is_told_once():
    ended = []
    errands = Errands("/l")
    track, _ = add(errands, ended.append)
    assert errands.end(track.name, None) and not errands.end(track.name, None)
    assert ended == [None] and track.name not in errands


def test_a_broken_connection_ends_them_all():
    ended = []
    errands = Errands("/l")
    for number in range(3):
        add(errands, lambda exited, number=number: ended.append((number, exited)))
    errands.abandon()
    assert ended == [(0, None), (1, None), (2, None)]
