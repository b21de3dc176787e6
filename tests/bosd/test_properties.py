# SPDX-License-Identifier: GPL-3.0-or-later
"""The transient units, property by property."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from pystemd.dbuslib import apply_signature

from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.model import Restart, Signal
from pydaemons.bosd.properties import INFINITY, SIGNATURES, of_errand, of_process, start_transient_unit

START = StartUnit(
    "bos-fs-file.service",
    "fs",
    ("/usr/lib/openafs/fileserver", "-p", "23"),
    Restart.ON_SUCCESS,
    Signal.QUIT,
    stop_timeout=1800,
    limit_burst=12,
    limit_interval=30,
)


def test_a_process_is_restarted_stopped_and_limited_as_the_sheet_says():
    unit = of_process(START, folder="/l", bar="/run/pybosd/stop/fs")
    assert unit["ExecStartEx"] == [
        (b"/usr/lib/openafs/fileserver", [b"/usr/lib/openafs/fileserver", b"-p", b"23"], [b"no-env-expand"])
    ], "a dollar is a dollar"
    assert (unit["Restart"], unit["RestartUSec"]) == (b"on-success", 0)
    assert (unit["StartLimitBurst"], unit["StartLimitIntervalUSec"]) == (12, 30_000_000)
    assert (unit["KillMode"], unit["KillSignal"]) == (b"control-group", signal.SIGQUIT)
    assert (unit["TimeoutStopUSec"], unit["LimitCORE"]) == (1_800_000_000, INFINITY)
    assert unit["Conditions"] == [(b"ConditionPathExists", False, True, b"/run/pybosd/stop/fs")]
    assert unit["WorkingDirectory"] == b"-/l", "the hyphen spares systemd the search for mounts on the way"


def test_what_systemd_does_not_restart_needs_no_bar():
    assert "Conditions" not in of_process(replace(START, restart=Restart.NO), folder="/l", bar="/b")


@pytest.mark.parametrize(
    "properties",
    [
        of_process(START, folder="/l", bar="/b"),
        of_errand(["/bin/n"], description="d", folder="/l", data=b"x\n", environment=("A=b",)),
    ],
)
def test_every_property_has_a_type_and_packs(properties):
    arguments = start_transient_unit("bos-x.service", properties)
    assert set(properties) <= set(SIGNATURES)
    depth = 0
    for letter, _ in arguments:
        depth += letter in map(ord, "arv")
        depth -= letter == -1
    assert depth == 0 and arguments[:2] == [(ord("s"), b"bos-x.service"), (ord("s"), b"fail")]


def test_arguments_are_as_pystemd_itself_would_pack_them():
    properties = of_process(START, folder="/l", bar="/b")
    flat = [part for name, value in properties.items() for part in _property(name, value)]
    expected = apply_signature(b"ss", [b"bos-x.service", b"fail"])
    expected += [(ord("a"), b"(sv)"), *flat, (-1, None), (ord("a"), b"(sa(sv))"), (-1, None)]
    assert start_transient_unit("bos-x.service", properties) == expected
    assert start_transient_unit("bos-x.service", properties) == expected, "nothing of the last one is left"


def _property(name, value):
    signature = SIGNATURES[name]
    yield from [(ord("r"), b"sv"), (ord("s"), name.encode()), (ord("v"), signature)]
    yield from apply_signature(signature, [value])
    yield from [(-1, None), (-1, None)]


def test_an_errand_without_input_has_none_and_is_collected():
    unit = of_errand(["/bin/sh", "-c", "x"], description="d", folder="/l", data=None)
    assert "StandardInput" not in unit and unit["CollectMode"] == b"inactive-or-failed"
