# SPDX-License-Identifier: GPL-3.0-or-later
from pydaemons.netbios import codes
from pydaemons.netbios.codes import Opcode, Rcode


def test_an_unknown_number_stays_that_number() -> None:
    assert Opcode(3) == 3
    assert Rcode(11) == 11
    assert "11" in Rcode(11).name


def test_suffixes_have_one_meaning_for_hosts_and_one_for_groups() -> None:
    assert codes.meaning(0x00, group=False) == "workstation"
    assert codes.meaning(0x00, group=True) == "workgroup"
    assert codes.meaning(0x77, group=False) == ""


def test_node_types_have_their_letters() -> None:
    assert [codes.node_letter(flags) for flags in (0x0000, 0x2400, 0xC000, 0x6000)] == list("BPMH")
