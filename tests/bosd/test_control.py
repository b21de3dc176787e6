# SPDX-License-Identifier: GPL-3.0-or-later
"""The control interface: requests become events, answers become results or the error Refused."""

from __future__ import annotations

import asyncio

import pytest

from pydaemons.bnode.effects import Answer
from pydaemons.bnode.events import Asked, Forgotten
from pydaemons.bnode.model import Code
from pydaemons.bnode.verbs import TABLE
from pydaemons.bosd.control import REFUSED, Desk
from pydaemons.kit.varlink import Caller, ControlError

ROOT = Caller(1, 0, 0, own_uid=0)


def ask(verb, parameters, *, reply, caller=ROOT, exists=True):
    """The event a request led to, and what the caller got for the answer `reply` makes of it."""
    posted = []

    async def talk():
        desk = Desk(posted.append, lambda path: exists)
        interface = desk.interface()
        interface.check(verb, parameters)
        call = asyncio.ensure_future(interface.methods[verb].call(parameters, caller))
        await asyncio.sleep(0)
        desk.answer(reply(posted[0].ticket))
        return await call

    try:
        return posted, asyncio.run(talk())
    except ControlError as error:
        return posted, error


def fine(ticket):
    return Answer(ticket, Code.OK, {"x": 1})


def test_there_is_a_method_for_every_request_and_it_describes_itself():
    interface = Desk(lambda event: None, lambda path: True).interface()
    assert list(interface.methods) == list(TABLE)
    text = interface.describe()
    assert "method SetRestart(binaries: bool, time: []int) -> (result: object)" in text
    assert "method Create(instance: string, type: string, commands: []string, notifier: ?string)" in text


def test_an_answer_is_the_result():
    (asked,), result = ask("ListUsers", {}, reply=fine)
    assert isinstance(asked, Asked) and result == {"result": {"x": 1}}


def test_a_no_is_an_error_with_code_text_and_reason():
    _, error = ask("Delete", {"instance": "a"}, reply=lambda t: Answer(t, Code.BUSY, {}, "because"))
    assert error.name == REFUSED
    assert error.parameters == {"code": 39426, "text": "can't do operation now", "message": "because"}


def test_root_and_ones_own_user_are_local_auth_and_others_have_their_names():
    (asked,), _ = ask("ListUsers", {}, reply=fine)
    assert (asked.caller.name, asked.caller.admin) == ("<LocalAuth>", True)
    (asked,), _ = ask("ListUsers", {}, reply=fine, caller=Caller(1, 65534, 65534, own_uid=0))
    assert (asked.caller.name, asked.caller.admin) == ("nobody", False)
    (asked,), _ = ask("ListUsers", {}, reply=fine, caller=Caller(1, 4_000_000, 1, own_uid=0))
    assert asked.caller.name == "uid 4000000"
    (asked,), _ = ask("ListUsers", {}, reply=fine, caller=Caller(1, 1000, 1, own_uid=1000))
    assert asked.caller.admin


@pytest.mark.parametrize("exists", [True, False])
def test_whether_a_notifier_exists_is_looked_up_for_the_engine(exists):
    parameters = {"instance": "a", "type": "simple", "commands": ["/x"], "notifier": "/n"}
    (asked,), _ = ask("Create", parameters, reply=fine, exists=exists)
    assert asked.found is exists


def test_parameters_left_out_are_left_out():
    (asked,), _ = ask("GetLog", {"file": "x", "offset": None}, reply=fine)
    assert asked.arguments == {"file": "x"}


def test_a_caller_that_goes_away_is_told_to_the_engine():
    posted = []

    async def talk():
        desk = Desk(posted.append, lambda path: True)
        call = asyncio.ensure_future(desk.interface().methods["WaitAll"].call({}, ROOT))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        desk.answer(Answer(posted[0].ticket, Code.OK))

    asyncio.run(talk())
    assert posted[1:] == [Forgotten(posted[0].ticket)]
