# SPDX-License-Identifier: GPL-3.0-or-later
"""The bugs that docs/testing.md lists have the tests it names."""

from __future__ import annotations

import re

import pytest

from house.tree import ROOT

NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "testing.md").read_text())


def test_there_is_a_list():
    assert len(NAMED) >= 20


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_exists(file, test):
    assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
