# SPDX-License-Identifier: GPL-3.0-or-later
"""The files generated from the declarations: sample configuration, sysctl.d lines, man page entries.

Text only; a test writes them to their places and proves the committed ones fresh.
"""

from __future__ import annotations

from collections.abc import Iterable
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


def tunables_page(configurations: Iterable[Configuration]) -> str:
    """pydaemons-tunables(7): every key of every daemon."""
    out = [
        _page("PYDAEMONS\\-TUNABLES", 7, "Miscellaneous Information Manual"),
        ".SH NAME\npydaemons\\-tunables \\- keys that tune the daemons while they run\n",
        ".SH DESCRIPTION\n",
        "The daemons show what can be tuned as files under\n.IR /run/pysysctl ,\n"
        "a folder for each dot of a key's name, read and set with\n.BR pysysctl (8)\n"
        "as\n.BR sysctl (8)\ndoes the kernel's own. A value is one line of text; a file written by hand is\n"
        "taken as well, and put back if its value is refused, which the journal then tells.\n"
        "Numbers may be given in base 8 (leading 0), 10 or 16 (leading 0x).\n"
        ".PP\nA value comes from the first of these that has one:\n"
        "what was written at run time, the option\n.BR \\-\\-set ,\n.BR sysctl.d (5),\n"
        "the drop\\-in files of the daemon's configuration, that configuration, the default.\n"
        "What was written at run time is forgotten when the daemon is restarted, unless\n"
        ".B pysysctl \\-\\-save\nhas put it into\n.IR /etc/sysctl.d .\n"
        "A key written while its daemon is down counts when it starts.\n",
    ]
    for configuration in configurations:
        tunables = configuration.tunables
        out.append(f".SH {roff(tunables.prefix)}\nServed by\n.BR {roff(configuration.daemon)} (8).\n")
        out.append(man_entries(tunables))
    also = "".join(f",\n.BR {roff(each.daemon)} (8)" for each in configurations)
    out.append(f".SH SEE ALSO\n.BR pysysctl (8),\n.BR sysctl.d (5){also}\n")
    return "".join(out)


def conf_page(configuration: Configuration) -> str:
    """<daemon>.conf(5): every section of its configuration."""
    name = roff(configuration.daemon)
    out = [
        _page(f"{configuration.daemon.upper()}.CONF", 5, "File Formats Manual"),
        f".SH NAME\n{name}.conf \\- configuration of {name}\n",
        f".SH SYNOPSIS\n.I /etc/{name}.conf\n.br\n.I /etc/{name}.conf.d/*.conf\n",
        ".SH DESCRIPTION\n",
        'Lines of the form\n.IB key " = " value\nin sections\n.BI [ name ]\\fR.\n'
        "What follows a # at a line's start or after a blank is a comment; a line that begins with a blank\n"
        "continues the one before it. The drop\\-in files are read in the order of their names, after the\n"
        "main file; the later value counts. A key that is unknown, given twice in a file or of no\n"
        "acceptable value is reported with file, line and what would be right; the daemon then does not\n"
        "start, or at a reload goes on with what it had.\n",
    ]
    for section in configuration.sections():
        out.append(f".SH [{roff(section.section)}]\n")
        if isinstance(section, Tunables):
            out.append("Any key of the tree by its last name; they are described in\n")
            out.append(".BR pydaemons\\-tunables (7).\n")
        else:
            out.append(man_entries(section))
    out.append(f".SH SEE ALSO\n.BR {name} (8),\n.BR pydaemons\\-tunables (7),\n.BR pysysctl (8)\n")
    return "".join(out)


def _page(title: str, section: int, manual: str) -> str:
    return (
        '.\\" SPDX-License-Identifier: GPL-3.0-or-later\n'
        '.\\" Generated from the declarations of the settings.\n'
        f'.TH {title} {section} "" pydaemons "{manual}"\n'
    )


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
