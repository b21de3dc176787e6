# SPDX-License-Identifier: GPL-3.0-or-later
from pydaemons.netbios.node import browsedat
from pydaemons.netbios.node.browsedat import Line
from pydaemons.netbios.node.serverlist import ServerList, Told


def test_lines_look_as_nmbd_writes_them():
    assert Line("TESTGRP", 0xC0001000, "SUT", "TESTGRP").format() == (
        '"TESTGRP"                 c0001000 "SUT"                         "TESTGRP"\n'
    )
    assert Line("SUT", 0x40849A03, "x" * 48, "TESTGRP").format() == (
        f'"SUT"                     40849a03 "{"x" * 48}" "TESTGRP"\n'
    )


def lists() -> tuple[ServerList, ServerList]:
    local, told = ServerList(lambda: 100), ServerList(lambda: 100)
    for name in ("SUT", "PEER"):
        local.hear_server(
            "GRP", name, type_=0x9A03, comment="heard", version=(6, 1), period=60, source="10.0.0.2", mono=0
        )
    local.hear_group("OTHER", type_=0x1000, master="OM", period=60, source="10.0.0.3", mono=0)
    far = [Told("PEER", 0x9A03, "told"), Told("FAR", 0x40009A03, "told")]
    told.learn(
        "10.0.1.9",
        servers={"GRP": far},
        groups=[Told("GRP", 0x1000, "X"), Told("OTHER", 0x1000, "X"), Told("THIRD", 0x1000, "TM")],
        lifetime=60,
        mono=0,
    )
    return local, told


def test_our_group_comes_first_then_ourselves_then_everybody_once():
    local, told = lists()
    found = list(
        browsedat.lines(
            workgroup="GRP",
            master="SUT",
            own=[Line("SUT", 0x849A03, "me", "GRP"), Line("ALIAS", 0x9A03, "me", "GRP")],
            group_type=0x1000,
            local=[local],
            told=told,
        )
    )
    assert found == [
        Line("GRP", 0xC0001000, "SUT", "GRP"),
        Line("SUT", 0x40849A03, "me", "GRP"),
        Line("ALIAS", 0x40009A03, "me", "GRP"),
        Line("PEER", 0x40009A03, "heard", "GRP"),
        Line("OTHER", 0xC0001000, "OM", "OTHER"),
        Line("FAR", 0x9A03, "told", "GRP"),
        Line("THIRD", 0x80001000, "TM", "THIRD"),
    ]
