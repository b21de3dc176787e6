# SPDX-License-Identifier: GPL-3.0-or-later
"""What `/etc/pynmbd.conf` may say: the parameters of smb.conf(5) that a name service reads, under their names
there (blanks and underscores are the same), and the tunables of net.netbios.

Read PynmbdConfiguration and load. A file given by --config may as well be an smb.conf or a ksmbd.conf.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from ipaddress import IPv4Address

import pydaemons
from pydaemons.kit import conffile
from pydaemons.netbios.name import make, pack
from pydaemons.netbios.node.settings import Logon, Partner, WinsServer
from pydaemons.netbios.node.settings import Settings as NodeSettings
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.nmbd import smbconf
from pydaemons.nmbd.browsing import CONTROLLERS, Auto, RemoteMasters, browsing, role_of
from pydaemons.nmbd.smbconf import Include
from pydaemons.tunables.conf import Assignment, Problem, Severity
from pydaemons.tunables.declare import Configuration, Settings, setting
from pydaemons.tunables.kinds import Address, Bool, Int, List, Path, Refused, Text, quote
from pydaemons.tunables.layers import Resolved
from pydaemons.wire.errors import WireError

DEEPEST_INCLUDE = 8


class NetbiosName(Text):
    """One NetBIOS name; `*` is none."""

    def parse(self, text: str) -> str:
        value = super().parse(text)
        if value == "*" or any(letter in '\\/:?"<>|' for letter in value):
            raise Refused(f"{quote(value)} is not a NetBIOS name", "want up to 15 letters, digits, - and _")
        return value


class WinsServers(Text):
    """`ADDRESS`, or `TAG:ADDRESS`; several by blanks or commas."""

    def parse(self, text: str) -> str:
        value = super().parse(text)
        for word in value.replace(",", " ").split():
            try:
                IPv4Address(word.rpartition(":")[2])
            except ValueError:
                raise Refused(
                    f"{quote(word)} is not a WINS server", "want ADDRESS or TAG:ADDRESS (IPv4)"
                ) from None
        return " ".join(value.replace(",", " ").split())


class WinsPartner(Text):
    """A WINS server to replicate with: `ADDRESS`, `ADDRESS:push` or `ADDRESS:pull`."""

    def parse(self, text: str) -> str:
        value = super().parse(text)
        host, colon, way = value.partition(":")
        try:
            address = IPv4Address(host)
        except ValueError:
            address = None
        if address is None or (colon and way not in ("push", "pull")):
            raise Refused(
                f"{quote(value)} is not a partner", "want ADDRESS, ADDRESS:push or ADDRESS:pull (IPv4)"
            )
        return value


class Global(Settings, section="global"):
    netbios_name = setting(
        NetbiosName(15), "", doc="Our NetBIOS name; empty: the host name up to its first dot."
    )
    netbios_aliases = setting(
        List(NetbiosName(15)), (), doc="Further names under which this host can be found."
    )
    workgroup = setting(NetbiosName(15, empty=False), "WORKGROUP", doc="The workgroup or domain we are in.")
    netbios_scope = setting(
        Text(200),
        "",
        doc="Scope of all names; hosts of different scopes do not see each other. Leave it empty.",
    )
    interfaces = setting(
        List(Text(64)),
        (),
        doc="Networks to be on: interface names (with * and ?), addresses, or ADDRESS/PREFIX. Empty: every "
        "interface that is up and can broadcast, but not the loopback.",
    )
    bind_interfaces_only = setting(
        Bool(), False, doc="Take sockets on the addresses of those interfaces only, none on 0.0.0.0."
    )
    nbt_client_socket_address = setting(
        Address(), "0.0.0.0", doc="Address of the socket that hears broadcasts."
    )
    wins_support = setting(Bool(), False, doc="Be a WINS server.")
    wins_server = setting(
        WinsServers(1000),
        "",
        doc="WINS servers to use: addresses that stand in for each other, or TAG:ADDRESS for several groups "
        "of them, each of which gets our names. Not together with wins support.",
    )
    wins_partners = setting(
        List(WinsPartner(32)),
        (),
        doc="WINS servers to replicate names with, over TCP port 42. ADDRESS:push may only have our names, "
        "ADDRESS:pull only gives us its; nobody else is listened to. With wins support only.",
    )
    wins_address = setting(
        Text(15),
        "",
        doc="Our address by which WINS partners know us; empty: that of our first network. It names us in "
        "every partner's database: do not change it lightly.",
    )
    wins_proxy = setting(
        Bool(), False, doc="Answer broadcasts for hosts of other networks out of the WINS server's names."
    )
    wins_hook = setting(
        Text(1000),
        "",
        doc="Program run at every change of the WINS names, with the arguments add, refresh or delete, name, "
        "suffix in hex, seconds to live, addresses. No shell is involved; names with characters other than "
        "A-Z a-z 0-9 . _ - are not passed on.",
    )
    dns_proxy = setting(
        Bool(), True, doc="WINS server: look host names up in the DNS when nobody registered them."
    )
    server_string = setting(
        Text(255), "pynmbd %v", doc="Comment shown beside our name in lists of servers; %h is the host name."
    )
    local_master = setting(Bool(), True, doc="Stand in elections of our networks' master browsers.")
    preferred_master = setting(
        Auto(), "auto", doc="Hold an election when we come to a network. auto: if domain master."
    )
    domain_master = setting(
        Auto(),
        "auto",
        doc="Be the domain master browser, which joins the lists of all networks of our workgroup. auto: if "
        "domain logons.",
    )
    enhanced_browsing = setting(
        Bool(), True, doc="As domain master, exchange workgroups with all domain masters WINS knows."
    )
    lm_announce = setting(
        Auto(), "auto", doc="Announce us to LAN Manager hosts too. auto: once one was heard."
    )
    remote_announce = setting(
        RemoteMasters(groups=True),
        "",
        doc="Far networks (broadcast or master's ADDRESS, or ADDRESS/WORKGROUP) we announce ourselves to.",
    )
    remote_browse_sync = setting(
        RemoteMasters(groups=False),
        "",
        doc="Masters (or broadcast addresses) of far networks that lists are exchanged with.",
    )
    time_server = setting(Bool(), False, doc="Say that we can be asked for the time.")
    host_msdfs = setting(Bool(), True, doc="Say that we serve DFS.")
    cache_directory = setting(
        Path(empty=True),
        "",
        doc="Folder of browse.dat, where smbd looks for it. Empty, or may not be written: our own cache "
        "folder.",
    )
    dos_charset = setting(Text(32, empty=False), "CP850", doc="Code page of names on the wire.")
    domain_logons = setting(
        Bool(),
        False,
        doc="Be found as a domain controller by hosts that want to log on. The logon itself is smbd's.",
    )
    realm = setting(
        Text(255),
        "",
        doc="DNS name of the domain. With it, hosts that ask as Windows 2000 and newer do are told it.",
    )
    init_logon_delay = setting(
        Int(0, 5000),
        100,
        doc="Milliseconds that the first answer to hosts of init logon delayed hosts is held back.",
    )
    init_logon_delayed_hosts = setting(
        List(Text(64)),
        (),
        doc="Hosts (names with * and ?, addresses, networks) to which other controllers shall be faster.",
    )
    cldap_server = setting(
        Text(255),
        "",
        doc="Active Directory controller (address or host name) that is asked in our place when hosts look "
        "for a controller; what it says is passed on (smb.conf: nmbd_proxy_logon:cldap_server). Wants domain "
        "logons.",
    )
    unexpected_clients = setting(
        Int(1, 3000),
        200,
        doc="Local programs that may wait for packets to ports 137 and 138 at once (smb.conf: "
        "nmbd:unexpected_clients).",
    )
    server_role = setting(
        Text(64),
        "auto",
        doc="Only looked at for what domain controllers do: those of an Active Directory are refused.",
    )
    disable_netbios = setting(Bool(), False, doc="Refuse to start.")

    @property
    def wildcard(self) -> str | None:
        """Where the one socket of a service is bound; None: a pair for each network."""
        return None if self.bind_interfaces_only else str(self.nbt_client_socket_address)


class PynmbdConfiguration(Configuration):
    """All of it."""

    daemon = "pynmbd"

    def __init__(self) -> None:
        self.smb = Global()
        self.tunables: NetbiosTunables = NetbiosTunables()

    def node_settings(self, host: str) -> NodeSettings:
        """What the engine is told. `host` is the machine's name. Raises ValueError for what only shows when
        all is known."""
        smb = self.smb
        short = host.partition(".")[0]
        name = smbconf.expand(smb.netbios_name, host, pydaemons.__version__, short) or short

        def expanded(text: str) -> str:
            return smbconf.expand(text, host, pydaemons.__version__, name.upper()[:15])

        try:
            "".encode(smb.dos_charset)
        except LookupError:
            raise ValueError(f"dos charset: {smb.dos_charset} is no code page known here") from None
        if ":" in smb.nbt_client_socket_address:
            raise ValueError("nbt client socket address: NetBIOS is of IPv4 only")
        try:
            pack(make(short, 0, scope=smb.netbios_scope))
        except WireError as error:
            raise ValueError(f"netbios scope: {error}") from None
        try:
            hook = tuple(shlex.split(smb.wins_hook))
        except ValueError as error:
            raise ValueError(f"wins hook: {error}") from None
        if smb.wins_partners and not smb.wins_support:
            raise ValueError("wins partners: only a WINS server has them (wins support = yes)")
        if smb.wins_address:
            try:
                IPv4Address(smb.wins_address)
            except ValueError:
                raise ValueError(f"wins address: {smb.wins_address} is no IPv4 address") from None
        if smb.wins_support and smb.wins_server:
            raise ValueError("wins support and wins server exclude each other: leave one of them out")
        if "active directory domain controller" in smb.server_role.lower():
            raise ValueError("server role: an Active Directory controller has its own name service (nbtd)")
        if smb.disable_netbios:
            raise ValueError("disable netbios = yes")
        shown = browsing(smb, expanded(smb.server_string), is_controller=self._is_controller())
        return NodeSettings(
            netbios_name=name.upper()[:15],
            aliases=tuple(
                alias.upper()[:15]
                for alias in map(expanded, smb.netbios_aliases)
                if alias.upper() != name.upper()
            ),
            workgroup=expanded(smb.workgroup).upper(),
            scope=smb.netbios_scope,
            charset=smb.dos_charset.lower(),
            wins_support=smb.wins_support,
            wins_servers=tuple(_wins_servers(smb.wins_server)),
            partners=tuple(map(_partner, dict.fromkeys(smb.wins_partners))),
            wins_address=smb.wins_address,
            wins_proxy=smb.wins_proxy,
            dns_proxy=smb.dns_proxy,
            wins_hook=hook,
            browsing=shown,
            logon=self._logon(primary=shown.domain_master) if self._is_controller() else None,
        )

    def _is_controller(self) -> bool:
        """Said by `domain logons` or, newer, by `server role`."""
        return self.smb.domain_logons or role_of(self.smb.server_role) in CONTROLLERS

    def _logon(self, *, primary: bool) -> Logon:
        """The primary controller of a domain is its domain master browser, as hosts look for both by one
        name."""
        smb = self.smb
        return Logon(
            primary=primary,
            realm=smb.realm.lower(),
            delay=smb.init_logon_delay / 1000,
            delayed_hosts=smb.init_logon_delayed_hosts,
            controller=smb.cldap_server,
        )


def _partner(text: str) -> Partner:
    host, _, way = text.partition(":")
    return Partner(str(IPv4Address(host)), push=way != "pull", pull=way != "push")


def _wins_servers(text: str) -> list[WinsServer]:
    found = []
    for word in text.split():
        tag, colon, address = word.rpartition(":")
        found.append(WinsServer(tag if colon else "*", address))
    return found


def load(
    configuration: PynmbdConfiguration, path: str, *, sets: Sequence[str] = (), required: bool = False
) -> tuple[Resolved, list[str]]:
    """As conffile.load, for smb.conf's syntax; and the parameters nobody here has heard of."""
    passed_over: list[str] = []

    def parse(text: str, file: str) -> tuple[list[Assignment], list[Problem]]:
        assignments: list[Assignment] = []
        problems: list[Problem] = []
        _collect(text, file, assignments, problems, passed_over, depth=0)
        return assignments, problems

    resolved = conffile.load(configuration, path, sets=sets, required=required, parse=parse)
    return resolved, passed_over


def _collect(
    text: str,
    file: str,
    assignments: list[Assignment],
    problems: list[Problem],
    passed_over: list[str],
    *,
    depth: int,
) -> None:
    """One file with what it includes, in place; the last word on a parameter counts."""
    parsed = smbconf.parse(text, file)
    problems += parsed.problems
    passed_over += parsed.passed_over
    for item in parsed.items:
        if not isinstance(item, Include):
            assignments.append(item)
            continue
        other = os.path.join(os.path.dirname(file), item.file)
        if "%" in item.file or (item.replaces and os.path.abspath(other) == os.path.abspath(file)):
            continue
        if depth >= DEEPEST_INCLUDE:
            problems.append(Problem(item.where, "include", "files include each other too deeply", ""))
            return
        try:
            with open(other, encoding="utf-8", errors="surrogateescape") as stream:
                included = stream.read()
        except OSError as error:
            severity = Severity.WARNING
            problems.append(
                Problem(item.where, "include", f"{item.file} cannot be read: {error.strerror}", "", severity)
            )
            continue
        if item.replaces:
            del assignments[:]
        _collect(included, other, assignments, problems, passed_over, depth=depth + 1)
        if item.replaces:
            return
