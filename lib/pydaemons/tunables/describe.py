# SPDX-License-Identifier: GPL-3.0-or-later
"""The `.schema` of a daemon's tunables, from their declarations and what is in force."""

from __future__ import annotations

from .declare import Access, Tunables
from .schema import Row, Schema


def describe(daemon: str, tunables: Tunables) -> Schema:
    """Every key with its kind, range, default, value and origin."""
    rows = {}
    for entry in tunables.entries.values():
        fields = {"kind": entry.kind.spec, "mode": "0644" if entry.writable else "0444"}
        if entry.writable:
            fields["default"] = entry.kind.format(entry.default)
            fields["effect"] = entry.effect.value
        if entry.access is not Access.STORED:
            fields["live"] = "1"
        if entry.kind.unit:
            fields["unit"] = entry.kind.unit
        fields["range"] = entry.kind.range
        if entry.writable:
            fields["value"] = entry.kind.format(getattr(tunables, entry.name))
            fields["configured"], fields["configured_by"] = tunables.configured(entry.name)
        fields["origin"] = tunables.origin(entry.name)
        fields["doc"] = entry.doc
        rows[entry.name] = Row(entry.name, fields)
    return Schema(daemon, tunables.prefix, rows)
