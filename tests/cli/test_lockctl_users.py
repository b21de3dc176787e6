# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has pylockd run. With the real systemd: e2e/test_pylockd_with_server.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pydaemons.cli import lockctl_users
from pydaemons.cli.lockctl_users import unit_of, users


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/pylockd.service\n", "pylockd.service"),
        ("0::/system.slice/system-pylockd.slice/pylockd@blue.service\n", "pylockd@blue.service"),
        ("1:name=systemd:/x.service\n0::/system.slice/pylockd.service\n", "pylockd.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_the_service_of_a_process_is_its_control_group(cgroup, unit):
    assert unit_of(cgroup) == unit


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A systemctl that says what it is told to, and a process of pylockd.service."""
    path = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(lockctl_users, "unit_of", lambda cgroup: "pylockd.service")
    monkeypatch.setattr(lockctl_users, "NAME", Path("/proc/self/comm").read_text().strip())

    def says(script):
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return says


def test_units_that_want_it_are_named_with_their_states(systemctl):
    systemctl(
        'case "$*" in *ActiveState*) printf "active\\n\\ninactive\\n";;'
        ' *) printf "b.service\\n\\na.service multi-user.target\\n\\n\\n";; esac'
    )
    assert users(os.getpid()) == [
        {"unit": "a.service", "state": "active"},
        {"unit": "b.service", "state": "inactive"},
    ]


def test_a_target_that_has_it_enabled_is_no_user(systemctl):
    systemctl('printf "\\n\\nmulti-user.target\\n\\n\\n"')
    assert users(os.getpid()) == []


@pytest.mark.parametrize(
    "script", ["exit 1", 'case "$*" in *ActiveState*) ;; *) echo a.service b.service;; esac']
)
def test_a_systemd_that_says_nothing_is_no_reason_to_fail(systemctl, script):
    systemctl(script)
    assert users(os.getpid()) is None


def test_a_process_that_is_somebody_else_in_this_namespace_has_no_users(systemctl, monkeypatch):
    systemctl('printf "a.service\\n\\n\\n\\n\\n"')
    monkeypatch.setattr(lockctl_users, "NAME", "pylockd")
    assert users(os.getpid()) is None


def test_a_process_that_is_gone_or_of_no_service_has_no_users():
    assert users(2**22 + 1) is None
