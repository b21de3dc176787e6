# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.kit.main import parse_arguments
from pydaemons.lockd.daemon import PylockdDaemon
from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.tunables import conf
from pydaemons.tunables.layers import adopt, resolve

CONTRACT = """
[pylockd]
mode = serve                  # serve | refuse
[fs.nfs]                      # any tunable by its last name
nlm_timeout = 12
nlm_tcpport = 0
[access]
allow = link, 127.0.0.0/8, ::1      # addresses, CIDR, host wildcards, @netgroups; "link"; * = all
[rpcbind]
mode = auto                   # auto | host | embedded | off
[nsm]
mode = auto                   # auto | embedded | statd | off
[handles]
codec = opaque                # opaque | unfs3 | knfsd | ganesha-vfs | go-nfs | auto
codec_at = 192.0.2.1=unfs3, 2001:db8::1=auto
"""


def test_a_file_with_every_section_is_taken() -> None:
    configuration = PylockdConfiguration()
    assignments, problems = conf.parse(CONTRACT, "/etc/pylockd.conf")
    resolved = resolve(configuration, conf=assignments)
    assert [*problems, *resolved.problems] == []
    adopt(configuration, resolved)
    assert configuration.tunables.nlm_timeout == 12
    assert configuration.tunables.origin("nlm_timeout") == "/etc/pylockd.conf:5"
    assert configuration.access.allow == ("link", "127.0.0.0/8", "::1")
    assert configuration.handles.codec_at == ("192.0.2.1=unfs3", "2001:db8::1=auto")


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a b", "a\n"])
def test_what_cannot_name_a_folder_is_no_instance(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse_arguments(PylockdDaemon(), ["--instance", name])
    assert left.value.code == 2
    assert "instance" in capsys.readouterr().err


def test_an_instance_moves_its_files_and_its_tunables() -> None:
    daemon = PylockdDaemon()
    assert daemon.stem(parse_arguments(daemon, [])) == "pylockd"
    assert daemon.configuration.tunables.prefix == "fs.nfs"
    assert daemon.stem(parse_arguments(daemon, ["--instance", "blue"])) == "pylockd@blue"
    assert daemon.configuration.tunables.prefix == "fs.nfs@blue"
