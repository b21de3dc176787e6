# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from pydaemons.netbios.node.settings import Logon, WinsServer
from pydaemons.nmbd import settings
from pydaemons.nmbd.settings import PynmbdConfiguration
from pydaemons.tunables.layers import adopt


def load(file: Path, text: str, *sets: str) -> tuple[PynmbdConfiguration, list[str]]:
    file.write_text(text)
    configuration = PynmbdConfiguration()
    resolved, _ = settings.load(configuration, str(file), sets=sets, required=True)
    adopt(configuration, resolved)
    return configuration, [
        str(problem) for problem in resolved.problems if problem.where.startswith(str(file))
    ]


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "smb.conf"


def test_an_empty_file_gives_the_defaults(file):
    configuration, problems = load(file, "")
    node = configuration.node_settings("box.example.org")
    assert problems == []
    assert (node.netbios_name, node.workgroup, node.wins_support, node.dns_proxy) == (
        "BOX",
        "WORKGROUP",
        False,
        True,
    )


def test_parameters_reach_the_node(file):
    text = """[global]
netbios name = %h-x
netbios aliases = web, Files box-x
workgroup = office
wins server = east:10.0.0.1 east:10.0.0.2 10.0.0.3
wins proxy = yes
wins hook = /bin/hook "with blank"
dos charset = CP437
max ttl = 4711
"""
    configuration, problems = load(file, text)
    assert problems == []
    node = configuration.node_settings("box")
    assert node.netbios_name == "BOX-X"
    assert node.aliases == ("WEB", "FILES")
    assert node.workgroup == "OFFICE"
    assert node.wins_servers == (
        WinsServer("east", "10.0.0.1"),
        WinsServer("east", "10.0.0.2"),
        WinsServer("*", "10.0.0.3"),
    )
    assert node.wins_hook == ("/bin/hook", "with blank")
    assert node.charset == "cp437"
    assert configuration.tunables.max_ttl == 4711
    assert configuration.tunables.origin("max_ttl") == f"{file}:9"


def test_the_command_line_beats_the_file(file):
    configuration, _ = load(file, "max ttl = 1000\n", "net.netbios.max_ttl=2000")
    assert configuration.tunables.max_ttl == 2000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("workgroup = *", "workgroup: '*' is not a NetBIOS name"),
        ("workgroup =", "workgroup: the value is empty"),
        ("netbios name = way too long for a name", "characters"),
        ("wins support = maybe", "wins_support: 'maybe' is not a switch"),
        ("wins server = wins.example", "'wins.example' is not a WINS server"),
        ("max ttl = soon", "max_ttl: 'soon' is not a whole number"),
    ],
)
def test_a_wrong_value_is_told_with_file_line_and_parameter(file, line, said):
    _, problems = load(file, f"[global]\n\n{line}\n")
    (problem,) = problems
    assert problem.startswith(f"{file}:3: ")
    assert said in problem


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("wins support = yes\nwins server = 10.0.0.1\n", "exclude each other"),
        ("server role = active directory domain controller\n", "nbtd"),
        ("dos charset = nonsense\n", "no code page"),
        ("disable netbios = yes\n", "disable netbios"),
        (f"netbios scope = {'x' * 64}\n", "netbios scope: .*63 bytes"),
        ("netbios scope = one..two\n", "netbios scope: "),
        ("wins hook = /bin/hook 'unclosed\n", "wins hook: .*quotation"),
    ],
)
def test_what_cannot_be_together_is_refused(file, text, reason):
    configuration, _ = load(file, text)
    with pytest.raises(ValueError, match=reason):
        configuration.node_settings("box")


def test_included_files_are_read_in_place(file):
    (file.parent / "more.conf").write_text("workgroup = INNER\nnetbios name = INNER\n")
    configuration, problems = load(file, "workgroup = A\ninclude = more.conf\nnetbios name = LAST\n")
    assert problems == []
    node = configuration.node_settings("box")
    assert (node.workgroup, node.netbios_name) == ("INNER", "LAST")


def test_another_configuration_file_replaces_this_one(file):
    (file.parent / "other.conf").write_text("netbios name = OTHER\n")
    text = f"workgroup = A\nconfig file = {file.parent}/other.conf\nnetbios name = X\n"
    configuration, _ = load(file, text)
    node = configuration.node_settings("box")
    assert (node.workgroup, node.netbios_name) == ("WORKGROUP", "OTHER")


def test_files_that_include_each_other_end(file):
    _, problems = load(file, f"include = {file}\n")
    assert any("too deeply" in problem for problem in problems)
    _, problems = load(file, "include = missing.conf\n")
    assert any("missing.conf cannot be read" in problem for problem in problems)


def test_the_shipped_sample_is_understood_and_changes_nothing(file):
    sample = Path(__file__).resolve().parents[2] / "docs/examples/pynmbd.conf"
    text = sample.read_text()
    active = "\n".join(line.removeprefix("#") if " = " in line[:60] else line for line in text.splitlines())
    for content in (text, active):
        configuration, problems = load(file, content)
        assert problems == []
        assert configuration.node_settings("box") == PynmbdConfiguration().node_settings("box")


def test_logons_reach_the_node(file):
    text = """[global]
domain logons = yes
realm = Example.ORG
init logon delay = 250
init logon delayed hosts = 10.0.0.0/8 slow*
nmbd_proxy_logon:cldap_server = dc1.example.org
"""
    configuration, problems = load(file, text)
    assert problems == []
    assert configuration.node_settings("box").logon == Logon(
        primary=True,
        realm="example.org",
        delay=0.25,
        delayed_hosts=("10.0.0.0/8", "slow*"),
        controller="dc1.example.org",
    )


@pytest.mark.parametrize(
    ("text", "logon"),
    [
        ("", None),
        ("domain logons = no\nrealm = example.org", None),
        ("server role = member server", None),
        ("server role = Classic Primary  Domain Controller", Logon()),
        ("server role = classic backup domain controller", Logon(primary=False)),
        ("domain logons = yes\ndomain master = no", Logon(primary=False)),
        ("domain logons = yes\ndomain master = auto", Logon(primary=True)),
    ],
)
def test_the_server_role_decides_whether_we_are_a_controller(file, text, logon):
    configuration, _ = load(file, f"[global]\n{text}\n")
    node = configuration.node_settings("box")
    assert node.logon == logon
    assert node.browsing.domain_master == (logon is not None and logon.primary)
