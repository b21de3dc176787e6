# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of requests."""

from __future__ import annotations

from pydaemons.bnode.verbs import TABLE


def test_numbers_are_the_peers_and_each_only_once():
    numbers = [verb.number for verb in TABLE.values() if verb.number]
    assert len(numbers) == len(set(numbers)) and set(numbers) <= set(range(80, 117))
    assert TABLE["Create"].number == 80 and TABLE["SetRestricted"].number == 116


def test_every_request_explains_itself_and_takes_known_types():
    for verb in TABLE.values():
        assert verb.doc.endswith(".")
        assert set(verb.parameters.values()) | set(verb.optional.values()) <= {str, int, bool, list}
        assert not set(verb.parameters) & set(verb.optional)


def test_what_the_shell_does_has_no_body_and_nothing_else():
    without = {name for name, verb in TABLE.items() if verb.body is None}
    assert without == {"Install", "Uninstall", "GetDate", "Exec", "Prune", "GetLog"}
