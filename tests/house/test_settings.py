# SPDX-License-Identifier: GPL-3.0-or-later
"""What people can set does something: every tunable and every setting is read by somebody."""

from __future__ import annotations

import ast

import pytest

from house.generated import CONFIGURATIONS
from house.tree import modules
from pydaemons.tunables.declare import Access, Settings


def read_anywhere() -> set[str]:
    """Names that are read as an attribute of anything, or asked for by their text."""
    names = set()
    for module in modules():
        for node in ast.walk(module.syntax):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
                names |= {word.value for word in node.args if isinstance(word, ast.Constant)}
    return names


READ = read_anywhere()


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda each: each.daemon)
def test_everything_that_can_be_set_is_read(configuration) -> None:
    sections = [each for each in vars(configuration()).values() if isinstance(each, Settings)]
    assert sections
    stored = {
        name
        for section in sections
        for name, entry in section.entries.items()
        if entry.access is Access.STORED
    }
    assert sorted(stored - READ) == []
