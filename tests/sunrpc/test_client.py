# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of our own over a network that loses, repeats, delays and misdirects, in virtual time."""

from __future__ import annotations

import heapq
import random
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.effects import Send, SendFailed
from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.sunrpc import client as client_module
from pydaemons.sunrpc import lookup
from pydaemons.sunrpc.client import (
    Refused,
    RpcClient,
    Success,
    Target,
    TimedOut,
    Unreachable,
    growing,
)
from pydaemons.sunrpc.message import SUCCESS, AcceptStat, accepted, prog_mismatch, unpack_call
from pydaemons.sunrpc.rpcbind import PORTMAP, RPCB

CLIENT, SERVER, OTHER = "10.0.0.1", "10.0.0.2", "10.0.0.3"
NLM = 100021
TENS = growing(10.0)


class Host:
    """A peer: one program at one port, and an rpcbind of some versions."""

    def __init__(
        self, host: str = SERVER, port: int | None = 4045, versions: tuple[int, ...] = (2, 3, 4)
    ) -> None:
        self.host = host
        self.port = port
        self.versions = versions
        self.up = True
        self.refuses = False
        self.tells = True
        """It says so when nothing is at a port."""
        self.replies_from = host
        self.answer = SUCCESS + b"done"
        self.calls: list[tuple[float, Send]] = []
        self.asked: list[tuple[Transport, int]] = []

    def receive(self, send: Send, mono: float) -> bytes | None:
        header = unpack_call(send.data)
        xid = send.data[:4]
        if send.to.port == 111:
            self.asked.append((send.transport, header.version))
            if header.version not in self.versions:
                return xid + prog_mismatch(min(self.versions), max(self.versions))
            port = self.port or 0
            if header.version == PORTMAP:
                return xid + SUCCESS + port.to_bytes(4, "big")
            row = RPCB.unpack(send.data, header.args_at)
            assert row.netid.endswith(b"6") == (":" in self.host)
            text = f"{self.host}.{port >> 8}.{port & 255}".encode() if port else b""
            return xid + SUCCESS + len(text).to_bytes(4, "big") + text + bytes(-len(text) & 3)
        if send.to.port != self.port:
            return None
        self.calls.append((mono, send))
        return xid + self.answer


class Network:
    """Carries what a client sends to hosts and back, 10 ms each way."""

    def __init__(
        self, *hosts: Host, seed: int = 1, loss: float = 0.0, copies: float = 0.0, delay: float = 0.01
    ) -> None:
        self.client = RpcClient(random.Random(seed), machine_name=b"server")
        self.hosts = {host.host: host for host in hosts}
        self.dice = random.Random(seed)
        self.loss, self.copies, self.delay = loss, copies, delay
        self.mono = 0.0
        self.sent: list[tuple[float, Send]] = []
        self.outcomes: list[tuple[float, object]] = []
        self._queue: list[tuple[float, int, object]] = []
        self._order = count()

    @property
    def now(self) -> Now:
        return Now(self.mono, 0.0)

    def call(self, *, schedule=TENS, done=None, **target) -> object:
        return self.client.call(
            self.target(**target), 5, b"args", schedule=schedule, now=self.now, done=done or self.done
        )

    def target(self, host=SERVER, transport=Transport.UDP, **rest) -> Target:
        return Target(host, NLM, 4, transport, **rest)

    def done(self, outcome, now):
        self.outcomes.append((now.mono, outcome))

    def run(self, until: float = 1000.0) -> None:
        """Carry packets and time until nothing is left to do or `until`."""
        for _ in range(100_000):
            for effect in self.client.drain():
                self._carry(effect)
            at = self.client.deadline()
            if self._queue and (at is None or self._queue[0][0] <= at):
                if self._queue[0][0] > until:
                    break
                self.mono, _, event = heapq.heappop(self._queue)
                self._deliver(event)
            elif at is None or at > until:
                break
            else:
                self.mono = max(self.mono, at)
                self.client.tick(self.now)
        else:
            raise AssertionError("it never ends")
        self.mono = max(self.mono, until) if until < 1000.0 else self.mono

    def _carry(self, send: Send) -> None:
        self.sent.append((self.mono, send))
        for _ in range(2 if self.dice.random() < self.copies else 1):
            if self.dice.random() >= self.loss:
                self._put(send)

    def _put(self, event: object) -> None:
        heapq.heappush(self._queue, (self.mono + self.delay, next(self._order), event))

    def _deliver(self, event: object) -> None:
        match event:
            case Send():
                host = self.hosts.get(event.to.host)
                if host is None or not host.up:
                    return
                if host.refuses or (event.to.port not in (111, host.port)):
                    if host.tells:
                        self._put(SendFailed(event.to, event.transport, "connection refused"))
                    return
                reply = host.receive(event, self.mono)
                if reply is not None:
                    origin = Origin(
                        event.transport, Address(host.replies_from, event.to.port), Address(CLIENT, 999)
                    )
                    for _ in range(2 if self.dice.random() < self.copies else 1):
                        if self.dice.random() >= self.loss:
                            self._put((reply, origin))
            case SendFailed():
                self.client.send_failed(event, self.now)
            case (data, origin):
                self.client.receive_reply(data, origin, self.now)


