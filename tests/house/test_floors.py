# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports go down floors only; siblings never meet; kit knows engines by their protocol alone."""

from __future__ import annotations

import pytest

from house.tree import FLOORS, LIB, Module, modules, package_of

KIT = "pydaemons.kit"


def wrong(importer: str, imported: str) -> str | None:
    """What is wrong with one named package importing another, if anything."""
    if importer == imported:
        return None
    above, below = FLOORS[importer], FLOORS[imported]
    if below > above:
        return f"floor {above} imports upwards from {imported} (floor {below})"
    if below == above:
        return f"imports its sibling {imported} on floor {above}"
    if importer == KIT and below == 2:
        return f"kit imports the engine {imported}; it knows the Engine protocol only"
    return None


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_imports_from_lower_floors_only(module: Module):
    importer = package_of(module.name)
    if importer is None:
        assert module.path == LIB / "pydaemons" / "__init__.py", "a package without a floor: see FLOORS"
        assert not [name for _, name in module.imports() if name.startswith("pydaemons")]
        return
    errors = []
    for line, name in module.imports():
        imported = package_of(name)
        if imported and (error := wrong(importer, imported)):
            errors.append(f"{module.where(line)}: {error}")
    assert not errors, "\n".join(errors)


def test_every_floor_named_exists():
    for name in FLOORS:
        if name != "pydaemons.netbios.node":  # comes with pynmbd
            assert (LIB / name.replace(".", "/")).is_dir(), name


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("pydaemons.wire", "pydaemons.sunrpc"),
        ("pydaemons.nlm", "pydaemons.nsm"),
        ("pydaemons.nlm", "pydaemons.kit"),
        ("pydaemons.kit", "pydaemons.nlm"),
        ("pydaemons.lockd", "pydaemons.cli"),
        ("pydaemons.netbios", "pydaemons.netbios.node"),
    ],
)
def test_what_the_rule_forbids_is_seen(importer, imported):
    assert wrong(importer, imported)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("pydaemons.nlm", "pydaemons.sunrpc"),
        ("pydaemons.kit", "pydaemons.engine"),
        ("pydaemons.lockd", "pydaemons.nlm"),
        ("pydaemons.netbios.node", "pydaemons.netbios"),
    ],
)
def test_what_the_rule_allows_passes(importer, imported):
    assert wrong(importer, imported) is None
