# SPDX-License-Identifier: GPL-3.0-or-later
"""Types pybos operations against the engine, without socket or systemd; waiting lets virtual time pass."""

from __future__ import annotations

import io

from fakes.systemd_units import ROOT
from pydaemons.cli.bos_link import Refused
from pydaemons.cli.bos_session import Session
from pydaemons.cli.bos_syntax import find_verb, parse
from pydaemons.cli.bos_table import VERBS


class DirectLink:
    """A link without a socket: requests go straight to the engine; waiting lets time pass."""

    def __init__(self, world):
        self.world = world
        self.caller = ROOT

    def call(self, verb, **arguments):
        given = {name: value for name, value in arguments.items() if value is not None}
        before = set(self.world.answers)
        answer = self.world.ask(verb, caller=self.caller, **given)
        for _ in range(2000):
            if answer is not None:
                break
            self.world.run(0.1)
            fresh = set(self.world.answers) - before
            answer = self.world.answers[fresh.pop()] if fresh else None
        assert answer is not None, f"{verb} was never answered"
        if answer.code:
            raise Refused({"code": int(answer.code), "text": answer.code.text, "message": answer.reason})
        return dict(answer.result)


class Typist:
    """Types commands, keeps what came back."""

    def __init__(self, world):
        self.world = world
        self.link = DirectLink(world)

    def __call__(self, *words, as_json=False):
        out, err = io.StringIO(), io.StringIO()
        session = Session("bos", self.link, "localhost", json=as_json, out=out, err=err)
        verb = find_verb(VERBS, words[0])
        status = verb.run(session, parse(verb, words[1:]))
        self.out, self.err = out.getvalue(), err.getvalue()
        return status