def times_to_program(network: Network) -> list[float]:
    return [at for at, send in network.sent if send.to.port != 111]


def test_a_call_is_answered_at_the_port_rpcbind_names():
    network = Network(host := Host())
    network.call()
    network.run()
    assert network.outcomes == [(pytest.approx(0.04), Success(b"done"))]
    assert host.asked == [(Transport.UDP, 2)]


def test_the_second_call_needs_no_rpcbind():
    network = Network(host := Host())
    network.call()
    network.run()
    network.call()
    network.run()
    assert [outcome for _, outcome in network.outcomes] == [Success(b"done")] * 2
    assert len(host.asked) == 1


def test_fifty_first_calls_ask_rpcbind_once():
    network = Network(host := Host())
    for _ in range(50):
        network.call()
    network.run()
    assert len(network.outcomes) == 50
    assert len(host.asked) == 1


def test_ports_are_kept_per_program_version_and_transport():
    network = Network(host := Host())
    network.call()
    network.call(transport=Transport.TCP)
    network.run()
    assert len(host.asked) == 2
    assert {send.transport for _, send in host.calls} == {Transport.UDP, Transport.TCP}


def test_a_port_prepared_is_not_asked_for_again():
    network = Network(host := Host())
    network.client.prepare(network.target(), network.now)
    network.run()
    assert len(host.asked) == 1 and not host.calls
    network.call()
    network.run()
    assert len(host.asked) == 1 and len(host.calls) == 1


@pytest.mark.parametrize("first", [3.0, 10.0])
def test_the_gaps_between_retransmissions_grow_from_the_first_timeout_to_six_times_it(first):
    network = Network(Host())
    network.hosts[SERVER].up = False
    network.call(port=4045, schedule=growing(first))
    network.run()
    at = times_to_program(network)
    assert [b - a for a, b in pairwise(at)] == [first * n for n in (1, 2, 3, 4, 5)]
    assert network.outcomes == [(21 * first, TimedOut())]


def test_the_gaps_are_the_same_while_rpcbind_is_asked_again():
    network = Network(host := Host())
    network.call()
    network.run()
    host.up = False
    network.sent.clear()
    start = network.mono
    network.call(schedule=growing(3.0))
    network.run()
    assert [at - start for at in times_to_program(network)] == pytest.approx([0, 3, 9, 18, 30, 45])


def test_retransmissions_are_the_same_bytes():
    network = Network()
    network.call(port=4045)
    network.run()
    assert len({send.data for _, send in network.sent}) == 1


def test_a_reply_from_another_host_is_not_believed():
    network = Network(host := Host())
    host.replies_from = OTHER
    network.call(port=4045, schedule=(1.0,))
    network.run()
    assert network.outcomes == [(1.0, TimedOut())]
    assert network.client.counts["replies nobody waited for"] == 1


def test_a_late_reply_to_an_earlier_sending_counts():
    network = Network(Host(), delay=7.0)
    network.call(port=4045, schedule=growing(3.0))
    network.run()
    assert network.outcomes == [(14.0, Success(b"done"))]


