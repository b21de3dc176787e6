# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for people, the same in all commands: aligned columns, one line per row, nothing drawn. Read render.

On a terminal the headings are bold (unless NO_COLOR is set, no-color.org) and columns that may be cut are, so
that a row stays one line. Into a file or a pipe everything goes whole and plain, for awk(1).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

GAP = "  "
EMPTY = "-"
"""Stands for a value there is none of: every row has as many words as there are headings."""
LEAST = 8
"""Characters that a cut column keeps."""
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, what it is aligned to, and whether it may be cut to fit."""

    heading: str
    right: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Style:
    """What the place of output can take."""

    width: int | None = None
    """Columns of the terminal; None for no limit."""
    color: bool = False


def style_of(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Style:
    """The style fit for a stream."""
    if not stream.isatty():
        return Style()
    try:
        width: int | None = os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        width = None
    return Style(width, not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")


def cell(value: object) -> str:
    """A value as a cell: one line, no control characters (they would be the terminal's to obey)."""
    if value is None or value == "":
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    style: Style = Style(),
    *,
    headings: bool = True,
) -> list[str]:
    """The lines of a table."""
    body = [[cell(value) for value in row] for row in rows]
    head = [[column.heading for column in columns]] if headings else []
    widths = [max((len(row[i]) for row in (*head, *body)), default=0) for i in range(len(columns))]
    if style.width is not None:
        _fit(widths, columns, style.width)
    lines = [_line(columns, row, widths) for row in (*head, *body)]
    if head and style.color:
        lines[0] = f"{BOLD}{lines[0]}{PLAIN}"
    return lines


def show(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    stream: TextIO | None = None,
    *,
    headings: bool = True,
) -> None:
    """Print a table."""
    stream = sys.stdout if stream is None else stream
    lines = render(columns, rows, style_of(stream), headings=headings)
    stream.writelines(f"{line}\n" for line in lines)


def _fit(widths: list[int], columns: Sequence[Column], width: int) -> None:
    """Take what is too much from the widest columns that may be cut."""
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while over > 0:
        can = [i for i, column in enumerate(columns) if column.cut and widths[i] > LEAST]
        if not can:
            return
        widest = max(can, key=lambda i: widths[i])
        widths[widest] -= 1
        over -= 1


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for column, text, width in zip(columns, row, widths, strict=True):
        if len(text) > width:
            text = _cut(text, width)
        cells.append(text.rjust(width) if column.right else text.ljust(width))
    return GAP.join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    """Both ends of a text: file handles begin alike."""
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
