# SPDX-License-Identifier: GPL-3.0-or-later
"""Every unit in units/ is one systemd accepts without a word, and every service is confined well enough."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from house.tree import ROOT

UNITS = ROOT / "units"
KINDS = (".service", ".socket", ".target", ".timer", ".path", ".mount", ".slice")
EXPOSURE_LIMIT = 15
"""systemd-analyze's own score, times ten: 1.5 of 10."""
SUPERVISOR_LIMIT = 12
"""What runs as root but has no network."""
LOCALFS_LIMIT = 19
"""With capabilities to open files by their handles."""


def units(*kinds: str) -> list[Path]:
    return sorted(path for path in UNITS.rglob("*") if path.suffix in (kinds or KINDS))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file tree as after installation: the system's units, ours, and something at every Exec path."""
    root = tmp_path_factory.mktemp("root")
    place = root / "usr/lib/systemd/system"
    shutil.copytree("/lib/systemd/system", place, symlinks=True, ignore_dangling_symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    for unit in units():
        shutil.copy(unit, place)
        for program in re.findall(r"^Exec\w+=[-+!@:]*(/\S+)", unit.read_text(), re.MULTILINE):
            target = root / program.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("#!/bin/sh\n")
            target.chmod(0o755)
    return root


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(root, unit):
    name = unit.name.replace("@.", "@sample.")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={root}", name],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", units(".service"), ids=lambda unit: unit.name)
def test_a_service_is_confined(unit):
    limit = SUPERVISOR_LIMIT if unit.stem == "pybosd" else EXPOSURE_LIMIT
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={limit}", unit],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@pytest.mark.needs("systemd-analyze")
def test_pylockd_stays_confined_when_it_may_open_files_by_handles(root):
    place = root / "etc/systemd/system/pylockd.service.d"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(UNITS / "pylockd.service.d/localfs.conf.example", place / "localfs.conf")
    verified, judged = (
        subprocess.run(
            ["systemd-analyze", *words, f"--root={root}", "pylockd.service"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        for words in (
            ["verify", "--man=no", "--recursive-errors=no"],
            ["security", "--offline=true", f"--threshold={LOCALFS_LIMIT}"],
        )
    )
    shutil.rmtree(place)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "open_by_handle_at is allowed" in judged.stdout, "the drop-in was not read"
    assert judged.returncode == 0, judged.stdout[-400:] + judged.stderr


@pytest.mark.needs("systemd-analyze")
def test_systemd_understands_what_pynmbd_needs_beside_smbd(root):
    place = root / "etc/systemd/system/pynmbd.service.d"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(UNITS / "pynmbd.service.d/beside-smbd.conf.example", place / "beside-smbd.conf")
    (root / "bin").mkdir(exist_ok=True)
    for program in ("mkdir", "ln"):
        shutil.copy(f"/bin/{program}", root / "bin")
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=no",
            f"--root={root}",
            "pynmbd.service",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    shutil.rmtree(place)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_instance_s_unit_is_the_service_s_but_for_what_makes_it_an_instance():
    ours = {
        "Description",
        "AssertPathExists",
        "NetworkNamespacePath",
        "ExecStartPre",
        "ExecStart",
        "ExecReload",
        "RuntimeDirectory",
        "StateDirectory",
        "ReadWritePaths",
    }

    def settings(name: str) -> list[str]:
        lines = (UNITS / name).read_text().splitlines()
        return [line for line in lines if line and line[0] != "#" and line.partition("=")[0] not in ours]

    assert settings("pylockd@.service") == settings("pylockd.service")
