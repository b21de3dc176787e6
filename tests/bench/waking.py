# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a blocked lock's client waits: from one host's UNLOCK leaving to GRANTED reaching another."""

from __future__ import annotations

import time

from hosts import nlm
from hosts.lab import Host


def wake_latencies(
    holder: Host, blocked: Host, handle: bytes, *, address: str, port: int, count: int
) -> list[float]:
    """Seconds from sending UNLOCK to receiving GRANTED, `count` times; both hosts' rpcbind must run."""
    found = []
    with (
        nlm.Waiter(blocked) as waiter,
        nlm.Client(holder, address, port) as one,
        nlm.Client(blocked, address, port) as two,
    ):
        for number in range(count):
            offset = number * 100
            status = one.lock(handle, offset=offset)
            assert status == nlm.STATUS_GRANTED, f"LOCK answered {status}"
            status = two.lock(handle, offset=offset, block=True)
            assert status == nlm.STATUS_BLOCKED, f"a blocking LOCK answered {status}"
            time.sleep(0.02)  # not in the middle of whatever the server still does about the LOCK
            begun = time.monotonic()
            one.send_unlock(handle, offset=offset)
            found.append(waiter.wait((address, port)).moment - begun)
            one.read_reply()
            two.unlock(handle, offset=offset)
    return found
