# SPDX-License-Identifier: GPL-3.0-or-later
"""What `/etc/pybosd.conf` may say: the tunables of kernel.bos and what is set only there."""

from __future__ import annotations

from pydaemons.bnode.tunables import BosTunables
from pydaemons.tunables.declare import Configuration, Effect, Settings, setting
from pydaemons.tunables.kinds import Bool, Listen, Path


class Pybosd(Settings, section="pybosd"):
    bin_dir = setting(
        Path(),
        "/usr/lib/openafs",
        effect=Effect.AT_RESTART,
        doc="Where relative commands are looked for and install puts files; requests call it /usr/afs/bin.",
    )
    no_auth = setting(
        Bool(),
        False,
        effect=Effect.AT_RESTART,
        doc="Whether everybody who can connect is an administrator, as bosserver -noauth.",
    )
    restricted = setting(
        Bool(), False, effect=Effect.AT_RESTART, doc="Whether restricted mode is on from the start."
    )


class Rx(Settings, section="rx"):
    listen = setting(
        Listen(),
        "",
        effect=Effect.AT_RESTART,
        doc="Where OpenAFS's bos is answered, 127.0.0.1:7007 say; empty means nowhere, but a socket of "
        "pybosd-rx.socket is used in any case. The unit as shipped has no network: enable that socket, or "
        "give the service a network by a drop-in.",
    )
    noauth = setting(
        Bool(),
        False,
        effect=Effect.AT_RESTART,
        doc="Whether everybody who reaches that address is an administrator. Without it bos may look, and "
        "change nothing: callers cannot prove there who they are.",
    )


class PybosdConfiguration(Configuration):
    """All of it."""

    daemon = "pybosd"

    def __init__(self) -> None:
        self.pybosd = Pybosd()
        self.rx = Rx()
        self.tunables: BosTunables = BosTunables()
