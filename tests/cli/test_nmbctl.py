# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbctl against a control socket that serves a node of fakes.ether; against pynmbd in tests/e2e."""

import asyncio
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.claims import query, wire
from fakes.datagrams import write_in
from fakes.ether import Ether
from pydaemons.cli.nmbctl import VERBS, main
from pydaemons.engine.effects import Send
from pydaemons.kit.control import Control
from pydaemons.kit.log import Log
from pydaemons.kit.varlink import Interface, Method
from pydaemons.netbios.node import views, winsdat
from pydaemons.netbios.node.events import Reconfigured
from pydaemons.netbios.node.settings import Logon, Partner, Settings
from pydaemons.nmbd.control import interface


class Served:
    """A node behind a control socket, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.ether = Ether()
        self.node = self.ether.add(Settings("WINS", wins_support=True), "10.0.0.1").node
        self.ether.run(2)
        self.folder = folder
        self.calls: list[str] = []
        self.usable = True
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        common = Interface(
            "org.pydaemons.Daemon",
            [
                Method("Describe", lambda p, c: {"pid": 4711, "status": "well"}),
                Method("Reload", lambda p, c: {"usable": self.usable, "problems": ["f:1: wrong"]}),
                Method(
                    "SetDebug",
                    lambda p, c: self.calls.append(f"debug {p['debug']}") or {},
                    takes="(debug: bool)",
                ),
            ],
        )
        control = Control(str(self.folder), Log("test"))
        control.claim()
        await control.serve([common, interface(self)])
        self._ready.set()
        await self._stop.wait()
        await control.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def ask(self, verb, arguments):
        return views.answer(self.node, verb, arguments, self.ether.now)

    def import_wins(self, text):
        records, problems = winsdat.parse(text, "wins.dat")
        for key, packed in records.items():
            self.node.db.put(key, packed)
        return len(records), problems

    def export_wins(self):
        path = self.folder / "wins.dat"
        path.write_text("".join(winsdat.format_(self.node.db.records.items(), self.ether.now.wall)))
        return str(path)

    def shutdown(self):
        self.calls.append("shutdown")


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    daemon = Served(tmp_path)
    yield daemon
    daemon.close()


def run(served: Served, *words: str) -> int:
    return main(["--socket", str(served.folder / "control"), *words])


def test_every_verb_without_an_argument_works(served, capsys):
    for words, verb in VERBS.items():
        changing = ("add", "delete", "import", "send-packet", "send-mailslot")
        if words.split()[-1] in (*changing, "partners", "owners", "pull", "push", "forget"):
            continue
        assert run(served, *words.split()) == 0, words
        assert verb.help
    assert served.calls == ["shutdown"]
    assert "PONG from pid 4711" in capsys.readouterr().out


def test_names_are_added_listed_and_deleted(served, capsys):
    assert run(served, "wins", "add", "printer#20", "10.0.7.1", "10.0.7.2", "--ttl", "5000") == 0
    assert run(served, "wins", "list", "PRINT*") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "added PRINTER#20"
    assert out[1].split()[0:4] == ["NAME", "KIND", "NODE", "STATE"]
    assert out[2].split()[0:4] == ["PRINTER#20", "unique", "P", "active"]
    assert out[2].endswith("10.0.7.1 10.0.7.2")
    assert run(served, "wins", "delete", "printer#20") == 0
    assert run(served, "wins", "delete", "printer#20") == 1
    assert "there is no PRINTER#20" in capsys.readouterr().err


def test_answers_can_be_had_as_json(served, capsys):
    assert run(served, "--json", "status") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "WINS"
    assert run(served, "names", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "WINS#00"
    assert run(served, "stats", "--json") == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["own_names"] > 0
    assert all(re.fullmatch("[a-z0-9_]+", key) for key in stats)
    assert run(served, "--json", "wins", "list", "WINS#20") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["WINS#20"]


def test_a_wins_dat_goes_out_and_comes_in(served, capsys, tmp_path):
    lines = [f'"N{i}#20" 1795537718 10.0.0.4 64R' for i in range(2500)]
    file = tmp_path / "old.dat"
    file.write_text("\n".join(["VERSION 1 0", *lines, "rubbish", ""]))
    assert run(served, "wins", "import", str(file)) == 0
    out = capsys.readouterr().out
    assert "imported 2500" in out
    assert f"problems: {file}:2502: " in out
    copy = tmp_path / "copy.dat"
    assert run(served, "wins", "export", str(copy)) == 0
    assert set(lines) <= set(copy.read_text().splitlines())
    file.write_text("something else")
    assert run(served, "wins", "import", str(file)) == 1
    assert run(served, "wins", "import", str(tmp_path / "missing")) == 1


def test_levels_are_nmbds(served):
    assert run(served, "debug", "10") == run(served, "debug", "1") == 0
    assert served.calls == ["debug True", "debug False"]


def test_the_status_says_whose_domain_controller_we_are(served, capsys):
    assert run(served, "status") == 0
    assert "controller" not in capsys.readouterr().out
    served.node.settings = Settings("WINS", workgroup="GRP", logon=Logon())
    assert run(served, "status") == 0
    assert "primary domain controller of GRP\n" in capsys.readouterr().out
    served.node.settings = Settings("WINS", workgroup="GRP", logon=Logon(primary=False, controller="dc1"))
    assert run(served, "status") == 0
    assert "backup domain controller of GRP, asking dc1\n" in capsys.readouterr().out


def test_a_daemon_that_does_not_run_is_an_error_and_wrong_usage_another(tmp_path, capsys):
    assert main(["--socket", str(tmp_path / "none"), "status"]) == 1
    assert "not running" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["nonsense"])
    assert left.value.code == 2


def test_a_packet_is_sent_as_it_is_given_in_hex_or_on_standard_input(served, capsys, monkeypatch):
    data = query("X#20")
    assert run(served, "send-packet", "nmb", "10.0.0.9", data.hex(":")) == 0
    assert "source 10.0.0.1" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run(served, "send-packet", "nmb", "10.0.0.9", "-", "--port", "1137") == 0
    sends = [effect for effect in served.node.drain() if isinstance(effect, Send)]
    assert [(effect.data, effect.to.port) for effect in sends] == [(data, 137), (data, 1137)]


def test_a_mailslot_is_written_to_from_the_command_line(served, capsys):
    words = ("GRP#1e", r"\MAILSLOT\BROWSE", "08:01", "--to", "10.0.0.9", "--source", "X#00", "--unique")
    assert run(served, "send-mailslot", *words) == 0
    assert "10.0.0.9" in capsys.readouterr().out
    (effect,) = (effect for effect in served.node.drain() if isinstance(effect, Send))
    packet, write = write_in(effect.data)
    assert (packet.kind, packet.source, packet.destination) == (0x10, wire("X#00"), wire("GRP#1e"))
    assert write.data == b"\x08\x01"
    assert run(served, "send-mailslot", "GRP#1e", r"\PIPE\X", "08") == 1
    assert r"'\\PIPE\\X' is no mailslot" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("nmb", "10.0.0.9", "00"),
        ("nmb", "10.0.0.9", "zz"),
        ("nmb", "nobody", "00"),
        ("dgram", "10.0.0.9", "00"),
    ],
)
def test_a_packet_that_is_none_is_refused(served, capsys, words):
    assert run(served, "send-packet", *words) == 1
    assert "pynmbctl: " in capsys.readouterr().err


def test_a_reload_says_only_what_is_wrong_and_fails_with_an_unusable_configuration(served, capsys):
    assert run(served, "reload") == 0
    assert capsys.readouterr() == ("", "pynmbctl: f:1: wrong\n")
    served.usable = False
    assert run(served, "reload") == 1
    assert "the old one stays in force" in capsys.readouterr().err


def test_counters_can_be_had_for_prometheus(served, capsys):
    assert run(served, "stats", "--prometheus") == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'pynmbd_events_total{what="bad"} 0' in lines
    assert "# TYPE pynmbd_wins_names gauge" in lines
    assert any(line.startswith("pynmbd_names ") for line in lines)
    assert not [line for line in lines if 'what="own names"' in line]


def test_replication_is_shown_and_steered(served, capsys):
    assert run(served, "wins", "partners") == 1
    assert "no WINS partners" in capsys.readouterr().err
    partners = (Partner("10.0.0.2"), Partner("10.0.0.3", pull=False))
    served.node.handle(Reconfigured(Settings("WINS", wins_support=True, partners=partners)), served.ether.now)
    assert run(served, "wins", "partners") == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["10.0.0.2", "push+pull"],
        ["10.0.0.3", "push"],
    ]
    assert run(served, "wins", "owners") == 0
    assert re.search(r"^10\.0\.0\.1 +[1-9]\d{14}5 +5  ours$", capsys.readouterr().out, re.MULTILINE)
    assert run(served, "wins", "list", "WINS#20") == 0
    assert re.search(r" \[ours \d+\]$", capsys.readouterr().out.strip())
    assert run(served, "wins", "pull") == run(served, "wins", "push", "10.0.0.3") == 0
    assert capsys.readouterr().out == "asked: 10.0.0.2\ntold: 10.0.0.3\n"
    for words in (("pull", "10.0.0.3"), ("push", "10.9.9.9"), ("forget", "10.9.9.9"), ("forget", "nobody")):
        assert run(served, "wins", *words) == 1
    before = dict(served.node.db.highest)
    served.node.db.raise_version(b"\x0a\0\0\2", 7)
    assert run(served, "wins", "forget", "10.0.0.2") == 0
    assert served.node.db.highest == before


@pytest.mark.parametrize("pause", ["0", "-1", "nan", "inf", "never"])
def test_top_wants_a_pause_that_is_one(served, capsys, pause):
    with pytest.raises(SystemExit) as left:
        run(served, "top", "-n", "2", "-d", pause)
    assert left.value.code == 2
    assert "seconds" in capsys.readouterr().err


def test_a_wins_dat_on_standard_output_is_that_and_nothing_else(served, capsys):
    assert run(served, "wins", "export", "-") == 0
    text = capsys.readouterr().out
    assert text.startswith("VERSION 1 0\n")
    assert winsdat.parse(text, "it")[1] == []
    assert run(served, "--json", "wins", "export", "-") == 0
    assert capsys.readouterr().out == text
