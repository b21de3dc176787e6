# SPDX-License-Identifier: GPL-3.0-or-later
"""The real bos over a bad network: a tenth of the datagrams is lost, a tenth comes twice, a tenth late."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hosts.bosplace import Place, open_place

pytestmark = [pytest.mark.needs("bos")]

WORDS = [
    "status n7 n8 n9 -long", "adduser %s", "listusers",
    "addhost %s.example.org", "listhosts", "setrestart never -general", "getrestart", "getrestricted",
    "getdate big", "exec true", "prune -old", "listkeys", "getlog BosLog", "start n0", "shutdown n1 -wait",
]  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with open_place(20) as found:
        yield found


def life(place: Place, name: str) -> None:
    """Of a bnode, from create to delete."""
    words = ("create", "localhost", name, "simple", "/bin/sleep 1000")
    assert place.client.run("bos", *words, "-noauth", timeout=100).returncode == 0
    place.ours.wait_status(name, 1)
    for line in (f"restart {name}", f"stop {name} -wait", f"delete {name}"):
        place.bos(line, host="localhost")
    assert name not in place.ours.status()


def test_everything_goes_on_only_slower(place: Place) -> None:
    """All at once: much of the time bos waits, as long as it is used to."""
    with ThreadPoolExecutor(32) as pool:
        jobs = [pool.submit(place.install, "localhost"), pool.submit(place.get_log, "localhost")]
        jobs += [pool.submit(life, place, "alive")]
        jobs += [
            pool.submit(place.bos, line % f"x{number}" if "%s" in line else line, host="localhost")
            for number, line in enumerate(WORDS)
        ]
        for job in jobs:
            job.result()
    boslog = place.ours.boslog()
    for verb in ("Create", "Delete", "Restart", "AddUser", "AddHost"):
        assert boslog.count(f"is executing {verb}\n") == 1, f"{verb} is executed once"
    assert boslog.count("alive started pid") == 2
    assert place.ours.bos("listusers").stdout == "SUsers are: x1 \n"
