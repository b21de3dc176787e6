# SPDX-License-Identifier: GPL-3.0-or-later
"""The fetching program against a fake of impacket's SMB1 client; against smbd in tests/e2e."""

import json
import sys
import types

import pytest

from pydaemons.netbios import rap
from pydaemons.netbios.rap import Answer, Entry
from pydaemons.nmbd import fetchlist


class SessionError(Exception):
    """A server's refusal."""


class Server:
    """What the fake client talks to: entries, in pages of so many."""

    def __init__(self, names: list[str], *, page: int = 1000, status: int = 0) -> None:
        self.names = sorted(names)
        self.page = page
        self.status = status
        self.asked: list[bytes] = []
        self.ports: list[int] = []
        self.open_ports = {445}
        self.refuses = False
        self.piece = 1 << 20

    def answer(self, parameters: bytes) -> Answer:
        self.asked.append(parameters)
        after = parameters.split(b"\0")[-2].decode() if parameters[0] == rap.SERVER_ENUM_3 else ""
        left = [each for each in self.names if each >= after]
        shown = left[: self.page]
        status = self.status or (rap.MORE_DATA if len(left) > len(shown) else 0)
        return Answer(status, tuple(Entry(each.encode(), 6, 1, 3, b"hi") for each in shown), len(left))


class Client:
    """smb.SMB as far as it is used."""

    FLAGS2_UNICODE = 0x8000
    SMB_COM_TRANSACTION = 0x25
    server: Server

    def __init__(self, name: str, host: str, *, sess_port: int, timeout: int) -> None:
        self.server.ports.append(sess_port)
        if sess_port not in self.server.open_ports:
            raise ConnectionRefusedError("refused")
        self.flags = (0, self.FLAGS2_UNICODE)
        self._answers: list[dict] = []

    def login(self, user: str, password: str) -> None:
        assert (user, password) == ("", "")
        if self.server.refuses:
            raise SessionError("access denied")

    def tree_connect_andx(self, path: str, service: str) -> int:
        assert path.endswith("\\IPC$")
        return 7

    def get_flags(self) -> tuple[int, int]:
        return self.flags

    def set_flags(self, *, flags2: int) -> None:
        self.flags = (0, flags2)

    def send_trans(self, tree: int, setup: bytes, name: bytes, parameters: bytes, data: bytes) -> None:
        assert (tree, name) == (7, b"\\PIPE\\LANMAN\0")
        assert not self.flags[1] & self.FLAGS2_UNICODE
        params, data = rap.pack_answer(self.server.answer(parameters))
        for at in range(0, max(len(data), 1), self.server.piece):
            piece = data[at : at + self.server.piece]
            head = params if at == 0 else b""
            words = {
                "ParameterCount": len(head), "ParameterOffset": 55, "DataCount": len(piece),
                "DataOffset": 55 + len(head), "TotalDataCount": len(data), "SetupCount": 0,
            }  # fmt: skip
            self._answers.append({"Parameters": words, "Data": head + piece})

    def recvSMB(self):  # its name there
        packet = types.SimpleNamespace(isValidAnswer=lambda command: command == 0x25)
        answer = self._answers.pop(0)

        class Packet(dict):
            isValidAnswer = staticmethod(packet.isValidAnswer)  # noqa: N815

        return Packet(Data=[answer])

    def close_session(self) -> None:
        pass


@pytest.fixture
def impacket(monkeypatch):
    module = types.ModuleType("impacket.smb")
    module.SMB, module.SessionError, module.SERVICE_ANY = Client, SessionError, "?????"
    module.SMBCommand = module.SMBTransactionResponse_Parameters = lambda given: given
    monkeypatch.setitem(sys.modules, "impacket", types.ModuleType("impacket"))
    monkeypatch.setitem(sys.modules, "impacket.smb", module)

    def serve(server: Server) -> Server:
        Client.server = server
        return server

    return serve


def run(capsys, servers: str = "3", groups: str = "") -> dict:
    assert fetchlist.main(["10.0.0.9", "THERE", "GRP", servers, groups, "cp850"]) == 0
    return json.loads(capsys.readouterr().out)


def test_both_lists_are_printed(impacket, capsys):
    server = impacket(Server(["A", "B"]))
    assert run(capsys, "1073741824", "3221225472") == {
        "servers": [["A", 3, "hi", 6, 1], ["B", 3, "hi", 6, 1]],
        "groups": [["A", 3, "hi", 6, 1], ["B", 3, "hi", 6, 1]],
    }
    assert server.asked == [rap.request(0x40000000, b"GRP"), rap.request(0xC0000000, b"GRP")]


def test_what_is_not_asked_for_is_not_fetched(impacket, capsys):
    server = impacket(Server(["A"]))
    assert run(capsys, "", "3")["servers"] == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("page", [1, 2, 3, 7, 99, 100, 101])
def test_a_list_in_pages_comes_whole_and_without_doubles(impacket, capsys, page):
    names = [f"H{number:03}" for number in range(100)]
    server = impacket(Server(names, page=page))
    found = [each[0] for each in run(capsys)["servers"]]
    if page == 1:  # a page of one name cannot get further: no endless asking
        assert found == ["H000"]
        assert len(server.asked) == 2
    else:
        assert found == names


def test_an_answer_in_pieces_is_put_together(impacket, capsys):
    server = impacket(Server([f"H{number:03}" for number in range(100)]))
    server.piece = 333
    assert len(run(capsys)["servers"]) == 100


def test_port_139_is_tried_when_445_is_closed(impacket, capsys):
    server = impacket(Server(["A"]))
    server.open_ports = {139}
    assert run(capsys)["servers"]
    assert server.ports == [445, 139]


def test_a_refusal_is_said_and_not_asked_for_again(impacket, capsys):
    server = impacket(Server(["A"]))
    server.refuses = True
    assert run(capsys) == {"error": "SessionError: access denied"}
    assert server.ports == [445]


def test_failures_are_said(impacket, capsys):
    server = impacket(Server(["A"], status=5))
    assert "status 5" in run(capsys)["error"]
    server.open_ports = set()
    assert run(capsys) == {"error": "ConnectionRefusedError: refused"}


def test_without_impacket_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "impacket", None)
    monkeypatch.setitem(sys.modules, "impacket.smb", None)
    assert run(capsys) == {"error": fetchlist.NEEDED}
