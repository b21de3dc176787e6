# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes of the server's folders, against the chart in bosserver(8)."""

from __future__ import annotations

import pytest

from pydaemons.bnode.folders import Folders
from pydaemons.bosd import state
from pydaemons.bosd.access import too_open


@pytest.fixture
def site(tmp_path):
    tmp_path.chmod(0o755)
    state.make_folders(str(tmp_path))
    for name in ("etc/KeyFile", "local/UserList"):
        (tmp_path / name).touch(0o600)
    return tmp_path, Folders(f"{tmp_path}/bin", f"{tmp_path}/log", f"{tmp_path}/etc", f"{tmp_path}/local")


def look(site):
    return too_open(str(site[0]), site[1])


def test_what_the_daemon_makes_is_fine_and_so_is_what_is_not_there(site):
    assert look(site) == []


@pytest.mark.parametrize(
    ("name", "mode"),
    [("", 0o777), ("etc", 0o757), ("local", 0o701), ("local", 0o704), ("etc/KeyFile", 0o604),
     ("local/UserList", 0o606), ("bin", 0o757)],
)  # fmt: skip
def test_what_others_may_and_should_not_is_named(site, name, mode):
    path = site[0] / name
    if name == "bin":
        path.mkdir()
    path.chmod(mode)
    (told,) = look(site)
    assert told.startswith(f"{path} is ") and ", want " in told


@pytest.mark.parametrize(
    ("name", "mode"), [("", 0o775), ("etc", 0o700), ("local", 0o770), ("local/UserList", 0o664)]
)
def test_what_the_chart_leaves_open_or_closes_further_is_fine(site, name, mode):
    (site[0] / name).chmod(mode)
    assert look(site) == []
