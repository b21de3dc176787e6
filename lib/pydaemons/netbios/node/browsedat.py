# SPDX-License-Identifier: GPL-3.0-or-later
"""browse.dat: the list as smbd reads it to answer clients, in the form nmbd writes. Read lines.

A line is a name, its type as eight hex digits, a comment and a group, text in double quotes padded with
blanks. The first line is our own group, then our own names, then everything else; bit 0x40000000 marks what
was heard on our own networks and not from other masters, bit 0x80000000 a group, whose comment is its
master.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydaemons.netbios.browse import ServerType
from pydaemons.netbios.node.serverlist import ServerList

_LOCAL = ServerType.LOCAL_LIST_ONLY
_GROUP = ServerType.DOMAIN_ENUM


class Line(NamedTuple):
    """One entry."""

    name: str
    type: int
    comment: str
    group: str

    def format(self) -> str:
        """As it stands in the file."""
        name, comment = f'"{self.name}"', f'"{self.comment}" '
        return f'{name:<25} {self.type & 0xFFFFFFFF:08x} {comment:<30}"{self.group}"\n'


def lines(
    *,
    workgroup: str,
    master: str,
    own: Iterable[Line],
    group_type: int,
    local: Iterable[ServerList],
    told: ServerList,
) -> Iterator[Line]:
    """The whole list. What is on our networks goes before what was told of the same name."""
    head = Line(workgroup, group_type | _GROUP | _LOCAL, master, workgroup)
    yield head
    seen_groups, seen = {workgroup}, set()
    for line in own:
        seen.add((line.group, line.name))
        yield line._replace(type=line.type | _LOCAL)
    for mark, known in [*((_LOCAL, each) for each in local), (ServerType(0), told)]:
        for group in known:
            if group.type and group.name not in seen_groups:
                seen_groups.add(group.name)
                yield Line(group.name, group.type | _GROUP | mark, group.master, group.name)
            for server in group.servers.values():
                if (group.name, server.name) not in seen:
                    seen.add((group.name, server.name))
                    yield Line(
                        server.name, (server.type & ~(_LOCAL | _GROUP)) | mark, server.comment, group.name
                    )
