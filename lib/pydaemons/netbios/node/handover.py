# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells the one that takes its place at a restart: the names it has. Read Handover.

Names that were claimed and registered stay so while the process changes: claiming them again would be noise
on every network and, for a moment, names nobody defends. What is not told is claimed as at any start. The
text form is JSON, made and read by two processes within seconds of each other, perhaps of two versions: what
the second does not understand it does without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from pydaemons.wire.errors import WireError

BELIEVED_FOR = 60.0
"""Seconds after which it tells nothing any more: others may have the names by now."""

Registered = dict[tuple[bytes, bytes], tuple[int, float]]
"""Name in wire form and address -> lifetime the server granted, and when it is to be refreshed (wall
clock)."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One node's standing, at one moment."""

    at: float
    """The moment, by the wall clock."""
    held: Mapping[tuple[str, bytes], tuple[bool, float]] = field(default_factory=dict)
    """Our address and a name in wire form -> is it a group, and since when it is ours."""
    registered: Mapping[tuple[str, str], Registered] = field(default_factory=dict)
    """Tag and server -> what is registered there."""

    def is_believed(self, wall: float) -> bool:
        """Is it young enough to tell anything?"""
        return 0 <= wall - self.at <= BELIEVED_FOR

    def format(self) -> str:
        """As text."""
        return json.dumps(
            {
                "at": self.at,
                "held": [[host, wire.hex(), *rest] for (host, wire), rest in self.held.items()],
                "registered": [
                    [tag, server, wire.hex(), str(IPv4Address(address)), ttl, due]
                    for (tag, server), names in self.registered.items()
                    for (wire, address), (ttl, due) in names.items()
                ],
            }
        )


def parse(text: str) -> Handover:
    """The inverse of Handover.format; WireError for anything else."""
    try:
        told = json.loads(text)
        registered: dict[tuple[str, str], Registered] = {}
        for tag, server, wire, address, ttl, due in told["registered"]:
            names = registered.setdefault((str(tag), str(server)), {})
            names[bytes.fromhex(wire), IPv4Address(address).packed] = (int(ttl), float(due))
        held = {
            (str(host), bytes.fromhex(wire)): (bool(group), float(since))
            for host, wire, group, since in told["held"]
        }
        return Handover(float(told["at"]), held, registered)
    except (ValueError, TypeError, KeyError) as error:
        raise WireError(f"not what a node told the next one: {error}", 0) from None
