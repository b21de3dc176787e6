# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients held when it was lost, until they hold it again: whether a grace period may end early. Read
`Owed.settled`.

NLM has no "reclaim complete": a client may be between its first reclaim and its tenth, and nobody can tell.
Only when the very locks and shares that were lost are known, and each of them was reclaimed, can nobody be
left who has something to reclaim. One that is not (its process unlocked it meanwhile, say) keeps the grace
period to its timer.
"""

from __future__ import annotations

from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.locktable import LockTable
from pydaemons.nlm.shares import Shares

Debtor = tuple[str, str, int]
"""The client's address, ours, and svid: the owner's object may be another when it comes back."""


class Owed:
    """All locks and shares of a moment, crossed out one by one."""

    def __init__(self, table: LockTable[Owner], shares: Shares[tuple[Host, bytes]]) -> None:
        self._debtors: dict[Debtor, Debtor] = {}
        self._locks: LockTable[Debtor] = LockTable()
        self._locks.load((file, self._debtor(owner), *rest) for file, owner, *rest in table.dump())  # type: ignore[misc]
        self._shares = {
            (file, host.address, host.local, oh, *kind) for file, (host, oh), *kind in shares.dump()
        }

    @property
    def settled(self) -> bool:
        """Everything was reclaimed."""
        return not len(self._locks) and not self._shares

    def locked(self, owner: Owner, file: bytes, start: int, end: int) -> None:
        """These bytes were reclaimed."""
        self._locks.unlock(file, self._debtor(owner), start, end)

    def shared(self, host: Host, file: bytes, oh: bytes, access: int, deny: int) -> None:
        """This share was."""
        self._shares.discard((file, host.address, host.local, oh, access, deny))

    def forgiven(self, address: str) -> None:
        """A client restarted: it has nothing to reclaim."""
        self._locks.drop(lambda debtor: debtor[0] == address)
        self._shares = {share for share in self._shares if share[1] != address}

    def _debtor(self, owner: Owner) -> Debtor:
        """Interned: the table compares owners by identity."""
        key = owner.host.address, owner.host.local, owner.svid
        return self._debtors.setdefault(key, key)
