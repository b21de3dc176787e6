# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd and the real bos over a network: much at once, garbage, and who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hosts import rx
from hosts.bosplace import HERE, Place, open_place
from hosts.waiting import wait_for

pytestmark = [pytest.mark.needs("bos", "rxdebug")]

MANY = 500
GARBAGE = 100_000
ALLOWANCE = 3
"""What a call may send to an address that is not proved, in terms of what came from it."""


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with open_place(MANY) as found:
        yield found


def test_the_status_of_500_bnodes(place: Place) -> None:
    said = place.bos("status")
    assert said.splitlines() == [f"Instance n{n}, disabled, currently shutdown." for n in range(MANY)]
    assert place.bos("status -long").count("Command 1 is '/bin/sleep ") == MANY


def test_a_log_of_a_megabyte_arrives_whole(place: Place) -> None:
    place.get_log("h1")


def test_a_file_of_a_megabyte_is_installed_whole(place: Place) -> None:
    place.install("h1")


def test_an_unknown_command_number_is_refused(place: Place) -> None:
    with (
        rx.Client(place.lab.h1.network, place.lab.h1.address) as client,
        pytest.raises(rx.Aborted) as refused,
    ):
        client.call(4711)
    assert refused.value.code == -455


def test_rxdebug_gets_an_answer(place: Place) -> None:
    said = place.client.run("rxdebug", "h1", "7007", "-version", timeout=30)
    assert said.returncode == 0 and "AFS version:" in said.stdout


def test_a_killed_pybosd_is_back_for_the_next_call(place: Place) -> None:
    before = place.ours.pid
    place.ours.kill(before)
    assert place.bos("status n3") == "Instance n3, disabled, currently shutdown.\n"
    assert place.ours.pid not in (0, before)


def memory(place: Place) -> int:
    status = place.ours.host.run("cat", f"/proc/{place.ours.pid}/status", check=True).stdout
    return int(status.partition("VmRSS:")[2].split()[0])


def send_garbage(place: Place, number: int, seed: int) -> dict[str, int]:
    place.client.copy_in(HERE / "rxgarbage.py", "/root/rxgarbage.py")
    words = ("/root/rxgarbage.py", f"{place.lab.h1.address}:7007", str(number), str(seed))
    done = place.client.run("/usr/bin/python3", *words, check=True, timeout=100)
    found: dict[str, int] = json.loads(done.stdout)
    assert found["sent"] == number and found["back"] > number / 20, found
    assert found["back_bytes"] <= ALLOWANCE * found["sent_bytes"], found
    return found


def unharmed(place: Place, pid: int) -> None:
    assert place.ours.pid == pid
    assert place.bos("status n3") == "Instance n3, disabled, currently shutdown.\n"
    assert "bug, please report" not in place.ours.host.journal("pybosd")


def test_garbage_that_may_do_anything_makes_no_crash_no_growth_and_no_traffic(place: Place) -> None:
    before, pid = memory(place), place.ours.pid
    send_garbage(place, GARBAGE // 4, 1)  # some of it asks for a log of a megabyte and goes away
    assert memory(place) - before < 16_384, (before, memory(place))
    unharmed(place, pid)


def test_without_noauth_bos_may_look_and_change_nothing(place: Place) -> None:
    place.ours.open_rx("0.0.0.0:7007", noauth=False)
    place.ours.host.systemctl("restart", "pybosd")
    assert place.bos("status n3") == "Instance n3, disabled, currently shutdown.\n"
    done = place.client.run("bos", "start", "h1", "n3", "-noauth")
    assert done.returncode == 6
    assert done.stderr == "bos: failed to start instance 'n3' (you are not authorized for this operation)\n"
    assert place.ours.status("n3")["n3"]["goal"] == 0


def test_garbage_makes_no_crash_no_growth_and_no_traffic(place: Place) -> None:
    send_garbage(place, GARBAGE // 2, 2)  # fills what there is a limit for
    before, pid = memory(place), place.ours.pid
    send_garbage(place, GARBAGE, 3)
    assert memory(place) - before < 2048, (before, memory(place))
    unharmed(place, pid)


def test_without_the_socket_nobody_listens(place: Place) -> None:
    place.ours.host.systemctl("disable", "--now", "pybosd-rx.socket")
    place.ours.host.systemctl("restart", "pybosd")
    wait_for(lambda: ":7007" not in place.ours.host.run("ss", "-lunH").stdout, what="the port to be closed")
    assert place.ours.do("status", "n3") == "Instance n3, disabled, currently shutdown.\n"
