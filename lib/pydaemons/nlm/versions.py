# SPDX-License-Identifier: GPL-3.0-or-later
"""The border between protocol versions: 1 and 3 speak of 32-bit ranges and know fewer statuses than 4.

Requests of any version decode to version 4's records and answers are cut down here, so that rules exist once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydaemons.nlm.types import HOLDER, ProbeResult, ProbeResultCodec, Result, Status
from pydaemons.wire.record import Clamped, Codec, Kind
from pydaemons.wire.xdr import UHYPER, UINT

NEWEST = 4
VERSIONS = (1, 3, 4)
LAST_32_BIT = 0x7FFFFFFF
"""What a range of a 64-bit holder is cut to: the largest offset that signed 32-bit clients understand."""

_NARROW_ARGS: dict[Kind, Kind] = {UHYPER: UINT}
_NARROW_PROBE_RESULT = ProbeResultCodec(HOLDER.variant({UHYPER: Clamped("I", LAST_32_BIT)}))


def args_codec(codec: Codec[Any], version: int) -> Codec[Any]:
    """How `version` sends these arguments."""
    return codec if version == NEWEST else _narrowed(codec)


@cache
def _narrowed(codec: Codec[Any]) -> Codec[Any]:
    """Compiled once: that takes a millisecond, and GRANTED asks for it at each call."""
    return codec.variant(_NARROW_ARGS)


def result_codec(codec: Codec[Any], version: int) -> Codec[Any]:
    """How `version` sends this result."""
    if version == NEWEST:
        return codec
    return _NARROW_PROBE_RESULT if isinstance(codec, ProbeResultCodec) else codec


def narrow_status(status: int) -> int:
    """A version 4 status as versions 1 and 3 can say it, with the choices of the kernel's server: a deadlock
    is a denial, and what has no word there at all is a want of resources."""
    if status <= Status.DENIED_GRACE_PERIOD:
        return status
    return Status.DENIED if status == Status.DEADLCK else Status.DENIED_NOLOCKS


def narrow(result: Any) -> Any:
    """A result of a rule for a version 1 or 3 client."""
    if isinstance(result, ProbeResult | Result) or hasattr(result, "status"):
        return result._replace(status=narrow_status(result.status))
    return result
