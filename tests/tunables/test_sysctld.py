# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.tunables.sysctld import FOLDERS, match, parse, plan, settle, written_keys

PATHS = ["fs/nfs/a", "fs/nfs/b", "fs/nfs/port"]


def settled(*files: str) -> dict[str, str | None]:
    parsed = [(f"f{n}", parse(text)[0]) for n, text in enumerate(files)]
    return {path: line.value for path, (line, _) in settle(parsed, PATHS).items()}


def test_blanks_around_key_and_value_go_and_inner_ones_stay() -> None:
    (line,), bad = parse("   fs.nfs.a  =  1   2 \r\n")
    assert (line.key, line.value, line.number, bad) == ("fs.nfs.a", "1   2", 1, [])


@pytest.mark.parametrize("text", ["# a = 1", "; a = 1", "   # a = 1", "", "#", "   "])
def test_comments_and_blank_lines_are_nothing(text: str) -> None:
    assert parse(text) == ([], [])


def test_a_hash_behind_the_value_belongs_to_it() -> None:
    assert parse("a.b = 1 # one")[0][0].value == "1 # one"


def test_lines_without_an_equals_sign_are_told_by_number() -> None:
    assert parse("a.b = 1\nwhat is this\n-excluded\n")[1] == [2]


def test_a_leading_dash_asks_for_no_noise() -> None:
    lines, _ = parse("-a.b = 1\na.c = -2\n")
    assert [(line.key, line.value, line.lenient) for line in lines] == [
        ("a.b", "1", True),
        ("a.c", "-2", False),
    ]


def test_the_later_line_wins() -> None:
    assert settled("fs.nfs.a = 1\nfs.nfs.a = 2\n", "fs/nfs/a = 3\n") == {"fs/nfs/a": "3"}


def test_a_key_written_out_wins_over_a_glob_wherever_it_stands() -> None:
    assert settled("fs.nfs.a = 1\n", "fs.nfs.? = 2\n") == {"fs/nfs/a": "1", "fs/nfs/b": "2"}


def test_a_dash_alone_excludes_from_globs_but_not_from_written_keys() -> None:
    assert settled("fs.nfs.* = 1\n-fs.nfs.a\n") == {"fs/nfs/b": "1", "fs/nfs/port": "1"}
    assert settled("fs.nfs.a = 5\n-fs.nfs.a\n") == {"fs/nfs/a": "5"}


def test_a_star_does_not_cross_a_folder() -> None:
    assert not match("fs/*", "fs/nfs/a")
    assert match("*/nfs/[ab]", "fs/nfs/b")
    assert not match("fs/nfs/*", "fs/nfs/.schema")


def test_the_origin_is_the_line_that_won() -> None:
    parsed = [("/etc/sysctl.d/9.conf", parse("\n\nfs.nfs.a = 1\n")[0])]
    assert settle(parsed, PATHS)["fs/nfs/a"][1] == "/etc/sysctl.d/9.conf:3"


def test_of_files_with_one_name_the_strongest_folder_has_its_say_and_names_give_the_order() -> None:
    listings = [
        (FOLDERS[0], ["50-x.conf", "readme", "99.conf"]),
        (FOLDERS[1], ["50-x.conf", "10-run.conf"]),
        (FOLDERS[3], ["60-vendor.conf", "99.conf"]),
    ]
    assert plan(listings) == [
        "/run/sysctl.d/10-run.conf",
        "/etc/sysctl.d/50-x.conf",
        "/usr/lib/sysctl.d/60-vendor.conf",
        "/etc/sysctl.d/99.conf",
    ]


def test_written_keys_are_listed_without_globs_and_exclusions() -> None:
    parsed = [("f", parse("a.b = 1\n-c.d = 1\na.* = 2\n-x.y\n")[0])]
    assert written_keys(parsed) == [("a/b", "f:1", False), ("c/d", "f:2", True)]


@given(st.text(alphabet="ab./=-#*[] \n\r\t", max_size=60))
def test_any_text_is_read_without_raising(text: str) -> None:
    lines, bad = parse(text)
    settle([("f", lines)], PATHS)
    assert not {line.number for line in lines} & set(bad)
