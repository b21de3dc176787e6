# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.netbios.browse import ServerType
from pydaemons.netbios.node.settings import Browsing, RemoteMaster
from pydaemons.nmbd import settings
from pydaemons.nmbd.browsing import Auto, RemoteMasters, browsing, choice
from pydaemons.nmbd.settings import PynmbdConfiguration
from pydaemons.tunables.kinds import Refused
from pydaemons.tunables.layers import adopt


def said(tmp_path, text: str) -> Browsing:
    file = tmp_path / "smb.conf"
    file.write_text(f"[global]\n{text}")
    configuration = PynmbdConfiguration()
    resolved, _ = settings.load(configuration, str(file), required=True)
    assert not [problem for problem in resolved.problems if problem.where.startswith(str(file))]
    adopt(configuration, resolved)
    return configuration.node_settings("host.example").browsing


def test_the_defaults_are_nmbds(tmp_path):
    found = said(tmp_path, "")
    assert found == Browsing(comment=found.comment)
    assert found.comment.startswith("pynmbd ")
    assert found.server_type == 0x809A03


def test_what_smb_conf_says_is_in_the_settings(tmp_path):
    found = said(
        tmp_path,
        "server string = Files of %h\nlocal master = no\npreferred master = yes\n"
        "domain master = yes\nenhanced browsing = no\nlm announce = yes\ntime server = yes\nhost msdfs = no\n"
        "remote announce = 10.0.1.255/other, 10.0.2.255\nremote browse sync = 10.0.3.1 10.0.4.255\n"
        "server role = member server\n",
    )
    assert found == Browsing(
        comment="Files of host.example",
        server_type=0x9A03 | ServerType.TIME_SOURCE | ServerType.DOMAIN_MEMBER,
        local_master=False,
        preferred_master=True,
        domain_master=True,
        enhanced=False,
        lm_announce=True,
        remote_announce=(RemoteMaster("10.0.1.255", "OTHER"), RemoteMaster("10.0.2.255")),
        remote_sync=("10.0.3.1", "10.0.4.255"),
    )


def test_the_comment_may_name_the_server_as_clients_know_it(tmp_path):
    named = "netbios name = files\n"
    assert said(tmp_path, named + "server string = %L on %h\n").comment == "FILES on host.example"
    assert said(tmp_path, "server string = %L\n").comment == "HOST"


def test_auto_follows_from_what_else_is_said(tmp_path):
    assert said(tmp_path, "domain master = yes\n").preferred_master
    assert not said(tmp_path, "domain master = yes\npreferred master = no\n").preferred_master
    smb = PynmbdConfiguration().smb
    controller = browsing(smb, "", is_controller=True)
    assert controller.domain_master
    assert controller.preferred_master
    assert controller.server_type & ServerType.DOMAIN_CONTROLLER


@pytest.mark.parametrize(("text", "value"), [("AUTO", None), ("Yes", True), ("no", False), ("1", True)])
def test_a_switch_may_be_auto(text, value):
    assert choice(Auto().parse(text)) is value


def test_nonsense_is_refused_with_what_is_wanted():
    with pytest.raises(Refused, match="maybe"):
        Auto().parse("maybe")
    for text in ("somewhere", "10.0.0.1/", "10.0.0.1/ABCDEFGHIJKLMNOP", "::1"):
        with pytest.raises(Refused, match="want ADDRESS"):
            RemoteMasters(groups=True).parse(text)
    with pytest.raises(Refused, match="IPv4 addresses"):
        RemoteMasters(groups=False).parse("10.0.0.1/GRP")
