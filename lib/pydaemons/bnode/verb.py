# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request is: one row of `verbs`, its body, and the ways a body answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pydaemons.bnode.model import Code

if TYPE_CHECKING:  # the desk is where rows are used
    from pydaemons.bnode.commands import Desk
    from pydaemons.bnode.events import Asked
    from pydaemons.engine.protocol import Now

LATER: Final = object()
"""A body's result when the answer comes by itself."""


class Who(Enum):
    """Who may make a request."""

    ANYBODY = "anybody"
    ADMIN = "admin"


class Restricted(Enum):
    """What restricted mode makes of it."""

    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no, with its reason."""

    code: Code
    reason: str = ""


Body = Callable[["Desk", "Asked", "Now"], Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """One kind of request."""

    number: int
    """the peer's; 0 for what the peer does not have"""
    name: str
    who: Who
    restricted: Restricted
    parameters: Mapping[str, type]
    body: Body | None
    doc: str
    optional: Mapping[str, type] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()
    """the state files that a yes promises to have been written"""
