# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest

import pydaemons
from fakes.shell import ScriptedEngine, run_shell
from pydaemons.engine.effects import Level
from pydaemons.kit.common import COMMON, Reloaded, interfaces
from pydaemons.kit.daemon import Daemon
from pydaemons.kit.varlink import Caller, ControlError, Interface, Method

ROOT = Caller(pid=1, uid=0, gid=0, own_uid=0)
OWN = Interface("org.pydaemons.sample", [Method("Own", lambda parameters, caller: {})])


class Sample(Daemon):
    name = "sample"
    summary = "A sample."

    def compose(self, shell):
        return ScriptedEngine()

    async def start(self, driver): ...

    def interfaces(self):
        return [OWN]

    def status(self):
        return "fine"


def call(driver, method, parameters=None, interface=COMMON, reload=list):
    """Call a method as the control socket does."""
    served = {each.name: each for each in interfaces(Sample(), driver, reload)}
    served[interface].check(method, parameters or {})
    return served[interface].methods[method].call(parameters or {}, ROOT)


def with_driver(scenario):
    async def live(driver, engine):
        scenario(driver)

    run_shell(live)


def test_a_daemon_says_who_it_is():
    def scenario(driver):
        assert call(driver, "Describe") == {
            "name": "sample",
            "version": pydaemons.__version__,
            "pid": os.getpid(),
            "status": "fine",
        }
        info = call(driver, "GetInfo", interface="org.varlink.service")
        assert info["product"] == "sample"
        assert info["interfaces"] == [COMMON, OWN.name, "org.varlink.service"]

    with_driver(scenario)


def test_the_counts_are_those_of_the_shell():
    def scenario(driver):
        driver.counts["datagrams in"] += 3
        assert call(driver, "Counts") == {"counts": {"datagrams in": 3}}

    with_driver(scenario)


def test_a_reload_answers_with_what_was_wrong():
    def scenario(driver):
        reloaded = Reloaded(usable=False, problems=["a.conf:1: bad"])
        answer = call(driver, "Reload", reload=lambda: reloaded)
        assert answer == {"usable": False, "problems": ["a.conf:1: bad"]}

    with_driver(scenario)


def test_the_log_says_more_or_less_on_demand():
    def scenario(driver):
        call(driver, "SetDebug", {"debug": False})
        assert driver.log.level == Level.INFO
        call(driver, "SetDebug", {"debug": True})
        assert driver.log.level == Level.DEBUG
        with pytest.raises(ControlError, match="InvalidParameter"):
            call(driver, "SetDebug", {"debug": 1})

    with_driver(scenario)


def test_what_changes_the_daemon_needs_trust():
    def scenario(driver):
        common = next(each for each in interfaces(Sample(), driver, list) if each.name == COMMON)
        trusted = {name for name, method in common.methods.items() if method.trusted}
        assert trusted == {"Reload", "SetDebug"}

    with_driver(scenario)
