# SPDX-License-Identifier: GPL-3.0-or-later
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
