# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own NLM client, tried on a server none of us wrote: nfs-ganesha."""

from __future__ import annotations

import pytest

from hosts import nlm, peers

pytestmark = pytest.mark.needs("rpcbind", "rpc.statd", "ganesha.nfsd")


@pytest.fixture
def ganesha(make_lab, tmp_path):
    """A lab of three, nfs-ganesha with NLM on h1, rpcbind everywhere."""
    tmp_path.chmod(0o755)
    lab = make_lab(3)
    for host in lab.hosts.values():
        peers.start_rpcbind(host)
    peers.start_statd(lab.h1)
    return lab, peers.start_ganesha(lab.h1, tmp_path, nlm=True)


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
def test_two_clients_exclude_each_other_and_the_holder_is_named(ganesha, tcp):
    lab, server = ganesha
    (handle,) = server.handles(lab.h2, "file")
    with (
        nlm.Client(lab.h2, server.address, peers.NLM_PORT, tcp=tcp) as one,
        nlm.Client(lab.h3, server.address, peers.NLM_PORT, tcp=tcp) as two,
    ):
        assert one.lock(handle, svid=7, offset=100, length=50) == nlm.STATUS_GRANTED
        assert two.lock(handle, offset=120) == nlm.STATUS_DENIED
        status, holder = two.test(handle, offset=120)
        assert status == nlm.STATUS_DENIED
        assert (holder.exclusive, holder.svid, holder.offset, holder.length) == (True, 7, 100, 50)
        assert two.test(handle, offset=150) == (nlm.STATUS_GRANTED, None)
        assert one.unlock(handle, svid=7, offset=100, length=50) == nlm.STATUS_GRANTED
        assert two.lock(handle, offset=120) == nlm.STATUS_GRANTED
        assert two.unlock(handle, offset=120) == nlm.STATUS_GRANTED


def test_a_blocked_client_is_called_back_with_its_own_handle_and_range(ganesha):
    lab, server = ganesha
    (handle,) = server.handles(lab.h2, "file")
    with (
        nlm.Client(lab.h2, server.address, peers.NLM_PORT) as one,
        nlm.Client(lab.h3, server.address, peers.NLM_PORT) as two,
        nlm.Waiter(lab.h3) as waiter,
    ):
        assert one.lock(handle) == nlm.STATUS_GRANTED
        assert two.lock(handle, svid=9, block=True) == nlm.STATUS_BLOCKED
        assert one.unlock(handle) == nlm.STATUS_GRANTED
        callback = waiter.wait((server.address, peers.NLM_PORT))
        assert (callback.handle, callback.svid, callback.offset, callback.length) == (handle, 9, 0, 10)
        assert callback.source[0] == server.address
        assert two.unlock(handle, svid=9) == nlm.STATUS_GRANTED
