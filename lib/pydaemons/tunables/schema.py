# SPDX-License-Identifier: GPL-3.0-or-later
"""`.schema`: how a folder of the tree describes itself, so that pysysctl knows no daemon.

Text, one key a line, fields by tabs as `name=value`, the key's own name first without one:

    #pydaemons-schema 1 pylockd fs.nfs 4711
    nlm_timeout  kind=int 3..20 seconds  mode=0644  default=10  effect=next call
                 value=10  origin=/etc/pylockd.conf:4  doc=First timeout of ...

(one line in the file). A backslash before n, t or itself stands for newline, tab and backslash.
The head names daemon, folder and, while the daemon runs, its process. `value` is what the daemon put
in force last, `file` the inode and time of the file that showed it: another file was written by
somebody since. Fields unknown to a reader are kept by it.

Plain classes and no imports: pysysctl loads this module (see kinds).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kinds import AnyKind

NAME = ".schema"
MAGIC = "#pydaemons-schema 1 "
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"))


class Row:
    """One key and its fields."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, str]) -> None:
        self.name = name
        self.fields = fields

    def get(self, field: str) -> str:
        """A field's text, empty when the row has none."""
        return self.fields.get(field, "")

    @property
    def writable(self) -> bool:
        return self.get("mode") != "0444"

    def kind(self) -> AnyKind:
        """The kind of the value. ValueError when this program does not know it."""
        from .kinds import from_spec  # noqa: PLC0415 -- reading a schema needs no kinds

        return from_spec(self.get("kind"))


class Schema:
    """One folder of the tree."""

    __slots__ = ("daemon", "pid", "prefix", "rows")

    def __init__(self, daemon: str, prefix: str, rows: dict[str, Row], *, pid: int = 0) -> None:
        self.daemon = daemon
        self.prefix = prefix
        self.rows = rows
        self.pid = pid
        """0 when the daemon does not run"""


def render(schema: Schema) -> str:
    """The text of the file."""
    head = f"{MAGIC}{schema.daemon} {schema.prefix}"
    lines = [f"{head} {schema.pid}\n" if schema.pid else f"{head}\n"]
    for row in schema.rows.values():
        fields = "".join(f"\t{name}={_escape(value)}" for name, value in row.fields.items())
        lines.append(f"{row.name}{fields}\n")
    return "".join(lines)


def parse(text: str) -> Schema:
    """The schema a text stands for; ValueError when it is none. Lines that make no sense are left out."""
    head, *lines = text.split("\n")
    words = head.removeprefix(MAGIC).split(" ")
    if not head.startswith(MAGIC) or not 2 <= len(words) <= 3:
        raise ValueError("not a schema")
    rows = {}
    for line in lines:
        name, *fields = line.split("\t")
        if name:
            pairs = [field.partition("=") for field in fields]
            rows[name] = Row(name, {key: _unescape(value) for key, _, value in pairs})
    pid = words[2] if len(words) == 3 else ""
    return Schema(words[0], words[1], rows, pid=int(pid) if pid.isdecimal() else 0)


def _escape(text: str) -> str:
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return text


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\t", "\t") for part in parts)
