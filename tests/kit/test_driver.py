# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import pytest

from fakes.shell import Glance, Tape, run_shell, said, until
from pydaemons.engine.effects import Append, Effect, Leave, Level, Log, Persist, Reply, Rewrite
from pydaemons.engine.events import AppendFailed, Persisted, PersistFailed
from pydaemons.kit import driver as driver_module
from pydaemons.kit import sockets
from pydaemons.kit.driver import BUGS
from pydaemons.sunrpc.marking import frame


class Disk:
    """A place for state that fills up; it keeps order with what else happened."""

    def __init__(self, happened):
        self.happened = happened
        self.full = False
        self.files = {}
        self.pending = {}

    def write(self, effects):
        failures = {}
        for effect in effects:
            if self.full:
                self.pending[effect.name] = effect
                failures[effect.name] = "No space left on device"
            else:
                self.happened.append(f"wrote {effect.name}")
                self.pending.pop(effect.name, None)
                self.files[effect.name] = effect.data
        return failures

    def retry(self):
        return self.write(list(self.pending.values()))


def udp_client(driver):
    port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.setblocking(False)
    client.connect(("127.0.0.1", port.address.port))
    return client


def test_state_is_on_disk_before_the_answer_leaves_and_other_effects_come_after():
    happened = []
    disk = Disk(happened)

    @dataclass(frozen=True, slots=True)
    class StartUnit(Effect):
        name: str

    async def scenario(driver, engine):
        def answer(data, origin):
            # In this order out of the engine; Persist overtakes.
            engine.effects.append(StartUnit("u"))
            engine.effects.append(Persist("hosts/a", data))
            return b"granted"

        engine.answer = answer
        client = udp_client(driver)
        real = driver.datagrams._listening[0]
        driver.on(StartUnit, lambda effect, now: happened.append(f"started {effect.name}"))
        original = driver.commit

        def commit():
            assert original()
            with pytest.raises(BlockingIOError):
                client.recv(100)
            happened.append("committed")
            return True

        driver.commit = commit
        client.send(b"state")
        assert await said(client) == b"granted"
        await until(lambda: len(happened) == 3)
        assert happened == ["wrote hosts/a", "committed", "started u"]
        assert disk.files == {"hosts/a": b"state"}
        real.close()

    run_shell(scenario, state=disk)


def test_a_daemons_own_kind_of_state_is_kept_before_the_answer_leaves_too():
    happened = []
    disk = Disk(happened)

    @dataclass(frozen=True, slots=True)
    class StoreRows(Persist):
        rows: tuple[bytes, ...] = ()

    async def scenario(driver, engine):
        def answer(data, origin):
            engine.effects.append(StoreRows("table", None, (data,)))
            return b"granted"

        engine.answer = answer
        client = udp_client(driver)
        client.send(b"row")
        assert await said(client) == b"granted"
        assert happened == ["wrote table"]

    run_shell(scenario, state=disk)


def test_answers_wait_for_a_full_disk_and_leave_once_it_takes_the_state(monkeypatch):
    monkeypatch.setattr(driver_module, "PERSIST_RETRY", 0.02)
    disk = Disk([])

    async def scenario(driver, engine):
        def answer(data, origin):
            if data == b"lock":
                engine.effects += [Persist("hosts/a", b"1"), Reply(origin, b"late too")]
            return b"re " + data

        engine.answer = answer
        client = udp_client(driver)
        disk.full = True
        client.send(b"lock")
        await until(lambda: engine.events)
        assert engine.events == [PersistFailed("hosts/a", "No space left on device")]
        client.send(b"test")  # without state of its own
        assert await said(client) == b"re test"
        await asyncio.sleep(0.1)
        assert len(engine.events) == 1, "told once"
        disk.full = False
        assert {await said(client), await said(client)} == {b"re lock", b"late too"}
        await until(lambda: len(engine.events) == 2)
        assert engine.events[1] == Persisted("hosts/a")
        assert disk.files == {"hosts/a": b"1"}
        errors = [line for line in driver.log.lines if "cannot write state" in line]
        assert errors == ["cannot write state hosts/a: No space left on device; trying again"]

    run_shell(scenario, state=disk)


