# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kernel's NFS client and programs of the server on one file: `[handles] mounts`.

The client is a virtual machine (hosts/vm.py), the server nfs-ganesha without its lock manager. All else that
concerns real files: test_localfs.py.
"""

from __future__ import annotations

import json

import pytest

from hosts import peers
from hosts.lab import Lab
from hosts.peers import CHECKOUT
from hosts.programs import Locker
from hosts.vm import Guest
from hosts.vmimage import ImageError, image
from hosts.waiting import wait_for

pytestmark = [
    pytest.mark.needs("qemu-system-x86_64", "rpcbind", "rpc.statd", "mount.nfs", "ganesha.nfsd", "gcc"),
    pytest.mark.slow,
]


@pytest.fixture
def exported(tmp_path) -> str:
    place = tmp_path / "export"
    place.mkdir()
    for path in (place, *place.parents[:3]):
        path.chmod(0o755)
    return str(place)


def test_the_kernels_locks_and_the_servers_own_wait_for_each_other(exported: str, tmp_path) -> None:
    try:
        booted = image()
    except ImageError as error:
        pytest.skip(str(error))
    with Lab(1, guests=1, limit=200) as lab:
        guest, server = Guest(lab, 2, booted), lab.h1
        server.run("mount", "-t", "tmpfs", "-o", "mode=777", "none", exported, check=True)
        peers.start_rpcbind(server)
        peers.start_ganesha(server, tmp_path / "export", nlm=False)
        conf = f"[handles]\ncodec = ganesha-vfs\nmounts = {exported}\n[nsm]\nmode = embedded\n"
        peers.start_pylockd(server, conf)
        guest.wait_ready()
        guest.mount("h1", exported)

        def queued() -> int:
            told = server.run(CHECKOUT / "bin" / "pylockctl", "blocked", "--json", check=True).stdout
            return len(json.loads(told))

        with guest.locker("/mnt/file") as client:
            with Locker(server, f"{exported}/file") as program:
                wait_for(lambda: program.has_it, what="the program's lock")
                assert client.test(0, 0) == "held w 0 10"
                assert not client.lock(5, 1)
                assert client.lock(10, 5), "beside it"
                client.lockw(0, 10)
                wait_for(lambda: queued() == 1, what="the kernel to wait")
                assert client.waits(0.2)
            assert client.granted(), "when the program ended"
            with Locker(server, f"{exported}/file") as program:
                is_held = "import fcntl,sys; fcntl.lockf(open(sys.argv[1], 'rb+'), 6, 10)"
                refused = server.run("python3", "-c", is_held, f"{exported}/file")
                assert "BlockingIOError" in refused.stderr
                assert not program.has_it
                client.unlock(0, 10)
                wait_for(lambda: program.has_it, what="the program's turn")
                assert client.test(0, 0) == "held w 0 10"
