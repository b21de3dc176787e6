# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.claims import wire
from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP, NODE_H
from pydaemons.netbios.node import winsdat, winsrecord
from pydaemons.netbios.node.winsrecord import Member, Record, State

# Written by Samba's nmbd 4.17.12.
NMBD = """VERSION 1 0
"KEEPER#20" 1795537718 10.98.0.4 64R
"TESTGRP#00" 1795537718 0.0.0.0 e4R
"DOMAIN#1c" 1795537718 10.98.0.4 10.98.0.5 e4R
"SUT#03" 0 10.98.0.1 66R
"""


def test_a_file_of_nmbd_is_read():
    records, problems = winsdat.parse(NMBD, "wins.dat")
    assert problems == []
    found = {name.unpack(w).format(): winsrecord.unpack(packed) for w, packed in records.items()}
    assert found["KEEPER#20"] == Record(
        State.ACTIVE, NODE_H, 1795537718, (Member(b"\n\x62\0\4", 1795537718),)
    )
    assert found["TESTGRP#00"].group
    assert found["TESTGRP#00"].members == ()
    assert len(found["DOMAIN#1c"].members) == 2
    assert found["SUT#03"].expires == 0xFFFFFFFF


def test_what_is_written_is_what_nmbd_writes_and_is_read_back():
    records, _ = winsdat.parse(NMBD, "wins.dat")
    text = "".join(winsdat.format_(records.items(), 1_700_000_000.0))
    assert text == NMBD.replace("0.0.0.0", "255.255.255.255")
    assert winsdat.parse(text, "again")[0] == records


def test_only_active_names_are_written():
    def record(state: State, expires: int) -> bytes:
        return Record(state, 0, expires, (Member(b"\n\0\0\1", expires),)).pack()

    records = {
        wire("A#20"): record(State.ACTIVE, 2000),
        wire("B#20"): record(State.ACTIVE, 900),
        wire("C#20"): record(State.RELEASED, 2000),
        name.pack(name.Name(b'A"B            \x20')): record(State.ACTIVE, 2000),
        name.pack(name.Name(b"\x01\x02__MSBROWSE__\x02\x01")): Record(State.ACTIVE, GROUP, 2000, ()).pack(),
        wire("D#20.some.scope"): record(State.ACTIVE, 2000),
    }
    lines = list(winsdat.format_(records.items(), 1000.0))
    assert [line.split()[0] for line in lines] == ["VERSION", '"A#20"', '"D#20.some.scope"']


def test_lines_that_are_wrong_are_told_by_number_and_the_rest_is_read():
    text = """VERSION 1 0
# comment

rubbish
"A#20" 12 10.0.0.1 64R
"B#20" 12 10.0.0.999 64R
"C#20" 12 0.0.0.0 64R
"""
    records, problems = winsdat.parse(text, "f")
    assert list(records) == [wire("A#20")]
    assert [problem.partition(": ")[0] for problem in problems] == ["f:4", "f:6", "f:7"]


def test_another_file_is_not_taken_for_one():
    records, problems = winsdat.parse("[global]\n", "smb.conf")
    assert not records
    assert problems == ["smb.conf:1: not a wins.dat: want 'VERSION 1 0'"]
