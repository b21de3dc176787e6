# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.tunables.keys import split, to_dotted, to_path


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("fs.nfs.nlm_timeout", "fs/nfs/nlm_timeout"),
        ("fs/nfs/nlm_timeout", "fs/nfs/nlm_timeout"),
        ("net.ipv4.conf.eth0/100.x", "net/ipv4/conf/eth0.100/x"),
        ("net/ipv4/conf/eth0.100/x", "net/ipv4/conf/eth0.100/x"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_the_first_separator_decides_which_form_a_key_has(key: str, path: str) -> None:
    assert to_path(key) == path


def test_the_dotted_form_of_a_path_with_a_dot_in_it_has_a_slash_there() -> None:
    assert to_dotted("net/ipv4/conf/eth0.100/x") == "net.ipv4.conf.eth0/100.x"


def test_a_key_splits_into_dotted_folder_and_last_name() -> None:
    assert split("fs/nfs/nlm_timeout") == ("fs.nfs", "nlm_timeout")
    assert split("nlm_timeout") == ("", "nlm_timeout")


@given(st.text(alphabet="ab./", max_size=12))
def test_every_key_and_its_dotted_form_are_one_path(key: str) -> None:
    dotted = to_dotted(key)
    if dotted[:1] not in ("/",) and key[:1] not in (".", "/"):
        assert to_path(dotted) == to_path(key)
