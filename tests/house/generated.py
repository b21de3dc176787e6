# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the tree that are made from the declarations, and their text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from house.commands import commands
from house.completion import files
from house.tree import ROOT
from pydaemons.bosd.settings import PybosdConfiguration
from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.nmbd.settings import PynmbdConfiguration
from pydaemons.tunables.declare import Configuration
from pydaemons.tunables.render import conf_page, sample_conf, sysctl_d, tunables_page

CONFIGURATIONS: tuple[type[Configuration], ...] = (
    PylockdConfiguration,
    PynmbdConfiguration,
    PybosdConfiguration,
)
"""every daemon with settings; a new daemon is added here, and its files follow"""


def generated() -> Iterator[tuple[Path, str]]:
    """Each file and what it must contain."""
    made = [configuration() for configuration in CONFIGURATIONS]
    for each in made:
        yield ROOT / f"sysctl.d/50-{each.daemon}.conf", sysctl_d(each.daemon, each.tunables)
        yield ROOT / f"docs/examples/{each.daemon}.conf", sample_conf(each)
        yield ROOT / f"docs/man/{each.daemon}.conf.5", conf_page(each)
    yield ROOT / "docs/man/pydaemons-tunables.7", tunables_page(made)
    for name, text in files(commands()):
        yield ROOT / "docs/completion" / name, text
