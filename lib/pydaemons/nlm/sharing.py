# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of SHARE and UNSHARE, DOS sharing modes (XNFS 3W ch. 10). shares.py knows which clash.

They stand beside LOCK's: the same grace period, the same limit, the same monitoring, and no share is in the
way of a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydaemons.engine.protocol import Now
from pydaemons.nlm.types import ShareArgs, ShareResult, Status
from pydaemons.sunrpc.program import Call

if TYPE_CHECKING:
    from pydaemons.nlm.server import Server

LAST_KIND = 3
"""fsh_mode and fsh_access are 0 to 3: two bits, read and write."""


class Sharing:
    """The two rules, over the state of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def share(self, args: ShareArgs, call: Call, now: Now) -> ShareResult:
        """SHARE: open a file and forbid others some ways of opening it."""
        status = self._share(args, call, now)
        self._server.counts["SHARE"][status] += 1
        return ShareResult(args.cookie, status, 0)

    def _share(self, args: ShareArgs, call: Call, now: Now) -> int:
        server = self._server
        if server.refuse:
            return Status.DENIED_NOLOCKS
        if server.grace.active and not args.reclaim:
            return Status.DENIED_GRACE_PERIOD
        if server.is_full():
            return Status.DENIED_NOLOCKS
        if not args.fh:
            return Status.STALE_FH
        if args.mode > LAST_KIND or args.access > LAST_KIND:
            return Status.FAILED
        file = server.file(args.fh, call)
        if server.refusal is not None and (status := server.refusal(file, False)):
            return status
        host = server.hosts.get(call.origin.peer.host, call.origin.local.host, args.caller_name, now)
        if host.number and not host.noted:
            server.journal.host(host)
        server.limits_changed()
        if not server.shares.share(file, (host, args.oh), args.access, args.mode):
            server.hosts.leave(host)
            return Status.DENIED
        if not host.monitored:
            server.lingering.watch(host, call, now)
        server.journal.shared(host, file, args.oh, args.access, args.mode)
        if server.owed is not None:
            server.owed.shared(host, file, args.oh, args.access, args.mode)
            server.repaid(now)
        return Status.GRANTED

    def unshare(self, args: ShareArgs, call: Call, now: Now) -> ShareResult:
        """UNSHARE: take back one SHARE. Nothing to take back is a success, as UNLOCK has it."""
        server = self._server
        status = Status.GRANTED
        if server.grace.active:
            status = Status.DENIED_GRACE_PERIOD
        else:
            host = server.hosts.find((call.origin.peer.host, call.origin.local.host))
            if host is not None:
                file = server.file(args.fh, call)
                if server.shares.unshare(file, (host, args.oh), args.access, args.mode):
                    server.journal.unshared(host, file, args.oh, args.access, args.mode)
        server.counts["UNSHARE"][status] += 1
        return ShareResult(args.cookie, status, 0)
