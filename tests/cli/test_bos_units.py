# SPDX-License-Identifier: GPL-3.0-or-later
"""pybos export and import, as an administrator types them."""

from __future__ import annotations

import pytest

from fakes.bos_typist import Typist
from fakes.systemd_units import World


@pytest.fixture
def bos():
    return Typist(World())


def test_a_site_leaves_and_another_arrives(bos, tmp_path):
    bos("create", "web", "simple", "server -p 80")
    bos("create", "nightly", "cron", "/bin/backup", "4:00")
    bos("create", "fs", "fs", "/f", "/v", "/s")
    assert bos("export", str(tmp_path)) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:3] == ["fs-file.service", "fs-salv.service", "fs-vol.service"]
    assert names[3:] == ["nightly.service", "nightly.timer", "web.service"]
    assert bos.out.splitlines()[0] == f"{tmp_path}/web.service"
    new = Typist(World())
    assert new("import", f"{tmp_path}/web.service", f"{tmp_path}/nightly.service") == 0
    web, nightly = new.world.supervisor.config().entries
    assert (web.kind, web.commands) == ("simple", ("/usr/lib/openafs/server -p 80",))
    assert (nightly.kind, nightly.commands) == ("cron", ("/bin/backup", "4:00 am"))
    assert "bos: web: not taken over: StartLimitBurst=12\n" in new.err


def test_what_is_no_text_is_no_unit_file(bos, tmp_path):
    (tmp_path / "web.service").write_bytes(b"\x7fELF\xff\xfe")
    assert bos("import", f"{tmp_path}/web.service") == 1
    assert bos.err == f"bos: {tmp_path}/web.service: this is no unit file\n"


def test_nothing_is_written_over(bos, tmp_path):
    bos("create", "web", "simple", "/x")
    (tmp_path / "web.service").write_text("mine")
    assert bos("export", str(tmp_path), "web") == 1
    assert bos.err == f"bos: {tmp_path}/web.service: File exists\n"
    assert (tmp_path / "web.service").read_text() == "mine"


def test_names_nobody_knows_and_files_nobody_has_are_told(bos, tmp_path):
    assert bos("export", str(tmp_path), "nope") == 1
    assert "failed to get instance info for 'nope' (no such entity)" in bos.err
    assert bos("import", f"{tmp_path}/nope.service") == 1
    assert bos.err == f"bos: {tmp_path}/nope.service: No such file or directory\n"


def test_what_does_not_come_along_is_told_and_what_cannot_be_is_refused(bos, tmp_path):
    (tmp_path / "a.service").write_text("[Service]\nUser=joe\nExecStart=/bin/x\n")
    assert bos("import", f"{tmp_path}/a.service") == 0
    assert bos.err == "bos: a: not taken over: User=joe\n"
    assert bos("import", f"{tmp_path}/a.service") == 3
    (tmp_path / "b.service").write_text("[Service]\nType=forking\nExecStart=/bin/x\n")
    assert bos("import", f"{tmp_path}/b.service") == 1 and "Type=forking" in bos.err
