# SPDX-License-Identifier: GPL-3.0-or-later
"""pydaemons-setup(8): what a package does, for an installation without one (pip, pipx, a checkout).

Read PLACES, then install and remove.
Each file put somewhere is noted with its checksum in a list; `remove` goes by that list. Exit status: 0 done,
1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import pydaemons
from pydaemons.cli.shared import run_program

PROG = "pydaemons-setup"
LIST = "var/lib/pydaemons/installed"
DAEMONS = ("pylockd", "pynmbd", "pybosd")
USERS = ("pylockd", "pynmbd")
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""Folders that the units do not let their daemons see (ProtectHome=, PrivateTmp=)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Files of the source tree that belong into one folder."""

    files: str
    """a pattern, below the source tree"""
    folder: str
    """below the root"""
    beside: str = ""
    """only where this exists: another program's folder"""
    configuration: bool = False
    """the administrator's from now on: never overwritten, removed only when purged or untouched"""


MAN = ("docs/man", "../man/man[578]")
"""a checkout's pages, and those that pip puts beside share/pydaemons"""

PLACES = (
    Place("units/*.service", "etc/systemd/system"),
    Place("units/*.socket", "etc/systemd/system"),
    Place("units/system-preset/*.preset", "etc/systemd/system-preset"),
    Place("units/sysusers.d/*.conf", "etc/sysusers.d"),
    Place("units/tmpfiles.d/*.conf", "etc/tmpfiles.d"),
    Place("units/catalog/*.catalog", "usr/local/lib/systemd/catalog"),
    Place("units/firewalld/*.xml", "etc/firewalld/services", beside="etc/firewalld"),
    Place("units/ufw/*", "etc/ufw/applications.d", beside="etc/ufw/applications.d"),
    Place("units/logcheck/*", "etc/logcheck/ignore.d.server", beside="etc/logcheck"),
    Place("sysctl.d/*.conf", "usr/local/lib/sysctl.d"),
    Place("docs/completion/py*", "usr/local/share/bash-completion/completions"),
    Place("docs/completion/zsh/_*", "usr/local/share/zsh/site-functions"),
    Place("docs/completion/fish/*.fish", "usr/local/share/fish/vendor_completions.d"),
    *(
        Place(f"{tree}/py*.{section}", f"usr/local/share/man/man{section}")
        for tree in MAN
        for section in "578"
    ),
    Place("docs/examples/*.conf", "etc", configuration=True),
)
"""What goes where; a package has the same in debian/*.install."""


class SetupError(Exception):
    """It cannot be done; the text says why and what helps."""


def run() -> NoReturn:
    """The whole program of `bin/pydaemons-setup`."""
    run_program(main)


