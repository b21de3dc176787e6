# SPDX-License-Identifier: GPL-3.0-or-later
"""`--watch`: print keys as they change, until interrupted.

Folders of the tree are watched with inotify; live keys and the kernel's, of which inotify has no news,
are read again twice a second.
"""

from __future__ import annotations

import posix
import select

from pydaemons.kit import inotify
from pydaemons.tunables.keys import to_path

from .sysctl import Session
from .sysctl_report import Known, keys
from .sysctl_tree import KERNEL_ROOT, OutsideError, Place

_INTERVAL = 0.5
_SEEN = inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.DELETE | inotify.CREATE


def run(session: Session) -> None:
    """Print every change of the keys the operands name (all, without operands)."""
    before = _values(session)
    if not before:
        session.output.status = 1
        return
    watcher = inotify.Inotify()
    while True:
        _watch_folders(session, watcher, before)
        select.select([watcher], [], [], _INTERVAL)
        while watcher.read():
            pass
        now = _values(session)
        for key, known in now.items():
            if key not in before or before[key].value != known.value:
                _print(session, known)
        session.output.flush()
        before = {**before, **now}


def _values(session: Session) -> dict[str, Known]:
    """The keys that say something; an empty file is one that somebody is just writing."""
    return {known.key: known for known in keys(session) if known.value}


def _print(session: Session, known: Known) -> None:
    if "json" in session.options:
        import json  # noqa: PLC0415

        session.output.write(json.dumps({"key": known.key, "value": known.value}) + "\n")
    elif "names" in session.options:
        session.output.write(f"{known.key}\n")
    else:
        session.print_value(known.key, f"{known.value}\n")


def _watch_folders(session: Session, watcher: inotify.Inotify, found: dict[str, Known]) -> None:
    """Watch the folder of every key; to watch one again is no more than to find it again."""
    for folder in {to_path(key).rpartition("/")[0] for key in found}:
        place = _find(session, folder)
        if place is None:
            continue
        try:
            if place.tree.root != KERNEL_ROOT and place.is_folder:
                inside, _ = place.tree.names(place)
                try:
                    watcher.watch_folder(inside, _SEEN)
                finally:
                    posix.close(inside)
        except OSError:
            continue
        finally:
            place.close()


def _find(session: Session, path: str) -> Place | None:
    try:
        return session.find(path)
    except (OSError, OutsideError):
        return None
