# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that show a state of the daemon are renewed only while somebody reads them: opening one is the
request, and a moment later the file is fresh. The file's time says how old its value is."""

import posix
import time

from .sysctl_tree import Place

_FRESH = 1.0
"""seconds a value counts as new"""
_PATIENCE = 0.25
"""seconds a daemon gets"""
_STEP = 0.002


def is_stale(place: Place) -> bool:
    """Whether a key just opened is a live one, of a daemon that runs, with an old value."""
    if time.time() - place.status.st_mtime < _FRESH:
        return False
    text = place.read_schema()
    head, _, rows = text.partition("\n")
    row = f"\n{rows}".partition(f"\n{place.name}\t")[2].partition("\n")[0]
    if "\tlive=1" not in row:
        return False
    pid = head.rpartition(" ")[2]
    try:
        return pid.isdecimal() and bool(posix.stat(f"/proc/{pid}"))
    except OSError:
        return False


def wait(place: Place) -> bool:
    """Wait until the daemon has renewed the file; False when it does not."""
    before = place.status.st_mtime_ns
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        time.sleep(_STEP)
        try:
            if place.restat().st_mtime_ns != before:
                return True
        except FileNotFoundError:
            continue
    return False