def main(argv: Sequence[str] | None = None) -> int:
    """As `run`, returning the exit status."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.verb == "install":
            install(arguments)
        elif arguments.verb == "remove":
            remove(arguments)
        else:
            for path in noted(arguments.root):
                print(path)
    except SetupError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{PROG}: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog=PROG,
        description="Tell the system about pydaemons that pip, pipx or a checkout brought: units, users, "
        "folders, manual pages, completions. Nothing is enabled or started.",
        epilog="Debian packages do without. See pydaemons-setup(8).",
    )
    top.add_argument("-V", "--version", action="version", version=f"{PROG} {pydaemons.__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--root", metavar="DIR", type=Path, default=Path("/"), help="another root than / (for images)"
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    add = verbs.add_parser(
        "install", parents=[common], help="put the files into place", description="Put the files into place."
    )
    add.add_argument("--bin", metavar="DIR", type=Path, help="where the commands are (beside this one)")
    add.add_argument("--sbin", metavar="DIR", type=Path, help="where the daemons are (likewise)")
    add.add_argument(
        "--from", dest="tree", metavar="DIR", type=Path, help="the tree that has units/ and docs/"
    )
    away = verbs.add_parser(
        "remove", parents=[common], help="take them away again", description="Take them away again."
    )
    away.add_argument("--purge", action="store_true", help="with configuration, state and users")
    verbs.add_parser(
        "list", parents=[common], help="name the files", description="Name the files put into place."
    )
    return top


def source() -> Path:
    """The folder that has units/, docs/ and sysctl.d/: the checkout's, or where pip puts a package's data."""
    checkout = Path(__file__).resolve().parents[3]
    prefix = Path(sys.prefix)
    for place in (checkout, prefix / "share/pydaemons", prefix / "local/share/pydaemons"):
        if (place / "units/pylockd.service").is_file():
            return place
    raise SetupError("the units are not there: neither a checkout nor an installation by pip")


# ---- install


def install(arguments: argparse.Namespace) -> None:
    """Put every file of PLACES into place, and have the system take notice."""
    root: Path = arguments.root
    programs = (arguments.bin or Path(sys.argv[0]).resolve().parent).resolve()
    daemons = (arguments.sbin or programs).resolve()
    _check_programs(programs, daemons)
    tree = arguments.tree or source()
    before = noted(root)
    now: dict[str, str] = {}
    for place, file in _files(tree):
        target = root / place.folder / file.name
        if target.exists() and target.samefile(file):
            continue  # pip with the prefix /usr/local has put it there
        if place.beside and not (root / place.beside).is_dir():
            continue
        shown = f"/{target.relative_to(root)}"
        data = file.read_bytes()
        if place.folder == "etc/systemd/system":
            data = rewritten(data.decode(), programs, daemons).encode()
        if place.configuration and target.exists() and before.get(shown) != _checksum(target):
            print(f"kept your {shown}")
            if shown in before:
                now[shown] = before[shown]
            continue
        _write(target, data)
        now[shown] = sha256(data).hexdigest()
    for shown in before.keys() - now.keys():  # an older version had it
        (root / shown.lstrip("/")).unlink(missing_ok=True)
    lines = "".join(f"{digest}  {shown}\n" for shown, digest in sorted(now.items()))
    _write(root / LIST, lines.encode())
    if root == Path("/"):
        _notice()
    print(f"{len(now)} files put into place; /{LIST} names them")


def _files(tree: Path) -> Iterator[tuple[Place, Path]]:
    for place in PLACES:
        for file in sorted(tree.glob(place.files)):
            if file.is_file():
                yield place, file


def _check_programs(programs: Path, daemons: Path) -> None:
    for folder, names in ((daemons, DAEMONS), (programs, ("pylockctl", "pynmbctl", "pybos"))):
        for name in names:
            if not (folder / name).is_file():
                raise SetupError(f"{folder}/{name} is not there: say --bin and --sbin")
        if any(folder.is_relative_to(hidden) for hidden in HIDDEN):
            raise SetupError(
                f"{folder} is hidden from the daemons, which are users of their own; for all users, say\n"
                "  export PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin\n"
                "  pipx install --system-site-packages pydaemons"
            )


def rewritten(unit: str, programs: Path, daemons: Path) -> str:
    """The unit with its programs where they are."""
    unit = re.sub(r"(=[-+!@:]*)/usr/sbin/(?=py)", rf"\g<1>{daemons}/", unit)
    return re.sub(r"(=[-+!@:]*)/usr/bin/(?=py)", rf"\g<1>{programs}/", unit)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(data)
    fresh.chmod(0o644)
    fresh.replace(target)


def _notice() -> None:
    """What follows from the files, where systemd runs."""
    _run("systemd-sysusers", *(f"{name}.conf" for name in USERS))
    _run("systemd-tmpfiles", "--create", *(f"{name}.conf" for name in DAEMONS))
    _run("journalctl", "--update-catalog")
    if os.path.isdir("/run/systemd/system"):
        _run("systemctl", "daemon-reload")


def _run(*words: str) -> None:
    """A program of the system; its complaint is passed on, and no reason to stop."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{PROG}: {words[0]}: {error}", file=sys.stderr)
        return
    if done.returncode != 0:
        print(f"{PROG}: {' '.join(words)}: {done.stderr.strip()}", file=sys.stderr)


# ---- remove


def noted(root: Path) -> dict[str, str]:
    """The files put into place, with the checksums they had."""
    try:
        lines = (root / LIST).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def remove(arguments: argparse.Namespace) -> None:
    """Take away what `install` put into place; configuration somebody changed stays unless purged."""
    root: Path = arguments.root
    files = noted(root)
    if not files and not arguments.purge:
        raise SetupError(f"nothing was put into place: {root / LIST} is not there")
    live = root == Path("/")
    if live and os.path.isdir("/run/systemd/system"):
        units = [name for path in files if (name := os.path.basename(path)).endswith((".socket", ".service"))]
        plain = sorted(
            (name for name in units if "@" not in name), key=lambda name: name.endswith(".service")
        )
        if plain:
            _run("systemctl", "disable", "--now", *plain)
            _run("systemctl", "stop", "pylockd@*.service")
    configuration = {f"/{place.folder}" for place in PLACES if place.configuration}
    for shown, digest in files.items():
        target = root / shown.lstrip("/")
        if (
            os.path.dirname(shown) in configuration
            and not arguments.purge
            and target.exists()
            and _checksum(target) != digest
        ):
            print(f"kept your {shown}")
            continue
        target.unlink(missing_ok=True)
    (root / LIST).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (root / LIST).parent.rmdir()
    if arguments.purge:
        _purge(root)
    if live:
        _run("journalctl", "--update-catalog")
        if os.path.isdir("/run/systemd/system"):
            _run("systemctl", "daemon-reload")
    print(f"{len(files)} files taken away")


def _purge(root: Path) -> None:
    import shutil  # noqa: PLC0415  # seldom wanted

    for name in DAEMONS:
        for folder in ("var/lib", "var/cache", "run"):
            for found in (root / folder / name, *(root / folder).glob(f"{name}@*")):
                shutil.rmtree(found, ignore_errors=True)
    shutil.rmtree(root / "run/pysysctl", ignore_errors=True)
    link = root / "run/samba/nmbd/unexpected"
    if link.is_symlink() and os.readlink(link) == "../../pynmbd/unexpected":
        link.unlink()
        with contextlib.suppress(OSError):
            link.parent.rmdir()
            link.parent.parent.rmdir()
    if root == Path("/"):
        import pwd  # noqa: PLC0415

        for name in USERS:
            if name in {entry.pw_name for entry in pwd.getpwall()}:
                _run("userdel", name)


def _checksum(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
