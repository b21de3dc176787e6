# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run once for somebody, as a unit of its own that nobody keeps: notifiers and exec."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import count

from pydaemons.bnode.events import Exited
from pydaemons.bnode.model import Restart
from pydaemons.bosd.properties import Arguments, of_errand, start_transient_unit
from pydaemons.bosd.track import Track

Done = Callable[[Exited | None], None]
"""Gets the end, or None when nobody knows it."""


class Errands:
    """Those under way, by the name of their unit."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._done: dict[str, Done] = {}
        self._numbers = count(1)

    def __contains__(self, unit: str) -> bool:
        return unit in self._done

    def add(
        self, argv: Sequence[str], purpose: str, data: bytes | None, environment: Sequence[str], done: Done
    ) -> tuple[Track, Arguments]:
        """A new one: its track, and what StartTransientUnit is to be given."""
        # our pid in the name: what an earlier daemon ran may still be there
        name = f"pybosd-{purpose}-{os.getpid()}-{next(self._numbers)}.service"
        self._done[name] = done
        properties = of_errand(
            argv,
            description=f"pybosd {purpose}",
            folder=self._folder,
            data=data,
            environment=environment,
        )
        return Track(name, Restart.NO), start_transient_unit(name, properties)

    def end(self, unit: str, exited: Exited | None) -> bool:
        """Tell whoever sent it; False when nobody did."""
        done = self._done.pop(unit, None)
        if done is None:
            return False
        done(exited)
        return True

    def abandon(self) -> None:
        """The connection is broken: nobody will hear of them."""
        for unit in list(self._done):
            self.end(unit, None)
