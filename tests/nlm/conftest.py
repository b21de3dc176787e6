# SPDX-License-Identifier: GPL-3.0-or-later
"""A server and two clients."""

from __future__ import annotations

import pytest

from fakes.locking import LockClient, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def one(world: World) -> LockClient:
    return world.client(2)


@pytest.fixture
def two(world: World) -> LockClient:
    return world.client(3)
