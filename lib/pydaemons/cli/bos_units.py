# SPDX-License-Identifier: GPL-3.0-or-later
"""pybos export and import: bnodes as ordinary unit files, services as bnodes. See bnode.unitfiles."""

from __future__ import annotations

import os

from pydaemons.cli.bos_session import Session, worst

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Values = Mapping[str, Any]


def export(session: Session, values: Values) -> int:
    """Write the unit files of some or all bnodes to a folder; nothing is started, stopped or removed."""
    from pydaemons.bnode import unitfiles  # noqa: PLC0415
    from pydaemons.bnode.bosconfig import Entry  # noqa: PLC0415
    from pydaemons.bnode.folders import Folders  # noqa: PLC0415
    from pydaemons.bnode.model import Goal  # noqa: PLC0415
    from pydaemons.bnode.tunables import BosTunables  # noqa: PLC0415

    folder = values["dir"]
    result = session.link.call("Status", instances=values["instance"], long=True)
    programs = Folders(values["bindir"] or "/usr/lib/openafs", "", "", "")
    for view in result["instances"]:
        commands = tuple(view["commands"])
        entry = Entry(view["type"], view["name"], Goal(view["fileGoal"]), commands, view["notifier"])
        for name, text in unitfiles.export(entry, programs, BosTunables()).items():
            path = f"{folder}/{name}"
            try:
                with open(path, "x", encoding="utf-8") as file:
                    file.write(text)
            except OSError as error:
                session.complain(f"{path}: {error.strerror}")
                return 1
            session.say(path)
    for name in result["unknown"]:
        session.complain(f"failed to get instance info for '{name}' (no such entity)")
    return 1 if result["unknown"] else 0


def take(session: Session, values: Values) -> int:
    """Make bnodes of service files; a timer file beside one, named or not, makes it a cron bnode."""
    from pydaemons.bnode import unitfiles  # noqa: PLC0415

    files = {}
    for path in values["file"]:
        stem = path.rpartition(".")[0]
        for each in (path, f"{stem}.timer"):
            try:
                with open(each, encoding="utf-8") as file:
                    files[os.path.basename(each)] = file.read()
            except UnicodeDecodeError:
                session.complain(f"{each}: this is no unit file")
                return 1
            except OSError as error:
                if each == path:
                    session.complain(f"{each}: {error.strerror}")
                    return 1
    return worst([_take_one(session, name, *texts) for name, texts in unitfiles.by_stem(files).items()])


def _take_one(session: Session, name: str, service: str, timer: str | None) -> int:
    from pydaemons.bnode import unitfiles  # noqa: PLC0415

    try:
        taken = unitfiles.read_service(name, service, timer)
    except ValueError as error:
        session.complain(str(error))
        return 1
    entry = taken.entry
    status = session.attempt(
        f"failed to create new server instance {name} of type '{entry.kind}'",
        "Create",
        instance=name,
        type=entry.kind,
        commands=list(entry.commands),
    )
    for setting in taken.left if not status else ():
        session.complain(f"{name}: not taken over: {setting}")
    return status
