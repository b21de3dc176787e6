# SPDX-License-Identifier: GPL-3.0-or-later
"""What `/etc/pylockd.conf` may say: the tunables of fs.nfs and the sections that are set only there."""

from pydaemons.nlm.filehandle import NAMES as CODECS
from pydaemons.nlm.tunables import NlmTunables
from pydaemons.tunables.declare import Configuration, Effect, Settings, setting
from pydaemons.tunables.kinds import AtAddress, Bool, Choice, ClientPattern, Int, List, Path


class Pylockd(Settings, section="pylockd"):
    mode = setting(
        Choice("serve", "refuse"),
        "serve",
        doc="serve grants locks; refuse answers every lock with NLM_DENIED_NOLOCKS, so that clients fail at "
        "once where they would hang without a lock manager.",
    )


class Access(Settings, section="access"):
    allow = setting(
        List(ClientPattern()),
        ("link", "127.0.0.0/8", "::1"),
        doc="Clients that may lock: addresses and host names, both with * and ?, networks, @netgroups; link "
        "means the directly attached networks, * everybody.",
    )
    require_privileged_port = setting(
        Bool(), False, doc="Whether calls must come from a source port below 1024."
    )


class Rpcbind(Settings, section="rpcbind"):
    mode = setting(
        Choice("auto", "host", "embedded", "off"),
        "auto",
        effect=Effect.AT_RESTART,
        doc="host registers with the machine's rpcbind, embedded serves port 111 itself, off does neither; "
        "auto takes the machine's rpcbind if there is one and else serves the port.",
    )
    port = setting(
        Int(1, 65535),
        111,
        effect=Effect.AT_RESTART,
        doc="Port of rpcbind, here and at clients; only test networks have another.",
    )


class Nsm(Settings, section="nsm"):
    mode = setting(
        Choice("auto", "embedded", "statd", "off"),
        "auto",
        effect=Effect.AT_RESTART,
        doc="embedded serves program 100024 itself, statd uses the machine's rpc.statd, off monitors nobody; "
        "auto uses rpc.statd if it is registered and else serves.",
    )
    port = setting(
        Int(0, 65535),
        0,
        effect=Effect.AT_RESTART,
        doc="Port of the embedded monitor, UDP and TCP, for firewalls; 0 takes any free one.",
    )
    ha_callout = setting(
        Path(empty=True),
        "",
        effect=Effect.AT_RESTART,
        doc="Program run with add-client or del-client, the client's address and ours, when the embedded "
        "monitor begins or ends to monitor a client, and with sm-notify, the client's address twice and its "
        "state number when one restarted: for clusters, as rpc.statd's --ha-callout.",
    )


class Handles(Settings, section="handles"):
    codec = setting(
        Choice(*CODECS),
        "opaque",
        effect=Effect.AT_RESTART,
        doc="How the file is found in a file handle, by the NFS server that makes them: opaque takes the "
        "whole handle for the file, auto looks at each handle's shape.",
    )
    codec_at = setting(
        List(AtAddress(Choice(*CODECS))),
        (),
        effect=Effect.AT_RESTART,
        doc="Another codec for what comes to single addresses of this host, as 192.0.2.1=unfs3, where "
        "several NFS servers share it.",
    )
    mounts = setting(
        List(Path()),
        (),
        effect=Effect.AT_RESTART,
        doc="Exported filesystems, by any path on each. Locks of files on them are taken on the files "
        "themselves too, so that local programs and NFS clients exclude each other; pylockd needs a codec "
        "whose handles tell the file, and more privileges (see file-handles.md).",
    )
    max_files = setting(
        Int(1, 1048576),
        16384,
        effect=Effect.AT_RESTART,
        doc="Files on these mounts with locks at once; one more is refused with NLM_DENIED_NOLOCKS.",
    )


class PylockdConfiguration(Configuration):
    """Everything pylockd reads from files."""

    daemon = "pylockd"
    tunables: NlmTunables

    def __init__(self) -> None:
        self.pylockd = Pylockd()
        self.tunables = NlmTunables()
        self.access = Access()
        self.rpcbind = Rpcbind()
        self.nsm = Nsm()
        self.handles = Handles()
