# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages of this checkout: built from a clean copy of it, as a maintainer would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CONTENT = (
    "bin",
    "debian",
    "docs",
    "lib",
    "sysctl.d",
    "units",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "pyproject.toml",
    "setup.cfg",
)
NAMES = ("pybosd", "pylockd", "pynmbd", "pysysctl", "python3-pydaemons")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
}


def copy(target: Path, *, version: str = "") -> Path:
    """The tree without what a build or a test left in it; `version` makes it that version."""
    target.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*", "*.debhelper*", "*.substvars", "files")
    for name in CONTENT:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, target / name, symlinks=True, ignore=skip)
        else:
            shutil.copy2(CHECKOUT / name, target / name)
    if version:
        changelog = target / "debian/changelog"
        first, _, rest = changelog.read_text().partition("\n")
        entry = first.partition("(")[0] + f"({version}) UNRELEASED; urgency=medium\n" + rest
        changelog.write_text(entry + "\n" + first + "\n" + rest)
        init = target / "lib/pydaemons/__init__.py"
        text, _, _ = init.read_text().partition("__version__")
        init.write_text(f'{text}__version__ = "{version}"\n')
    return target


def build(tree: Path, *, umask: int = 0o022, timezone: str = "UTC") -> list[Path]:
    """The binary packages of `tree`, in the folder beside it; AssertionError with the log's end."""
    done = subprocess.run(
        ["dpkg-buildpackage", "-us", "-uc", "-b"],
        cwd=tree,
        env=ENVIRONMENT | {"TZ": timezone, "DEB_BUILD_OPTIONS": "parallel=2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        umask=umask,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    found = sorted(tree.parent.glob("*.deb"))
    assert [path.name.partition("_")[0] for path in found] == list(NAMES), found
    return found


def changes(tree: Path) -> Path:
    """What the build says it made, for lintian."""
    (found,) = tree.parent.glob("*.changes")
    return found
