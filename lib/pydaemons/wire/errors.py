# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of the wire: any input either decodes or raises WireError."""

from __future__ import annotations


class WireError(ValueError):
    """Bytes that do not follow their protocol. `offset` counts from the start of the packet."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} at byte {offset}")
        self.offset = offset
