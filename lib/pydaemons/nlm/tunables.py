# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of fs.nfs that pylockd serves: the kernel lockd's own, with their ranges, and a few counts.

Names, units and ranges as in Linux (Documentation/admin-guide/sysctl; fs/lockd), so that what an
administrator knows or has in sysctl.d goes on working. Unlike there, ports take effect while running.
"""

from pydaemons.tunables.declare import Effect, Tunables, live, state, tunable
from pydaemons.tunables.kinds import Bool, Flags, Int, Seconds, Text, YesNo

_COUNT = Int(0, 2**63 - 1)


class NlmTunables(Tunables, prefix="fs.nfs"):
    """pylockd's tunables. `timeout` and the like are whole seconds."""

    nlm_grace_period = tunable(
        Seconds(0, 240),
        0,
        effect=Effect.NEXT_GRACE,
        doc="How long clients may reclaim their locks after a start that lost them; 0 means five times "
        "nlm_timeout, any other value is rounded up to a multiple of nlm_timeout.",
    )
    nlm_timeout = tunable(
        Seconds(3, 20),
        10,
        effect=Effect.NEXT_CALL,
        doc="First timeout of a call to a client (GRANTED first of all); further tries wait longer. "
        "The grace period is counted in it too.",
    )
    nlm_udpport = tunable(Int(0, 65535), 0, doc="UDP port of the lock manager; 0 takes any free one.")
    nlm_tcpport = tunable(Int(0, 65535), 0, doc="TCP port of the lock manager; 0 takes any free one.")
    nsm_use_hostnames = tunable(
        Bool(),
        False,
        effect=Effect.NEXT_CALL,
        doc="Monitor clients under the host names they give rather than under their addresses.",
    )
    nsm_local_state = live(
        Int(0, 2**31 - 1),
        0,
        doc="This host's NSM state number in force: odd while up, raised when lock state was lost.",
    )
    nlm_max_connections = tunable(
        Int(1, 65535),
        1024,
        effect=Effect.NEXT_CONNECTION,
        doc="TCP connections kept open at once; at the limit the one idle for longest is closed.",
    )
    nlm_max_locks = tunable(
        Int(1, 2**31 - 1),
        1_000_000,
        effect=Effect.NEXT_CALL,
        doc="Locks and shares held at once by all clients; one more is refused with NLM_DENIED_NOLOCKS, and "
        "so is an UNLOCK that makes two locks of one.",
    )
    nlm_max_blocked = tunable(
        Int(1, 2**31 - 1),
        65536,
        effect=Effect.NEXT_CALL,
        doc="Lock requests waiting at once; one more is refused with NLM_DENIED_NOLOCKS.",
    )
    nlm_max_locks_per_client = tunable(
        Int(0, 2**31 - 1),
        0,
        effect=Effect.NEXT_CALL,
        doc="Locks held at once by one client; one more is refused with NLM_DENIED_NOLOCKS. 0 sets no limit.",
    )
    nlm_max_blocked_per_client = tunable(
        Int(0, 2**31 - 1),
        0,
        effect=Effect.NEXT_CALL,
        doc="Lock requests of one client waiting at once; one more is refused with NLM_DENIED_NOLOCKS. 0 "
        "sets no limit.",
    )
    nlm_client_lease = tunable(
        Seconds(0, 86400),
        0,
        doc="A client that neither calls nor answers our calls for so long loses its locks and shares, as "
        "one that was switched off for good; one cut off for a while is not told. Less than 15 counts as "
        "15. 0 leaves everybody their locks until they restart or an administrator releases them.",
    )
    nlm_busy_poll = tunable(
        Int(0, 1000, unit="microseconds"),
        50,
        doc="While calls follow that close upon each other, the next is looked for that long before the "
        "process sleeps: clients that wait for each answer are served sooner, for some processor time. "
        "0 never does.",
    )
    nlm_debug = tunable(
        Flags(
            svc=0x1,
            client=0x2,
            clntlock=0x4,
            svclock=0x8,
            monitor=0x10,
            clntsubs=0x20,
            svcsubs=0x40,
            hostcache=0x80,
            xdr=0x100,
        ),
        0,
        doc="What is logged beyond the usual, by the kernel's NLMDBG bits: a number, or names by commas, or "
        "all. pylockd(8) says what each is about; calls are served slower meanwhile.",
    )
    nlm_end_grace = live(
        YesNo(),
        False,
        doc="Y written here ends the grace period; reads Y when there is none, N while it lasts.",
    )
    nlm_grace_left = state(
        Int(0, 2**31 - 1, unit="seconds"), doc="Time until the grace period ends; 0 when there is none."
    )
    nlm_locks = state(_COUNT, doc="Byte-range locks held now.")
    nlm_shares = state(_COUNT, doc="Share reservations held now.")
    nlm_blocked = state(_COUNT, doc="Lock requests waiting now.")
    nlm_clients = state(_COUNT, doc="Clients that hold or wait for a lock or share now.")
    nlm_connections = state(_COUNT, doc="TCP connections open now.")
    nlm_version = state(Text(64), doc="Version of the running pylockd.")
