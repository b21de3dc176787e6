# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/ mirrors lib/: every module has a test file of its name, where it is looked for."""

from __future__ import annotations

import ast

import pytest

from house.tree import LIB, ROOT, TESTS, Module, modules

WITHOUT_TESTS_OF_THEIR_OWN = {
    "pydaemons.bnode.effects": "frozen values without behaviour",
    "pydaemons.bnode.events": "frozen values without behaviour",
    "pydaemons.bnode.verb": "frozen values without behaviour",
    "pydaemons.engine.effects": "frozen values without behaviour",
    "pydaemons.engine.entropy": "a protocol without behaviour",
    "pydaemons.engine.events": "frozen values without behaviour",
    "pydaemons.netbios.node.events": "frozen values without behaviour",
}
"""Module → why no test file carries its name: there is no code in it that could be wrong."""


def with_content() -> list[Module]:
    return [m for m in modules() if m.path.name not in ("__init__.py", "__main__.py")]


@pytest.mark.parametrize("module", with_content(), ids=lambda module: module.name)
def test_a_module_has_a_test_file_of_its_name(module: Module):
    inside = module.path.relative_to(LIB / "pydaemons")
    test = TESTS / inside.parent / f"test_{inside.name}"
    if module.name in WITHOUT_TESTS_OF_THEIR_OWN:
        assert not test.exists(), f"{module.name} has tests now: drop it from the exceptions"
    else:
        assert test.is_file(), f"{test.relative_to(ROOT)} is missing"


@pytest.mark.parametrize("name", sorted(WITHOUT_TESTS_OF_THEIR_OWN))
def test_a_module_without_tests_has_nothing_to_test(name):
    (module,) = (m for m in modules() if m.name == name)
    for node in ast.walk(module.syntax):
        if isinstance(node, ast.FunctionDef):
            said = [
                s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
            ]
            assert not said, f"{module.where(node.lineno)}: {node.name} does something"


def test_the_exceptions_name_modules_that_exist():
    assert set(WITHOUT_TESTS_OF_THEIR_OWN) <= {module.name for module in modules()}


def test_no_folder_of_tests_is_a_package():
    # with --import-mode=importlib an __init__.py would make two test files of one name collide
    assert not list(TESTS.rglob("__init__.py"))


def test_every_package_of_the_library_can_be_imported_as_installed():
    for folder in (LIB / "pydaemons").rglob("*"):
        if folder.is_dir() and folder.name != "__pycache__" and list(folder.glob("*.py")):
            assert (folder / "__init__.py").is_file(), f"{folder.relative_to(ROOT)}/__init__.py is missing"
