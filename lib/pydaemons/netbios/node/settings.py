# SPDX-License-Identifier: GPL-3.0-or-later
"""What this node is, as told by its configuration: the values of smb.conf(5) that the name service reads.

Values that may change at any time are tunables instead (see tunables). A reload brings a whole new Settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydaemons.netbios import name
from pydaemons.netbios.codes import ACTIVE, GROUP, NODE_B, NODE_H, Suffix


@dataclass(frozen=True, slots=True)
class WinsServer:
    """A WINS server to use; servers with one tag stand in for each other (smb.conf: wins server)."""

    tag: str
    address: str


@dataclass(frozen=True, slots=True)
class Logon:
    """What the configuration says about being a domain controller (smb.conf: domain logons)."""

    primary: bool = True
    """The primary one of its domain."""
    realm: str = ""
    """The domain's DNS name; with it, hosts that ask as Windows 2000 and newer do are answered so."""
    delay: float = 0.1
    delayed_hosts: tuple[str, ...] = ()
    """Hosts whose first question is answered that much later, so that nearer controllers come first."""
    controller: str = ""
    """An Active Directory's controller to ask in our place."""


@dataclass(frozen=True, slots=True)
class Partner:
    """A WINS server to exchange names with (see replication)."""

    address: str
    push: bool = True
    """It may have our names."""
    pull: bool = True
    """We take its names."""


@dataclass(frozen=True, slots=True)
class RemoteMaster:
    """A far network's master to announce ourselves to (smb.conf: remote announce); no group: our own."""

    host: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Browsing:
    """What the configuration says about browsing."""

    comment: str = ""
    """Shown beside our name in lists."""
    server_type: int = 0x809A03
    """browse.ServerType bits of what we offer, offices apart: workstation, server, printers, Unix, NT, NT
    server, DFS, as Samba's hosts have them."""
    local_master: bool = True
    """Stand in elections."""
    preferred_master: bool = False
    domain_master: bool = False
    enhanced: bool = True
    """Exchange groups with all domain masters WINS knows."""
    lm_announce: bool | None = None
    """None: once a LAN Manager host was heard."""
    remote_announce: tuple[RemoteMaster, ...] = ()
    remote_sync: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnName:
    """A name this node claims."""

    wire: bytes
    group: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a node. Names are text; `charset` is the code page of names on the wire."""

    netbios_name: str
    aliases: tuple[str, ...] = ()
    workgroup: str = "WORKGROUP"
    scope: str = ""
    charset: str = "cp850"
    wins_support: bool = False
    wins_servers: tuple[WinsServer, ...] = ()
    wins_proxy: bool = False
    dns_proxy: bool = True
    wins_hook: tuple[str, ...] = ()
    """The command and its own arguments; empty: no hook."""
    logon: Logon | None = None
    """None: we are no domain controller."""
    partners: tuple[Partner, ...] = ()
    wins_address: str = ""
    """By which partners know us; empty: our first address."""
    browsing: Browsing = Browsing()

    @property
    def node_type(self) -> int:
        """NB flags of our names: H with WINS, B without (as peers see Windows and Samba do)."""
        return NODE_H if self.wins_servers or self.wins_support else NODE_B

    def wire(self, text: str, suffix: int) -> bytes:
        """A name of ours in wire form."""
        return name.pack(name.make(text, suffix, scope=self.scope, charset=self.charset))

    def nb_flags(self, own: OwnName) -> int:
        """The NB flags one of our names is registered with."""
        return self.node_type | (GROUP if own.group else 0)

    def status_flags(self, own: OwnName) -> int:
        """The flags of one of our names in a node status answer."""
        return self.nb_flags(own) | ACTIVE

    def names(self) -> tuple[OwnName, ...]:
        """Everything this node claims, in the order node status shows it: the own name first."""
        suffixes = (Suffix.WORKSTATION, Suffix.MESSENGER, Suffix.SERVER)
        found = [
            OwnName(self.wire(text, suffix), group=False)
            for text in (self.netbios_name, *self.aliases)
            for suffix in suffixes
        ]
        found.append(OwnName(self.wire(self.workgroup, Suffix.WORKSTATION), group=True))
        found.append(OwnName(self.wire(self.workgroup, Suffix.ELECTION), group=True))
        if self.logon is not None:
            found.append(OwnName(self.wire(self.workgroup, Suffix.DOMAIN_CONTROLLERS), group=True))
        if self.browsing.domain_master:
            found.append(OwnName(self.wire(self.workgroup, Suffix.DOMAIN_MASTER), group=False))
        return tuple(dict.fromkeys(found))

    def silent_names(self) -> frozenset[bytes]:
        """Names answered for but neither claimed nor shown: `*`, which asks who is there, and the name by
        which Samba's tools find each other."""
        return frozenset(
            self.wire(text, suffix)
            for text in ("*", "__SAMBA__")
            for suffix in (Suffix.WORKSTATION, Suffix.SERVER)
        )
