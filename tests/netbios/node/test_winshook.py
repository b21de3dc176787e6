# SPDX-License-Identifier: GPL-3.0-or-later
"""What the WINS hook hears of."""

import pytest

from fakes.winssite import Site
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import NODE_H, Opcode
from pydaemons.netbios.node.events import RunHook


class TestHook:
    def run(self, text: str) -> list[tuple[str, ...]]:
        site = Site(wins_hook=("/bin/hook", "--flag"))
        site.server.other.clear()
        label = text.encode("latin-1").ljust(15) + b"\x20"
        wire_ = name.pack(name.Name(label))
        nb = nspacket.Nb(NODE_H, b"\n\0\0\x08")
        for opcode in (Opcode.REGISTRATION, Opcode.REFRESH, Opcode.RELEASE):
            ttl = 0 if opcode == Opcode.RELEASE else 30000
            site.ask(
                site.a,
                nspacket.claim(opcode, 1, wire_, nb, ttl=ttl, broadcast=False, recursion_desired=True),
            )
        return [effect.arguments for effect in site.server.other if isinstance(effect, RunHook)]

    def test_a_hook_hears_of_every_change_by_its_arguments(self):
        assert self.run("NORMAL") == [
            ("/bin/hook", "--flag", "add", "NORMAL", "20", "30000", "10.0.0.8"),
            ("/bin/hook", "--flag", "refresh", "NORMAL", "20", "30000", "10.0.0.8"),
            ("/bin/hook", "--flag", "delete", "NORMAL", "20", "0", "10.0.0.8"),
        ]
        assert len(self.run("hyphen-dot.0")) == 3

    @pytest.mark.parametrize(
        "text", ["|look|", "look&true", "look\\;false", "&ls>foo", "has spaces", "", "$(id)", "-rf", "x\n"]
    )
    def test_a_name_a_shell_could_misread_reaches_no_hook(self, text):
        assert self.run(text) == []
