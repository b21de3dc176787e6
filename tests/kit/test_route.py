# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from fakes.shell import run_shell
from pydaemons.engine.effects import Reply
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.kit.batch import DatagramRoute
from pydaemons.kit.connection import Connection
from pydaemons.kit.route import Route


def test_every_transport_has_a_way_back():
    for way in (DatagramRoute, Connection):
        assert issubclass(way, Route)
        assert way.send is not Route.send
    with pytest.raises(NotImplementedError):
        Route().send(b"x")


def test_an_answer_to_an_origin_without_a_way_back_is_counted():
    async def scenario(driver, engine):
        origin = Origin(Transport.UDP, Address("192.0.2.1", 1), Address("192.0.2.2", 2))
        engine.effects.append(Reply(origin, b"x"))
        driver.settle()
        assert driver.counts["replies to nowhere"] == 1

    run_shell(scenario)
