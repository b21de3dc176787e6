# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server's folders and files are as closed as they should be, after the chart of bosserver(8).

Nothing is changed: who wants them otherwise may have it so, and is told. A question mark is not looked at,
and what is more closed than the chart is fine.
"""

from __future__ import annotations

import os
import stat

from pydaemons.bnode.folders import KEYS, USERS, Folders

CHART = {
    "": "drwxr?xr-x",
    "etc": "drwxr?xr-x",
    "local": "drwx???---",
    KEYS: "-rw????---",
    USERS: "-rw?????--",
}
"""Place below the state folder → who may what; the first character is the kind of file."""
BINARIES = "drwxr?xr-x"


def too_open(state_dir: str, folders: Folders) -> list[str]:
    """What is, each with a sentence; what is not there is not."""
    charts = {f"{state_dir}/{name}".rstrip("/"): chart for name, chart in CHART.items()}
    charts[folders.bin] = BINARIES
    return [
        f"{path} is {shown}, want {chart}"
        for path, chart in charts.items()
        if (shown := _mode(path)) and not _fits(shown, chart)
    ]


def _mode(path: str) -> str:
    try:
        return stat.filemode(os.stat(path).st_mode)
    except OSError:
        return ""


def _fits(shown: str, chart: str) -> bool:
    return all(wanted != "-" or found == "-" for found, wanted in zip(shown[1:], chart[1:], strict=True))
