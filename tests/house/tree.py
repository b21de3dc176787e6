# SPDX-License-Identifier: GPL-3.0-or-later
"""The source tree as the house tests see it: its files, its modules, its floors."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
TESTS = ROOT / "tests"

FLOORS = {
    "pydaemons.wire": 0,
    "pydaemons.engine": 0,
    "pydaemons.tunables": 0,
    "pydaemons.sunrpc": 1,
    "pydaemons.rx": 1,
    "pydaemons.netbios": 1,
    "pydaemons.nlm": 2,
    "pydaemons.nsm": 2,
    "pydaemons.netbios.node": 2,
    "pydaemons.bnode": 2,
    "pydaemons.kit": 3,
    "pydaemons.lockd": 4,
    "pydaemons.nmbd": 4,
    "pydaemons.bosd": 4,
    "pydaemons.cli": 4,
}
"""docs/architecture.md draws it. A package not named here belongs to the one it lies in."""

GENERATED = {".git", "__pycache__", "build", "dist", ".venv", "venv"}


def package_of(module: str) -> str | None:
    """The named package a module belongs to: the longest entry of FLOORS it lies under."""
    fitting = [name for name in FLOORS if module == name or module.startswith(name + ".")]
    return max(fitting, key=len, default=None)


@dataclass(frozen=True)
class Module:
    path: Path

    @property
    def name(self) -> str:
        parts = self.path.relative_to(LIB).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def syntax(self) -> ast.Module:
        return ast.parse(self.path.read_text(), str(self.path))

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything imported anywhere in it; `from a import b` gives a.b."""
        package = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                base = [*base, node.module] if node.module else base
                yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)

    def where(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"


def modules() -> list[Module]:
    return [Module(path) for path in sorted((LIB / "pydaemons").rglob("*.py"))]


def files() -> Iterator[Path]:
    """Every file of the tree that is not generated; the file system is asked, so no git is needed."""
    for folder, names, leaves in os.walk(ROOT):
        names[:] = sorted(
            name
            for name in names
            if name not in GENERATED
            and not name.endswith(("_cache", ".egg-info"))
            and name not in (".hypothesis", ".mypy_cache")
        )
        for leaf in sorted(leaves):
            path = Path(folder, leaf)
            if path.is_file() and not path.is_symlink() and path.suffix != ".pyc" and leaf != ".git":
                yield path
