# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of keys on disk as pysysctl walks it: /run/pysysctl, or /proc/sys.

Names and values are bytes to us; they are carried in strings of one character per byte (latin-1),
which loses nothing and knows no locale. Below the root every step is made from an open folder, and no
symbolic link is followed: the folders belong to daemons without privileges, and root walks here.

Imports nothing that is not built in (see kinds in the tunables package): only `posix` and `sys`.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import stat_result

    from pydaemons.tunables.schema import Schema

KERNEL_ROOT = "/proc/sys"
SCHEMA = ".schema"
_DEPRECATED = ("base_reachable_time", "retrans_time")
_LINK, _FOLDER, _FILE = 0o120000, 0o040000, 0o100000
_FORMAT = 0o170000
_ELOOP = 40


class OutsideError(Exception):
    """The key leads out of the tree, or names the tree itself."""


class Place:
    """One key that exists: its open folder, last name and status. `close` it."""

    __slots__ = ("folder", "name", "status", "tree")

    def __init__(self, tree: "Tree", folder: int, name: str, status: "stat_result") -> None:
        self.tree = tree
        self.folder = folder
        self.name = name
        self.status = status

    @property
    def is_folder(self) -> bool:
        return self.status.st_mode & _FORMAT == _FOLDER

    @property
    def readable(self) -> bool:
        """Whether anybody may read it at all; a key for writing only has nothing to show."""
        return bool(self.status.st_mode & 0o400)

    @property
    def writable(self) -> bool:
        return bool(self.status.st_mode & 0o200)

    def read(self) -> str:
        """Its whole content. OSError as open(2) and read(2) have it."""
        flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
        descriptor = posix.open(encode(self.name), flags, dir_fd=self.folder)
        try:
            parts = []
            while part := posix.read(descriptor, 65536):
                parts.append(part)
            return b"".join(parts).decode("latin-1")
        finally:
            posix.close(descriptor)

    def restat(self) -> "stat_result":
        self.status = posix.stat(encode(self.name), dir_fd=self.folder, follow_symlinks=False)
        return self.status

    def read_schema(self) -> str:
        """The text of the folder's `.schema`, empty where there is none."""
        if self.tree.root == KERNEL_ROOT:
            return ""
        try:
            return Place(self.tree, self.folder, SCHEMA, self.status).read()
        except OSError:
            return ""

    def schema(self) -> "Schema | None":
        """The folder's `.schema`, parsed."""
        text = self.read_schema()
        if not text:
            return None
        from pydaemons.tunables.schema import parse  # noqa: PLC0415

        try:
            return parse(text)
        except ValueError:
            return None

    def close(self) -> None:
        posix.close(self.folder)


def encode(name: str) -> bytes:
    return name.encode("latin-1")


def narrow(text: str) -> str:
    """Text from the system (arguments, file names) as one character per byte."""
    if text.isascii():
        return text
    return text.encode(sys.getfilesystemencoding(), "surrogateescape").decode("latin-1")


class Tree:
    """The tree below one root."""

    __slots__ = ("root",)

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"

    def find(self, path: str) -> Place:
        """The key or folder at `path` (slashes). OSError when there is none, OutsideError for `..`."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            raise OutsideError(path)
        folder = posix.open(encode(self.root), posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                inner = _enter(folder, part)
                posix.close(folder)
                folder = inner
            status = posix.stat(encode(parts[-1]), dir_fd=folder, follow_symlinks=False)
            if status.st_mode & _FORMAT == _LINK:
                raise OSError(_ELOOP, posix.strerror(_ELOOP))
        except BaseException:
            posix.close(folder)
            raise
        return Place(self, folder, parts[-1], status)

    def names(self, place: Place) -> tuple[int, list[str]]:
        """An open folder, and the names in it in their order: without hidden ones, and where the folder
        describes itself, without files that are none of its keys."""
        folder = _enter(place.folder, place.name, posix.O_RDONLY)
        return folder, self._listing(folder)

    def top(self) -> tuple[int, list[str]]:
        """As `names`, for the root."""
        folder = posix.open(encode(self.root), posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        return folder, self._listing(folder)

    def _listing(self, folder: int) -> list[str]:
        names = [narrow(name) for name in posix.listdir(folder)]
        if SCHEMA in names:
            described = Place(self, folder, SCHEMA, posix.fstat(folder)).schema()
            if described is not None:
                names = [name for name in names if name in described.rows]
        return sorted(name for name in names if name[:1] != ".")

    def look(self, folder: int, name: str) -> Place | None:
        """One name of an open folder; None for links, pipes and what vanished meanwhile."""
        try:
            status = posix.stat(encode(name), dir_fd=folder, follow_symlinks=False)
        except OSError:
            return None
        if status.st_mode & _FORMAT not in (_FOLDER, _FILE):
            return None
        return Place(self, folder, name, status)

    def match(self, pattern: str) -> "Iterator[str]":
        """The paths of keys a glob gives, in order. `*` crosses no slash."""
        from pydaemons.tunables.sysctld import match  # noqa: PLC0415

        depth = pattern.count("/") + 1
        for path in self._paths("", depth):
            if match(pattern, path):
                yield path

    def _inside(self, path: str) -> tuple[int, list[str]]:
        if not path:
            return self.top()
        place = self.find(path)
        try:
            return self.names(place)
        finally:
            place.close()

    def _paths(self, path: str, depth: int) -> "Iterator[str]":
        try:
            folder, names = self._inside(path)
        except OSError:
            return
        try:
            places = [self.look(folder, name) for name in names]
        finally:
            posix.close(folder)
        for place in places:
            if place is not None:
                inner = f"{path}/{place.name}" if path else place.name
                if depth == 1 and not place.is_folder:
                    yield inner
                elif depth > 1 and place.is_folder:
                    yield from self._paths(inner, depth - 1)


def _enter(folder: int, name: str, access: int = 0o10000000) -> int:
    """Open a folder in a folder: by default only to go on from there (O_PATH), without a right to list."""
    flags = access | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    return posix.open(encode(name), flags, dir_fd=folder)


def is_deprecated(name: str) -> bool:
    """Names the kernel replaced by others in milliseconds; listings leave them out unless asked."""
    return name in _DEPRECATED
