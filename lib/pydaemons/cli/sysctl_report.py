# SPDX-License-Identifier: GPL-3.0-or-later
"""`-L`, `--describe` and `--json`: what the tree says of itself."""

from __future__ import annotations

import json
import posix

from pydaemons.tunables.keys import to_dotted, to_path
from pydaemons.tunables.kinds import Flags, Int
from pydaemons.tunables.schema import Row, Schema

from .sysctl import Session
from .sysctl_tree import OutsideError, Place, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS = ("KEY", "CURRENT", "DEFAULT", "MIN", "MAX", "UNIT", "ORIGIN")


class Known:
    """One key with everything known about it."""

    def __init__(self, key: str, value: str, schema: Schema | None, row: Row | None, mode: int) -> None:
        self.key = key
        self.value = value.removesuffix("\n")
        self.schema = schema
        self.row = row or Row(key, {})
        self.mode = mode

    @property
    def bounds(self) -> tuple[str, str]:
        """The least and the greatest value one may set, where the kind has them."""
        try:
            kind = self.row.kind()
        except ValueError:
            return "", ""
        if not self.row.writable:
            return "", ""
        if isinstance(kind, Int):
            return str(kind.minimum), str(kind.maximum)
        return ("0", f"{kind.every:#06x}") if isinstance(kind, Flags) else ("", "")

    @property
    def running(self) -> bool:
        """Whether the daemon that serves the key runs."""
        try:
            return self.schema is not None and bool(
                self.schema.pid and posix.stat(f"/proc/{self.schema.pid}")
            )
        except OSError:
            return False


def keys(session: Session) -> Iterator[Known]:
    """The keys the operands name: all of them, those of a folder, those a glob gives."""
    operands = session.options.operands
    if not operands:
        for tree in session.trees:
            try:
                folder, names = tree.top()
            except OSError:
                session.output.fail(f'unable to open directory "{tree.root}/"')
                continue
            yield from _of_names(session, tree, folder, names, "")
    for operand in operands:
        path = to_path(operand)
        try:
            place = session.find(path)
        except OutsideError:
            session.output.fail(f"Path is not under {session.root_of('')}: {session.root_of(path)}")
        except OSError as error:
            matched = sorted({name for tree in session.trees for name in tree.match(path)})
            for name in matched:
                yield from _of_place(session, session.find(name), to_dotted(name))
            if not matched and "ignore" not in session.options:
                session.output.fail(f"cannot stat {session.root_of(path)}: {error.strerror}")
        else:
            yield from _of_place(session, place, to_dotted(operand))


def _of_place(session: Session, place: Place, dotted: str) -> Iterator[Known]:
    try:
        if place.is_folder:
            folder, names = place.tree.names(place)
            yield from _of_names(session, place.tree, folder, names, f"{dotted.rstrip('./')}.")
        elif session.wanted(dotted) and (known := _know(session, place, dotted, place.schema())):
            yield known
    finally:
        place.close()


def _of_names(session: Session, tree: Tree, folder: int, names: list[str], prefix: str) -> Iterator[Known]:
    schema = None
    try:
        for name in names:
            place = tree.look(folder, name)
            if place is None:
                continue
            dotted = prefix + name.translate(str.maketrans("./", "/."))
            if place.is_folder:
                inner, inside = tree.names(place)
                yield from _of_names(session, tree, inner, inside, f"{dotted}.")
            elif session.wanted(dotted):
                schema = schema or place.schema()
                if known := _know(session, place, dotted, schema):
                    yield known
    finally:
        posix.close(folder)


def _know(session: Session, place: Place, dotted: str, schema: Schema | None) -> Known | None:
    row = schema.rows.get(place.name) if schema is not None else None
    try:
        value = session.read_value(place) if place.readable else ""
    except OSError as error:
        if "all" not in session.options and not place.tree.root.startswith("/proc"):
            session.output.fail(f'reading key "{dotted}": {error.strerror}')
        return None
    return Known(dotted, value, schema, row, place.status.st_mode & 0o777)


def run(session: Session) -> None:
    """-L or --describe."""
    found = [*keys(session)]
    if "json" in session.options:
        text = json.dumps([_as_object(known) for known in found], indent=2, ensure_ascii=False)
        session.output.write(text + "\n")
    elif "describe" in session.options:
        session.output.write("\n".join(describe(known) for known in found))
    else:
        _table(session, found)


def describe(known: Known) -> str:
    """A key and its facts, a line each."""
    row = known.row
    facts = [
        ("value", f"{known.value} {row.get('unit')}".rstrip()),
        ("range", row.get("range")),
        ("default", row.get("default")),
        ("origin", row.get("origin")),
        ("configured", row.get("configured")),
        ("takes effect", row.get("effect")),
        ("access", "read and write" if known.mode & 0o222 and row.writable else "read-only"),
    ]
    if known.schema is not None:
        state = f"running, process {known.schema.pid}" if known.running else "not running"
        facts.append(("daemon", f"{known.schema.daemon} ({state})"))
    text = "".join(f"  {name + ':':<14}{value}\n" for name, value in facts if value)
    doc = row.get("doc")
    if not doc:
        return f"{known.key}\n{text}"
    from textwrap import fill  # noqa: PLC0415

    return f"{known.key}\n{fill(doc, 76, initial_indent='  ', subsequent_indent='  ')}\n{text}"


def _table(session: Session, found: list[Known]) -> None:
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for known in found:
        row = known.row
        shown = (known.value.replace("\n", " "), row.get("default"), *known.bounds)
        rows.append((known.key, *(cell or "-" for cell in (*shown, row.get("unit"), row.get("origin")))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row_cells in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row_cells, widths, strict=True))
        session.output.write(line.rstrip() + "\n")


def _as_object(known: Known) -> dict[str, object]:
    row = known.row
    minimum, maximum = known.bounds
    facts: dict[str, object] = {"key": known.key, "value": typed(known.value, row)}
    if row.get("default"):
        facts["default"] = typed(row.get("default"), row)
    facts |= {
        name: value
        for name, value in (
            ("min", int(minimum, 0) if minimum else None),
            ("max", int(maximum, 0) if maximum else None),
            *((name, row.get(name) or None) for name in ("range", "unit", "effect", "origin", "doc")),
            ("daemon", known.schema.daemon if known.schema is not None else None),
        )
        if value is not None
    }
    facts["writable"] = bool(known.mode & 0o222) and row.writable
    return facts


def typed(value: str, row: Row) -> object:
    """A value for JSON: a number where its kind is one."""
    try:
        kind = row.kind()
        return kind.parse(value) if isinstance(kind, Int) else value
    except ValueError:
        return value


def print_collected(session: Session) -> None:
    """One object of keys and values; numbers where the whole value is a decimal number."""
    if session.options.flags & {"list", "describe", "diff", "watch"}:
        return
    shown = {key: int(text) if _is_number(text) else text for key, text in session.collected.items()}
    session.output.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and len(digits) < 19 and str(int(text)) == text