def test_a_reply_after_the_end_is_dropped():
    network = Network(Host(), delay=7.0)
    network.call(port=4045, schedule=(3.0,))
    network.run()
    assert network.outcomes == [(3.0, TimedOut())]


def test_a_server_that_moved_to_another_port_is_found_again():
    network = Network(host := Host())
    network.call()
    network.run()
    host.port = 5000
    network.call()
    network.run()
    at, outcome = network.outcomes[1]
    assert outcome == Success(b"done")
    assert at < 1.0, "the refusal of the old port is reason enough to ask again at once"


def test_a_silent_old_port_is_left_at_the_first_retransmission():
    network = Network(host := Host())
    network.call()
    network.run()
    client_silence = host.receive
    host.receive = lambda send, mono: None if send.to.port == 4045 else client_silence(send, mono)
    network.run(50.0)
    network.call(schedule=growing(3.0))
    network.run(52.0)
    host.port = 5000
    network.run()
    assert network.outcomes[1][1] == Success(b"done")
    assert network.outcomes[1][0] == pytest.approx(53.04, abs=0.05)


def test_a_port_that_another_program_took_is_asked_for_again():
    network = Network(host := Host())
    network.call()
    network.run()
    answers = iter([accepted(AcceptStat.PROG_UNAVAIL), SUCCESS + b"found"])
    original = host.receive

    def receive(send, mono):
        if send.to.port != 111:
            host.answer = next(answers)
            host.port = 5000
            return send.data[:4] + host.answer
        return original(send, mono)

    host.receive = receive
    network.call()
    network.run()
    assert network.outcomes[1][1] == Success(b"found")


@pytest.mark.parametrize("stat", [AcceptStat.PROC_UNAVAIL, AcceptStat.GARBAGE_ARGS, AcceptStat.SYSTEM_ERR])
def test_a_refusal_is_told_at_once(stat):
    network = Network(host := Host())
    host.answer = accepted(stat)
    network.call()
    network.run()
    assert network.outcomes == [(pytest.approx(0.04), Refused(stat.name))]


def test_a_program_that_is_not_registered_is_unreachable_after_the_schedule():
    network = Network(host := Host(port=None))
    network.call(schedule=growing(3.0))
    network.run()
    ((at, outcome),) = network.outcomes
    assert outcome == Unreachable("the program is not registered there")
    assert at == 63.0
    assert len(host.asked) == 6, "once per try"


def test_a_program_registered_meanwhile_is_found_by_the_next_try():
    network = Network(host := Host(port=None))
    network.call(schedule=growing(3.0))
    network.run(1.0)
    host.port = 4045
    network.run()
    assert network.outcomes == [(pytest.approx(3.04), Success(b"done"))]


def test_a_host_that_refuses_is_unreachable_with_the_reason():
    network = Network(host := Host())
    host.refuses = True
    network.call(port=4045, schedule=(1.0, 1.0))
    network.run()
    assert network.outcomes == [(2.0, Unreachable("connection refused"))]


def test_a_host_without_any_rpcbind_is_unreachable():
    network = Network(host := Host())
    host.up = False
    network.call(schedule=growing(3.0))
    network.run()
    assert network.outcomes == [(63.0, Unreachable("its rpcbind: no answer"))]


def test_versions_the_rpcbind_does_not_speak_are_passed_over():
    network = Network(host := Host(versions=(3,)))
    network.call()
    network.run()
    assert network.outcomes[0][1] == Success(b"done")
    assert host.asked == [(Transport.UDP, 2), (Transport.UDP, 4), (Transport.UDP, 3)]


def test_an_rpcbind_that_is_silent_over_udp_is_asked_over_tcp():
    network = Network(host := Host())
    original = host.receive
    host.receive = lambda send, mono: (
        None if send.to.port == 111 and send.transport is Transport.UDP else original(send, mono)
    )
    network.call()
    network.run()
    assert network.outcomes[0][1] == Success(b"done")
    assert host.asked == [(Transport.TCP, 2)]


