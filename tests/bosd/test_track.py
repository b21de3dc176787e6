# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals of systemd 252 about one unit, as recorded with busctl on Debian 12, and what they mean."""

from __future__ import annotations

import pytest

from pydaemons.bnode.events import Exited, Gone, Started
from pydaemons.bnode.model import Restart
from pydaemons.bosd.track import UNSURE, Track

EXIT, KILL, DUMP = 1, 2, 3


def running(pid, *, restarts=0, start=1_000_000):
    return {
        b"MainPID": pid, b"Result": b"success", b"NRestarts": restarts, b"ExecMainPID": pid,
        b"ExecMainCode": 0,
        b"ExecMainStatus": 0, b"ExecMainStartTimestamp": start + pid, b"ExecMainExitTimestamp": 0,
        b"ExecMainExitTimestampMonotonic": 0,
    }  # fmt: skip


def ended(pid, code, status, *, result=b"exit-code", restarts=0, start=1_000_000):
    return {
        **running(pid, restarts=restarts, start=start), b"MainPID": 0, b"Result": result,
        b"ExecMainCode": code, b"ExecMainStatus": status, b"ExecMainExitTimestamp": 9_000_000,
        b"ExecMainExitTimestampMonotonic": 5_000_000,
    }  # fmt: skip


def told(track, *signals):
    """Everything the signals lead to; a str is a unit state, a dict the service's properties."""
    reports = []
    for signal in signals:
        if isinstance(signal, str):
            reports += track.unit({b"ActiveState": signal.encode()})
        else:
            reports += track.service(signal)
    return reports


def kinds(reports):
    return [report if report is UNSURE else type(report).__name__ for report in reports]


def started(mode=Restart.ALWAYS, pid=142):
    track = Track("bos-x.service", mode)
    track.job = b"/job/39"
    assert kinds(told(track, running(pid), "inactive", running(pid), "active")) == ["Started"]
    assert list(track.job_removed("done")) == []
    assert told(track, running(pid), "active") == []
    return track


def test_a_start_is_reported_once_with_its_pid_and_time():
    track = Track("bos-x.service", Restart.ALWAYS)
    (report,) = told(track, running(142))
    assert report == Started("bos-x.service", 142, 1.000142, 0)


def test_an_exit_that_systemd_answers_is_an_exit_and_a_start_and_the_states_between_are_nothing():
    track = started()
    end = ended(142, EXIT, 3)
    reports = told(
        track, end, "failed", end, "activating", ended(142, EXIT, 3, restarts=1), "activating",
        running(144, restarts=1), "inactive", running(144, restarts=1), "active",
    )  # fmt: skip
    assert kinds(reports) == ["Exited", UNSURE, "Started"]
    assert reports[0] == Exited("bos-x.service", 142, 3, 0, False, 5.0, 9.0)
    assert reports[2].restarts == 1
    assert list(track.looked(b"active")) == []


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (EXIT, 0, (0, 0, False)),
        (EXIT, 203, (203, 0, False)),
        (KILL, 9, (0, 9, False)),
        (DUMP, 11, (0, 11, True)),
    ],
)
def test_exits_are_told_apart_from_signals_and_cores(code, status, expected):
    (report,) = told(started(), ended(142, code, status))
    assert (report.code, report.signal, report.core) == expected


def test_a_stop_ends_in_gone():
    track = started()
    end = ended(142, KILL, 15, result=b"success")
    reports = told(track, running(142), "deactivating", end, "deactivating", end, "inactive", end, "inactive")
    assert kinds(reports) == ["Exited", "Gone"]


@pytest.mark.parametrize(
    ("mode", "code", "status", "again"),
    [
        (Restart.NO, EXIT, 0, False),
        (Restart.ON_SUCCESS, EXIT, 0, True),
        (Restart.ON_SUCCESS, EXIT, 1, False),
        (Restart.ON_SUCCESS, KILL, 15, True),
        (Restart.ON_SUCCESS, KILL, 9, False),
        (Restart.ALWAYS, KILL, 9, True),
    ],
)
def test_whether_it_is_gone_follows_from_the_restart_mode(mode, code, status, again):
    reports = told(started(mode), ended(142, code, status), "failed" if status else "inactive")
    assert kinds(reports) == ["Exited", UNSURE if again else "Gone"]


