# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories: what a lock server gets to hear, in order, as text; told to two servers of which one answers
nothing at a glance. Read Story, then tell.

    2u0000000180...   a datagram of client 10.0.0.2, in hexadecimal
    3t0000000180...   a record of 10.0.0.3's connection
    1u...             of this host itself
    w10               ten seconds pass
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakes.locking import World
from fakes.succession import known, successor
from pydaemons.engine.protocol import Transport

CLIENTS = (1, 2, 3, 4)
TRANSPORTS = {"u": Transport.UDP, "t": Transport.TCP}
LONGEST_WAIT = 1000.0


@dataclass(frozen=True, slots=True)
class Packet:
    """One message to the server."""

    client: int
    transport: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.client}{self.transport}{self.data.hex()}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing happens for so long."""

    seconds: float

    def __str__(self) -> str:
        return f"w{self.seconds:g}"


Story = tuple[Packet | Wait, ...]


def parse(line: str) -> Story:
    """A line of a corpus."""
    return tuple(
        Wait(float(word[1:])) if word[0] == "w" else Packet(int(word[0]), word[1], bytes.fromhex(word[2:]))
        for word in line.split()
    )


def read(path: Path) -> list[Story]:
    """A corpus: a story a line, # before remarks."""
    return [parse(line) for line in path.read_text().splitlines() if line and line[0] != "#"]


def told(story: Story) -> str:
    """Inverse of `parse`."""
    return " ".join(map(str, story))


def address(client: int) -> str:
    return "127.0.0.1" if client == 1 else f"10.0.0.{client}"


def tell(story: Sequence[Packet | Wait]) -> None:
    """Whatever it is told, a server raises nothing, answers nothing but replies to the call, keeps its rules
    and its journal, and is the same whether it answers at a glance or not. AssertionError otherwise."""
    quick, slow = worlds = World(), World(prompt=False)
    for world in worlds:
        for client in CLIENTS:
            world.client(address=address(client))
    for event in story:
        if isinstance(event, Wait):
            for world in worlds:
                world.run(min(event.seconds, LONGEST_WAIT))
        else:
            how = address(event.client), 700, TRANSPORTS[event.transport]
            reply, other = (world.receive(event.data, world.origins(*how)) for world in worlds)
            assert reply == other, "answered at a glance it is another answer"
            assert reply is None or reply[:8] == event.data[:4] + b"\0\0\0\1", "no reply to this call"
            for world in worlds:
                world.run(0.001)
    for world in worlds:
        world.check()
        world.run(0.1)
        assert known(successor(world).server) == known(world.server), "the journal says something else"
    assert known(quick.server) == known(slow.server), "a glance and a look come to different things"
