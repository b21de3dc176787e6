# SPDX-License-Identifier: GPL-3.0-or-later
"""State files of the status monitor, and what their content means at start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.effects import Log, Persist
from pydaemons.nsm.store import Beginning, Host, StoreError, begin, canonical, next_state
from pydaemons.nsm.types import Caller

privates = st.binary(min_size=16, max_size=16)
numbers = st.integers(0, 2**32 - 1)
hosts = st.builds(
    Host,
    address=st.ip_addresses().map(str).map(canonical),
    name=st.binary(max_size=40),
    locals=st.lists(st.ip_addresses().map(str).map(canonical), max_size=3),
    state=st.integers(-(2**31), 2**31 - 1),
    told=st.integers(0, 2**31 - 1),
    private=privates,
    alias=st.binary(max_size=20),
    ours=st.booleans(),
    callers=st.dictionaries(
        st.builds(Caller, st.binary(max_size=20), numbers, numbers, numbers), privates, max_size=3
    ),
)
CLIENT = Host("10.0.0.2", b"client", ["10.0.0.1"], 7, 5)


def files(*monitored: Host, untold: tuple[Host, ...] = (), state: bytes | None = b"5\n") -> dict[str, bytes]:
    found = {f"sm/{host.address}": host.format() for host in monitored}
    found |= {f"sm.bak/{host.address}": host.format() for host in untold}
    return found if state is None else found | {"state": state}


def apply(content: dict[str, bytes], effects) -> dict[str, bytes]:
    """The state folder after the effects."""
    content = dict(content)
    for effect in effects:
        if isinstance(effect, Persist):
            if effect.data is None:
                content.pop(effect.name, None)
            else:
                content[effect.name] = effect.data
    return content


@given(hosts)
def test_a_host_comes_back_from_its_file(host):
    assert Host.parse(host.format()) == host


@given(hosts, st.data())
def test_a_torn_file_is_never_taken_for_a_host(host, data):
    whole = host.format()
    with pytest.raises(StoreError):
        Host.parse(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=200))
def test_garbage_is_never_taken_for_a_host(data):
    with pytest.raises(StoreError):
        Host.parse(data)


@pytest.mark.parametrize(
    "line", [b"state x", b"private 00", b"mystery 1", b"address nowhere", b"caller 1 2", rb"name \x"]
)
def test_a_line_that_makes_no_sense_spoils_the_file(line):
    with pytest.raises(StoreError):
        Host.parse(CLIENT.format().replace(b"end\n", line + b"\nend\n"))


def test_mapped_addresses_are_ipv4_addresses():
    assert canonical("::ffff:192.0.2.1") == "192.0.2.1"
    assert canonical("2001:DB8:0::1") == "2001:db8::1"
    assert canonical("fe80::1%eth0") == "fe80::1%eth0"


def test_the_first_start_ever_is_fresh_with_an_odd_number():
    start = begin({}, locks_kept=False)
    assert (start.beginning, start.state, start.needs_grace) == (Beginning.FRESH, 1, False)
    assert start.effects == [Persist("state", b"1\n")]


def test_nobody_monitored_needs_no_new_number_and_no_grace():
    start = begin(files(), locks_kept=False)
    assert (start.beginning, start.state, start.effects) == (Beginning.FRESH, 5, [])


def test_with_all_locks_kept_nobody_is_told_and_the_number_stays():
    start = begin(files(CLIENT), locks_kept=True)
    assert (start.beginning, start.state, start.needs_grace) == (Beginning.KEPT, 5, False)
    assert start.monitored == {"10.0.0.2": CLIENT}
    assert not start.untold and not start.effects


def test_lost_locks_raise_the_number_by_two_and_move_everybody_to_those_to_be_told():
    content = files(CLIENT)
    start = begin(content, locks_kept=False)
    assert (start.beginning, start.state, start.needs_grace) == (Beginning.LOST, 7, True)
    assert start.untold == {"10.0.0.2": CLIENT} and not start.monitored
    after = apply(content, start.effects)
    assert after == files(untold=(CLIENT,), state=b"7\n")


def test_the_number_goes_on_from_what_another_monitor_told_the_clients():
    host = Host("10.0.0.2", b"client", ["10.0.0.1"], 7, told=41)
    assert begin(files(host), locks_kept=False).state == 43


@pytest.mark.parametrize("first", [0, 1000, 1001])
def test_the_first_number_ever_is_odd_and_the_callers_choice(first):
    start = begin({}, locks_kept=False, first=first)
    assert (start.beginning, start.state) == (Beginning.FRESH, first | 1)
    again = begin(apply({}, start.effects), locks_kept=False, first=5)
    assert again.state == first | 1


def test_those_still_untold_are_told_after_the_next_loss_too():
    other = Host("10.0.0.3")
    content = files(CLIENT, untold=(other,))
    start = begin(content, locks_kept=False)
    assert set(start.untold) == {"10.0.0.2", "10.0.0.3"}
    assert apply(content, start.effects) == files(untold=(CLIENT, other), state=b"7\n")


def test_those_still_untold_stay_so_while_locks_are_kept():
    start = begin(files(untold=(CLIENT,)), locks_kept=True)
    assert (start.beginning, start.state, set(start.untold)) == (Beginning.KEPT, 5, {"10.0.0.2"})


def test_a_start_cut_off_in_the_middle_loses_nobody():
    content = files(CLIENT, Host("10.0.0.3"))
    effects = begin(content, locks_kept=False).effects
    for count in range(len(effects) + 1):
        again = begin(apply(content, effects[:count]), locks_kept=False)
        assert set(again.untold) == {"10.0.0.2", "10.0.0.3"}
        assert again.state in (7, 9)


def test_an_even_number_becomes_odd():
    assert begin(files(state=b"6\n"), locks_kept=False).state == 7
    assert begin(files(CLIENT, state=b"6\n"), locks_kept=False).state == 9


def test_where_another_program_notifies_the_list_and_the_number_are_left_alone():
    start = begin(files(CLIENT), locks_kept=False, we_notify=False)
    assert (start.needs_grace, start.state, set(start.monitored), start.effects) == (
        True,
        5,
        {"10.0.0.2"},
        [],
    )


def test_a_torn_file_is_set_aside_and_its_host_told_by_the_files_name():
    content = files() | {"sm/10.0.0.2": CLIENT.format()[:30]}
    start = begin(content, locks_kept=False)
    assert start.needs_grace and set(start.untold) == {"10.0.0.2"}
    after = apply(content, start.effects)
    assert after["damaged/sm-10.0.0.2"] == CLIENT.format()[:30]
    (log,) = [effect for effect in start.effects if isinstance(effect, Log)]
    assert "sm/10.0.0.2" in log.message and "damaged/" in log.message


def test_a_file_about_another_host_than_its_name_says_is_damaged():
    start = begin({"state": b"5\n", "sm/10.0.0.9": CLIENT.format()}, locks_kept=False)
    assert set(start.untold) == {"10.0.0.9"}


def test_a_file_of_no_address_at_all_is_set_aside_and_somebody_may_need_grace():
    content = {"state": b"5\n", "sm/notes.txt": b"hello"}
    start = begin(content, locks_kept=False)
    assert start.needs_grace and not start.untold
    assert set(apply(content, start.effects)) == {"state", "damaged/sm-notes.txt"}


@pytest.mark.parametrize("text", [b"", b"x", b"-3\n", b"99999999999\n", b"\xff"])
def test_a_damaged_number_goes_on_from_what_clients_were_told(text):
    start = begin(files(Host("10.0.0.2", told=41), state=text), locks_kept=True)
    assert start.state == 43 and start.needs_grace, "without the number nothing is believed kept"


@pytest.mark.parametrize(("state", "following"), [(1, 3), (2, 5), (2**31 - 3, 2**31 - 1), (2**31 - 1, 1)])
def test_numbers_stay_odd_and_positive(state, following):
    assert next_state(state) == following


@given(
    st.dictionaries(
        st.sampled_from(["state", "sm/10.0.0.2", "sm/x", "sm.bak/::1", "other/file", "sm", "sm/a/b"]),
        st.binary(max_size=40) | st.just(CLIENT.format()),
    ),
    st.booleans(),
)
def test_no_content_makes_a_start_fail(content, kept):
    start = begin(content, locks_kept=kept)
    assert start.state % 2 == 1
    again = begin(apply(content, start.effects), locks_kept=True)
    assert set(again.untold) == set(start.untold)
    assert not [effect for effect in again.effects if isinstance(effect, Log)], "damage is said once"
