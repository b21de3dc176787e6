# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls as bytes, with sd-bus as the judge: what it makes of the same arguments is what we make."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pystemd.dbuslib import DBusAddress, apply_signature

from fakes.dbuspeer import DBusPeer, take_apart
from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.model import Restart, Signal
from pydaemons.bosd.marshal import method_call, pack
from pydaemons.bosd.properties import SIGNATURES, of_errand, of_process, start_transient_unit

WHERE = {"destination": b"a.b", "path": b"/c/d", "interface": b"e.f"}


class SdBus:
    """Calls made by sd-bus, as they came to the other end."""

    def __init__(self, path):
        self._peer = DBusPeer(path, lambda call: b"")
        self._bus = DBusAddress(b"unix:path=" + path.encode(), True)
        self._bus.open()

    def made_of(self, member, arguments):
        self._bus.call_method(*WHERE.values(), member, arguments)
        return self._peer.calls[-1]

    def close(self):
        self._bus.close()
        self._peer.end()


@pytest.fixture(scope="module")
def sd_bus(tmp_path_factory):
    made = SdBus(str(tmp_path_factory.mktemp("bus") / "socket"))
    yield made
    made.close()


def as_it_comes(message):
    """A message as the other end sees it."""
    call, rest = take_apart(message)
    assert rest == b""
    return call


def arguments_of_a_process():
    effect = StartUnit("bos-x.service", "x", ("/bin/ä", "-n", ""), Restart.ALWAYS, Signal.TERM, 60, 12, 30)
    return start_transient_unit(effect.unit, of_process(effect, folder="/log", bar="/run/stop/x"))


def arguments_of_an_errand():
    errand = of_errand(["/bin/n"], description="d", folder="/log", data=b"\0\xff", environment=["A=B", "C="])
    return start_transient_unit("n.service", errand)


@pytest.mark.parametrize("made", [arguments_of_a_process, arguments_of_an_errand, list])
def test_a_call_is_the_one_that_sd_bus_makes(sd_bus, made):
    theirs = sd_bus.made_of(b"Start", made())
    ours = as_it_comes(method_call(7, **WHERE, member=b"Start", arguments=made()))
    assert ours == replace(theirs, serial=7)


def test_a_silent_call_says_that_no_answer_is_wanted():
    assert as_it_comes(method_call(1, **WHERE, member=b"m", arguments=[], silent=True)).flags == 1


texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=20)
texts = texts.map(str.encode)
numbers = {
    b"y": st.integers(0, 255),
    b"b": st.booleans(),
    b"i": st.integers(-(2**31), 2**31 - 1),
    b"u": st.integers(0, 2**32 - 1),
    b"x": st.integers(-(2**63), 2**63 - 1),
    b"t": st.integers(0, 2**64 - 1),
}
values = {
    **numbers,
    b"s": texts,
    b"as": st.lists(texts, max_size=3),
    b"ay": st.lists(numbers[b"y"], max_size=9),
    b"at": st.lists(numbers[b"t"], max_size=3),
    b"a(sbbs)": st.lists(st.tuples(texts, numbers[b"b"], numbers[b"b"], texts), max_size=3),
    b"a(sasas)": st.lists(
        st.tuples(texts, st.lists(texts, max_size=3), st.lists(texts, max_size=2)), max_size=3
    ),
}
pairs = st.sampled_from(sorted(values)).flatmap(lambda kind: st.tuples(st.just(kind), values[kind]))


@given(given_=st.lists(pairs, max_size=8))
def test_whatever_the_values_the_bytes_are_those_of_sd_bus(sd_bus, given_):
    arguments = [part for kind, value in given_ for part in apply_signature(kind, [value])]
    theirs = sd_bus.made_of(b"m", arguments)
    signature, body = pack(arguments)
    assert (signature, bytes(body)) == (theirs.fields.get(8, b""), theirs.body)


def test_every_type_that_properties_have_is_tried_above():
    assert set(SIGNATURES.values()) <= set(values)
