# SPDX-License-Identifier: GPL-3.0-or-later
from typing import Any

import pytest

from pydaemons.kit.varlink import Caller, ControlError
from pydaemons.nmbd.control import REFUSED, interface

ROOT = Caller(1, 0, 0, 0)


class FakeDaemon:
    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.stopped = False

    def ask(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((verb, arguments))
        return {"error": "no"} if verb == "wins-delete" else {"names": []}

    def import_wins(self, text: str) -> tuple[int, list[str]]:
        return len(text), []

    def export_wins(self) -> str:
        return "/somewhere/wins.dat"

    def shutdown(self) -> None:
        self.stopped = True


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


def call(daemon: FakeDaemon, method: str, **parameters: object) -> Any:
    offered = interface(daemon)
    offered.check(method, parameters)
    return offered.methods[method].call(parameters, ROOT)


def test_every_method_can_be_described(daemon):
    assert "method WinsList(pattern: ?string, state: ?string, after: ?int)" in interface(daemon).describe()


def test_parameters_left_out_are_not_passed_on(daemon):
    call(daemon, "WinsList", pattern="A*", state=None)
    assert daemon.asked == [("wins-list", {"pattern": "A*"})]


def test_a_refusal_is_an_error_with_its_reason(daemon):
    with pytest.raises(ControlError) as refused:
        call(daemon, "WinsDelete", name="A#20")
    assert (refused.value.name, refused.value.parameters) == (REFUSED, {"message": "no"})


def test_figures_come_under_one_name(daemon):
    assert call(daemon, "Status") == {"status": {"names": []}}
    assert call(daemon, "Stats") == {"stats": {"names": []}}


def test_what_changes_anything_is_for_the_trusted_only(daemon):
    methods = interface(daemon).methods
    trusted = {name for name, method in methods.items() if method.trusted}
    assert trusted == {
        "WinsAdd",
        "WinsDelete",
        "WinsImport",
        "WinsExport",
        "WinsPull",
        "WinsPush",
        "WinsForget",
        "SendPacket",
        "SendMailslot",
        "ForceElection",
        "Shutdown",
    }
    assert call(daemon, "WinsImport", text="xyz") == {"imported": 3, "problems": []}
    assert call(daemon, "WinsExport") == {"file": "/somewhere/wins.dat"}
    call(daemon, "Shutdown")
    assert daemon.stopped
