# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test may ask for: hosts (`lab`, `boot`), and the rules about skipping.

Everything under tests/e2e carries the mark `e2e` and needs root. `@pytest.mark.needs("tshark")` names
programs a test cannot do without; missing, it is skipped with the reason. With CI=true a skip is an error,
because there every peer is installed and a silent skip would look like a pass.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hosts import inside
from hosts.bos import BosHost
from hosts.lab import Lab
from hosts.machine import SystemdHost

TESTS = Path(__file__).resolve().parent
# machines that test are slow and busy: an example may take as long as it takes
settings.register_profile("pydaemons", deadline=None)
settings.load_profile("pydaemons")

IN_CI = os.environ.get("CI", "").lower() in ("true", "1")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): skipped where one of them is not installed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if TESTS / "e2e" in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@functools.cache
def namespaces_allowed() -> bool:
    """Root of an unprivileged container may not; found out once."""
    trial = subprocess.run(
        ["unshare", "-m", "-n", "-p", "-f", "true"], capture_output=True, timeout=60, check=False
    )
    return trial.returncode == 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("e2e") and os.geteuid() != 0:
        pytest.skip("needs root: hosts are made of namespaces")
    if item.get_closest_marker("e2e") and not namespaces_allowed():
        pytest.skip("namespaces cannot be made here: a container without CAP_SYS_ADMIN?")
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program, path=f"{os.environ.get('PATH', '')}:{inside.PATH}") is None:
                pytest.skip(f"{program} is not installed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    _no_silent_skip(outcome.get_result(), item.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    outcome: Any = yield
    _no_silent_skip(outcome.get_result(), collector.nodeid)


def _no_silent_skip(report: Any, name: str) -> None:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{name}: a skip is an error with CI=true: {reason}"


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    """make_lab(n) → a Lab of n hosts (lab.h1 …), gone after the test."""
    labs: list[Lab] = []

    def make(n: int = 2, **options: Any) -> Lab:
        labs.append(Lab(n, **options))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """Two hosts on a bridge."""
    return make_lab(2)


@pytest.fixture
def boot() -> Iterator[Callable[..., SystemdHost]]:
    """boot(**options) → a SystemdHost with a network of its own, gone after the test."""
    machines: list[SystemdHost] = []

    def make(**options: Any) -> SystemdHost:
        machines.append(SystemdHost(**options))
        return machines[-1]

    yield make
    for machine in machines:
        machine.close()


@pytest.fixture(scope="module")
def bos_machine() -> Iterator[BosHost]:
    """A machine with pybosd installed, for all tests of a file."""
    with SystemdHost(limit=300.0) as machine:
        yield BosHost(machine)


@pytest.fixture
def bos(bos_machine: BosHost) -> BosHost:
    """The same with pybosd running, as new."""
    bos_machine.begin()
    return bos_machine
