# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting a key, from an argument or a line of a file.

Where a folder describes itself the value is checked first, written in its canonical form to a new file,
and the file renamed over the key: the daemon sees one whole value. Elsewhere (the kernel's tree) the
file itself is written, as sysctl(8) does.
"""

from __future__ import annotations

import posix

from pydaemons.tunables.keys import to_dotted, to_path
from pydaemons.tunables.kinds import BLANKS, Refused
from pydaemons.tunables.schema import Row

from .sysctl import Session, warn_of_separators
from .sysctl_tree import OutsideError, Place, encode

_EPERM, _ENOENT, _EACCES = 1, 2, 13
_GLOB = frozenset("*?[")


class NotWritableError(Exception):
    """A folder, or a key for reading only."""


def set_operand(session: Session, operand: str) -> None:
    """`key=value` of the command line; a leading dash (after `--`) wants no failure, a glob sets several."""
    key, _, value = operand.partition("=")
    key = key.strip(BLANKS)
    lenient = key[:1] == "-"
    key = key.lstrip("-")
    value = value.strip(BLANKS)
    path = to_path(key)
    if not _GLOB.isdisjoint(key):
        matched = sorted({name for tree in session.trees for name in tree.match(path)})
        for name in matched:
            if session.settable(to_dotted(name), operand):
                set_key(session, name, value, lenient=lenient)
        if matched:
            return
    if session.settable(to_dotted(key), operand):
        set_key(session, key, value, lenient=lenient)


def set_key(session: Session, key: str, value: str, *, lenient: bool, known_only: bool = False) -> None:
    """Set one key and print it. `lenient` makes no failure count, `known_only` none of an unknown key."""
    output = session.output
    dotted, path = to_dotted(key), to_path(key)
    warn_of_separators(session, key)
    failed = output.say if lenient else output.fail
    try:
        place = session.find(path)
    except OutsideError:
        output.fail(f"Path is not under {session.root_of('')}: {session.root_of(path)}")
        return
    except OSError as error:
        unknown = error.errno == _ENOENT and known_only
        if not unknown and "ignore" not in session.options and not lenient:
            output.fail(f"cannot stat {session.root_of(path)}: {error.strerror}")
        return
    try:
        put(place, value, dry="dry-run" in session.options)
    except Refused as refused:
        if not lenient:
            output.fail(f'setting key "{dotted}": Invalid argument: {_bytewise(refused)}')
        return
    except NotWritableError:
        if not lenient:
            output.fail(f'setting key "{dotted}": Invalid argument')
        return
    except OSError as error:
        if error.errno not in (_EACCES, _EPERM):
            if not lenient:
                output.fail(f'setting key "{dotted}": {error.strerror}')
            return
        failed(f'permission denied on key "{dotted}"' + (", ignoring" if lenient else ""))
        if not lenient:
            return
    finally:
        place.close()
    print_set(session, dotted, value)


def print_set(session: Session, dotted: str, value: str) -> None:
    """What was set, in the form the options ask for."""
    options = session.options
    if "json" in options:
        session.collect(dotted, value)
    elif "quiet" not in options:
        if "binary" in options:
            session.output.write(value)
        elif options.flags & {"values", "names"}:
            session.output.write(f"{value}\n")
        else:
            session.output.write(f"{dotted} = {value}\n")


def put(place: Place, value: str, *, dry: bool = False) -> None:
    """Give the key a value. OSError of the system, Refused by the schema, NotWritableError."""
    described = None if place.is_folder else place.schema()
    row = described.rows.get(place.name) if described is not None else None
    if place.is_folder or not place.writable or (row is not None and not row.writable):
        raise NotWritableError
    if row is None:
        if not dry:
            _write_in_place(place, value)
        return
    text = canonical(row, value)
    if not dry:
        _write_by_rename(place, text)


def _bytewise(refused: Refused) -> str:
    """Its words as this command has all text: one character per byte (it may repeat what was given)."""
    return str(refused).encode("utf-8", "surrogateescape").decode("latin-1")


def canonical(row: Row, value: str) -> str:
    """The value as its daemon will show it; as it is, where the kind is newer than this program."""
    try:
        kind = row.kind()
    except ValueError:
        return value
    parsed = kind.parse(encode(value).decode("utf-8", "surrogateescape"))
    return kind.format(parsed).encode("utf-8", "surrogateescape").decode("latin-1")  # type: ignore[arg-type]


def _write_in_place(place: Place, value: str) -> None:
    flags = posix.O_WRONLY | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
    descriptor = posix.open(encode(place.name), flags, dir_fd=place.folder)
    try:
        posix.write(descriptor, encode(f"{value}\n"))
    finally:
        posix.close(descriptor)


def _write_by_rename(place: Place, value: str) -> None:
    spare = encode(f".new-{place.name}-{posix.getpid()}-{posix.urandom(4).hex()}")
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    descriptor = posix.open(spare, flags, 0o600, dir_fd=place.folder)
    try:
        try:
            posix.write(descriptor, encode(f"{value}\n"))
            posix.fchmod(descriptor, 0o644)
        finally:
            posix.close(descriptor)
        posix.rename(spare, encode(place.name), src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except OSError:
        posix.unlink(spare, dir_fd=place.folder)
        raise
