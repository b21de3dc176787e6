# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.tunables.declare import Access
from pydaemons.tunables.kinds import Refused

STORED = [entry for entry in NetbiosTunables.entries.values() if entry.access is Access.STORED]


@pytest.mark.parametrize("entry", STORED, ids=lambda entry: entry.name)
def test_a_tunable_takes_its_default_back_and_refuses_nonsense(entry):
    tunables = NetbiosTunables()
    text = tunables.text(entry.name)
    assert tunables.set(entry.name, text, "test") is None
    with pytest.raises(Refused):
        tunables.set(entry.name, "\x01 nonsense of more than fifteen characters", "test")
    assert tunables.text(entry.name) == text
    assert entry.doc


def test_the_defaults_are_those_of_nmbd():
    tunables = NetbiosTunables()
    assert (tunables.max_ttl, tunables.min_wins_ttl, tunables.max_wins_ttl) == (259200, 21600, 518400)
    assert tunables.nmb_port == 137
