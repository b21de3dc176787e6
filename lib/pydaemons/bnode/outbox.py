# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine has decided and not yet handed out. Answers come last, when all else is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from pydaemons.bnode.effects import Answer, BosLog
from pydaemons.bnode.model import Bnode, Code
from pydaemons.engine.effects import Effect, Level


class Outbox:
    """Effects in order, answers, and what has to be written at the end of the batch."""

    __slots__ = ("_answers", "_effects", "changed", "config_changed")

    def __init__(self) -> None:
        self._effects: deque[Effect] = deque()
        self._answers: deque[Effect] = deque()
        self.changed: set[Bnode] = set()
        """bnodes whose history has to be written"""
        self.config_changed = False
        """BosConfig has to be"""

    def __bool__(self) -> bool:
        """Whether there is anything for drain."""
        return bool(self._effects or self._answers or self.changed or self.config_changed)

    def put(self, effect: Effect) -> None:
        self._effects.append(effect)

    def put_first(self, effect: Effect) -> None:
        self._effects.appendleft(effect)

    def answer(
        self,
        ticket: object,
        code: Code | int,
        result: Mapping[str, Any] | None = None,
        reason: str = "",
        keeps: tuple[str, ...] = (),
    ) -> None:
        self._answers.append(Answer(ticket, code, result or {}, reason, keeps))

    def log(self, level: Level, message: str, message_id: str | None = None, **fields: str) -> None:
        """A line for BosLog and the journal, fields for the latter."""
        self._effects.append(BosLog(level, message, fields, message_id))

    def drain(self) -> Iterator[Effect]:
        for queue in (self._effects, self._answers):
            while queue:
                yield queue.popleft()
