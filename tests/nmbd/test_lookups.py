# SPDX-License-Identifier: GPL-3.0-or-later
import pwd
import queue
import socket

import pytest

from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.events import AccountFound, FindAccount, Resolve, Resolved
from pydaemons.nmbd.lookups import Lookups, addresses, has_account

NOW = Now(0.0, 0.0)


def test_what_was_found_comes_back_as_an_event():
    events: queue.Queue[object] = queue.Queue()
    lookups = Lookups(events.put)
    lookups.resolve(Resolve(b"key", "127.0.0.1"), NOW)
    assert events.get(timeout=30) == Resolved(b"key", (bytes((127, 0, 0, 1)),))
    lookups.find_account(FindAccount("root"), NOW)
    assert events.get(timeout=30) == AccountFound("root", known=True)
    lookups.find_account(FindAccount("no-such-machine$"), NOW)
    assert events.get(timeout=30) == AccountFound("no-such-machine$", known=False)
    lookups.close()


def test_each_address_of_a_host_is_told_once(monkeypatch):
    found = [(2, 2, 17, "", (host, 0)) for host in ("10.0.0.1", "10.0.0.2", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words: found)
    assert addresses("any") == (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))


@pytest.mark.parametrize("host", ["host.invalid", "x" * 300, "a..b"])
def test_a_host_that_is_none_has_no_addresses(monkeypatch, host):
    def refuse(*words):
        raise socket.gaierror(-2, "unknown") if host == "host.invalid" else UnicodeError("label")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert addresses(host) == ()


@pytest.mark.parametrize("there", ["box$", "BOX$"])
def test_an_account_is_found_in_either_case(monkeypatch, there):
    def getpwnam(name):
        if name != there:
            raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    assert has_account("Box$")
    assert not has_account("other$")
