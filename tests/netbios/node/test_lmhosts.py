# SPDX-License-Identifier: GPL-3.0-or-later
from pydaemons.netbios.node.lmhosts import Host, parse


def test_addresses_and_names_are_read():
    text = """192.0.2.1 SERVER
192.0.2.2\tserver#1B  #PRE #DOM:x

# comment
#INCLUDE lmhosts.more
192.0.2.3 "quoted#20"
"""
    hosts, problems = parse(text, "lmhosts")
    assert problems == []
    assert hosts == [
        Host("192.0.2.1", "SERVER", None),
        Host("192.0.2.2", "SERVER", 0x1B),
        Host("192.0.2.3", "QUOTED", 0x20),
    ]


def test_a_line_that_is_none_is_told_by_its_number():
    hosts, problems = parse("192.0.2.1\nhost 192.0.2.1\n192.0.2.2 GOOD\n", "f")
    assert len(hosts) == 1
    assert problems == ["f:1: no name behind the address", "f:2: 'host' is no IPv4 address"]
