# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd on one machine of a lab, the real bos on another, and between them, if wanted, a bad network."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hosts.bos import STATE, BosHost, prepare_afs
from hosts.lab import Lab
from hosts.machine import SystemdHost

HERE = Path(__file__).resolve().parent
BAD = ("0.1", "0.1", "0.1")
"""Lost, doubled, late: of all datagrams, in both directions."""
BIG = 1_000_000


class Place(NamedTuple):
    """pybosd on h1, bos on h2; h2's own port 7007 leads to h1 by a bad network. /root/big is BigLog."""

    ours: BosHost
    client: SystemdHost
    lab: Lab

    def bos(self, line: str, *, host: str = "h1", timeout: float = 100.0) -> str:
        """A bos that must succeed."""
        verb, *words = line.split(" ")
        done = self.client.run("bos", verb, host, *words, "-noauth", timeout=timeout)
        assert done.returncode == 0, f"bos {line}: {done.stdout}{done.stderr}{self.ours.tail()}"
        return done.stdout + done.stderr

    def get_log(self, host: str) -> None:
        """BigLog arrives as it is."""
        script = f"bos getlog {host} BigLog -noauth | sed 1d | cmp - /root/big"
        done = self.client.run("bash", "-o", "pipefail", "-c", script, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr

    def install(self, host: str) -> None:
        """/root/big arrives as it is."""
        name = f"big-{host}"
        self.client.run("cp", "/root/big", f"/root/{name}", check=True)
        self.bos(f"install /root/{name}", host=host)
        path = f"/usr/lib/openafs/{name}"
        sums = [m.run("md5sum", p, check=True).stdout.split()[0] for m, p in
                ((self.ours.host, path), (self.client, "/root/big"))]  # fmt: skip
        assert sums[0] == sums[1]
        assert self.ours.host.run("stat", "-c", "%a", path).stdout == "755\n"


@contextmanager
def open_place(bnodes: int) -> Iterator[Place]:
    """With so many bnodes, all disabled."""
    lab = Lab(2, limit=170.0)
    try:
        server, client = lab.boot("h1"), lab.boot("h2")
        for machine in (server, client):
            prepare_afs(machine)
        bos = BosHost(server)
        bos.open_rx("0.0.0.0:7007")
        entries = "".join(
            f"bnode simple n{number} 0\nparm /bin/sleep {number}\nend\n" for number in range(bnodes)
        )
        head = "restrictmode 0\nrestarttime 16 0 0 0 0\ncheckbintime 16 0 0 0 0\n"
        server.write(f"{STATE}/BosConfig", head + entries)
        dice = random.Random(8)
        big = "".join(f"{number} {dice.getrandbits(400):x}\n" for number in range(9500))[:BIG]
        server.write(f"{STATE}/log/BigLog", big)
        client.write("/root/big", big, mode=0o755)
        bos.start()
        client.copy_in(HERE / "badnet.py", "/root/badnet.py")
        words = ("127.0.0.1:7007", f"{lab.h1.address}:7007", *BAD, "8")
        client.start("/usr/bin/python3", "/root/badnet.py", *words, name="badnet").wait_for_log("relaying")
        yield Place(bos, client, lab)
    finally:
        lab.close()
