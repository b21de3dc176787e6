# SPDX-License-Identifier: GPL-3.0-or-later
"""DOS share reservations (NLM SHARE and UNSHARE, XNFS ch. 10 and 11): who has which file open, denying what.

An open asks for an access and denies one to others; two opens of different owners clash when either wants
what the other denies. Read `CLASHES` first: sixteen kinds of open, each with those that it clashes with. Per
file, a set of kinds per owner (16 bits) and how many owners hold each kind answer every question without a
search.

An owner is (client, oh), opaque here, compared by equality. It may hold several kinds at once (Windows opens
a file several times, and "access none, deny X" is a kind like others) and never clashes with itself.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

O = TypeVar("O", bound=Hashable)  # noqa: E741  the owner of a share

READ = 1
WRITE = 2
"""Bits of an access (fsh4_access) and of a deny mode (fsh4_mode) alike: none, read, write, both are 0 to
3."""

KINDS = 16


def _kind(access: int, deny: int) -> int:
    return access << 2 | deny


CLASHES = tuple(
    tuple(k for k in range(KINDS) if (kind >> 2) & k & 3 or (k >> 2) & kind & 3) for kind in range(KINDS)
)
"""By kind (access << 2 | deny): the kinds of another owner that forbid it."""


class Share(NamedTuple, Generic[O]):
    """One reservation."""

    owner: O
    access: int
    deny: int


class _File(Generic[O]):
    """The shares of one file."""

    __slots__ = ("counts", "owners")

    def __init__(self) -> None:
        self.owners: dict[O, int] = {}  # the kinds each holds, one bit each
        self.counts = [0] * KINDS  # how many owners hold each kind

    def __iter__(self) -> Iterator[Share[O]]:
        for owner, held in self.owners.items():
            for kind in range(KINDS):
                if held >> kind & 1:
                    yield Share(owner, kind >> 2, kind & 3)

    def drop(self, owner: O) -> int:
        held = self.owners.pop(owner, 0)
        for kind in range(KINDS):
            self.counts[kind] -= held >> kind & 1
        return held.bit_count()


class Shares(Generic[O]):
    """All share reservations, by file key. `len(shares)` is their number. A share never waits."""

    __slots__ = ("_files", "_size")

    def __init__(self) -> None:
        self._files: dict[bytes, _File[O]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def files(self) -> int:
        """How many files have shares."""
        return len(self._files)

    def share(self, file: bytes, owner: O, access: int, deny: int) -> bool:
        """Reserve; False, and no change, when a share of another owner forbids it. Held already: granted
        again.

        access and deny are 0 to 3; the caller has refused other numbers.
        """
        kind = _kind(access, deny)
        here = self._files.get(file)
        if here is None:
            here = self._files[file] = _File()
        held = here.owners.get(owner, 0)
        for k in CLASHES[kind]:
            if here.counts[k] > held >> k & 1:
                return False
        if not held >> kind & 1:
            here.owners[owner] = held | 1 << kind
            here.counts[kind] += 1
            self._size += 1
        return True

    def unshare(self, file: bytes, owner: O, access: int, deny: int) -> bool:
        """Give back the share of exactly this owner, access and deny mode; False if there is none."""
        kind = _kind(access, deny)
        here = self._files.get(file)
        held = 0 if here is None else here.owners.get(owner, 0)
        if here is None or not held >> kind & 1:
            return False
        here.counts[kind] -= 1
        self._size -= 1
        if held == 1 << kind:
            del here.owners[owner]
            if not here.owners:
                del self._files[file]
        else:
            here.owners[owner] = held & ~(1 << kind)
        return True

    def drop(self, match: Callable[[O], bool]) -> int:
        """Give back all shares of the owners that `match` (a client's, say); how many. One pass over all
        files."""
        before = self._size
        for file, here in list(self._files.items()):
            for owner in [owner for owner in here.owners if match(owner)]:
                self._size -= here.drop(owner)
            if not here.owners:
                del self._files[file]
        return before - self._size

    def release_file(self, file: bytes) -> int:
        """Give back all shares of a file; how many."""
        here = self._files.pop(file, None)
        if here is None:
            return 0
        gone = sum(here.counts)
        self._size -= gone
        return gone

    def clear(self) -> None:
        """Give back everything."""
        self._files.clear()
        self._size = 0

    def shares(self, file: bytes | None = None, owner: O | None = None) -> Iterator[tuple[bytes, Share[O]]]:
        """The shares, of one file or owner if given. They must not change while this is read."""
        for key in self._files if file is None else (file,):
            for share in self._files.get(key, ()):
                if owner is None or share.owner == owner:
                    yield key, share

    def dump(self) -> Iterator[tuple[bytes, O, int, int]]:
        """file, owner, access, deny of every share: what `load` needs to rebuild them."""
        for file, share in self.shares():
            yield file, *share

    def load(self, rows: Iterable[tuple[bytes, O, int, int]]) -> None:
        """Take the shares of a dump, in any order."""
        for file, owner, access, deny in rows:
            self.share(file, owner, access, deny)
