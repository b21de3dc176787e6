# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters as a table and for Prometheus."""

from __future__ import annotations

import re

from pydaemons.cli.lockctl_stats import prometheus, stats_rows

STATS = {
    "procedures": {"nlm": {"4": {"LOCK": 5, "TEST": 1}}},
    "statuses": {"LOCK": {"GRANTED": 3, "DENIED": 2}},
    "rpc": {'odd "name"\\': 1},
    "shell": {"datagrams in": 6},
    "replies_repeated": 4,
}
STATUS = {
    **dict.fromkeys(("locks", "files", "shares", "blocked", "granting", "clients", "connections"), 2),
    "grace_left": 1.5,
    "refuse": True,
    "since": 1.0,
    "version": "0",
}
SAMPLE = re.compile(r'pylockd_[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"(,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? [0-9.]+')


def test_the_table_has_every_counter():
    assert stats_rows(STATS) == [
        ("nlm4 LOCK", 5),
        ("nlm4 TEST", 1),
        ("LOCK GRANTED", 3),
        ("LOCK DENIED", 2),
        ('rpc: odd "name"\\', 1),
        ("shell: datagrams in", 6),
        ("replies repeated", 4),
    ]


def test_every_line_is_one_prometheus_reads_and_every_family_is_described_first():
    described = set()
    for line in prometheus(STATS, STATUS).splitlines():
        if line.startswith("# TYPE "):
            described.add(line.split()[2])
        elif not line.startswith("# HELP "):
            assert SAMPLE.fullmatch(line), line
            assert re.match("[a-z_]+", line)[0] in described


def test_counters_end_in_total_and_gauges_do_not():
    for line in prometheus(STATS, STATUS).splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name.endswith("_total") is (kind == "counter")


def test_samples_carry_program_version_and_procedure():
    text = prometheus(STATS, STATUS)
    assert 'pylockd_calls_total{program="nlm",version="4",procedure="LOCK"} 5\n' in text
    assert 'pylockd_decisions_total{procedure="LOCK",status="DENIED"} 2\n' in text
    assert "pylockd_refuse 1\n" in text
