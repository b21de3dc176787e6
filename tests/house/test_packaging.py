# SPDX-License-Identifier: GPL-3.0-or-later
"""No file for the system is forgotten by a way of installing: Debian's packages, pip, pydaemons-setup."""

from __future__ import annotations

import configparser
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

import pydaemons
from house.tree import ROOT
from pydaemons.cli.setup import PLACES

FOR_READING = ("docs/examples/*.conf", "docs/examples/pylockd/*", "units/*.service.d/*.example")
SYSTEM = sorted(
    str(path.relative_to(ROOT))
    for folder in ("bin", "docs/man", "docs/completion", "docs/examples", "sysctl.d", "units")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.name != "quickstart"
)
"""what the system shall see of us"""


def in_debian() -> dict[str, list[str]]:
    """File → the debian/* lists that name it."""
    found: dict[str, list[str]] = {}
    for path in (ROOT / "debian").iterdir():
        if path.suffix in (".install", ".manpages", ".examples", ".docs"):
            for line in path.read_text().splitlines():
                if line and line[0] != "#":
                    found.setdefault(line.split()[0], []).append(path.name)
    return found


def data_files() -> list[str]:
    """Patterns of what the wheel carries."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read(ROOT / "setup.cfg")
    listed = [each.strip() for value in parser["options.data_files"].values() for each in value.split(",")]
    return [*listed, *parser["options"]["scripts"].split()]


@pytest.mark.parametrize("file", SYSTEM)
def test_a_file_is_in_one_debian_package(file: str) -> None:
    if "pydaemons-setup" in file:
        assert file not in in_debian(), "packages do without it"
    else:
        assert len(in_debian().get(file, [])) == 1, f"name {file} in debian/*.install, .manpages or .examples"


def test_debian_s_lists_name_what_exists() -> None:
    assert [file for file in in_debian() if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("file", SYSTEM)
def test_a_file_is_in_the_wheel(file: str) -> None:
    folder = file.rpartition("/")[0]
    assert any(fnmatch(file, each) and each.rpartition("/")[0] == folder for each in data_files()), (
        f"setup.cfg, [options.data_files], carries no {file}"
    )


@pytest.mark.parametrize("file", [file for file in SYSTEM if not file.startswith("bin/")])
def test_a_file_has_its_place_in_pydaemons_setup(file: str) -> None:
    folder = file.rpartition("/")[0]
    placed = any(fnmatch(file, each.files) and each.files.rpartition("/")[0] == folder for each in PLACES)
    assert placed or any(fnmatch(file, each) for each in FOR_READING), f"PLACES has no place for {file}"


UNITS = sorted(path for path in (ROOT / "units").iterdir() if path.suffix in (".service", ".socket"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_packages_do_not_enable_a_unit_nor_leave_it_running(unit: Path) -> None:
    package = re.split(r"[-@.]", unit.name)[0]
    assert f"disable {unit.name}\n" in (ROOT / f"units/system-preset/90-{package}.preset").read_text()
    stops = (ROOT / f"debian/{package}.prerm").read_text()
    assert re.search(rf"stop .*{re.escape(unit.name.replace('@', '@*'))}\b", stops), "stopped by the prerm"
    rules = (ROOT / "debian/rules").read_text()
    assert "@" in unit.name or re.search(rf"--no-enable --no-start .*\b{unit.name}", rules)


def test_the_versions_agree() -> None:
    first = (ROOT / "debian/changelog").read_text().split("\n", 1)[0]
    assert first.startswith(f"pydaemons ({pydaemons.__version__}) ")
    assert f"## {pydaemons.__version__} " in (ROOT / "docs/NEWS.md").read_text()