def test_ipv6_hosts_are_asked_by_versions_4_and_3_only():
    network = Network(host := Host("2001:db8::2", versions=(3,)))
    network.call(host="2001:db8::2")
    network.run()
    assert network.outcomes[0][1] == Success(b"done")
    assert host.asked == [(Transport.UDP, 4), (Transport.UDP, 3)]


def test_garbage_from_rpcbind_is_no_port():
    network = Network(host := Host())
    original = host.receive
    host.receive = lambda send, mono: (
        send.data[:4] + SUCCESS + b"\0\1\0\0" if send.to.port == 111 else original(send, mono)
    )
    network.call(schedule=(3.0,))
    network.run()
    assert network.outcomes == [(3.0, Unreachable("its rpcbind: not understood"))]


def test_calls_leave_from_where_the_target_says():
    network = Network(Host())
    network.call(port=4045, source=CLIENT, source_port=4045, privileged=True)
    network.run()
    ((_, send),) = network.sent
    assert (send.source, send.source_port, send.privileged) == (CLIENT, 4045, True)


def test_the_question_for_the_port_leaves_from_the_same_address():
    network = Network(Host())
    network.call(source=CLIENT)
    network.run()
    assert {send.source for _, send in network.sent} == {CLIENT}


def test_anonymous_calls_carry_no_credential():
    network = Network(host := Host())
    network.client.call(network.target(), 5, b"", schedule=(1.0,), now=network.now, anonymous=True)
    network.call()
    network.run()
    flavors = [unpack_call(send.data).cred_flavor for _, send in host.calls]
    assert flavors == [0, 1]


def test_a_one_way_message_goes_once_and_waits_for_nothing():
    network = Network(host := Host())
    network.client.send(network.target(), 12, b"res", now=network.now)
    network.run()
    assert len(host.calls) == 1
    assert network.client.deadline() is None
    network.client.send(network.target(), 12, b"res", now=network.now)
    network.run()
    assert len(host.calls) == 2 and len(host.asked) == 1


def test_a_refused_one_way_message_has_the_port_asked_for_again():
    network = Network(host := Host())
    network.client.send(network.target(), 12, b"res", now=network.now)
    network.run()
    host.port = 5000
    network.run(5.0)
    network.client.send(network.target(), 12, b"lost", now=network.now)
    network.run(6.0)
    network.client.send(network.target(), 12, b"res", now=network.now)
    network.run()
    assert [send.to.port for _, send in host.calls] == [4045, 5000]


def test_a_one_way_message_to_a_port_that_is_silent_by_now_follows_the_program():
    network = Network(host := Host())
    network.client.send(network.target(), 12, b"res", now=network.now)
    network.run(50.0)
    host.port, host.tells = 5000, False
    network.client.send(network.target(), 12, b"res", now=network.now)
    network.run()
    assert [send.to.port for _, send in host.calls] == [4045, 5000]


def test_a_port_prepared_a_while_ago_is_looked_for_again():
    network = Network(host := Host())
    network.client.prepare(network.target(), network.now)
    network.run(50.0)
    host.port = 5000
    network.client.prepare(network.target(), network.now)
    network.run(51.0)
    network.call()
    network.run()
    assert [send.to.port for _, send in network.sent if send.to.port != 111] == [5000]


def test_a_cancelled_call_is_not_sent_again_nor_told():
    network = Network()
    pending = network.call(port=4045)
    network.run(5.0)
    network.client.cancel(pending, network.now)
    network.run()
    assert len(network.sent) == 1 and not network.outcomes
    network.client.cancel(pending, network.now)


def test_a_call_cancelled_while_its_port_is_asked_for_is_never_sent():
    network = Network(host := Host())
    network.client.cancel(network.call(), network.now)
    network.run()
    assert not host.calls and not network.outcomes


def test_many_calls_to_one_host_take_turns():
    network = Network(host := Host())
    for _ in range(client_module.IN_FLIGHT + 5):
        network.call(port=4045)
    assert len(list(network.client.drain())) == client_module.IN_FLIGHT
    host.up = False
    network = Network(host)
    pending = [network.call(port=4045, schedule=(5.0,)) for _ in range(client_module.IN_FLIGHT + 5)]
    network.client.cancel(pending[-1], network.now)
    network.run()
    assert len(network.outcomes) == client_module.IN_FLIGHT + 4
    assert network.outcomes[-1][0] == 10.0


