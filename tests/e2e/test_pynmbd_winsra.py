# SPDX-License-Identifier: GPL-3.0-or-later
"""WINS replication with smbtorture as a partner.

Its test `owned` is not among them: it passes in some runs only, and why is not known yet. Where it fails, a
release demand came when it expected none.
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


@pytest.mark.slow
@pytest.mark.needs("smbtorture")
@pytest.mark.parametrize("test", ["assoc_ctx2", "wins_replication", "replica"])
def test_smbtorture_is_content_with_us_as_a_partner(lab: Lab, test: str) -> None:
    """assoc_ctx1 is left out too: it wants requests on one connection answered on another, if their
    contexts say so, and is skipped by smbtorture itself unless dangerous things are asked for."""
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
        *("smbtorture", "-s", "/run/torture.conf", "-U%", "//SUT/IPC$", f"nbt.winsreplication.{test}"),
        timeout=150,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, [line for line in said.splitlines() if "=>" not in line]
    assert f"success: {test}" in said, said[-3000:]
