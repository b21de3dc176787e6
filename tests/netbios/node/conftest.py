# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.winssite import Site


@pytest.fixture
def site() -> Site:
    return Site()
