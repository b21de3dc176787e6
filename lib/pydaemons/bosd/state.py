# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on disk when the daemon starts, and the quick writes while it runs.

The state folder: BosConfig (and BosConfig.new, taken over at start), log/, local/ (UserList, NoAuth, pid
files, SALVAGE.*), etc/ (ThisCell, CellServDB, KeyFile), history/ (one file per bnode).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pydaemons.bnode import bosconfig, history, sitefiles
from pydaemons.bnode.bosconfig import BosConfig, BosConfigError
from pydaemons.bnode.kinds import find_problems
from pydaemons.bnode.model import escape
from pydaemons.bnode.sitefiles import Cell
from pydaemons.wire.errors import WireError

SALVAGE = "SALVAGE."
FOLDERS = {"log": 0o755, "local": 0o700, "etc": 0o755, history.FOLDER: 0o700}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that was there."""

    config: BosConfig
    histories: dict[str, bytes]
    """by name of the bnode"""
    salvage: frozenset[str]
    users: tuple[str, ...]
    cell: Cell
    keys: dict[int, bytes]
    keys_changed: int
    no_auth: bool
    remarks: tuple[str, ...] = ()
    """for the log"""


def make_folders(state_dir: str) -> None:
    """The folders of the state folder, if they are not there."""
    for name, mode in FOLDERS.items():
        path = f"{state_dir}/{name}"
        if not os.path.isdir(path):
            os.makedirs(path)
            os.chmod(path, mode)  # what bnodes run need not be root, and works in log/, whatever our umask


def read_config(path: str, *, quoting: bool) -> BosConfig:
    """Read and judge a BosConfig; none is an empty one. Raises BosConfigError, OSError."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        return BosConfig()
    return judge(text, path, quoting=quoting)


def read_text(path: str) -> str:
    """A BosConfig as the peer reads it: whatever bytes there are."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def judge(text: str, path: str, *, quoting: bool) -> BosConfig:
    """The same of its text."""
    config = bosconfig.parse(text, path)
    problems = find_problems(config, path, quoting=quoting)
    if problems:
        raise BosConfigError(*problems)
    return config


def load(state_dir: str, *, quoting: bool) -> Loaded:
    """Raises BosConfigError when BosConfig is wrong, OSError when something cannot be read. A BosConfig.new
    that is wrong stays where it is, and the old file counts."""
    remarks = []
    path = f"{state_dir}/BosConfig"
    if os.path.exists(f"{path}.new"):
        try:
            read_config(f"{path}.new", quoting=quoting)
        except BosConfigError as error:
            remarks += [*error.args, f"{path}.new is not used, the last good one stays in force"]
        else:
            os.replace(f"{path}.new", path)
    config = read_config(path, quoting=quoting)
    local = set(os.listdir(f"{state_dir}/local"))
    try:
        keys = sitefiles.unpack_keys(_read(f"{state_dir}/etc/KeyFile"))
    except WireError as error:
        keys = {}
        remarks.append(f"{state_dir}/etc/KeyFile: {error}")
    names = {escape(entry.name): entry.name for entry in config.entries}
    return Loaded(
        config=config,
        histories={
            names[file]: _read(f"{state_dir}/{history.FOLDER}/{file}")
            for file in os.listdir(f"{state_dir}/{history.FOLDER}")
            if file in names
        },
        salvage=frozenset(name for file, name in names.items() if SALVAGE + file in local),
        users=sitefiles.parse_users(_read(f"{state_dir}/local/UserList").decode("utf-8", "replace")),
        cell=sitefiles.parse_cell(
            _read(f"{state_dir}/etc/ThisCell").decode("utf-8", "replace"),
            _read(f"{state_dir}/etc/CellServDB").decode("utf-8", "replace"),
        ),
        keys=keys,
        keys_changed=_changed(f"{state_dir}/etc/KeyFile"),
        no_auth="NoAuth" in local,
        remarks=tuple(remarks),
    )


def write_quickly(path: str, data: bytes | None) -> None:
    """Whole or not at all, without waiting for the disk. None removes."""
    if data is None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        return
    draft = f"{path}~"  # no bnode's: escaped names do not have that letter
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        os.rename(draft, path)
    except OSError:
        os.unlink(draft)  # a full disk is not to stay full of these
        raise


class Notebook:
    """Where Remember effects are written, under one folder. What the disk refuses is kept and tried again."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._owed: dict[str, bytes | None] = {}

    def write(self, name: str, data: bytes | None) -> str:
        """Why it could not be written, or empty."""
        try:
            write_quickly(f"{self._folder}/{name}", data)
        except OSError as error:
            self._owed[name] = data
            return error.strerror or str(error)
        self._owed.pop(name, None)
        return ""

    def retry(self) -> str:
        """Write what failed; why there still is something, or empty."""
        return next(
            (error for name, data in list(self._owed.items()) if (error := self.write(name, data))), ""
        )


def boot_id() -> str:
    """This boot of the machine."""
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def _changed(path: str) -> int:
    try:
        return int(os.stat(path).st_mtime)
    except FileNotFoundError:
        return 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
