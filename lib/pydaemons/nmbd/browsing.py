# SPDX-License-Identifier: GPL-3.0-or-later
"""What smb.conf(5) says about browsing: kinds of values, and the node's settings made of them. Read
browsing."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Protocol

from pydaemons.netbios.browse import ServerType
from pydaemons.netbios.node.settings import Browsing, RemoteMaster
from pydaemons.tunables.kinds import Bool, Refused, Text, quote

OFFERED = (
    ServerType.WORKSTATION
    | ServerType.SERVER
    | ServerType.PRINT_SERVER
    | ServerType.UNIX
    | ServerType.NT
    | ServerType.NT_SERVER
)
"""What every smbd offers."""
ROLES = {
    "member server": ServerType.DOMAIN_MEMBER,
    "classic primary domain controller": ServerType.DOMAIN_CONTROLLER,
    "classic backup domain controller": ServerType.BACKUP_CONTROLLER,
}
"""smb.conf: server role, as it shows in lists."""
BACKUP = "classic backup domain controller"
CONTROLLERS = ("classic primary domain controller", BACKUP)
"""Roles that are found by hosts that want to log on."""


def role_of(text: str) -> str:
    """A server role as it is compared."""
    return " ".join(text.lower().split())


class Auto(Text):
    """A switch, or `auto`."""

    def __init__(self) -> None:
        super().__init__(8)
        self.range = "0, 1 or auto"
        self.right = "yes, no or auto"

    def parse(self, text: str) -> str:
        word = text.strip().lower()
        return "auto" if word == "auto" else Bool().format(Bool().parse(text))


def choice(word: str) -> bool | None:
    """The value of an Auto; None: auto."""
    return None if word == "auto" else word == "1"


class RemoteMasters(Text):
    """`ADDRESS` or `ADDRESS/WORKGROUP`, several by blanks or commas; `groups` says whether the latter is."""

    def __init__(self, *, groups: bool) -> None:
        super().__init__(1000)
        self.groups = groups
        self.wanted = "ADDRESS or ADDRESS/WORKGROUP (IPv4)" if groups else "IPv4 addresses"

    def parse(self, text: str) -> str:
        words = super().parse(text).replace(",", " ").split()
        for word in words:
            host, slash, group = word.partition("/")
            try:
                IPv4Address(host)
            except ValueError:
                raise Refused(f"{quote(word)} is not a network's address", f"want {self.wanted}") from None
            if slash and not (self.groups and 1 <= len(group) <= 15):
                raise Refused(f"{quote(word)} does not name a workgroup", f"want {self.wanted}")
        return " ".join(words)


class Said(Protocol):
    """The part of the configuration that is about browsing."""

    server_role: str
    local_master: bool
    preferred_master: str
    domain_master: str
    enhanced_browsing: bool
    lm_announce: str
    remote_announce: str
    remote_browse_sync: str
    time_server: bool
    host_msdfs: bool


def browsing(said: Said, comment: str, *, is_controller: bool) -> Browsing:
    """The node's settings. `is_controller` decides where the configuration says auto."""
    role = role_of(said.server_role)
    domain_master = choice(said.domain_master)
    if domain_master is None:
        domain_master = is_controller and role != BACKUP
    preferred = choice(said.preferred_master)
    offered = OFFERED | ROLES.get(role, ServerType(0))
    if is_controller and not offered & (ServerType.DOMAIN_CONTROLLER | ServerType.BACKUP_CONTROLLER):
        offered |= ServerType.DOMAIN_CONTROLLER if domain_master else ServerType.BACKUP_CONTROLLER
    if said.time_server:
        offered |= ServerType.TIME_SOURCE
    if said.host_msdfs:
        offered |= ServerType.DFS
    return Browsing(
        comment=comment,
        server_type=int(offered),
        local_master=said.local_master,
        preferred_master=domain_master if preferred is None else preferred,
        domain_master=domain_master,
        enhanced=said.enhanced_browsing,
        lm_announce=choice(said.lm_announce),
        remote_announce=tuple(_remote(word) for word in said.remote_announce.split()),
        remote_sync=tuple(said.remote_browse_sync.split()),
    )


def _remote(word: str) -> RemoteMaster:
    host, _, group = word.partition("/")
    return RemoteMaster(host, group.upper())
