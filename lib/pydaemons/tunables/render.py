# SPDX-License-Identifier: GPL-3.0-or-later
"""The files generated from the declarations: sample configuration, sysctl.d lines, man page entries.

Text only; a test writes them to their places and proves the committed ones fresh.
"""

from __future__ import annotations

from textwrap import wrap

from .declare import Access, Configuration, Effect, Entry, Settings, Tunables

_WIDTH = 100


def sample_conf(configuration: Configuration) -> str:
    """`/etc/<daemon>.conf` with every setting commented out at its default."""
    name = configuration.daemon
    head = (
        f"Configuration of {name}(8); every line below shows a default. Read at start and at reload. "
        f"Files /etc/{name}.conf.d/*.conf are read after this one, sysctl.d(5) after them; a value "
        "written with pysysctl(8) wins until the next start."
    )
    out = ["# SPDX-License-Identifier: GPL-3.0-or-later", *_comment(head), ""]
    for section in configuration.sections():
        out.append(f"[{section.section}]")
        for entry in section.entries.values():
            if entry.access is Access.STORED:
                out += _comment(f"{entry.doc} {_facts(entry)}")
                out += [f"#{entry.name} = {entry.kind.format(entry.default)}".rstrip(), ""]
    return "\n".join(out)


def sysctl_d(daemon: str, tunables: Tunables) -> str:
    """`50-<daemon>.conf`: a commented line for each key, ready to be copied to /etc/sysctl.d."""
    head = (
        f"Tunables of {daemon}(8) with their defaults. Copy lines to a file of yours in /etc/sysctl.d; "
        f"{daemon} reads them when it starts and when it is reloaded. The leading - keeps systemd-sysctl(8), "
        "which does not find these keys in the kernel, from reporting them."
    )
    out = ["# SPDX-License-Identifier: GPL-3.0-or-later", *_comment(head), ""]
    for entry in tunables.entries.values():
        if entry.access is Access.STORED:
            out += _comment(f"{entry.doc} {_facts(entry)}")
            out += [f"#-{tunables.key(entry.name)} = {entry.kind.format(entry.default)}".rstrip(), ""]
    return "\n".join(out)


def man_entries(section: Settings) -> str:
    """man(7) source: one tagged paragraph per entry, keys of the tree with their full names."""
    out = []
    for entry in section.entries.values():
        name = section.key(entry.name) if isinstance(section, Tunables) else entry.name
        out += [".TP", f".B {roff(name)}", roff(entry.doc), ".br", roff(_facts(entry))]
    return "".join(line + "\n" for line in out)


def roff(text: str) -> str:
    """Plain text as man(7) source: nothing in it is taken for a request or an escape."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped


def _facts(entry: Entry) -> str:
    if not entry.writable:
        return f"Read-only, {_range(entry)}."
    facts = [_range(entry), f"default {entry.kind.format(entry.default) or 'empty'}"]
    if entry.effect is not Effect.AT_ONCE:
        facts.append(f"takes effect {_when(entry.effect)}")
    return "(" + "; ".join(facts) + ")"


def _range(entry: Entry) -> str:
    return entry.kind.range + (f" {entry.kind.unit}" if entry.kind.unit else "")


def _when(effect: Effect) -> str:
    return effect.value if effect.value.startswith("at ") else f"with the {effect.value}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(text, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)]
