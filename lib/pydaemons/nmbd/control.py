# SPDX-License-Identifier: GPL-3.0-or-later
"""What pynmbctl can ask of pynmbd, declared once: see `interface`. The answers are those of node.views."""

from __future__ import annotations

from typing import Any, Protocol

from pydaemons.kit.varlink import Caller, ControlError, Interface, Method, Value

NAME = "org.pydaemons.nmbd"
REFUSED = f"{NAME}.Refused"


class Daemon(Protocol):
    """What the methods need."""

    def ask(self, verb: str, arguments: Value) -> dict[str, Any]: ...
    def import_wins(self, text: str) -> tuple[int, list[str]]: ...
    def export_wins(self) -> str: ...
    def shutdown(self) -> None: ...


def interface(daemon: Daemon) -> Interface:
    """The methods, over one daemon."""

    def method(
        name: str,
        verb: str,
        *,
        takes: str = "()",
        gives: str,
        doc: str,
        trusted: bool = False,
        under: str = "",
    ) -> Method:
        def call(parameters: Value, caller: Caller) -> Value:
            answer = daemon.ask(verb, {key: value for key, value in parameters.items() if value is not None})
            if "error" in answer:
                raise ControlError(REFUSED, message=answer["error"])
            return {under: answer} if under else answer

        return Method(name, call, takes=takes, gives=gives, doc=doc, trusted=trusted)

    def import_names(parameters: Value, caller: Caller) -> Value:
        count, problems = daemon.import_wins(parameters["text"])
        return {"imported": count, "problems": problems}

    def shutdown(parameters: Value, caller: Caller) -> Value:
        daemon.shutdown()
        return {}

    return Interface(
        NAME,
        [
            method(
                "Status",
                "status",
                gives="(status: object)",
                doc="Who we are and on which networks.",
                under="status",
            ),
            method("Names", "names", gives="(names: []object)", doc="Our own names and their state."),
            method("Stats", "stats", gives="(stats: object)", doc="Counters since the start.", under="stats"),
            method(
                "WinsList",
                "wins-list",
                takes="(pattern: ?string, state: ?string, after: ?int)",
                gives="(names: []object, next: ?int)",
                doc="A page of the WINS names; the next one begins after `next`.",
            ),
            method(
                "WinsAdd",
                "wins-add",
                takes="(name: string, addresses: []string, group: ?bool, ttl: ?int)",
                gives="(added: string)",
                doc="Put a name in.",
                trusted=True,
            ),
            method(
                "WinsDelete",
                "wins-delete",
                takes="(name: string)",
                gives="(deleted: string)",
                doc="Take a name out.",
                trusted=True,
            ),
            Method(
                "WinsImport",
                import_names,
                takes="(text: string)",
                gives="(imported: int, problems: []string)",
                doc="Take over the names of a wins.dat, given as its text.",
                trusted=True,
            ),
            Method(
                "WinsExport",
                lambda parameters, caller: {"file": daemon.export_wins()},
                gives="(file: string)",
                doc="Write wins.dat now; where it is.",
                trusted=True,
            ),
            method(
                "WinsPartners",
                "wins-partners",
                gives="(partners: []object)",
                doc="How replication stands with each partner.",
            ),
            method(
                "WinsOwners",
                "wins-owners",
                gives="(owners: []object)",
                doc="Whose names are known, and up to which version; our own first.",
            ),
            method(
                "WinsPull",
                "wins-pull",
                takes="(partner: ?string)",
                gives="(asked: []string)",
                doc="Ask partners for what is new, now.",
                trusted=True,
            ),
            method(
                "WinsPush",
                "wins-push",
                takes="(partner: ?string)",
                gives="(told: []string)",
                doc="Tell partners that there is something new, now.",
                trusted=True,
            ),
            method(
                "WinsForget",
                "wins-forget",
                takes="(owner: string)",
                gives="(forgotten: int)",
                doc="Drop all names of a server that will not come back.",
                trusted=True,
            ),
            method(
                "SendPacket",
                "send-packet",
                takes="(kind: string, to: string, port: ?int, data: string)",
                gives="(sent: int, source: string)",
                doc="Send a packet, given in hex, from the port of its kind (nmb or dgram).",
                trusted=True,
            ),
            method(
                "SendMailslot",
                "send-mailslot",
                takes="(destination: string, mailslot: string, data: string, source: ?string, to: ?string, "
                "unique: ?bool)",
                gives="(sent: int, to: []string)",
                doc="Write data, given in hex, into a mailslot of a host or group: at an address, or on all "
                "our networks.",
                trusted=True,
            ),
            method(
                "Browse",
                "browse",
                takes="(group: ?string, after: ?int)",
                gives="(groups: []object, servers: []object, next: ?int)",
                doc="Groups and a page of servers; the next one begins after `next`.",
            ),
            method(
                "Elections",
                "elections",
                gives="(group: string, networks: []object, domain_master: object)",
                doc="Who is master browser of which network, and what we are.",
            ),
            method(
                "ForceElection",
                "force-election",
                gives="(networks: int)",
                doc="Hold an election on every network.",
                trusted=True,
            ),
            Method("Shutdown", shutdown, doc="Release the names and leave.", trusted=True),
        ],
        doc="The NetBIOS name service.",
    )
