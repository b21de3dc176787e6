# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of pynmbd that can change while it runs: `net.netbios.*`.

Those that smb.conf(5) knows too (max ttl, min and max wins ttl) take their value from there unless sysctl.d
or a runtime write says otherwise.
"""

from __future__ import annotations

from pydaemons.tunables.declare import Effect, Tunables, state, tunable
from pydaemons.tunables.kinds import Bool, ClientPattern, Int, List, Seconds, Text

PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918, 6598 and 3927."""


class NetbiosTunables(Tunables, prefix="net.netbios"):
    """One attribute each; see tunables.declare."""

    nmb_port = tunable(Int(1, 65535), 137, effect=Effect.AT_RESTART, doc="UDP port of the name service.")
    dgram_port = tunable(
        Int(1, 65535), 138, effect=Effect.AT_RESTART, doc="UDP port of the datagram service."
    )
    max_ttl = tunable(
        Seconds(60, 0x7FFFFFFF),
        259200,
        doc="""Lifetime asked for our own names and given in answers about them
        (smb.conf: max ttl).""",
    )
    min_wins_ttl = tunable(
        Seconds(60, 0x7FFFFFFF),
        21600,
        doc="""WINS server: shortest lifetime granted to a name (smb.conf: min
        wins ttl).""",
    )
    max_wins_ttl = tunable(
        Seconds(60, 0x7FFFFFFF),
        518400,
        doc="""WINS server: longest lifetime granted to a name (smb.conf: max
        wins ttl).""",
    )
    wins_dump_interval = tunable(
        Seconds(10, 86400),
        120,
        doc="""WINS server: how often wins.dat is written when names have changed. It
        is an export for other programs: the database itself is written before each answer leaves.""",
    )
    challenge_timeout = tunable(
        Seconds(1, 60),
        1,
        doc="""WINS server: how long the old owner of a name has for each of the three
        challenges when another host claims the name.""",
    )
    interfaces_reload = tunable(
        Seconds(5, 86400),
        120,
        doc="""How often the list of interfaces is read anew. Changes are heard of at once
        from the kernel; this is the safety net.""",
    )
    max_names = tunable(
        Int(100, 10_000_000), 1_000_000, doc="WINS server: names kept at most; more are refused."
    )
    query_rate = tunable(
        Int(1, 10_000_000),
        100_000,
        doc="""Packets per second answered to one source address; the rest is dropped. The
        default only stops runaways: set it near 50 on networks with hosts you do not trust.""",
    )
    query_burst = tunable(
        Int(1, 10_000_000),
        200_000,
        doc="Packets one source address may send at once before query_rate counts.",
    )
    busy_poll = tunable(
        Int(0, 1000, unit="microseconds"),
        50,
        doc="While packets follow that close upon each other, the next is looked for that long before the "
        "process sleeps: clients that wait for each answer are served sooner, for some processor time. "
        "0 never does: the better value where processors are short.",
    )
    debug = tunable(Bool(), False, doc="Log everything, as pynmbctl debug 3 has it.")
    allow = tunable(
        List(ClientPattern()),
        (),
        doc="""Networks that are answered like the ones our interfaces are on. All others get no
        answer at all (but see wins_allow), so that forged sources gain nothing.""",
    )
    wins_allow = tunable(
        List(ClientPattern()),
        PRIVATE,
        doc="""WINS server: networks whose hosts may register and look up names though they
        are not on a network of ours. The default is the private address ranges.""",
    )
    dgram_allow = tunable(
        List(ClientPattern()),
        PRIVATE,
        doc="""Networks whose datagrams (announcements from other networks, masters reporting to
        a domain master) are heard though they are not on a network of ours. They are never answered with more
        bytes than they sent. The default is the private address ranges.""",
    )
    refused_names = tunable(
        List(Text(15)),
        ("WPAD", "ISATAP", "*"),
        doc="""WINS server: names nobody may register, because clients would send their web
        traffic to whoever has them.""",
    )
    wins_repl_port = tunable(
        Int(1, 65535), 42, effect=Effect.AT_RESTART, doc="TCP port of WINS replication (with partners only)."
    )
    wins_pull_interval = tunable(
        Seconds(10, 864000), 1800, doc="WINS replication: how often partners are asked for what is new."
    )
    wins_push_delay = tunable(
        Seconds(1, 86400),
        5,
        doc="""WINS replication: after a change, how long more changes are gathered before
        partners are told that there is something new.""",
    )
    wins_retry_interval = tunable(
        Seconds(1, 86400),
        60,
        doc="WINS replication: when to try again after a partner could not be reached or did not answer.",
    )
    wins_verify_interval = tunable(
        Seconds(3600, 31536000),
        24 * 86400,
        doc="""WINS replication: how long a partner's record is believed without having been seen again. After
        half of it everything the owner has is asked for once more.""",
    )
    os_level = tunable(
        Int(0, 255),
        20,
        doc="""What we have to say for ourselves in elections of master browsers: the higher
        wins (smb.conf: os level). Windows servers have 32, other Windows hosts 16.""",
    )
    announce_interval = tunable(
        Seconds(10, 3600),
        720,
        doc="""Pause between announcements in the long run; the first ones follow each other
        faster.""",
    )
    master_check = tunable(
        Seconds(2, 3600),
        20,
        doc="""How often the local master browser is asked whether it is still there; when it
        is not, a new one is elected.""",
    )
    browse_sync_interval = tunable(
        Seconds(10, 86400),
        900,
        doc="""How often lists are exchanged with domain master and local masters of other
        networks.""",
    )
    lm_interval = tunable(
        Int(0, 86400, unit="seconds"),
        60,
        doc="""Pause between announcements to LAN Manager hosts; 0 for none (smb.conf: lm
        interval).""",
    )
    max_browse_entries = tunable(
        Int(16, 1_000_000),
        10_000,
        doc="""Hosts kept of each network, and told by other masters, at most; more are not
        listed.""",
    )
    names = state(Int(0, 2**31 - 1), doc="Own names held, over all interfaces.")
    wins_names = state(Int(0, 2**31 - 1), doc="WINS server: records in the database, in any state.")
    packets = state(Int(0, 2**63 - 1), doc="Packets received.")
    answers = state(Int(0, 2**63 - 1), doc="Answers sent.")
    bad_packets = state(Int(0, 2**63 - 1), doc="Packets that were no name service packets.")
    datagrams = state(Int(0, 2**63 - 1), doc="Datagrams of the datagram service received.")
    datagrams_sent = state(Int(0, 2**63 - 1), doc="Datagrams of the datagram service sent.")
    bad_datagrams = state(
        Int(0, 2**63 - 1), doc="Packets on the datagram port that held no datagram or no mailslot write."
    )
    browse_entries = state(Int(0, 2**31 - 1), doc="Hosts heard of by announcements or told by other masters.")
    masterships = state(Int(0, 2**31 - 1), doc="Networks whose local master browser we are.")
    elections = state(Int(0, 2**63 - 1), doc="Elections of master browsers we took part in.")
    browser_frames = state(Int(0, 2**63 - 1), doc="Browser frames received.")
    refused_packets = state(
        Int(0, 2**63 - 1), doc="Packets dropped because of where they came from or how many."
    )