def test_a_restart_the_condition_forbids_is_gone():
    track = started()
    reports = told(track, ended(142, EXIT, 1), "failed", "activating", "inactive")
    assert kinds(reports) == ["Exited", UNSURE, "Gone"]


def test_the_start_limit_is_gone_with_its_name():
    track = started()
    reports = told(
        track,
        ended(142, EXIT, 1),
        "failed",
        "activating",
        ended(142, EXIT, 1, result=b"start-limit-hit"),
        "failed",
    )
    assert reports[-1] == Gone("bos-x.service", "start-limit-hit") and track.failed


def test_when_only_time_can_tell_a_second_look_decides():
    track = started()
    assert kinds(told(track, ended(142, EXIT, 1), "failed")) == ["Exited", UNSURE]
    assert kinds(track.looked(b"failed")) == ["Gone"]
    assert list(track.looked(b"failed")) == []


def test_a_start_whose_condition_fails_is_found_out_after_its_job():
    track = Track("bos-x.service", Restart.ALWAYS)
    track.job = b"/job/1"
    assert told(track, "inactive") == [], "it is as it was before its job"
    assert list(track.job_removed("done")) == [UNSURE]
    assert kinds(track.looked(b"inactive")) == ["Gone"]


def test_signals_about_the_last_unit_of_the_name_are_not_taken_for_the_new_ones():
    old = started(Restart.NO)
    end = ended(142, KILL, 9, result=b"signal")
    assert kinds(told(old, end, "failed")) == ["Exited", "Gone"]
    new = Track("bos-x.service", Restart.NO, old)
    new.job = b"/job/2"
    assert told(new, end, "failed", end, "inactive") == []
    assert kinds(told(new, running(150), "inactive", "active")) == ["Started"]


def test_a_failed_unit_found_at_start_is_not_started_by_its_old_news():
    found = Track("bos-x.service", Restart.ON_SUCCESS)
    found.found(b"failed", (142, 1_000_142), alive=False)
    assert found.failed and found.gone
    new = Track("bos-x.service", Restart.ON_SUCCESS, found)
    assert told(new, ended(142, DUMP, 3)) == []


def test_a_running_unit_found_at_start_goes_on():
    track = Track("bos-x.service", Restart.ALWAYS)
    track.found(b"active", (142, 1_000_142), alive=True)
    assert told(track, running(142), "active") == []
    assert kinds(told(track, ended(142, EXIT, 1))) == ["Exited"]


def test_what_was_said_before_it_was_found_is_old_news():
    """It is looked for after listening has begun: the signals of a restart in between still come."""
    track = Track("bos-x.service", Restart.ALWAYS)
    track.found(b"active", (150, 1_000_150), alive=True)
    assert told(track, ended(142, EXIT, 1), "failed", "activating") == []
    assert told(track, running(150, restarts=1), "active") == []
    assert kinds(told(track, ended(150, EXIT, 1))) == ["Exited"]


def test_an_exit_and_a_new_start_seen_at_once_are_both_told():
    """When signals were lost the next process speaks for itself."""
    track = started()
    assert kinds(told(track, running(150, restarts=1))) == ["Started"]
    assert kinds(told(track, ended(150, EXIT, 0))) == ["Exited"]


def test_a_pid_used_again_is_another_process():
    track = started()
    told(track, ended(142, EXIT, 1))
    assert kinds(told(track, running(142, restarts=1, start=2_000_000))) == ["Started"]


def test_a_unit_systemd_does_not_know_is_gone_once():
    track = started()
    assert kinds(track.vanished()) == ["Gone"] and list(track.vanished()) == []