def test_the_engine_hears_of_the_disk_before_the_next_packet_and_before_an_answer_leaves(monkeypatch):
    """A client that has its answer calls again at once, and one that has none may do so any time: neither may
    find an engine that knows less than the disk."""
    monkeypatch.setattr(driver_module, "PERSIST_RETRY", 0.02)
    disk, happened = Disk([]), []

    async def scenario(driver, engine):
        def answer(data, origin):
            happened.append(f"read {data.decode()}")
            if data == b"lock":
                engine.effects.append(Persist("hosts/a", b"1"))
            return b"re " + data

        engine.answer = answer
        handle, reply = engine.handle, driver.answer

        def heard(event, now):
            happened.append(type(event).__name__)
            engine.effects.append(Log(Level.NOTICE, f"heard {type(event).__name__}"))
            handle(event, now)

        def replied(origin, data):
            happened.append("replied")
            reply(origin, data)

        engine.handle, driver.answer = heard, replied
        client = udp_client(driver)
        port = driver.datagrams._listening[0]
        disk.full = True
        client.send(b"lock")
        port.drain()
        client.send(b"again")
        port.drain()  # before the loop has a turn, as when packets come close upon each other
        assert happened == ["read lock", "PersistFailed", "read again"]
        assert await said(client) == b"re again"
        disk.full = False
        assert await said(client) == b"re lock"
        assert happened[3:] == ["Persisted", "replied"]
        await until(lambda: "heard Persisted" in driver.log.lines)
        assert "heard PersistFailed" in driver.log.lines, "what the engine wants done about it is done"

    run_shell(scenario, state=disk)


def test_a_tick_comes_when_the_deadline_passes_and_not_before():
    async def scenario(driver, engine):
        start = driver.now().mono
        engine.wanted = start + 0.05
        driver.settle()
        await until(lambda: engine.ticks)
        assert engine.ticks[0].mono >= start + 0.05
        await asyncio.sleep(0.05)
        assert len(engine.ticks) == 1

    run_shell(scenario)


def test_a_deadline_that_moved_closer_is_kept_and_one_that_moved_away_is_not_ticked_early():
    async def scenario(driver, engine):
        start = driver.now().mono
        engine.wanted = start + 3600
        driver.settle()
        engine.wanted = start + 0.02
        driver.post("closer")
        await until(lambda: engine.ticks)
        engine.wanted = start + 0.06
        driver.post("again")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        engine.wanted = start + 0.2
        await until(lambda: len(engine.ticks) == 2)
        assert engine.ticks[1].mono >= start + 0.2

    run_shell(scenario)


def test_a_deadline_that_never_moves_does_not_burn_the_processor():
    async def scenario(driver, engine):
        engine.stuck = True
        engine.wanted = driver.now().mono - 1
        start = driver.now().mono
        driver.settle()
        await until(lambda: len(engine.ticks) >= 5)
        assert len(engine.ticks) <= (driver.now().mono - start) / driver_module.LEAST_WAIT + 2

    run_shell(scenario)


def test_events_reach_the_engine_in_their_order_and_their_effects_are_carried_out():
    async def scenario(driver, engine):
        engine.effects.append(Log(Level.WARNING, "odd", {"CLIENT": "192.0.2.1"}))
        driver.post(1)
        driver.post(2)
        await asyncio.to_thread(driver.loop.call_soon_threadsafe, driver.post, 3)
        await until(lambda: engine.events == [1, 2, 3])
        assert driver.log.lines == ["odd"]
        assert driver.log.entries[0] == {"CLIENT": "192.0.2.1", "PRIORITY": "4"}

    run_shell(scenario)


def test_the_engine_may_end_the_daemon():
    async def scenario(driver, engine):
        engine.effects.append(Leave(3, "enough"))
        engine.effects.append(Leave(4, "too late"))
        driver.post("go")
        assert await driver.left == Leave(3, "enough")

    run_shell(scenario)


def test_exceptions_that_repeat_end_the_daemon_for_systemd_to_restart_it():
    def answer(data, origin):
        raise ZeroDivisionError("a bug")

    async def scenario(driver, engine):
        client = udp_client(driver)
        for i in range(BUGS - 1):
            client.send(b"%d" % i)
        await until(lambda: driver.counts["exceptions"] == BUGS - 1)
        assert not driver.left.done()
        client.send(b"last")
        leave = await driver.left
        assert leave.status == 1
        assert "exceptions" in leave.reason

    run_shell(scenario, answer=answer)


