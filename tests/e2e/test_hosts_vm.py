# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests boot is packed right (test_kernel_client.py boots them)."""

from __future__ import annotations

import lzma
import stat
import subprocess

import pytest

from hosts import vmimage


def module(folder, name, *needs):
    (folder / f"{name}.ko").write_bytes(b"\x7fELF\0depends=" + ",".join(needs).encode() + b"\0license=GPL\0")


@pytest.mark.needs("cpio")
def test_the_archive_is_one_that_cpio_unpacks(tmp_path):
    tree = {
        "init": (stat.S_IFREG | 0o755, b"#!/bin/sh\n"),
        "etc/deep/file": (stat.S_IFREG | 0o644, b"odd"),
        "etc/link": (stat.S_IFLNK | 0o777, b"deep/file"),
        "empty": (stat.S_IFDIR | 0o700, b""),
    }
    words = ["cpio", "-i", "--quiet"]
    subprocess.run(words, input=vmimage.pack(tree), cwd=tmp_path, timeout=30, check=True)
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "init").stat().st_mode) == 0o755
    assert (tmp_path / "etc" / "link").read_text() == "odd"
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700


def test_a_module_comes_after_what_it_needs_and_what_is_built_in_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(vmimage, "MODULES", ("nfsv3", "built_in", "virtio-rng"))
    module(tmp_path, "nfsv3", "nfs", "sunrpc")
    module(tmp_path, "nfs", "lockd", "sunrpc")
    module(tmp_path, "lockd", "sunrpc")
    module(tmp_path, "sunrpc")
    module(tmp_path, "virtio-rng", "virtio")
    module(tmp_path, "unwanted")
    names = [path.stem for path in vmimage.load_order(tmp_path)]
    assert names == ["sunrpc", "lockd", "nfs", "nfsv3", "virtio-rng"]


def test_a_kernel_compressed_by_xz_is_unpacked_and_any_other_left_as_it_is():
    assert vmimage.unpacked(b"setup code" + lzma.compress(b"\x7fELF kernel") + b"tail") == b"\x7fELF kernel"
    assert vmimage.unpacked(b"setup code and zstd") == b"setup code and zstd"


def test_without_a_kernel_the_reason_is_given(tmp_path):
    with pytest.raises(vmimage.ImageError, match="tests/run"):
        vmimage.image(tmp_path)