def test_more_calls_than_the_backlog_holds_are_refused(monkeypatch):
    monkeypatch.setattr(client_module, "BACKLOG", 3)
    network = Network(Host())
    for _ in range(client_module.IN_FLIGHT + 4):
        network.call(port=4045)
    network.run()
    refused = [outcome for _, outcome in network.outcomes if isinstance(outcome, Unreachable)]
    assert len(refused) == 1 and "waiting" in refused[0].why
    assert len(network.outcomes) == client_module.IN_FLIGHT + 4


def test_a_restarted_host_is_asked_for_its_ports_anew():
    network = Network(host := Host())
    network.call()
    network.run()
    host.port = 5000
    network.client.forget_host(SERVER)
    network.call()
    network.run()
    assert network.outcomes[1][1] == Success(b"done")
    assert len(host.asked) == 2


def test_an_old_answer_of_rpcbind_is_used_and_asked_for_again():
    network = Network(host := Host())
    network.call()
    network.run()
    network.run(lookup.LIFETIME + 1.0)
    network.call()
    network.run(lookup.LIFETIME + 2.0)
    assert [send.to.port for _, send in host.calls] == [4045, 4045]
    assert network.outcomes[1][0] == pytest.approx(lookup.LIFETIME + 1.02, abs=0.001), (
        "without waiting for it"
    )
    assert len(host.asked) == 2


def test_what_is_known_of_ports_is_bounded(monkeypatch):
    monkeypatch.setattr(lookup, "PORTS_KNOWN", 4)
    hosts = [Host(f"10.0.1.{n}") for n in range(8)]
    network = Network(*hosts)
    for host in hosts:
        network.call(host=host.host)
    network.run()
    assert len(network.outcomes) == 8
    assert len(network.client._ports) == 4, "the oldest went"


@given(st.integers(0, 2**32), st.floats(0.0, 0.6), st.floats(0.0, 0.9), st.integers(1, 40))
def test_every_call_ends_once_whatever_the_network_does(seed, loss, copies, calls):
    network = Network(Host(), seed=seed, loss=loss, copies=copies)
    ends = [0] * calls
    for n in range(calls):

        def done(outcome, now, n=n):
            ends[n] += 1
            assert isinstance(outcome, Success | TimedOut | Unreachable)
            assert now.mono <= 63.0 + 1e-6

        network.call(schedule=growing(3.0), done=done)
    network.run()
    assert ends == [1] * calls
    assert network.client.deadline() is None
    assert not network.client._flying and not network.client._in_flight


@given(st.binary(max_size=64), st.booleans())
def test_no_reply_makes_it_stumble(data, right_xid):
    network = Network(Host())
    network.call(port=4045, schedule=(1.0,))
    (send,) = network.client.drain()
    if right_xid:
        data = send.data[:4] + data
    origin = Origin(Transport.UDP, Address(SERVER, 4045), Address(CLIENT, 999))
    network.client.receive_reply(data, origin, network.now)
    network.run()
    assert len(network.outcomes) == 1


@pytest.mark.parametrize(
    "host",
    [Host(port=None), Host(port=4045)],
    ids=["not registered", "refused"],
)
def test_an_impatient_call_ends_with_the_first_word_that_it_cannot_be_delivered(host):
    network = Network(host)
    host.refuses = host.port is not None
    port = 700 if host.refuses else None
    network.client.call(
        network.target(port=port),
        5,
        b"args",
        schedule=TENS,
        now=network.now,
        done=network.done,
        impatient=True,
    )
    network.run()
    ((at, outcome),) = network.outcomes
    assert isinstance(outcome, Unreachable)
    assert at < TENS[0]


def test_an_impatient_call_is_told_that_no_rpcbind_answers():
    network = Network(host := Host())
    host.refuses = True
    network.client.call(
        network.target(), 5, b"args", schedule=TENS, now=network.now, done=network.done, impatient=True
    )
    network.run()
    assert [outcome for _, outcome in network.outcomes] == [Unreachable("its rpcbind: connection refused")]
    assert network.client.deadline() is None
