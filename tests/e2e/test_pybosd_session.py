# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions as an administrator types them."""

from __future__ import annotations

import re

from hosts.bos import BosHost
from hosts.waiting import wait_for


def test_one_session_typed_as_an_administrator_would(bos: BosHost) -> None:
    """Files come and go on the machine itself; the texts of everything else are in tests/cli."""
    host = bos.host
    host.write("/root/server", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
    assert bos.do("install", "/root/server") == "pybos: installed file /root/server\n"
    bos.do("create", "s", "simple", "server", "-notifier", "/bin/true")
    bos.wait_status("s", 1)
    assert host.run("stat", "-c", "%a", "/usr/lib/openafs/server").stdout == "755\n"
    host.write("/root/server", "#!/bin/sh\nexec sleep 2000\n", mode=0o755)
    bos.do("install", "/root/server")
    bos.do("restart", "s")
    wait_for(lambda: host.run("pgrep", "-f", "^sleep 2000").returncode == 0, what="the new one")
    said = bos.do("getdate", "server")
    assert re.fullmatch(
        r"File /usr/afs/bin/server dated [^,]+, \.BAK file dated [^,]+, no \.OLD file\.\n", said
    )
    assert bos.do("uninstall", "server") == "pybos: uninstalled file server\n"
    assert "1000" in host.run("cat", "/usr/lib/openafs/server").stdout
    bos.do("install", "/root/server")
    bos.do("prune", "-bak")
    assert host.run("ls", "/usr/lib/openafs/server.BAK").returncode != 0

    host.write("/usr/lib/openafs/salvager", '#!/bin/sh\necho "$@" >SalvageLog\nsleep 1\n', mode=0o755)
    bos.do("create", "fs", "fs", "/bin/sleep 1", "/bin/sleep 1000", "salvager")
    assert bos.do("salvage", "a", "-showlog") == (
        "pybos: shutting down 'fs'.\nStarting salvage.\npybos: salvage completed\n"
        "SalvageLog:\n-force /vicepa\npybos: restarting 'fs'.\n"
    )
    bos.do("stop", "fs", "s", "-wait")
    bos.do("delete", "fs", "s")
    assert bos.do("status") == ""
    bos.do("setrestart", "sat 3:30")
    assert bos.do("getrestart").startswith("Server localhost restarts at sat 3:30 am\n")
    assert "<LocalAuth> is executing SetRestart" in bos.do("getlog", "BosLog")
    assert bos.bos("getlog", "nope").returncode == 1
    assert bos.do("getlog", "/etc/hostname").endswith(f"{host.run('cat', '/etc/hostname').stdout}")
    bos.do("setrestricted", "1")
    assert bos.bos("exec", "true").returncode == 6
    host.run("systemctl", "kill", "-s", "FPE", "pybosd", check=True)
    wait_for(lambda: bos.do("getrestricted") == "Restricted mode is off\n", what="the way back")
    assert bos.bos("exec", "exit 3").returncode == 3
