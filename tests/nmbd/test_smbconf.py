# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.nmbd import smbconf
from pydaemons.nmbd.smbconf import Include
from pydaemons.tunables.conf import Assignment, Severity

SAMBA = r"""# a comment
   ; another
[GLOBAL]
   Workgroup = OFFICE
   NetBIOS Name = "files"
   wins
   netbios aliases = one two \
      three
   MAX TTL = 1000
   log file = /var/log/samba/%m.log
   os level = 65
   cluster addresses = 10.0.0.9
[homes]
   workgroup = NOT THIS
   browseable no
[global]
   wins_support = yes
"""


def values(text: str) -> dict[str, str]:
    parsed = smbconf.parse(text, "smb.conf")
    return {item.name: item.text for item in parsed.items if isinstance(item, Assignment)}


def test_the_parameters_of_global_are_read_whatever_their_spelling():
    assert values(SAMBA) == {
        "workgroup": "OFFICE",
        "netbios_name": "files",
        "netbios_aliases": "one two three",
        "max_ttl": "1000",
        "os_level": "65",
        "wins_support": "yes",
    }


def test_every_value_knows_its_line():
    parsed = smbconf.parse(SAMBA, "smb.conf")
    where = {item.name: item.where for item in parsed.items if isinstance(item, Assignment)}
    assert where["workgroup"] == "smb.conf:4"
    assert where["netbios_aliases"] == "smb.conf:7"
    assert where["wins_support"] == "smb.conf:17"


def test_what_is_not_ours_is_passed_over_and_what_is_not_done_is_said():
    parsed = smbconf.parse(SAMBA, "smb.conf")
    assert parsed.passed_over == ("log file",)
    said = {str(problem): problem.severity for problem in parsed.problems}
    assert said == {
        "smb.conf:6: 'wins' is no parameter, want NAME = VALUE": Severity.WARNING,
        "smb.conf:12: cluster addresses: is not supported by this version of pynmbd": Severity.NOTICE,
    }


def test_what_is_not_done_is_said_only_where_somebody_asks_for_it():
    defaults = "[global]\nclustering = No\ncluster addresses = \nnbt port = 137\n"
    assert not smbconf.parse(defaults, "f").problems
    asked = "[global]\nclustering = yes\ncluster addresses = 10.0.0.1\nnbt port = 5137\n"
    assert [problem.where for problem in smbconf.parse(asked, "f").problems] == ["f:2", "f:3", "f:4"]


def test_lines_before_the_first_section_belong_to_global():
    assert values("workgroup = EARLY\n") == {"workgroup": "EARLY"}


def test_a_ksmbd_conf_is_read_as_well():
    text = "; x\n[global]\n\tnetbios name = KSMBD SERVER\n\tguest account = x\n[share]\n\tpath = /s\n"
    assert values(text) == {"netbios_name": "KSMBD SERVER"}


def test_a_section_of_tunables_is_read():
    parsed = smbconf.parse("[net.netbios]\nmax_names = 5\n", "f")
    assert parsed.items == (Assignment("net.netbios", "max_names", "5", "f:2"),)


def test_other_files_are_named_and_not_opened():
    parsed = smbconf.parse("include = more.conf\nconfig file = /etc/other.conf\n", "f")
    assert parsed.items == (
        Include("more.conf", "f:1", replaces=False),
        Include("/etc/other.conf", "f:2", replaces=True),
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("%h", "host.example"), ("%L", "FILES"), ("%v-%%", "1.0-%"), ("%U", "%U"), ("100%", "100%")],
)
def test_macros_are_expanded(text, expanded):
    assert smbconf.expand(text, "host.example", "1.0", "FILES") == expanded


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_exception(text):
    smbconf.parse(text, "f")
