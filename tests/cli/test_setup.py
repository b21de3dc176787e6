# SPDX-License-Identifier: GPL-3.0-or-later
"""pydaemons-setup: files into place, remembered, taken away; an administrator's configuration is theirs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pydaemons.cli import setup

TREE = Path(__file__).resolve().parents[2]
LIST = "var/lib/pydaemons/installed"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that the daemons may see: the test's own is below /tmp."""
    monkeypatch.setattr(setup, "HIDDEN", ("/home", "/root"))
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*setup.DAEMONS, "pylockctl", "pynmbctl", "pybos"):
        (folder / name).write_text("")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def install(root: Path, programs: Path, *words: str) -> int:
    return setup.main(["install", "--root", str(root), "--from", str(TREE), "--bin", str(programs), *words])


def files(root: Path) -> set[str]:
    return {f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file()}


def test_everything_is_put_into_place_and_noted_as_sha256sum_does(root, programs, capsys) -> None:
    assert install(root, programs) == 0
    put = files(root)
    for path in (
        "/etc/systemd/system/pylockd@.service",
        "/etc/systemd/system-preset/90-pynmbd.preset",
        "/etc/sysusers.d/pynmbd.conf",
        "/etc/tmpfiles.d/pybosd.conf",
        "/etc/pylockd.conf",
        "/usr/local/lib/sysctl.d/50-pylockd.conf",
        "/usr/local/lib/systemd/catalog/pydaemons.catalog",
        "/usr/local/share/man/man7/pydaemons-tunables.7",
        "/usr/local/share/bash-completion/completions/pysysctl",
    ):
        assert path in put
    assert set(setup.noted(root)) == put - {f"/{LIST}"}
    line = next(line for line in (root / LIST).read_text().splitlines() if "pylockd.service" in line)
    digest, path = line.split("  ")
    assert (len(digest), path) == (64, "/etc/systemd/system/pylockd.service")
    assert f"{len(put) - 1} files" in capsys.readouterr().out


def test_units_start_the_programs_where_they_are(root, programs) -> None:
    assert install(root, programs, "--sbin", str(programs / "../bin")) == 0
    text = (root / "etc/systemd/system/pylockd@.service").read_text()
    assert f"ExecStart={programs}/pylockd --instance %i" in text
    assert f"ExecReload={programs}/pylockctl reload --instance %i" in text
    assert "ExecStartPre=+/usr/bin/install" in text


def test_another_program_s_folder_is_used_only_where_it_is(root, programs) -> None:
    assert install(root, programs) == 0
    assert not (root / "etc/ufw").exists()
    (root / "etc/ufw/applications.d").mkdir(parents=True)
    assert install(root, programs) == 0
    assert (root / "etc/ufw/applications.d/pylockd").is_file()


def test_installed_again_configuration_that_somebody_changed_stays(root, programs, capsys) -> None:
    assert install(root, programs) == 0
    (root / "etc/pylockd.conf").write_text("[fs.nfs]\n")
    assert install(root, programs) == 0
    assert (root / "etc/pylockd.conf").read_text() == "[fs.nfs]\n"
    assert "kept your /etc/pylockd.conf" in capsys.readouterr().out
    assert setup.main(["remove", "--root", str(root)]) == 0
    assert files(root) == {"/etc/pylockd.conf"}


def test_configuration_that_was_there_before_is_never_ours(root, programs) -> None:
    (root / "etc").mkdir(parents=True)
    (root / "etc/pynmbd.conf").write_text("[global]\n")
    assert install(root, programs) == 0
    assert "/etc/pynmbd.conf" not in setup.noted(root)
    assert setup.main(["remove", "--root", str(root), "--purge"]) == 0
    assert files(root) == {"/etc/pynmbd.conf"}


def test_what_a_new_version_has_no_more_is_taken_away(root, programs) -> None:
    assert install(root, programs) == 0
    old = root / "etc/systemd/system/pyoldd.service"
    old.write_text("")
    with (root / LIST).open("a") as noted:
        noted.write(f"{'0' * 64}  /etc/systemd/system/pyoldd.service\n")
    assert install(root, programs) == 0
    assert not old.exists()


def test_purging_takes_state_and_changed_configuration_too(root, programs) -> None:
    assert install(root, programs) == 0
    (root / "etc/pylockd.conf").write_text("[fs.nfs]\n")
    (root / "var/lib/pylockd@net").mkdir(parents=True)
    (root / "var/lib/pylockd@net/state").write_text("1")
    (root / "run/samba/nmbd").mkdir(parents=True)
    (root / "run/samba/nmbd/unexpected").symlink_to("../../pynmbd/unexpected")
    assert setup.main(["remove", "--root", str(root), "--purge"]) == 0
    assert files(root) == set()
    assert not (root / "run/samba").exists()


def test_removed_twice_it_says_that_there_is_nothing(root, programs, capsys) -> None:
    assert install(root, programs) == 0
    assert setup.main(["remove", "--root", str(root)]) == 0
    assert setup.main(["remove", "--root", str(root)]) == 1
    assert "nothing was put into place" in capsys.readouterr().err


def test_the_list_names_what_is_there(root, programs, capsys) -> None:
    assert install(root, programs) == 0
    capsys.readouterr()
    assert setup.main(["list", "--root", str(root)]) == 0
    assert set(capsys.readouterr().out.splitlines()) == set(setup.noted(root))


def test_programs_that_are_not_there_are_missed_before_anything_is_written(root, tmp_path, capsys) -> None:
    assert install(root, tmp_path) == 1
    assert "say --bin and --sbin" in capsys.readouterr().err
    assert not root.exists()


def test_a_folder_the_daemons_cannot_see_is_refused_with_what_helps(
    root, programs, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(setup, "HIDDEN", (str(programs.parent),))
    assert install(root, programs) == 1
    assert "PIPX_HOME=/opt/pipx" in capsys.readouterr().err


def test_the_layout_that_pip_makes_is_found_and_understood(root, programs, tmp_path, monkeypatch) -> None:
    prefix = tmp_path / "venv"
    shutil.copytree(TREE / "units", prefix / "share/pydaemons/units")
    (prefix / "share/man/man8").mkdir(parents=True)
    shutil.copy(TREE / "docs/man/pylockd.8", prefix / "share/man/man8")
    (prefix / "share/man/man8/another.8").write_text("")
    monkeypatch.setattr(setup.sys, "prefix", str(prefix))
    monkeypatch.setattr(setup, "__file__", str(prefix / "lib/python3/site-packages/pydaemons/cli/setup.py"))
    assert setup.source() == prefix / "share/pydaemons"
    assert setup.main(["install", "--root", str(root), "--bin", str(programs)]) == 0
    assert os.listdir(root / "usr/local/share/man/man8") == ["pylockd.8"]


def test_pages_that_pip_put_into_place_itself_are_left_alone(root, programs) -> None:
    shutil.copytree(TREE / "units", root / "usr/local/share/pydaemons/units")
    page = root / "usr/local/share/man/man8/pylockd.8"
    page.parent.mkdir(parents=True)
    page.write_text("as pip has it")
    tree = str(root / "usr/local/share/pydaemons")
    assert setup.main(["install", "--root", str(root), "--from", tree, "--bin", str(programs)]) == 0
    assert page.read_text() == "as pip has it"
    assert "/usr/local/share/man/man8/pylockd.8" not in setup.noted(root)
