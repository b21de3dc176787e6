# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmblookup against a node on the loopback network; against nmblookup's own output in tests/e2e."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from fakes.ether import Ether
from pydaemons.cli import nmblookup
from pydaemons.cli.nmblookup import main
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.netbios.node.settings import Settings


class Served:
    """A node on a UDP port of the loopback address, in a thread."""

    def __init__(self) -> None:
        self.ether = Ether()
        self.node = self.ether.add(Settings("ALPHA"), "127.1.0.1").node
        self.ether.run(2)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(0.1)
        self.port = self.sock.getsockname()[1]
        self.running = True
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while self.running:
            try:
                data, peer = self.sock.recvfrom(2000)
            except TimeoutError:
                continue
            origin = Origin(Transport.UDP, Address(*peer), Address("127.1.0.1", 137))
            answer = self.node.receive(data, origin, self.ether.now)
            if answer is not None:
                self.sock.sendto(b"\0" * 5, peer)
                self.sock.sendto(bytes(2) + answer[2:], peer)
                self.sock.sendto(answer, peer)

    def close(self) -> None:
        self.running = False
        self.thread.join()
        self.sock.close()


@pytest.fixture
def served(monkeypatch) -> Iterator[Served]:
    monkeypatch.setattr(nmblookup, "UNICAST_INTERVAL", 0.3)
    node = Served()
    yield node
    node.close()


def ask(served: Served, *words: str) -> int:
    return main(["-p", str(served.port), *words])


def test_a_name_is_found_past_rubbish_and_strangers_answers(served, capsys):
    assert ask(served, "-U", "127.0.0.1", "alpha#20") == 0
    assert capsys.readouterr().out == "querying ALPHA on 127.0.0.1\n127.1.0.1 ALPHA<20>\n"


def test_a_name_nobody_has_is_said_in_nmblookups_words(served, capsys):
    assert ask(served, "-U", "127.0.0.1", "beta#20", "alpha") == 1
    assert capsys.readouterr().out.splitlines() == [
        "querying BETA on 127.0.0.1",
        "name_query failed to find name BETA#20",
        "querying ALPHA on 127.0.0.1",
        "127.1.0.1 ALPHA<00>",
    ]


def test_a_node_status_is_shown_as_nmblookup_shows_it(served, capsys):
    assert ask(served, "-A", "127.0.0.1") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Looking up status of 127.0.0.1",
        "\tALPHA           <00> -         B <ACTIVE> ",
        "\tALPHA           <03> -         B <ACTIVE> ",
        "\tALPHA           <20> -         B <ACTIVE> ",
        "\tWORKGROUP       <00> - <GROUP> B <ACTIVE> ",
        "\tWORKGROUP       <1e> - <GROUP> B <ACTIVE> ",
        "",
        "\tMAC Address = 00-00-00-00-00-00",
        "",
    ]


def test_flags_and_translation_can_be_asked_for(served, capsys):
    assert ask(served, "-U", "127.0.0.1", "-f", "-R", "ALPHA") == 0
    out = capsys.readouterr().out.splitlines()
    assert "Recursion_Available" in out[2]
    assert "Authoritative" in out[2]


def test_masters_are_asked_for_by_their_suffix(served, capsys):
    assert ask(served, "-U", "127.0.0.1", "-M", "office") == 1
    assert "OFFICE#1d" in capsys.readouterr().out


def test_wrong_words_are_refused(served, capsys):
    assert ask(served, "-A", "alpha") == 1
    assert "no IPv4 address" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2


def test_what_was_found_can_be_had_as_json_and_nothing_else_is_said(served, capsys):
    assert ask(served, "--json", "-U", "127.0.0.1", "-f", "-R", "alpha#20", "beta") == 1
    alpha, beta = json.loads(capsys.readouterr().out)
    assert beta == {"name": "BETA#00", "found": False}
    (answer,) = alpha.pop("answers")
    assert alpha == {"name": "ALPHA#20", "found": True}
    flags = answer.pop("flags")
    assert answer == {"address": "127.1.0.1", "from": "127.0.0.1", "group": False, "node": "B"}
    assert {"authoritative", "recursion_available"} <= set(flags)


def test_a_node_status_has_the_same_in_json(served, capsys):
    assert ask(served, "--json", "-A", "127.0.0.1", "alpha") == 1
    shown = capsys.readouterr()
    status, nonsense = json.loads(shown.out)
    assert "no IPv4 address" in shown.err and nonsense == {"address": "alpha", "found": False}
    assert (status["address"], status["found"], status["mac"]) == ("127.0.0.1", True, "00-00-00-00-00-00")
    names = {each["name"]: each for each in status["names"]}
    assert list(names) == ["ALPHA#00", "ALPHA#03", "ALPHA#20", "WORKGROUP#00", "WORKGROUP#1e"]
    assert names["WORKGROUP#1e"] == {
        "name": "WORKGROUP#1e",
        "group": True,
        "node": "B",
        "active": True,
        "permanent": False,
        "conflict": False,
        "deregistering": False,
    }


def test_with_a_status_each_host_found_has_its_own(served, capsys):
    assert ask(served, "--json", "-U", "127.0.0.1", "-S", "alpha") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert [each["address"] for each in row["status"]] == ["127.1.0.1"]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "many"])
def test_a_port_that_is_none_is_wrong_usage(capsys, port):
    with pytest.raises(SystemExit) as left:
        main(["-p", port, "-U", "127.0.0.1", "ALPHA"])
    assert left.value.code == 2
    assert "no port" in capsys.readouterr().err
