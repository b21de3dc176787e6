# SPDX-License-Identifier: GPL-3.0-or-later
"""Codecs of file handles: what is one file, and what is not. Handles of nfs-ganesha are recorded ones; those
of unfs3 and knfsd are put together here from their published layouts."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.locking import World
from hosts import nlmcalls as nlm
from pydaemons.nlm.filehandle import (
    NAMES,
    SUSPECTS,
    WHOLE,
    Codecs,
    Filesystem,
    device_of,
    locate,
)
from pydaemons.nlm.types import LONGEST_FH

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "ganesha-4.3-vfs.txt"
LOCAL = "192.0.2.1"


def key(codec: str, fh: bytes) -> bytes:
    return Codecs(codec, warn=lambda text: None).key(fh, LOCAL)


def recorded() -> Iterator[tuple[bytes, int, bytes, str, bytes]]:
    for line in GOLDEN.read_text().splitlines():
        if not line.startswith("#"):
            _, wire, kind, handle, fsid = line.split()
            name, _, number = fsid.partition(":")
            yield bytes.fromhex(wire), int(kind), bytes.fromhex(handle), name, bytes.fromhex(number)


def unfs3(inode: int, path: bytes, *, device: int = 0x801, generation: int = 7, path_hash: int = 1) -> bytes:
    """One byte of hash for each folder on the way: here simply the bytes of `path`."""
    return struct.pack("=IQII", device, inode, generation, path_hash) + bytes([len(path)]) + path


def knfsd(fsid_type: int, fsid: bytes, kind: int, fileid: bytes) -> bytes:
    return bytes([1, 0, fsid_type, kind]) + fsid + fileid


# ---------------------------------------------------------------------- any bytes


@pytest.mark.parametrize("codec", NAMES)
@given(fh=st.binary(max_size=LONGEST_FH))
def test_any_bytes_have_a_key_and_it_can_be_located_or_not(codec, fh):
    found = locate(key(codec, fh))
    assert found is None or (found.handle and isinstance(found.filesystem, Filesystem))


@st.composite
def almost(draw: st.DrawFn) -> bytes:
    """Bytes that begin like a handle of some server."""
    head = draw(
        st.sampled_from([b"\x43\0\0\1", b"\1\0\0\1", b"\1\0\6\x81", b"\1\0\7\x4d", b"\x43\1\0\0\x16\x44"])
    )
    return (head + draw(st.binary(max_size=LONGEST_FH)))[:LONGEST_FH]


@pytest.mark.parametrize("codec", NAMES)
@given(fh=almost())
def test_handles_that_only_begin_well_have_a_key_too(codec, fh):
    locate(key(codec, fh))


@pytest.mark.parametrize("codec", NAMES)
@pytest.mark.parametrize("wire", [row[0] for row in recorded()], ids=bytes.hex)
def test_a_real_handle_cut_anywhere_has_a_key(codec, wire):
    for size in range(len(wire)):
        locate(key(codec, wire[:size]))


@given(one=st.binary(max_size=LONGEST_FH), two=st.binary(max_size=LONGEST_FH))
def test_handles_taken_whole_are_one_file_only_when_equal(one, two):
    assert (key("opaque", one) == key("opaque", two)) == (one == two)


def test_the_same_bytes_under_two_layouts_are_two_files():
    fh = unfs3(5, b"ab")
    assert len({key(codec, fh) for codec in ("opaque", "unfs3")}) == 2


# ---------------------------------------------------------------------- unfs3


@given(
    one=st.binary(max_size=43),
    two=st.binary(max_size=43),
    inode=st.integers(0, 2**64 - 1),
    hashes=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
def test_hard_links_of_unfs3_are_one_file(one, two, inode, hashes):
    first = key("unfs3", unfs3(inode, one, path_hash=hashes[0]))
    assert first == key("unfs3", unfs3(inode, two, path_hash=hashes[1]))


def test_unfs3_files_differ_by_device_inode_and_generation():
    keys = {
        key("unfs3", unfs3(5, b"a")),
        key("unfs3", unfs3(6, b"a")),
        key("unfs3", unfs3(5, b"a", device=0x802)),
        key("unfs3", unfs3(5, b"a", generation=8)),
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    "fh", [unfs3(5, b"ab")[:-1], unfs3(5, b"ab") + b"\0", unfs3(5, b"")[:20], b""], ids=bytes.hex
)
def test_what_has_not_the_shape_of_unfs3_is_taken_whole(fh):
    assert key("unfs3", fh) == WHOLE + fh


@pytest.mark.parametrize(("major", "minor"), [(8, 1), (254, 0), (0, 59), (259, 70_000)])
def test_an_unfs3_file_is_located_by_its_device_inode_and_generation(major, minor):
    device = os.makedev(major, minor)
    found = locate(key("unfs3", unfs3(0x21EDAC, b"a", device=device & 0xFFFFFFFF, generation=0x9D63C33C)))
    assert found is not None
    assert (found.filesystem, found.fsid) == (Filesystem.DEVICE, device_of(device))
    assert (found.type, found.handle) == (1, struct.pack("=II", 0x21EDAC, 0x9D63C33C))


def test_an_inode_number_beyond_32_bits_is_a_file_that_cannot_be_located():
    assert locate(key("unfs3", unfs3(2**32 + 5, b"a"))) is None


# ---------------------------------------------------------------------- knfsd


def test_knfsd_handles_with_and_without_the_parent_are_one_file():
    # subtree_check adds the folder, of which a file with several links has several
    fsid, file = bytes(16), struct.pack("=II", 12, 7)
    alone = key("knfsd", knfsd(6, fsid, 1, file))
    assert key("knfsd", knfsd(6, fsid, 2, file + struct.pack("=II", 2, 9))) == alone
    assert key("knfsd", knfsd(6, fsid, 2, file + struct.pack("=II", 3, 9))) == alone
    assert key("knfsd", knfsd(6, fsid, 1, struct.pack("=II", 13, 7))) != alone
    xfs = struct.pack("=QI", 2**40, 7)
    assert key("knfsd", knfsd(6, fsid, 0x81, xfs)) == key("knfsd", knfsd(6, fsid, 0x82, xfs + bytes(12)))
    btrfs = struct.pack("=QQI", 257, 5, 7)
    assert len({key("knfsd", knfsd(6, fsid, kind, btrfs + bytes(20))) for kind in (0x4D, 0x4E, 0x4F)}) == 1


def test_a_knfsd_handle_of_a_filesystem_nobody_knows_keeps_all_of_its_file():
    one, two = (key("knfsd", knfsd(1, bytes(4), 0x97, bytes(12) + tail)) for tail in (b"a", b"b"))
    assert one != two


def test_a_knfsd_file_is_located_by_the_uuid_of_its_filesystem():
    uuid = bytes(range(16))
    file = struct.pack("=II", 12, 7)
    for handle in (knfsd(6, uuid, 1, file), knfsd(7, struct.pack("=Q", 2) + uuid, 2, file + bytes(8))):
        found = locate(key("knfsd", handle))
        assert found == (Filesystem.UUID, uuid, 1, file)
    found = locate(key("knfsd", knfsd(1, struct.pack("=I", 77), 1, file)))
    assert found == (Filesystem.UNKNOWN, struct.pack("=I", 77), 1, file)


# ---------------------------------------------------------------------- nfs-ganesha


@pytest.mark.skipif(sys.byteorder != "little", reason="recorded on amd64")
@pytest.mark.parametrize(("wire", "kind", "handle", "filesystem", "fsid"), recorded())
def test_a_recorded_ganesha_handle_is_located_as_the_server_s_kernel_said(
    wire, kind, handle, filesystem, fsid
):
    for codec in ("ganesha-vfs", "auto"):
        found = locate(key(codec, wire))
        assert found == (Filesystem(filesystem), fsid, kind, handle)


def test_recorded_files_are_all_different():
    wires = [row[0] for row in recorded()]
    assert len({key("ganesha-vfs", wire) for wire in wires}) == len(wires)


@pytest.mark.parametrize("wire", [row[0] for row in recorded()], ids=bytes.hex)
def test_a_file_reached_through_two_exports_of_ganesha_is_one_file(wire):
    assert key("ganesha-vfs", wire) == key("ganesha-vfs", wire[:2] + b"\0\x07" + wire[4:])


@pytest.mark.parametrize("wire", [row[0] for row in recorded()], ids=bytes.hex)
def test_a_ganesha_handle_of_another_byte_order_is_a_file_that_cannot_be_located(wire):
    foreign = wire[:1] + b"\x01" + wire[2:]
    assert key("ganesha-vfs", foreign)[:1] == b"g"
    assert locate(key("ganesha-vfs", foreign)) is None or sys.byteorder == "big"


# ---------------------------------------------------------------------- go-nfs


def test_a_metadata_file_of_rclone_is_not_the_file_it_describes():
    path = bytes(range(16))
    assert key("go-nfs", path) != key("go-nfs", path + b"meta")


def test_random_handles_are_complained_of_once():
    said: list[str] = []
    codecs = Codecs("auto", warn=said.append)
    for n in range(3 * SUSPECTS):
        codecs.key(bytes([n, 0, 0, 0, 0, 0, 0x4F, 0, 0xA0]) + bytes(7), LOCAL)
    assert len(said) == 1
    assert "nfs-cache-type disk" in said[0]


def test_one_random_handle_over_and_over_is_no_complaint():
    said: list[str] = []
    codecs = Codecs("go-nfs", warn=said.append)
    for _ in range(3 * SUSPECTS):
        codecs.key(bytes(6) + b"\x4f\0\xa0" + bytes(7), LOCAL)
    assert said == []


def test_sums_of_paths_are_no_complaint_even_where_some_look_random():
    said: list[str] = []
    codecs = Codecs("go-nfs", warn=said.append)
    codecs.key(bytes(16), LOCAL)
    for n in range(3 * SUSPECTS):
        codecs.key(bytes([n, 0, 0, 0, 0, 0, 0x4F, 0, 0xA0]) + bytes(7), LOCAL)
    assert said == []


# ---------------------------------------------------------------------- which codec


def test_auto_knows_the_servers_by_the_shape_of_their_handles():
    ganesha = next(recorded())[0]
    tags = [
        key("auto", fh)[:1]
        for fh in (ganesha, knfsd(6, bytes(16), 1, bytes(8)), unfs3(5, b"a"), bytes(16), b"something else")
    ]
    assert tags == [b"g", b"k", b"u", b"n", b"w"]


def test_an_address_may_have_a_codec_of_its_own():
    codecs = Codecs("opaque", {LOCAL: "unfs3"}, warn=lambda text: None)
    one, two = unfs3(5, b"a"), unfs3(5, b"b")
    assert codecs.key(one, LOCAL) == codecs.key(two, LOCAL)
    assert codecs.key(one, "192.0.2.2") != codecs.key(two, "192.0.2.2")


# ---------------------------------------------------------------------- in the lock manager


def test_two_hard_links_are_one_lock_and_the_grant_echoes_the_handle_it_was_asked_by():
    world = World(codec="unfs3")
    one, two = world.client(2), world.client(3)
    here, there = unfs3(5, b"a"), unfs3(5, b"bc", path_hash=9)
    assert one.lock(fh=here) == nlm.OK
    assert two.test(fh=there).status == nlm.DENIED
    assert two.wait(fh=there) == nlm.BLOCKED
    one.unlock(fh=there)
    world.run(1)
    assert [(grant.lock.fh, grant.answer) for grant in two.grants] == [(there, nlm.OK)]
    assert one.lock(fh=here) == nlm.DENIED


def test_shares_and_cancels_go_by_the_file_as_well():
    world = World(codec="unfs3")
    one, two = world.client(2), world.client(3)
    here, there = unfs3(5, b"a"), unfs3(5, b"bc")
    assert one.share(fh=here, access=3, mode=3) == nlm.OK
    assert two.share(fh=there, access=1, mode=0) == nlm.DENIED
    assert one.lock(fh=here) == nlm.OK
    assert two.wait(fh=there) == nlm.BLOCKED
    assert two.cancel(fh=here) == nlm.OK
    assert len(world.server.waiters) == 0


def test_the_codec_goes_by_the_address_the_call_came_to():
    world = World(codec_at=("10.0.0.9=unfs3",))
    one, two = world.client(2), world.client(3)
    here, there = unfs3(5, b"a"), unfs3(5, b"bc")
    assert one.lock(fh=here, local="10.0.0.9") == nlm.OK
    assert two.lock(fh=there) == nlm.OK, "this address takes handles whole"
    assert two.lock(fh=there, local="10.0.0.9") == nlm.DENIED


def test_without_a_codec_the_key_is_the_handle_itself():
    world = World()
    world.client().lock(fh=b"file")
    assert [file for file, _ in world.server.table.locks()] == [b"file"]


def test_random_handles_are_said_in_the_journal():
    world = World(codec="auto")
    one = world.client()
    for n in range(SUSPECTS + 3):
        one.lock(fh=bytes([n, 0, 0, 0, 0, 0, 0x4F, 0, 0xA0]) + bytes(7))
    assert len([text for text in world.logs if "look random" in text]) == 1
