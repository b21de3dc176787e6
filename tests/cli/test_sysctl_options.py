# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.tree import PYSYSCTL
from pydaemons.cli.sysctl_options import _OWN_LONG, _SYSCTL_LONG, USAGE, UsageError, parse_options


@pytest.mark.parametrize(
    ("arguments", "flags", "operands"),
    [
        (["-ne", "a.b"], {"values", "ignore"}, ["a.b"]),
        (["a.b", "-n", "c"], {"values"}, ["a.b", "c"]),
        (["--", "-n"], set(), ["-n"]),
        (["-", "-q"], {"quiet"}, ["-"]),
        (["--val", "--ign"], {"values", "ignore"}, []),
        (["-ox"], {""}, []),
        (["-L", "--descr"], {"list", "describe"}, []),
        (["-h", "--bogus"], {"help"}, []),
    ],
)
def test_options_stand_anywhere_joined_and_cut_short(
    arguments: list[str], flags: set[str], operands: list[str]
) -> None:
    options = parse_options(arguments)
    assert (options.flags, options.operands) == (flags, operands)


@pytest.mark.parametrize(
    ("arguments", "load"),
    [
        (["-pfile"], "file"),
        (["-p", "file"], None),
        (["--load=file"], "file"),
        (["-f"], None),
        (["--load="], ""),
    ],
)
def test_a_file_to_load_is_joined_to_its_option(arguments: list[str], load: str | None) -> None:
    options = parse_options(arguments)
    assert "load" in options and options.load == load


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-z"], "invalid option -- 'z'"),
        (["-nz"], "invalid option -- 'z'"),
        (["--bogus=1"], "unrecognized option '--bogus=1'"),
        (["--v"], "option '--v' is ambiguous; possibilities: '--values' '--version'"),
        (["--all=1"], "option '--all' doesn't allow an argument"),
        (["-r"], "option requires an argument -- 'r'"),
        (["--root"], "option '--root' requires an argument"),
    ],
)
def test_what_makes_no_sense_is_said_in_getopts_words(arguments: list[str], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(arguments)
    assert str(caught.value) == why


def test_help_names_every_option_that_is_understood() -> None:
    assert [name for name in (*_OWN_LONG, *_SYSCTL_LONG) if f"--{name}" not in USAGE] == []
    page = (PYSYSCTL.parents[1] / "docs/man/pysysctl.8").read_text().replace("\\-", "-")
    assert [name for name in (*_OWN_LONG, *_SYSCTL_LONG) if f"--{name}" not in page] == []


def test_abbreviations_that_sysctl_knows_keep_their_meaning_beside_our_own_options() -> None:
    for short, full in (("--l", "load"), ("--w", "write"), ("--s", "system"), ("--pat", "pattern")):
        assert full in parse_options([short, "x"])


@given(st.lists(st.text(alphabet="-=abnNpqrwxz .", max_size=6), max_size=5))
def test_any_command_line_is_understood_or_refused(arguments: list[str]) -> None:
    try:
        options = parse_options(arguments)
    except UsageError as error:
        assert str(error)
    else:
        assert all(isinstance(operand, str) for operand in options.operands)
