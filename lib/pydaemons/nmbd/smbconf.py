# SPDX-License-Identifier: GPL-3.0-or-later
"""smb.conf(5) as pynmbd reads it, and ksmbd.conf(5), which looks the same. Read parse first.

Only [global] concerns a name service. Names of parameters are compared as Samba does, without regard to case,
blanks and underscores. What Samba knows and pynmbd does not need is passed over; what nmbd would use and
pynmbd does not (yet) is said; `include` and `config file` are followed by the reader (see settings.load).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydaemons.tunables.conf import Assignment, Problem, Severity

SECTION = "global"
_SECTION = re.compile(r"\[(?P<name>[^\]]*)\]\s*")

ALIASES = {
    "winssupport": "wins_support",
    "winsserver": "wins_server",
    "winspartners": "wins_partners",
    "winsaddress": "wins_address",
    "winsproxy": "wins_proxy",
    "winshook": "wins_hook",
    "dnsproxy": "dns_proxy",
    "netbiosname": "netbios_name",
    "netbiosaliases": "netbios_aliases",
    "netbiosscope": "netbios_scope",
    "workgroup": "workgroup",
    "interfaces": "interfaces",
    "bindinterfacesonly": "bind_interfaces_only",
    "nbtclientsocketaddress": "nbt_client_socket_address",
    "socketaddress": "nbt_client_socket_address",
    "doscharset": "dos_charset",
    "serverrole": "server_role",
    "disablenetbios": "disable_netbios",
    "domainlogons": "domain_logons",
    "realm": "realm",
    "initlogondelay": "init_logon_delay",
    "initlogondelayedhosts": "init_logon_delayed_hosts",
    "nmbd_proxy_logon:cldap_server": "cldap_server",
    "cldapserver": "cldap_server",
    "serverstring": "server_string",
    "localmaster": "local_master",
    "preferredmaster": "preferred_master",
    "prefmaster": "preferred_master",
    "domainmaster": "domain_master",
    "enhancedbrowsing": "enhanced_browsing",
    "lmannounce": "lm_announce",
    "remoteannounce": "remote_announce",
    "remotebrowsesync": "remote_browse_sync",
    "timeserver": "time_server",
    "hostmsdfs": "host_msdfs",
    "cachedirectory": "cache_directory",
    "nmbd:unexpected_clients": "unexpected_clients",
    "unexpectedclients": "unexpected_clients",
}
"""Parameters kept in [global], by their bare spelling."""
TUNABLES = {
    "maxttl": "max_ttl",
    "minwinsttl": "min_wins_ttl",
    "maxwinsttl": "max_wins_ttl",
    "oslevel": "os_level",
    "lminterval": "lm_interval",
}
"""Parameters that are keys of net.netbios too."""
UNSUPPORTED = {
    "clusteraddresses": "",
    "clustering": "no",
    "nbtport": "137",
}
"""What Samba would read: said, so that nobody waits for its effect, unless the value is Samba's default, as
`testparm -v` writes it into files."""
INCLUDES = frozenset(("include", "configfile", "copy"))


@dataclass(frozen=True, slots=True)
class Include:
    """Another file to read, here."""

    file: str
    where: str
    replaces: bool
    """`config file`: instead of this one, not in the middle of it."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says, in its order."""

    items: tuple[Assignment | Include, ...]
    problems: tuple[Problem, ...]
    passed_over: tuple[str, ...]
    """Parameters that do not concern us."""


def bare(parameter: str) -> str:
    """A parameter's name without what Samba does not look at."""
    return re.sub(r"[\s_]", "", parameter).lower() if ":" not in parameter else parameter.strip().lower()


def parse(text: str, file: str) -> Parsed:
    """The parameters of [global], and of [net.netbios] in a file of ours. Lines may be continued by a
    backslash; what stands before the first section belongs to [global]."""
    items: list[Assignment | Include] = []
    problems: list[Problem] = []
    passed_over: list[str] = []
    section = SECTION
    for number, line in _lines(text):
        where = f"{file}:{number}"
        if line.startswith("["):
            found = _SECTION.fullmatch(line)
            if found is None:
                problems.append(Problem(where, "", f"{line!r} is no section", "want [name]"))
                continue
            section = found["name"].strip().lower()
            continue
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key:
            if section == SECTION:
                problems.append(
                    Problem(where, "", f"{line!r} is no parameter", "want NAME = VALUE", Severity.WARNING)
                )
            continue
        if section == "net.netbios":
            items.append(Assignment(section, key, value, where))
        elif section == SECTION:
            _parameter(key, value, where, items=items, problems=problems, passed_over=passed_over)
    return Parsed(tuple(items), tuple(problems), tuple(passed_over))


def _parameter(
    key: str,
    value: str,
    where: str,
    *,
    items: list[Assignment | Include],
    problems: list[Problem],
    passed_over: list[str],
) -> None:
    spelled = bare(key)
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if spelled in INCLUDES and spelled != "copy":
        items.append(Include(value, where, replaces=spelled == "configfile"))
    elif spelled in TUNABLES:
        items.append(Assignment("net.netbios", TUNABLES[spelled], value, where))
    elif spelled in ALIASES:
        items.append(Assignment(SECTION, ALIASES[spelled], value, where))
    elif spelled in UNSUPPORTED and value.lower() != UNSUPPORTED[spelled]:
        problems.append(
            Problem(where, key, "is not supported by this version of pynmbd", "", Severity.NOTICE)
        )
    else:
        passed_over.append(key)


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines that say something, continued ones joined, each with the number of its first."""
    found: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if begun is None and (not line or line[0] in "#;"):
            continue
        start, so_far = begun or (number, "")
        joined = f"{so_far} {line}" if so_far else line
        if joined.endswith("\\"):
            begun = start, joined[:-1].rstrip()
            continue
        begun = None
        found.append((start, joined))
    if begun is not None:
        found.append(begun)
    return found


def expand(value: str, host: str, version: str, name: str) -> str:
    """The macros that make sense to a name service: %h host name, %L our NetBIOS name, %v version, %%
    itself."""
    known = {"h": host, "L": name, "v": version, "%": "%"}
    return re.sub(r"%(.)", lambda match: known.get(match[1], match[0]), value)
