# SPDX-License-Identifier: GPL-3.0-or-later
"""Out of pybosd and into it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode import unitfiles
from pydaemons.bnode.bosconfig import Entry
from pydaemons.bnode.folders import Folders
from pydaemons.bnode.ktime import KTime
from pydaemons.bnode.model import Goal
from pydaemons.bnode.tunables import BosTunables

FOLDERS = Folders("/usr/lib/openafs", "/l", "/e", "/o")


def export(kind, *commands, name="a", goal=Goal.NORMAL, notifier=None):
    return unitfiles.export(Entry(kind, name, goal, commands, notifier), FOLDERS, BosTunables())


def test_a_simple_one_is_a_service_that_always_restarts():
    (text,) = export("simple", "server -p 16").values()
    wanted = {
        "ExecStart=/usr/lib/openafs/server -p 16",
        "Restart=always",
        "RestartSec=0",
        "KillSignal=SIGTERM",
    }
    wanted |= {"StartLimitBurst=12", "StartLimitIntervalSec=30", "TimeoutStopSec=60"}
    assert wanted <= set(text.splitlines())


def test_what_systemd_gives_a_meaning_is_escaped():
    (text,) = export("simple", "/x 100% $HOME a\\b").values()
    assert "ExecStart=/x 100%% $$HOME a\\\\b\n" in text


def test_a_file_server_is_salvaged_after_a_failure():
    files = export("fs", "/f", "/v", "/s", name="fs")
    assert list(files) == ["fs-file.service", "fs-vol.service", "fs-salv.service"]
    assert "OnFailure=fs-salv.service\n" in files["fs-file.service"]
    assert "Restart=on-success\n" in files["fs-file.service"]
    assert "TimeoutStopSec=1800\n" in files["fs-file.service"]
    assert (
        "ExecStartPost=/bin/systemctl --no-block start fs-file.service fs-vol.service"
        in files["fs-salv.service"]
    )


def test_a_cron_one_is_a_timer():
    files = export("cron", "/x", "sun 4:00 am")
    assert "OnCalendar=Sun *-*-* 04:00:00\n" in files["a.timer"] and "Type=oneshot\n" in files["a.service"]
    assert list(export("cron", "/x", "never")) == ["a.service"]


def test_what_cannot_be_said_is_a_comment():
    (text,) = export("simple", "/x", goal=Goal.SHUTDOWN, notifier="/n").values()
    assert "# its notifier was /n\n" in text and "# it was not to run: do not enable it\n" in text


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("simple", ["/bin/sleep 1000"]),
        ("cron", ["/bin/true", "sun 4:00"]),
        ("fs", ["/bin/sleep 1", "/bin/sleep 2", "/bin/sleep 3"]),
        ("dafs", ["/bin/sleep 1", "/bin/sleep 2", "/bin/sleep 3", "/bin/sleep 4"]),
    ],
)
def test_systemd_finds_nothing_wrong_with_what_is_exported(tmp_path, kind, commands):
    assert shutil.which("systemd-analyze")
    files = export(kind, *commands, name="x-y")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=no",
            *[tmp_path / name for name in files],
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")


WORDS = st.lists(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8), max_size=4
)


@given(WORDS)
def test_what_was_exported_comes_back(words):
    command = " ".join(["/bin/x", *words])
    (text,) = export("simple", command).values()
    assert unitfiles.read_service("a", text, None).entry == Entry("simple", "a", Goal.NORMAL, (command,))


@given(st.integers(0, 6), st.integers(0, 23), st.integers(0, 59), st.booleans())
def test_times_come_back(day, hour, minute, daily):
    time = KTime(7 if daily else 15, 0 if daily else day, hour, minute, 0)
    assert unitfiles.parse_calendar(unitfiles.format_calendar(time)) == time


def test_a_service_with_a_timer_is_a_cron_one():
    files = export("cron", "/x -y", "sat 3:30")
    assert unitfiles.by_stem(files) == {"a": (files["a.service"], files["a.timer"])}
    taken = unitfiles.read_service("a", files["a.service"], files["a.timer"])
    assert taken.entry == Entry("cron", "a", Goal.NORMAL, ("/x -y", "sat 3:30 am"))


def test_what_does_not_come_along_is_listed():
    text = "[Unit]\nDescription=x\n[Service]\nUser=joe\nExecStart=/bin/x \\\n  -y\nEnvironment=A=b\n"
    taken = unitfiles.read_service("a", text, None)
    assert taken.entry.commands == ("/bin/x -y",)
    assert taken.left == ("User=joe", "Environment=A=b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Service]\n", "want one ExecStart=, there are 0"),
        ("[Service]\nExecStart=/a\nExecStart=/b\n", "there are 2"),
        ("[Service]\nType=forking\nExecStart=/a\n", "Type=forking"),
        ("[Service]\nType=oneshot\nExecStart=/a\n", "without a timer"),
        ("[Service]\nExecStart=/a 'b c'\n", "has blanks"),
        ("[Service]\nExecStart=/a %i\n", "for systemd to fill in"),
    ],
)
def test_what_can_be_no_bnode_says_why(text, reason):
    with pytest.raises(ValueError, match=reason.replace("?", r"\?")):
        unitfiles.read_service("a", text, None)


def test_an_escaped_backslash_does_not_continue_a_line():
    taken = unitfiles.read_service("a", "[Service]\nExecStart=/x \\\\\nRestart=always\n", None)
    assert taken.entry.commands == ("/x \\",)


def test_an_empty_assignment_takes_earlier_ones_back():
    text = "[Service]\nExecStart=/a\nExecStart=\nExecStart=/b\n"
    assert unitfiles.read_service("a", text, None).entry.commands == ("/b",)


@pytest.mark.parametrize("text", ["hourly", "*-*-01 00:00", "Mon,Tue *-*-* 1:00", "*-*-* 25:00", ""])
def test_calendar_events_that_are_no_time_of_day_are_refused(text):
    with pytest.raises(ValueError):
        unitfiles.parse_calendar(text)