@pytest.mark.parametrize("broken", ["tick", "handle", "drain"])
def test_a_bug_anywhere_in_the_engine_is_survived(broken):
    async def scenario(driver, engine):
        def bug(*_):
            raise RuntimeError("a bug")

        good = getattr(engine, broken)
        setattr(engine, broken, bug)
        engine.wanted = driver.now().mono
        driver.post("event")
        await until(lambda: driver.counts["exceptions"])
        setattr(engine, broken, good)
        client = udp_client(driver)
        client.send(b"alive?")
        assert await said(client) == b"alive?"
        assert "RuntimeError: a bug" in driver.log.lines[0]

    run_shell(scenario)


def test_an_effect_nobody_carries_out_is_said_once():
    @dataclass(frozen=True, slots=True)
    class Unheard(Effect):
        pass

    async def scenario(driver, engine):
        engine.effects += [Unheard(), Unheard(), Log(Level.INFO, "still here")]
        driver.post("go")
        await until(lambda: "still here" in driver.log.lines)
        assert [line for line in driver.log.lines if "Unheard" in line] == [
            "bug, please report: nobody carries out Unheard"
        ]

    run_shell(scenario)


def test_a_handler_that_fails_does_not_stop_the_others():
    @dataclass(frozen=True, slots=True)
    class Fails(Effect):
        pass

    def fail(effect, now):
        raise OSError("no")

    async def scenario(driver, engine):
        driver.on(Fails, fail)
        engine.effects += [Fails(), Log(Level.INFO, "still here")]
        driver.post("go")
        await until(lambda: "still here" in driver.log.lines)
        assert driver.counts["exceptions"] == 1

    run_shell(scenario)


# ---------------------------------------------------------------------- the journal


def test_the_journal_is_written_behind_the_state_and_before_the_answer():
    happened = []

    async def scenario(driver, engine):
        driver.journal = Tape(happened)

        def answer(data, origin):
            engine.effects += [Append(b"lock"), Persist("host", b"1"), Log(Level.INFO, "x")]
            return b"granted"

        engine.answer = answer
        client = udp_client(driver)
        original = driver.commit

        def commit():
            assert original()
            with pytest.raises(BlockingIOError):
                client.recv(100)
            return True

        driver.commit = commit
        client.send(b"call")
        assert await said(client) == b"granted"
        assert happened == ["wrote host", "appended lock"]

    run_shell(scenario, state=Disk(happened))


def test_what_is_answered_at_a_glance_is_in_the_journal_before_the_answer_leaves():
    happened = []

    async def scenario(driver, engine):
        tape = driver.journal = Tape(happened)
        prompt = driver.prompt = Glance()
        client = udp_client(driver)
        original = driver.commit

        def commit():
            done = original()
            with pytest.raises(BlockingIOError):
                client.recv(100)
            return done

        driver.commit = commit
        driver.settle()
        prompt.appends = [b"one", b"", None]
        for number, appended in enumerate((["one"], ["one"], ["one", "by drain"])):
            engine.effects = [Append(b"by drain")]
            client.send(b"q%d" % number)
            assert await said(client) == b"Q%d" % number
            assert happened == [f"appended {data}" for data in appended]
        tape.full = True
        prompt.appends = [b"lost"]
        client.send(b"q held")
        await until(lambda: driver.counts["replies held for the disk"])
        tape.full = False
        driver.commit = original
        engine.effects = [Rewrite(iter([b"everything"]))]
        driver.post("write it")
        assert await said(client) == b"Q HELD"
        assert tape.parts == [b"everything"]
        assert not engine.received

    run_shell(scenario)


