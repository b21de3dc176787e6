# SPDX-License-Identifier: GPL-3.0-or-later
"""WINS replication with smbtorture as a partner: the tests of its nbt.winsreplication.

`owned` takes a minute: it waits for hosts that do not answer, again and again, and does little else.
"""

from __future__ import annotations

import pytest

from hosts.lab import Lab
from hosts.netbios import start_pynmbd

CONF = """[global]
netbios name = SUT
workgroup = TESTGRP
wins support = yes
dns proxy = no
wins partners = {}
"""


def smbtorture(lab: Lab, test: str, *words: str) -> tuple[int, str]:
    """Its exit status and what it said."""
    start_pynmbd(lab.h1, CONF.format(lab.h2.address))
    own = [lab.h2.address, "10.97.0.21", "10.97.0.22"]  # several: for the tests of multi-homed names
    for address in own[1:]:
        lab.h2.run("ip", "address", "add", f"{address}/24", "dev", "net0", check=True)
    lab.h2.run("mkdir", "-p", "/run/torture", check=True)
    folders = ("lock directory", "private dir", "state directory", "cache directory", "pid directory")
    lab.h2.write(
        "/run/torture.conf",
        "[global]\nnetbios name = TORTURE\nname resolve order = bcast\n"
        + f"interfaces = {' '.join(f'{address}/24' for address in own)}\n"  # smbtorture falls over IPv6 ones
        + "".join(f"{name} = /run/torture\n" for name in folders),
    )
    done = lab.h2.run(
        *("smbtorture", "-s", "/run/torture.conf", "-U%", *words),
        *("//SUT/IPC$", f"nbt.winsreplication.{test}"),
        timeout=150,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.needs("smbtorture")
@pytest.mark.parametrize("test", ["assoc_ctx2", "wins_replication", "replica", "owned"])
def test_smbtorture_is_content_with_us_as_a_partner(lab: Lab, test: str) -> None:
    status, said = smbtorture(lab, test)
    assert status == 0, [line for line in said.splitlines() if "=>" not in line]
    assert f"success: {test}" in said, said[-3000:]


@pytest.mark.needs("smbtorture")
def test_requests_on_one_connection_are_answered_on_the_one_their_context_belongs_to(lab: Lab) -> None:
    """assoc_ctx1 passes but for its end: when we close the connection, as asked, it wants END_OF_FILE
    of its own library, which says CONNECTION_DISCONNECTED at the end of any stream."""
    _, said = smbtorture(lab, "assoc_ctx1", "--option=torture:dangerous=yes")
    assert "make sure the last request was handled correct" in said, said
    assert "Send a association stop request (conn1)" in said
    wanted = "status was NT_STATUS_CONNECTION_DISCONNECTED, expected NT_STATUS_END_OF_FILE"
    assert "success: assoc_ctx1" in said or wanted in said, said
