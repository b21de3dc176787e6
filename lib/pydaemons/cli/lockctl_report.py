# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client side of pylockctl is asked and what it answers: values, rows for --json, words for
people. Read Request, Report.row and words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydaemons.engine.protocol import Transport
from pydaemons.nlm.types import HolderBody, Status
from pydaemons.nlm.views import ACCESS, text

MEANING = {
    Status.GRANTED: "granted",
    Status.DENIED: "denied",
    Status.DENIED_NOLOCKS: "denied: the server has no locks to give (NLM_DENIED_NOLOCKS)",
    Status.BLOCKED: "blocked",
    Status.DENIED_GRACE_PERIOD: "denied: the server is in its grace period and takes only reclaims",
    Status.DEADLCK: "denied: waiting would be a deadlock",
    Status.ROFS: "denied: read-only file system",
    Status.STALE_FH: "denied: the server does not know this file handle (stale)",
    Status.FBIG: "denied: the range goes beyond what the server can lock",
    Status.FAILED: "failed at the server",
}
MEANINGS = {status.name: meaning for status, meaning in MEANING.items()}


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    verb: str
    host: str
    fh: bytes = b""
    offset: int = 0
    length: int = 0
    exclusive: bool = True
    wait: float | None = None
    """Seconds to wait for the lock, inf for ever; None: do not wait."""
    hold: float | None = None
    """Seconds to keep it before releasing it; None: leave it behind."""
    version: int = 4
    transport: Transport = Transport.TCP
    svid: int = 1
    oh: bytes = b""
    name: bytes = b""
    reclaim: bool = False
    access: int = 0
    deny: int = 0
    state: int = 0
    port: int | None = None
    source: str | None = None
    timeout: float = 10.0
    rpcbind_port: int = 111


@dataclass(slots=True)
class Report:
    """What came of it: what --json shows."""

    request: Request
    host: str = ""
    status: str = ""
    """The server's word, or FAILED, TIMED_OUT, INTERRUPTED where there is none."""
    decided: bool = False
    """Whether `status` is the server's."""
    holder: dict[str, Any] | None = None
    waited: float = 0.0
    by: str = ""
    """How the grant came: `reply`, or the name of the callback."""
    callback: str = ""
    """How callbacks could find us: `rpcbind`, `embedded`, or empty."""
    seconds: float = 0.0
    """From the first call to the answer."""

    def row(self) -> dict[str, Any]:
        """Plain values."""
        request = self.request
        row: dict[str, Any] = {
            "verb": request.verb,
            "host": self.host or request.host,
            "version": request.version,
            "transport": request.transport.value,
            "status": self.status,
            "seconds": round(self.seconds, 6),
        }
        if request.verb in ("share", "unshare"):
            row |= {
                "file": request.fh.hex(),
                "access": ACCESS[request.access],
                "deny": ACCESS[request.deny],
                "oh": text(request.oh),
            }
        elif request.verb in ("test", "lock", "unlock"):
            row |= {
                "file": request.fh.hex(),
                "mode": "write" if request.exclusive else "read",
                "offset": request.offset,
                "length": request.length,
                "svid": request.svid,
                "oh": text(request.oh),
            }
        if request.verb in ("test", "lock"):
            row["holder"] = self.holder
        if request.verb == "lock":
            row |= {"by": self.by, "waited": round(self.waited, 6), "callback": self.callback}
        return row


def holder_row(holder: HolderBody) -> dict[str, Any]:
    """The lock in the way, as plain values. The client is only known where the owner handle tells it."""
    oh = text(holder.oh)
    _, at, client = oh.partition("@")
    return {
        "client": client if at and client.isprintable() and " " not in client else "",
        "svid": holder.svid,
        "oh": oh,
        "mode": "write" if holder.exclusive else "read",
        "offset": holder.offset,
        "length": holder.length,
    }


def bytes_of(offset: int, length: int) -> str:
    """A range for people."""
    if length == 0:
        return "the whole file" if offset == 0 else f"bytes {offset} to the end"
    return f"bytes {offset}-{offset + length - 1}"


def holder_words(holder: dict[str, Any]) -> str:
    """The lock in the way, for people."""
    client = f" of {holder['client']}" if holder["client"] else ""
    return (
        f"held by svid {holder['svid']}{client} (owner {holder['oh'] or 'not told'}): "
        f"{holder['mode']} lock on {bytes_of(holder['offset'], holder['length'])}"
    )


def words(report: Report) -> str:
    """A result for people, in a line."""
    request = report.request
    if report.status != Status.GRANTED.name:
        meaning = MEANINGS.get(report.status, f"the server answers {report.status}")
        return f"{meaning}: {holder_words(report.holder)}" if report.holder else meaning
    span = f"{'write' if request.exclusive else 'read'} lock on {bytes_of(request.offset, request.length)}"
    match request.verb:
        case "null":
            where = f"{report.host} answers NLM version {request.version} over {request.transport.value}"
            return f"{where} ({report.seconds * 1000:.1f} ms)"
        case "test":
            return f"free: a {span} would be granted"
        case "lock":
            late = f", after {report.waited:.3f} s" if report.by != "reply" else ""
            by = f" by {report.by}" if report.by != "reply" else ""
            return f"granted{by}: {span}, svid {request.svid}{late}"
        case "unlock":
            return f"released: {bytes_of(request.offset, request.length)}, svid {request.svid}"
        case "share":
            return f"granted: access {ACCESS[request.access]}, deny {ACCESS[request.deny]}"
        case "unshare":
            return f"taken back: access {ACCESS[request.access]}, deny {ACCESS[request.deny]}"
        case _:
            return "done"