def test_between_glances_ticks_events_and_other_packets_have_their_effects_and_deadlines():
    async def scenario(driver, engine):
        driver.prompt = Glance()
        done = []
        driver.on(Leave, lambda effect, now: done.append(effect.reason))
        client = udp_client(driver)
        listener = driver.listen(sockets.bind_tcp("127.0.0.1", 0))
        stream = socket.create_connection(tuple(listener.address))
        stream.setblocking(False)

        def wants(reason):
            engine.effects.append(Leave(0, reason))
            engine.wanted = driver.now().mono + 0.01

        def tick(now):
            engine.wanted = None
            engine.effects.append(Leave(0, "tick"))

        engine.tick = tick
        engine.handle = lambda event, now: wants(event)
        engine.answer = lambda data, origin: wants(data.decode()) or data
        for number in range(3):
            client.send(b"q")
            assert await said(client) == b"Q"
            stream.send(frame(b"q"))
            assert await said(stream) == frame(b"Q")
            done.clear()
            if number == 0:
                driver.post("event")
            elif number == 1:
                client.send(b"packet")
            else:
                stream.send(frame(b"record"))
            if number == 1:
                assert await said(client) == b"packet"
            if number == 2:
                assert await said(stream) == frame(b"record")
            await until(lambda: len(done) == 2)
            assert done == [("event", "packet", "record")[number], "tick"]
        stream.close()

    run_shell(scenario)


def test_while_the_journal_cannot_be_written_nothing_leaves_and_then_all_of_it(monkeypatch):
    monkeypatch.setattr(driver_module, "PERSIST_RETRY", 0.02)

    @dataclass(frozen=True, slots=True)
    class CallBack(Effect):
        pass

    async def scenario(driver, engine):
        tape = driver.journal = Tape([])
        tape.full = True
        called = []
        driver.on(CallBack, lambda effect, now: called.append(effect))

        def answer(data, origin):
            if data != b"repeated":  # a repetition is answered without a fact of its own
                engine.effects += [Append(data), CallBack()]
            return b"to " + data

        def handle(event, now):
            engine.events.append(event)
            if isinstance(event, AppendFailed):
                engine.effects.append(Rewrite(iter([b"everything"])))

        engine.answer, engine.handle = answer, handle
        client = udp_client(driver)
        for data in (b"one", b"repeated", b"two"):
            client.send(data)
            await until(lambda data=data: data in engine.received)
        await until(lambda: len(engine.events) > 2)
        with pytest.raises(BlockingIOError):
            client.recv(100)
        assert not called
        assert sum("cannot write the journal" in line for line in driver.log.lines) == 1
        tape.full = False
        assert sorted([await said(client) for _ in range(3)]) == [b"to one", b"to repeated", b"to two"]
        assert tape.parts == [b"everything"]
        await until(lambda: len(called) == 2)
        client.send(b"three")
        assert await said(client) == b"to three"
        assert tape.parts == [b"everything", b"three"]

    run_shell(scenario)


@pytest.mark.parametrize("when", ["at its beginning", "later", "by a bug"])
def test_a_rewrite_that_fails_does_not_hold_up_answers(when):
    def parts():
        yield b"part"
        raise OSError(28, "No space left on device") if when == "later" else ValueError("a bug")

    def no_space(parts):
        raise OSError(28, "No space left on device")

    async def scenario(driver, engine):
        tape = driver.journal = Tape([])
        tape.renew = tape.renew if when != "at its beginning" else no_space
        client = udp_client(driver)

        def answer(data, origin):
            engine.effects += [Append(data), Rewrite(parts())]
            return data

        engine.answer = answer
        client.send(b"one")
        assert await said(client) == b"one"
        counted = "exceptions" if when == "by a bug" else "journal rewrites failed"
        await until(lambda: driver.counts[counted] == 1)
        assert not tape.renewing

    run_shell(scenario)


def test_a_rewrite_goes_on_between_answers_and_a_second_one_waits_for_another_time():
    async def scenario(driver, engine):
        happened = []
        tape = driver.journal = Tape(happened)
        client = udp_client(driver)

        def answer(data, origin):
            engine.effects += [Append(data), Rewrite(b"%d" % number for number in range(200))]
            return data

        engine.answer = answer
        client.send(b"first")
        assert await said(client) == b"first"
        assert happened.count("step") < 200
        client.send(b"second")
        assert await said(client) == b"second"
        await until(lambda: not tape.renewing)
        assert happened.count("step") == 201
        assert happened.index("appended second") < 201

    run_shell(scenario)
