# SPDX-License-Identifier: GPL-3.0-or-later
"""What still goes through where no more locks may be had (`nlm_max_locks`, `nlm_max_locks_per_client`): what
adds none. Read is_known; Server asks at a limit only.
"""

from __future__ import annotations

from typing import Any

from pydaemons.nlm.hosts import Owner
from pydaemons.nlm.locktable import LockTable
from pydaemons.nlm.ranges import Span
from pydaemons.nlm.waiters import Waiters


def is_known(
    table: LockTable[Owner],
    waiters: Waiters[Owner, Any],
    wanted: tuple[bytes, Owner | None, Span, bool],
) -> bool:
    """Whether a lock (file, owner, range, exclusive) is held or waited for already, or only changes its mode:
    clients repeat such calls, Linux all the time while it waits, and must not hear at a limit that they have
    not what they have."""
    file, owner, span, exclusive = wanted
    if owner is None:
        return False
    start, end = span
    if waiters.find(file, owner, start, end, exclusive) is not None:
        return True
    return any(
        held.owner is owner
        and held.start <= start
        and end <= held.end
        and (held.exclusive is exclusive or (held.start, held.end) == span)
        for held in table.held(file, start, end)
    )


def would_split(table: LockTable[Owner], file: bytes, owner: Owner, span: Span) -> bool:
    """Whether freeing these bytes makes two locks of one: at a limit an UNLOCK may be refused for want of
    locks, as XNFS has it."""
    start, end = span
    return any(
        held.owner is owner and held.start < start and end < held.end for held in table.held(file, start, end)
    )
