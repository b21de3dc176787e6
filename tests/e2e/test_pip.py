# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheel and sdist are whole; installed by pip into a folder of its own, the system learns of the daemons."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_string
from pathlib import Path

import pytest

import pydaemons
from hosts import debs
from hosts.machine import SystemdHost

VENV = "/opt/pydaemons"
COMMANDS = (
    "pylockd",
    "pynmbd",
    "pybosd",
    "pylockctl",
    "pynmbctl",
    "pynmblookup",
    "pysysctl",
    "pydaemons-setup",
)


def make(hook: str, tree: Path) -> Path:
    """What setuptools makes of the tree, asked as `python -m build --no-isolation` asks."""
    (tree.parent / "made").mkdir(exist_ok=True)
    script = f"import setuptools.build_meta as backend; print(backend.{hook}({str(tree.parent / 'made')!r}))"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script],
        cwd=tree,
        env=debs.ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return tree.parent / "made" / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("build_sdist", debs.copy(tmp_path_factory.mktemp("sdist") / "tree"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from what the sdist holds, as pip makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (tree,) = folder.iterdir()
    return make("build_wheel", tree)


def test_the_sdist_has_all_that_a_packager_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("bin", "debian", "docs", "lib", "sysctl.d", "units"):
        ours = {
            str(path.relative_to(debs.CHECKOUT))
            for path in (debs.CHECKOUT / folder).rglob("*")
            if path.is_file() and not {"__pycache__", "pydaemons.egg-info"} & set(path.parts)
        }
        assert ours <= names, sorted(ours - names)


def test_the_wheel_has_programs_pages_and_units_and_its_description_is_fit_for_an_index(wheel: Path) -> None:
    assert wheel.name == f"pydaemons-{pydaemons.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"pydaemons-{pydaemons.__version__}.dist-info"
        about = message_from_string(archive.read(f"{info}/METADATA").decode())
    data = f"pydaemons-{pydaemons.__version__}.data"
    assert {f"{data}/scripts/{path.name}" for path in (debs.CHECKOUT / "bin").glob("py*")} <= names
    for place, folder in (("docs/man", "share/man/man?"), ("units", "share/pydaemons/units")):
        for path in (debs.CHECKOUT / place).rglob("*"):
            if path.is_file():
                inside = (
                    folder.replace("?", path.suffix[1:]) + "/" + str(path.relative_to(debs.CHECKOUT / place))
                )
                assert f"{data}/data/{inside}" in names, inside
    assert about["Description-Content-Type"] == "text/markdown"
    assert about["License"] == "GPL-3.0-or-later"
    assert {re.split(r"\W", each)[0] for each in about.get_all("Requires-Dist")} >= {
        "sdnotify",
        "pystemd",
        "python",
    }
    assert about.get_payload().startswith("# pydaemons")


def test_installed_by_pip_it_serves_and_is_gone_when_taken_away(
    wheel: Path, boot: Callable[..., SystemdHost]
) -> None:
    host = boot(binds=[wheel.parent], limit=240.0)
    script = f"/usr/bin/python3 -m venv --system-site-packages {VENV} && "
    script += f"{VENV}/bin/pip install --quiet --no-index --no-deps --disable-pip-version-check {wheel}"
    host.run("sh", "-e", "-c", script, check=True, timeout=180)
    for name in COMMANDS:
        assert pydaemons.__version__ in host.run(f"{VENV}/bin/{name}", "--version", check=True).stdout
    done = host.run(f"{VENV}/bin/pydaemons-setup", "install")
    assert (done.returncode, done.stderr) == (0, "")
    host.systemctl("start", "pylockd", "pynmbd", "pybosd")
    shown = host.run(f"{VENV}/bin/pysysctl", "-aN", check=True).stdout.split()
    assert {key.partition(".")[0] for key in shown} == {"fs", "net", "kernel"}
    host.systemctl("reload", "pylockd")
    assert host.run(f"{VENV}/bin/pylockctl", "locks", check=True).returncode == 0
    listed = host.run(f"{VENV}/bin/pydaemons-setup", "list", check=True).stdout.split()
    host.run(f"{VENV}/bin/pydaemons-setup", "remove", "--purge", check=True)
    left = ["/var/lib/pylockd", "/run/pysysctl", "/run/pylockd", "/var/lib/pydaemons"]
    assert host.run("ls", "-d", *listed, *left).stdout == ""
    assert host.run("id", "pylockd").returncode != 0
    assert host.run("sh", "-c", "ps -eo comm= | grep '^py'").stdout == ""
