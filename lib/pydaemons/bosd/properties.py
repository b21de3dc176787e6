# SPDX-License-Identifier: GPL-3.0-or-later
"""The transient units we make, as properties with their D-Bus types (org.freedesktop.systemd1(5)).

pystemd has such a table too, without Restart, KillMode, the start limit and more, and with a form of
Conditions that systemd refuses; a KeyError at the first start is not what an administrator should meet.
Message arguments are in pystemd's flat form: (type letter, value), containers closed by (-1, None).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pystemd.dbuslib import apply_signature

from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.model import Restart

SIGNATURES: Mapping[str, bytes] = {
    "CollectMode": b"s",
    "Conditions": b"a(sbbs)",
    "Description": b"s",
    "ExecStartEx": b"a(sasas)",
    "KillMode": b"s",
    "KillSignal": b"i",
    "LimitCORE": b"t",
    "Environment": b"as",
    "Restart": b"s",
    "RestartUSec": b"t",
    "StandardInput": b"s",
    "StandardInputData": b"ay",
    "StartLimitBurst": b"u",
    "StartLimitIntervalUSec": b"t",
    "SyslogIdentifier": b"s",
    "TimeoutStopUSec": b"t",
    "Type": b"s",
    "WorkingDirectory": b"s",
}
LITERALLY = [b"no-env-expand"]
"""To systemd a dollar in a command means a variable; here, as to the peer, it is a dollar."""
INFINITY = 2**64 - 1
SECOND = 1_000_000

Arguments = list[tuple[int, Any]]
_CLOSE = (-1, None)


def of_process(effect: StartUnit, *, folder: str, bar: str) -> dict[str, Any]:
    """The unit of a bnode's process. `folder` is where it works (and leaves cores), `bar` the file whose
    existence keeps systemd from restarting it."""
    program, *_ = argv = [word.encode() for word in effect.argv]
    properties: dict[str, Any] = {
        "Description": f"bnode {effect.bnode}".encode(),
        "ExecStartEx": [(program, argv, LITERALLY)],
        "Restart": effect.restart.value.encode(),
        "RestartUSec": 0,
        "StartLimitBurst": effect.limit_burst,
        "StartLimitIntervalUSec": effect.limit_interval * SECOND,
        "KillMode": b"control-group",
        "KillSignal": int(effect.signal),
        "TimeoutStopUSec": effect.stop_timeout * SECOND,
        "LimitCORE": INFINITY,
        # With the hyphen systemd does not look for mounts at each folder of the path, anew for every unit: a
        # sixth of its work. What is mounted where the log is must be there before us anyway
        "WorkingDirectory": b"-" + folder.encode(),
        "SyslogIdentifier": effect.bnode.encode(),
    }
    if effect.restart is not Restart.NO:
        properties["Conditions"] = [(b"ConditionPathExists", False, True, bar.encode())]
    return properties


def of_errand(
    argv: Sequence[str], *, description: str, folder: str, data: bytes | None, environment: Sequence[str] = ()
) -> dict[str, Any]:
    """A unit for something run once and forgotten: a notifier (with `data` on its input), an exec."""
    words = [word.encode() for word in argv]
    properties: dict[str, Any] = {
        "Description": description.encode(),
        "ExecStartEx": [(words[0], words, LITERALLY)],
        "CollectMode": b"inactive-or-failed",
        "WorkingDirectory": b"-" + folder.encode(),
    }
    if environment:
        properties["Environment"] = [word.encode() for word in environment]
    if data is not None:
        properties |= {"StandardInput": b"data", "StandardInputData": data}
    return properties


def start_transient_unit(unit: str, properties: Mapping[str, Any]) -> Arguments:
    """The arguments of StartTransientUnit."""
    arguments: Arguments = [(_S, unit.encode()), (_S, b"fail"), (_A, b"(sv)")]
    for name, value in properties.items():
        arguments += _HEADS[name]
        signature = SIGNATURES[name]
        if len(signature) == 1:
            arguments.append((signature[0], value))
        else:
            arguments += apply_signature(signature, [value])
        arguments += _TAIL
    arguments += _END
    return arguments


_A, _R, _S, _V = (ord(letter) for letter in "arsv")
# what is the same for every unit
_HEADS: Mapping[str, Arguments] = {
    name: [(_R, b"sv"), (_S, name.encode()), (_V, signature)] for name, signature in SIGNATURES.items()
}
_TAIL: Arguments = [_CLOSE, _CLOSE]
_END: Arguments = [_CLOSE, (_A, b"(sa(sv))"), _CLOSE]
