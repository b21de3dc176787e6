# SPDX-License-Identifier: GPL-3.0-or-later
"""The bash completion of pysysctl, asked as bash asks it."""

import shlex
import subprocess
from pathlib import Path

import pytest

from fakes.tree import PYSYSCTL, SampleTree

LIBRARY = Path("/usr/share/bash-completion/bash_completion")
COMPLETION = PYSYSCTL.parents[1] / "docs/completion/pysysctl"

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="bash-completion is not installed")


@pytest.fixture
def tree(tmp_path: Path) -> SampleTree:
    return SampleTree(tmp_path)


def complete(tree: SampleTree, *words: str) -> list[str]:
    """What is offered for the last of the words."""
    line = " ".join([str(PYSYSCTL), *words])
    # readline parts words at = and :, as COMP_WORDBREAKS says
    parted = [
        part for word in words for part in (word.replace("=", " = ").split(" ") if "=" in word else [word])
    ]
    script = f"""
        source {LIBRARY}; source {shlex.quote(str(COMPLETION))}
        COMP_WORDS=({shlex.join([str(PYSYSCTL), *parted])})
        COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}
        compopt() {{ :; }}
        _pysysctl; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True, text=True, env=tree.environment(), cwd=tree.root, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return sorted(word for word in done.stdout.split("\n") if word)


def test_keys_are_offered_in_dotted_form(tree: SampleTree) -> None:
    assert complete(tree, "fs.sample.t") == ["fs.sample.timeout"]
    assert len(complete(tree, "")) == 6


def test_who_writes_slashes_is_offered_slashes(tree: SampleTree) -> None:
    assert complete(tree, "fs/sample/m") == ["fs/sample/mode"]


def test_for_writing_the_equals_sign_comes_with_the_key(tree: SampleTree) -> None:
    assert complete(tree, "-w", "fs.sample.p") == ["fs.sample.port="]


def test_every_option_is_offered(tree: SampleTree) -> None:
    from pydaemons.cli.sysctl_options import _OWN_LONG, _SYSCTL_LONG  # noqa: PLC0415

    assert complete(tree, "--") == sorted(f"--{name}" for name in (*_OWN_LONG, *_SYSCTL_LONG))
    assert complete(tree, "--prefix-") == ["--prefix-dir"]


def test_files_are_offered_for_loading(tree: SampleTree) -> None:
    (tree.root / "some.conf").write_text("")
    assert complete(tree, "-p", "so") == ["some.conf"]
    assert complete(tree, "--load=so") == ["some.conf"]


def test_another_tree_is_looked_into_when_named(tree: SampleTree, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/key").write_text("1\n")
    assert complete(tree, "--root", str(tmp_path / "other"), "") == ["key"]


def test_a_value_is_left_to_who_types_it(tree: SampleTree) -> None:
    assert complete(tree, "fs.sample.port=1") == []
