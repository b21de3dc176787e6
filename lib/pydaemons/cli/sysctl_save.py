# SPDX-License-Identifier: GPL-3.0-or-later
"""`--diff` and `--save`: values that a restart would lose, and keeping them.

What a restart would find is what sysctl.d says, else what the daemon's own configuration said when it
last read it (`configured` in the schema). `--save` writes to one file of its own.
"""

from __future__ import annotations

import json
import posix

from pydaemons.tunables.keys import to_path
from pydaemons.tunables.sysctld import FOLDERS, parse, settle

from .sysctl import Session, run_operand
from .sysctl_files import read_file, system_files
from .sysctl_report import Known, keys, typed
from .sysctl_tree import encode, narrow

FILE = f"{FOLDERS[0]}/99-pysysctl.conf"
_HEAD = "# Written by pysysctl --save. Lines here may be changed by hand as well.\n"


class Difference:
    """A key whose running value is not the one a restart would find."""

    def __init__(self, known: Known, saved: str, where: str) -> None:
        self.known = known
        self.saved = saved
        self.where = where


def run(session: Session) -> None:
    """--diff or --save, after setting what the operands set."""
    settings = [operand for operand in session.options.operands if "=" in operand]
    for operand in settings:
        run_operand(session, operand)
    names = [narrow(operand).partition("=")[0].strip() for operand in session.options.operands]
    session.options.operands = names
    found = [known for known in keys(session) if known.row.writable and not known.row.get("live")]
    differences = [*_differences(session, found)]
    if "save" in session.options:
        explicit = {known.key for known in found} if names else set()
        chosen = [known for known in found if known.key in explicit or _among(known, differences)]
        _save(session, chosen)
    elif "json" in session.options:
        text = [
            {
                "key": difference.known.key,
                "running": typed(difference.known.value, difference.known.row),
                "saved": typed(difference.saved, difference.known.row),
                "where": difference.where,
            }
            for difference in differences
        ]
        session.output.write(json.dumps(text, indent=2) + "\n")
    else:
        for difference in differences:
            known = difference.known
            line = f"{known.key} = {known.value}  (saved: {difference.saved}, {difference.where})\n"
            session.output.write(line)


def _among(known: Known, differences: list[Difference]) -> bool:
    return any(difference.known.key == known.key for difference in differences)


def _differences(session: Session, found: list[Known]) -> list[Difference]:
    saved = _saved(session, [to_path(known.key) for known in found])
    differences = []
    for known in found:
        row = known.row
        text, where = saved.get(to_path(known.key), ("", ""))
        if not where and not row.get("default"):
            continue  # nobody knows what a restart would find
        if not where:
            where = row.get("configured_by") or "default"
            if any(folder in where for folder in FOLDERS):
                where = "default"  # that line is there no more
            text = row.get("default" if where == "default" else "configured") or row.get("default")
        try:
            kind = row.kind()
            same = kind.parse(text) == kind.parse(known.value)
        except ValueError:
            same = text == known.value
        if not same:
            differences.append(Difference(known, text, where))
    return differences


def _saved(session: Session, paths: list[str]) -> dict[str, tuple[str, str]]:
    """What sysctl.d says of the paths: text and `file:line`."""
    files = []
    for file in system_files(narrow(session.options.sysroot)):
        try:
            files.append((file, parse(read_file(file))[0]))
        except OSError:
            continue
    return {path: (line.value or "", where) for path, (line, where) in settle(files, paths).items()}


def _save(session: Session, chosen: list[Known]) -> None:
    """Put the values into our file, in place of older lines of the same keys."""
    sysroot = narrow(session.options.sysroot)
    file = sysroot + FILE
    try:
        old = read_file(file)
    except FileNotFoundError:
        old = ""
    except OSError as error:
        session.output.fail(f'cannot open "{file}": {error.strerror}')
        return
    values = {to_path(known.key): known for known in chosen}
    removed: list[str] = []
    kept: list[str] = []
    for line in (old or _HEAD).splitlines(keepends=True):
        settings, _ = parse(line)
        path = to_path(settings[0].key) if settings else ""
        if path in values and settings[0].value == values[path].value:
            kept.append(line)
            del values[path]
        else:
            (removed if path in values else kept).append(line)
    added = [f"-{known.key} = {known.value}\n" for known in values.values()]
    if not removed and not added:
        return
    new = "".join(kept)
    text = (new if new.endswith("\n") or not new else f"{new}\n") + "".join(added)
    if "dry-run" not in session.options:
        try:
            _replace(file, text)
        except OSError as error:
            session.output.fail(f'cannot write "{file}": {error.strerror}')
            return
    if "quiet" not in session.options:
        session.output.write(f"{file}:\n")
        session.output.write("".join(f"-{line.rstrip()}\n" for line in removed))
        session.output.write("".join(f"+{line}" for line in added))
    _warn_of_later_files(session, chosen, file)


def _warn_of_later_files(session: Session, chosen: list[Known], file: str) -> None:
    for known in chosen:
        path = to_path(known.key)
        text, where = _saved(session, [path]).get(path, ("", file))
        if not where.startswith(f"{file}:") and where != file:
            session.output.say(f"{where} comes later and sets {known.key} = {text}")


def _replace(file: str, text: str) -> None:
    """A whole new file in one step."""
    folder = file.rpartition("/")[0]
    _make_folders(folder)
    spare = encode(f"{file}.new-{posix.getpid()}")
    descriptor = posix.open(spare, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644)
    try:
        data = encode(text)
        while data:
            data = data[posix.write(descriptor, data) :]
        posix.fchmod(descriptor, 0o644)
        posix.fsync(descriptor)
        posix.rename(spare, encode(file))
    except OSError:
        posix.unlink(spare)
        raise
    finally:
        posix.close(descriptor)


def _make_folders(folder: str) -> None:
    try:
        posix.mkdir(encode(folder), 0o755)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_folders(folder.rpartition("/")[0])
        posix.mkdir(encode(folder), 0o755)
