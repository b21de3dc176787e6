# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of the kernel's lockd in nfs.conf."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.kit import conffile
from pydaemons.lockd.nfsconf import parse, read
from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.tunables.layers import adopt

DEBIAN = """
[general]
pipefs-directory=/run/rpc_pipefs
[lockd]
# port=0
# udp-port=0
[mountd]
manage-gids=y
port=20048
"""


def ports(text: str) -> dict[str, str]:
    return {found.name: found.text for found in parse(text, "nfs.conf")[0]}


def test_the_file_as_shipped_says_nothing():
    assert parse(DEBIAN, "nfs.conf") == ([], [])


def test_the_ports_of_lockd_are_taken_and_only_those():
    text = DEBIAN.replace("# port=0", "port = 4045 ").replace("# udp-port=0", 'UDP-Port="4046"')
    assert ports(text) == {"nlm_tcpport": "4045", "nlm_udpport": "4046"}
    assert [found.where for found in parse(text, "nfs.conf")[0]] == ["nfs.conf:5", "nfs.conf:6"]


def test_names_may_be_in_any_case():
    assert ports("[LOCKD]\nPORT=1\n") == {"nlm_tcpport": "1"}


@pytest.mark.parametrize("port", ["70000", "nlockmgr", "", "-1"])
def test_what_is_no_port_is_a_warning_and_passed_over(port):
    found, (problem,) = parse(f"[lockd]\nport={port}\n", "nfs.conf")
    assert found == []
    assert "nfs.conf:2: [lockd] port" in str(problem)
    assert problem.severity.value == "warning"


@given(st.text(alphabet=st.sampled_from("[]lockd=port-u#\n 10\"'"), max_size=60))
def test_any_text_is_read(text):
    parse(text, "nfs.conf")


def test_drop_ins_count_after_the_file(tmp_path: Path):
    file = tmp_path / "nfs.conf"
    file.write_text("[lockd]\nport=1\nudp-port=2\n")
    (tmp_path / "nfs.conf.d").mkdir()
    (tmp_path / "nfs.conf.d" / "b.conf").write_text("[lockd]\nport=3\n")
    (tmp_path / "nfs.conf.d" / "other").write_text("[lockd]\nport=4\n")
    assert [found.text for found in read(str(file))[0]] == ["1", "2", "3"]


def test_no_file_says_nothing(tmp_path: Path):
    assert read(str(tmp_path / "nfs.conf")) == ([], [])


@pytest.mark.parametrize(
    ("own", "port", "origin"), [("", 4045, "nfs.conf:2"), ("nlm_tcpport = 5", 5, "own:2")]
)
def test_it_counts_below_the_daemon_s_own_file(tmp_path: Path, own: str, port: int, origin: str):
    below, problems = parse("[lockd]\nport=4045\n", "nfs.conf")
    assert problems == []
    (tmp_path / "own").write_text(f"[fs.nfs]\n{own}\n")
    configuration = PylockdConfiguration()
    resolved = conffile.load(configuration, str(tmp_path / "own"), below=below, sysroot=str(tmp_path))
    adopt(configuration, resolved)
    assert configuration.tunables.nlm_tcpport == port
    assert configuration.tunables.origin("nlm_tcpport").endswith(origin)
