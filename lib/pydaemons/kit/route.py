# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back to where a packet came from: what the shell keeps as the `handle` of an Origin."""

from __future__ import annotations


class Route:
    """kit.batch and kit.streams have one each."""

    __slots__ = ()

    def send(self, data: bytes) -> None:
        """Send an answer, apart from its batch. Never raises: what cannot be sent is counted."""
        raise NotImplementedError
