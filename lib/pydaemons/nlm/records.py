# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of the lock manager's journal: what each says, and its form. Read `Op`.

Hosts go by numbers that `Op.ADDRESS` introduces; an owner is (number, svid). Waiters are told with all that
calling back needs. A grant is a lock taken and then `Op.TOLD`; `Op.SETTLED` when the client knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING

from pydaemons.engine.protocol import Transport
from pydaemons.nlm.beneath import Pieces, lay
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.sunrpc.message import SUCCESS

if TYPE_CHECKING:
    from pydaemons.nlm.grants import Blocked

KIND, VERSION = "pylockd journal", 3
"""The version changes with the records."""
OLDEST = 2
"""The oldest whose records mean the same, as far as there are such."""


class Op(IntEnum):
    """The first byte of a record: what happened."""

    ADDRESS = 1
    """A number for a client: its address and ours; or for an address alone, of those answered."""
    HOST = 2
    """What is known of a client: state number, monitored or not, name."""
    OWNER = 3
    """An owner and its owner handle."""
    SHARED = 4
    EXCLUSIVE = 5
    """A lock was taken, in this mode."""
    UNLOCKED = 6
    SHARE = 7
    UNSHARE = 8
    WAITS = 9
    """A blocked lock joined the queue, or its way back changed."""
    CANCELLED = 10
    """It left the queue without the lock."""
    TOLD = 11
    """It left the queue, has the lock, and the client is being told."""
    SETTLED = 12
    """The client is told no more."""
    DROPPED = 13
    """Everything held and waited for by some owners was voided."""
    SHARES_DROPPED = 14
    """Every share of a host was."""
    FILE_RELEASED = 15
    """Every lock and share on a file was."""
    CLEARED = 16
    """Everything of everybody was."""
    GONE = 17
    """A host that held nothing was forgotten."""
    GRACE = 18
    """The grace period began or ended."""
    TIME = 19
    """When the answers that follow were given."""
    REPLIED = 20
    """An answer, for a call that may be repeated."""
    KEYS = 22
    """What files are known by: by other keys the same locks are of other files."""
    FORGOTTEN = 21
    """The answers given to a host (0: to all) mean nothing any more."""
    BENEATH = 23
    """What lies beneath a lock whose client is being told, if that is not nothing."""
    TOGETHER = 24
    """Several of SHARED, EXCLUSIVE or UNLOCKED on one file, one after the other: the file, all owners, all
    starts, all ends."""


NUMBERED = Struct("!BI")
ADDRESS = Struct("!BIB")
HOST = Struct("!BIi?ddH")
OWNER = Struct("!BIiH")
RANGE = Struct("!BIiQQH")
SPAN = Struct("!QQ")
"""Of RANGE, start and end."""
pack_span = SPAN.pack
TOGETHER = Struct("!BBHH")
"""Which of the three, how many, length of the file."""
MOST_TOGETHER = 64
"""So many at most."""
SPANS = [Struct(f"!{2 * count}Q") for count in range(MOST_TOGETHER + 1)]
"""Of so many, the starts and the ends."""
SHARE = Struct("!BIBHH")
WAITER = Struct("!BIiQQ?HHHQQB??HHd")
KEY = Struct("!BIiQQ?H")
COUNT = Struct("!I")
PIECE = Struct("!QQB")
HELD = {0: None, 1: False, 2: True}
"""How a piece was held, as PIECE numbers it."""
FILE = Struct("!BH")
GRACE = Struct("!B?d")
TIME = Struct("!Bd")
REPLY = Struct("!BI4sIH")
PAIR = Struct("!Ii")
OWNER_AT = 1
"""Where in a record about an owner a PAIR stands that says which."""
BODY_AT = 4 + len(SUCCESS)
"""Where in a reply its result begins: what stands before follows from the call."""

SHARED, EXCLUSIVE, UNLOCKED = map(int, (Op.SHARED, Op.EXCLUSIVE, Op.UNLOCKED))
"""As numbers: what is used for each packet is not to be an IntEnum, of which arithmetic is slow."""
_REPLIED, _TOGETHER = int(Op.REPLIED), int(Op.TOGETHER)


