# SPDX-License-Identifier: GPL-3.0-or-later
"""`-p`, `--system`, `--cat-config`: keys from files in the format of sysctl.d(5), and `-r`, `--prefix`.

All files are read before the first key is set. A key written out anywhere is left out of every glob.
"""

from __future__ import annotations

import posix

from pydaemons.tunables.keys import to_dotted, to_path
from pydaemons.tunables.kinds import BLANKS
from pydaemons.tunables.sysctld import FOLDERS, LAST_FILE, Line, parse, plan

from .sysctl import Session
from .sysctl_options import Options, UsageError
from .sysctl_tree import encode, narrow
from .sysctl_write import set_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "space": r"\s", "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def selectors(options: Options) -> tuple[Callable[[str], object], Callable[[str, str], object]]:
    """Predicates for `--pattern` and `--prefix`: over keys, and over settings, of which a pattern is
    compared with the whole line, as sysctl(8) does it."""
    import re  # noqa: PLC0415

    text = narrow(options.pattern)
    for name, members in _CLASSES.items():
        text = text.replace(f"[:{name}:]", members)
    try:
        search = re.compile(text).search
    except re.error as error:
        raise UsageError(f"pattern '{options.pattern}': {error}") from None
    prefixes = [to_path(narrow(prefix).strip("./")) for prefix in options.prefixes]

    def under(key: str) -> bool:
        path = to_path(key)
        return not prefixes or any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)

    return (
        lambda key: under(key) and search(key) is not None,
        lambda key, line: under(key) and search(line) is not None,
    )


def read_file(file: str) -> str:
    """A whole file, `-` for standard input; a folder reads as empty. OSError."""
    try:
        descriptor = 0 if file == "-" else posix.open(encode(file), posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            parts = []
            while part := posix.read(descriptor, 65536):
                parts.append(part)
        finally:
            if descriptor:
                posix.close(descriptor)
    except IsADirectoryError:
        return ""
    return b"".join(parts).decode("latin-1")


def system_files(sysroot: str) -> list[str]:
    """The files of --system in their order."""
    listings = []
    for folder in FOLDERS:
        try:
            names = [name.decode("latin-1") for name in posix.listdir(encode(sysroot + folder))]
        except OSError:
            names = []
        listings.append((sysroot + folder, names))
    return [*plan(listings), sysroot + LAST_FILE]


def cat_config(session: Session) -> None:
    """Print the files of --system, each under its name."""
    separator = ""
    for file in system_files(narrow(session.options.sysroot)):
        try:
            text = read_file(file)
        except FileNotFoundError:
            continue
        except OSError as error:
            session.output.fail(f'cannot open "{file}": {error.strerror}')
            continue
        session.output.write(f"{separator}# {file}\n{text}")
        separator = "\n" if text[-1:] in ("", "\n") else "\n\n"


def apply_system(session: Session) -> None:
    """--system: unknown keys are no matter; a daemon that is not there applies its own when it starts."""
    files = []
    for file in system_files(narrow(session.options.sysroot)):
        try:
            text = read_file(file)
        except FileNotFoundError:
            continue
        except OSError as error:
            session.output.fail(f'cannot open "{file}": {error.strerror}')
            continue
        if "quiet" not in session.options and "json" not in session.options:
            session.output.write(f"* Applying {file} ...\n")
        files.append((file, text))
    apply(session, files, known_only=True)


def apply_named(session: Session) -> None:
    """-p: the files named, with globs, or the main file."""
    options = session.options
    named = [narrow(name) for name in ([] if options.load is None else [options.load]) + options.operands]
    files = []
    for name in named or [narrow(options.sysroot) + LAST_FILE]:
        for file in _expand(name):
            try:
                files.append((file, read_file(file)))
            except OSError as error:
                session.output.fail(f'cannot open "{file}": {error.strerror}')
    apply(session, files)


def _expand(name: str) -> list[str]:
    if {"*", "?", "["}.isdisjoint(name):
        return [name]
    from glob import glob  # noqa: PLC0415

    return sorted(found.decode("latin-1") for found in glob(encode(name))) or [name]


def apply(session: Session, files: Iterable[tuple[str, str]], *, known_only: bool = False) -> None:
    """Set what the files say, in their order."""
    lines: list[Line] = []
    for file, text in files:
        found, bad = parse(text)
        lines += found
        for number in bad:
            words = text.split("\n", number)[number - 1].strip(BLANKS)
            if session.settable(words, words):
                session.output.say(f"{file}({number}): invalid syntax, continuing...")
    written = {to_path(line.key) for line in lines if not line.is_glob}
    for line in lines:
        if line.value is None:
            continue
        if not line.is_glob:
            if session.settable(to_dotted(line.key), line.text):
                set_key(session, line.key, line.value, lenient=line.lenient, known_only=known_only)
            continue
        for path in sorted({path for tree in session.trees for path in tree.match(to_path(line.key))}):
            if path not in written and session.settable(to_dotted(path), line.text):
                set_key(session, to_dotted(path), line.value, lenient=line.lenient, known_only=known_only)
