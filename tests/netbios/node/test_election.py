# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.browsing import Net, frames, masters, place, station
from pydaemons.engine.protocol import Now
from pydaemons.netbios.browse import Election
from pydaemons.netbios.node.election import (
    BURST,
    IGNORED_FOR,
    INTERVAL,
    NEXT,
    NOBODY,
    REFILL,
    SENDS,
    STRIKES,
    Candidacy,
    Event,
    Standing,
    State,
    criterion,
)

ME = Standing(1, 0x14010F02, 100_000, b"ME")
SOON = (1.0, 1.0)
BETTER = ME._replace(criterion=0x41010F02, name=b"BETTER").frame()
WORSE = ME._replace(criterion=0x01010F02, name=b"WORSE").frame()


class Bench:
    """One candidate and what became of it."""

    def __init__(self) -> None:
        self.sent: list[Election] = []
        self.won = 0
        self.candidacy = Candidacy(
            entropy=random.Random(1), standing=lambda now: ME, send=self.sent.append, won=self._won
        )

    def _won(self, now: Now) -> None:
        self.won += 1

    def run(self, start: float, end: float) -> None:
        while (at := self.candidacy.deadline()) is not None and at <= end:
            self.candidacy.tick(Now(max(at, start), 0.0))


def test_every_state_knows_every_event():
    assert set(NEXT) == {(state, event) for state in State for event in Event}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (ME._replace(version=2), ME._replace(criterion=0xFFFFFFFF)),
        (ME._replace(criterion=0x15010F02), ME._replace(uptime_ms=0xFFFFFFFF)),
        (ME._replace(criterion=0x14010F0A), ME),
        (ME._replace(criterion=0x14010F82), ME._replace(criterion=0x14010F0A)),
        (ME._replace(uptime_ms=200_000), ME._replace(name=b"A")),
        (ME._replace(name=b"A"), ME._replace(name=b"B")),
        (ME._replace(name=b"A", uptime_ms=100_000), ME._replace(name=b"B", uptime_ms=100_900)),
    ],
    ids=["version", "level", "preferred", "domain master", "uptime", "name", "as good as the same uptime"],
)
def test_the_whole_criterion_decides_in_its_order(better, worse):
    assert better.beats(worse)
    assert not worse.beats(better)


def test_anybody_beats_nobody():
    assert ME._replace(criterion=0, uptime_ms=0).beats(Standing.of(NOBODY))


def test_criteria_are_those_seen_on_the_wire():
    assert criterion(65, preferred=True, domain_master=False) == 0x41010F0A
    assert criterion(20, preferred=False, domain_master=False) == 0x14010F02
    assert criterion(255, preferred=True, domain_master=True) == 0xFF010F8A


def test_four_frames_nobody_contests_win():
    bench = Bench()
    bench.candidacy.call(SOON, Now(0.0, 0.0))
    bench.run(0.0, 1.0 + INTERVAL * (SENDS - 0.5))
    assert (len(bench.sent), bench.won) == (SENDS, 0)
    bench.run(0.0, 100.0)
    assert (len(bench.sent), bench.won) == (SENDS, 1)
    assert bench.candidacy.state is State.QUIET


def test_a_better_frame_silences_and_a_worse_one_is_answered():
    bench = Bench()
    assert not bench.candidacy.hear(WORSE, "10.0.0.2", SOON, Now(0.0, 0.0))
    assert bench.candidacy.state is State.PENDING
    bench.run(0.0, 2.5)
    assert len(bench.sent) == 2
    assert bench.candidacy.hear(BETTER, "10.0.0.3", SOON, Now(2.6, 0.0))
    bench.run(2.6, 1000.0)
    assert (len(bench.sent), bench.won) == (2, 0)


def test_who_was_beaten_leaves_worse_ones_to_the_better():
    bench = Bench()
    bench.candidacy.hear(BETTER, "10.0.0.3", SOON, Now(0.0, 0.0))
    bench.candidacy.hear(WORSE, "10.0.0.2", SOON, Now(1.0, 0.0))
    bench.run(0.0, 100.0)
    assert bench.sent == []


def test_a_storm_of_elections_is_damped():
    bench = Bench()
    for tenth in range(36_000):
        now = tenth / 10
        bench.candidacy.hear(WORSE, f"10.0.{tenth % 256}.2", SOON, Now(now, 0.0))
        bench.run(now, now)
    assert bench.candidacy.held <= BURST + 3600 / REFILL + 1
    assert len(bench.sent) <= SENDS * bench.candidacy.held
    assert bench.candidacy.ignored > 25_000


def test_who_wins_without_taking_office_is_ignored_for_a_while():
    bench = Bench()
    for number in range(STRIKES):
        assert bench.candidacy.hear(BETTER, "10.0.0.66", SOON, Now(60.0 * number, 0.0))
        offender = bench.candidacy.nobody_took_office(Now(60.0 * number + 20, 0.0))
    assert offender == "10.0.0.66"
    assert not bench.candidacy.hear(BETTER, "10.0.0.66", SOON, Now(300.0, 0.0))
    assert bench.candidacy.hear(BETTER, "10.0.0.7", SOON, Now(301.0, 0.0))
    assert bench.candidacy.hear(BETTER, "10.0.0.66", SOON, Now(300.0 + IGNORED_FOR, 0.0))


def test_who_takes_office_is_forgiven():
    bench = Bench()
    for number in range(3 * STRIKES):
        now = Now(60.0 * number, 0.0)
        assert bench.candidacy.hear(BETTER, "10.0.0.3", SOON, now)
        if number % 2:
            bench.candidacy.took_office()
        else:
            assert bench.candidacy.nobody_took_office(now) is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(st.sampled_from((0, 20, 20, 33, 65)), st.booleans(), st.floats(0, 3)),
        min_size=2,
        max_size=20,
    ),
    st.sampled_from((0.0, 0.1, 0.2)),
    st.sampled_from((0.0, 0.2)),
    st.sampled_from((0.0, 0.05, 0.3)),
)
def test_in_the_end_there_is_exactly_one_master_whom_all_know(seed, hosts, loss, twice, jitter):
    net = Net(seed, loss=loss, twice=twice, jitter=jitter)
    for number, (level, preferred, pause) in enumerate(hosts):
        station(net, f"H{number}", f"10.0.0.{number + 1}", level=level, preferred_master=preferred)
        net.run(pause)
    net.run(120)
    net.loss = 0.0
    net.run(60)
    (master,) = masters(net)
    name = master.node.settings.netbios_name
    assert [place(each).master for each in net.stations] == [name] * len(hosts)
    assert len(frames(net, Election)) <= 10 * len(hosts)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_twenty_wins_on_a_good_network(seed):
    net = Net(seed, jitter=0.05)
    best = random.Random(seed).randrange(20)
    for number in range(20):
        station(net, f"H{number:02}", f"10.0.0.{number + 1}", level=33 if number == best else 20)
    net.run(60)
    (master,) = masters(net)
    assert master.node.settings.netbios_name == f"H{best:02}"
    assert len(frames(net, Election)) < 60
