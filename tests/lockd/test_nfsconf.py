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


@pytest.mark.parametrize("port", ["70000", "nlockmgr", "1 2", "-1", '"5'])
def test_what_is_no_port_is_a_warning_and_passed_over(port):
    found, (problem,) = parse(f"[lockd]\nport={port}\n", "nfs.conf")
    assert found == []
    assert "nfs.conf:2: [lockd] port" in str(problem)
    assert problem.severity.value == "warning"


@given(st.text(alphabet=st.sampled_from("[]lockd=port-u#\n 10\"'$\\;"), max_size=60))
def test_any_text_is_read(text):
    parse(text, "nfs.conf")


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("[lockd]\nport=1 # one\n", "1"),
        ("[lockd]\nport=1;one\n", "1"),
        ("[lockd]\nport='1' # one\n", "1"),
        ("[lockd] # the kernel's\nport=1\n", "1"),
        ("  [ lockd ]\n\tport =\t1\r\n", "1"),
        ("[lockd]\nport=\\\n1\n", "1"),
        ("[lockd]\n# \\\nport=1\n", None),
        ("[lockd]\nport=6\nport=7\n", "7"),
        ("[lockd]\nport=6\nport=\n", "6"),
        ("[lockd]\nport=6\n[nfsd]\nport=7\n[lockd]\n", "6"),
        ('[lockd "x"]\nport=6\n', None),
        ("[lockd\nport=6\n", None),
        ("port=6\n[lockd]\n", None),
        ("[lockd]\nport: 6\n", None),
        ("[lockd]\nport=$PORT\n[environment]\nport=12\n", "12"),
        ("[environment]\nPORT=$OTHER\nOTHER=13\n[lockd]\nport=$PORT\n", "13"),
        ("[lockd]\nport=$NFS_PORT\n", "14"),
        ("[lockd]\nport=$NOBODY_SAYS\n", None),
    ],
)
def test_it_is_read_as_nfs_utils_reads_it(text: str, port: str | None):
    found, problems = parse(text, "nfs.conf", {"NFS_PORT": "14"})
    assert problems == []
    assert (found[-1].text if found else None) == port


def test_a_name_that_stands_for_itself_is_no_port():
    assert parse("[environment]\na=$a\n[lockd]\nport=$a\n", "nfs.conf")[0] == []


def test_files_are_included_where_the_line_stands(tmp_path: Path):
    (tmp_path / "more").write_text("port=2\n[lockd]\nudp-port=3\n")
    file = tmp_path / "nfs.conf"
    file.write_text("[lockd]\nport=1\ninclude=-none\nInclude = more\nport=4\n")
    assert [found.text for found in read(str(file))[0]] == ["1", "2", "3", "4"]
    file.write_text(f"[nfsd]\ninclude = {tmp_path}/more\n")
    assert [found.text for found in read(str(file))[0]] == ["3"]


def test_what_cannot_be_included_is_a_warning(tmp_path: Path):
    file = tmp_path / "nfs.conf"
    file.write_text("[lockd]\ninclude=none\nport=1\n")
    (found,), (problem,) = read(str(file))
    assert found.text == "1"
    assert str(problem) == f"{file}:2: include: {tmp_path}/none: No such file or directory"
    file.write_text("[lockd]\nport=1\ninclude=nfs.conf\n")
    (problem,) = read(str(file))[1]
    assert "include each other" in str(problem)


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