def pack_range(op: int, owner: Owner, file: bytes, start: int, end: int) -> bytes:
    """A lock taken (SHARED, EXCLUSIVE), or bytes freed (UNLOCKED)."""
    return RANGE.pack(op, owner.host.number, owner.svid, start, end, len(file)) + file


def around_range(op: int, file: bytes) -> tuple[bytes, bytes]:
    """What `pack_range` has before `pack_owned` of the owner and `pack_span` of the range, and behind."""
    return bytes((op,)), len(file).to_bytes(2, "big") + file


def pack_together(
    op: int, file: bytes, owners: Sequence[bytes], starts: Sequence[int], ends: Sequence[int]
) -> bytes:
    """Locks taken, or bytes freed, one after the other: `pack_owned` of each owner, and the ranges."""
    count = len(owners)
    head = TOGETHER.pack(_TOGETHER, op, count, len(file))
    return b"".join((head, file, *owners, SPANS[count].pack(*starts, *ends)))


def pack_owned(owner: Owner) -> bytes:
    """Which owner."""
    return PAIR.pack(owner.host.number, owner.svid)


def pack_reply(number: int, xid: bytes, check: int, reply: bytes) -> bytes:
    """An answer given to the host of that number."""
    body = reply[BODY_AT:]
    return REPLY.pack(_REPLIED, number, xid, check, len(body)) + body


def pack_owner(owner: Owner) -> bytes:
    """Introduce it."""
    return OWNER.pack(Op.OWNER, owner.host.number, owner.svid, len(owner.oh)) + owner.oh


def pack_address(address: str, number: int) -> bytes:
    """A number for it."""
    text = address.encode()
    return ADDRESS.pack(Op.ADDRESS, number, len(text)) + text


def pack_host(host: Host) -> bytes:
    """What is known of it."""
    fixed = (host.state, host.monitored, host.first_seen, host.last_seen, len(host.name))
    return HOST.pack(Op.HOST, host.number, *fixed) + host.name


def pack_share(op: Op, host: Host, file: bytes, oh: bytes, kind: int) -> bytes:
    """SHARE or UNSHARE."""
    return SHARE.pack(op, host.number, kind, len(file), len(oh)) + file + oh


def pack_key(op: Op, blocked: Blocked) -> bytes:
    """Something that happened to a blocked lock."""
    owner, file = blocked.owner, blocked.file
    where = blocked.start, blocked.end, blocked.exclusive, len(file)
    return KEY.pack(op, owner.host.number, owner.svid, *where) + file


def nothing_beneath(blocked: Blocked) -> Pieces:
    """Where an owner had nothing of what it waited for: so it is if no record says otherwise."""
    return lay(blocked.start, blocked.end, ())


def pack_beneath(blocked: Blocked) -> bytes:
    """What lies beneath a lock that is being told of."""
    pieces = [PIECE.pack(start, end, 0 if held is None else 1 + held) for start, end, held in blocked.beneath]
    return pack_key(Op.BENEATH, blocked) + COUNT.pack(len(pieces)) + b"".join(pieces)


def pack_waiter(blocked: Blocked) -> bytes:
    """All of a blocked lock; the handle only where it is not the file's key."""
    owner, file, request = blocked.owner, blocked.file, blocked.payload
    origin = request.call.origin
    fh = b"" if request.fh == file else request.fh
    local = origin.local.host.encode()
    fixed = WAITER.pack(
        Op.WAITS,
        owner.host.number,
        owner.svid,
        blocked.start,
        blocked.end,
        blocked.exclusive,
        len(file),
        len(fh),
        len(local),
        request.offset,
        request.length,
        request.call.version,
        origin.transport is Transport.TCP,
        request.asynchronous,
        origin.peer.port,
        origin.local.port,
        request.since,
    )
    return fixed + file + fh + local
