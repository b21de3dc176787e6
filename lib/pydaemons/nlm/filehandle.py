# SPDX-License-Identifier: GPL-3.0-or-later
"""What is inside a file handle: which bytes name the file, and whether the kernel could open it by them.

A handle is opaque to clients, not to whoever made it. Some servers put into it what differs between two
handles of one file (the path it was found by, the export), so that locks keyed by whole handles would miss
each other. A codec knows one server's layout and cuts out the file. Read `Codecs.key`, then the layouts;
docs/file-handles.md has them as tables, with sources, and says how to add one.

A key begins with one byte that names its layout, so that keys of two layouts never meet, and `locate` finds
its way back from a key alone. A handle that does not have the layout its codec expects is taken whole. Every
number is in the byte order of the server's machine, taken to be this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from sys import byteorder
from typing import NamedTuple

WHOLE = b"w"
"""The layout byte of a key that is the whole handle."""
SUSPECTS = 8
"""So many different handles in a row that look like random UUIDs are no accident (2**-48 for MD5 sums)."""


class Filesystem(Enum):
    """What the bytes are that tell a handle's filesystem."""

    STATFS = "statfs"
    """f_fsid of statfs(2), 8 bytes"""
    DEVICE = "device"
    """major and minor number of st_dev, 4 bytes each"""
    UUID = "uuid"
    """the filesystem's own, 16 bytes"""
    UNKNOWN = "unknown"
    """anything else: agreed between the server and its configuration"""


class KernelHandle(NamedTuple):
    """What open_by_handle_at(2) wants: a handle, its type, and which filesystem to ask."""

    filesystem: Filesystem
    fsid: bytes
    type: int
    handle: bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """One server's handles. `file` gives the bytes that name the file, None when these are not such a handle;
    `locate` what the kernel knows that file by, from the bytes `file` gave."""

    name: str
    tag: bytes
    file: Callable[[bytes], bytes | None]
    locate: Callable[[bytes], KernelHandle | None] = lambda key: None


# -- unfs3: fh.h of 0.11: dev u32, ino u64, gen u32, path hash u32, depth u8, one byte of hash per folder

UNFS3_FIXED = 21
GENERIC = 1
"""FILEID_INO32_GEN: inode and generation number, 32 bits each; ext4 and most others (linux/exportfs.h)."""


def _unfs3_file(fh: bytes) -> bytes | None:
    """Device, inode and generation; the path the file was reached by, which follows, differs between hard
    links."""
    if len(fh) < UNFS3_FIXED or len(fh) != UNFS3_FIXED + fh[20]:
        return None
    return fh[:16]


def _unfs3_locate(key: bytes) -> KernelHandle | None:
    device = int.from_bytes(key[:4], byteorder)
    if key[8:12] != bytes(4) if byteorder == "little" else key[4:8] != bytes(4):
        return None  # an inode number beyond 32 bits: not in that kind of kernel handle
    # glibc's 32-bit st_dev: minor bits 0-7 and 20-31, major bits 8-19
    major, minor = device >> 8 & 0xFFF, device & 0xFF | device >> 12 & 0xFFF00
    inode = key[4:8] if byteorder == "little" else key[8:12]
    return KernelHandle(Filesystem.DEVICE, _device(major, minor), GENERIC, inode + key[12:16])


# -- knfsd: fs/nfsd/nfsfh.h: version 1, auth type 0, fsid type, fileid type, fsid, fileid

KNFSD_FSID_SIZES = (8, 4, 12, 8, 8, 8, 16, 24)
"""By fsid type: device and inode, number, wide device and inode, encoded device and inode, inode and a
folded UUID (8), folded UUID (8), UUID (16), inode and UUID (24)."""
FILE_SIZES = {1: 8, 2: 8, 0x81: 12, 0x82: 12, 0x4D: 20, 0x4E: 20, 0x4F: 20}
"""By fileid type: how many bytes name the file. What follows names the folder it was found in, present when
the export checks subtrees, and not the same for all links: ext4 (1, 2), xfs (0x81, 0x82), btrfs (0x4d-f)."""


def _knfsd_file(fh: bytes) -> bytes | None:
    if len(fh) < 8 or fh[0] != 1 or fh[1] != 0 or fh[2] >= len(KNFSD_FSID_SIZES):
        return None
    kind, start = fh[3], 4 + KNFSD_FSID_SIZES[fh[2]]
    size = FILE_SIZES.get(kind)
    if len(fh) <= start or (size is not None and len(fh) < start + size):
        return None
    if size is None:
        return fh[2:]
    # the parent's presence is in the type: both types of a filesystem name the same file
    kind = kind & ~2 | 1 if kind in (1, 2, 0x81, 0x82) else 0x4D
    return bytes((fh[2], kind)) + fh[4 : start + size]


def _knfsd_locate(key: bytes) -> KernelHandle | None:
    start = 2 + KNFSD_FSID_SIZES[key[0]]
    fsid, handle = key[2:start], key[start:]
    if key[0] == 6:
        return KernelHandle(Filesystem.UUID, fsid, key[1], handle)
    if key[0] == 7:
        return KernelHandle(Filesystem.UUID, fsid[8:], key[1], handle)
    return KernelHandle(Filesystem.UNKNOWN, fsid, key[1], handle)


# -- nfs-ganesha's VFS back end, seen from 4.3: 'C', flags, export u16 BE, length, that many bytes, padding

GANESHA_VERSION = 0x43
GANESHA_BIG_ENDIAN = 0x01
GANESHA_FIXED = 5
GANESHA_FSID_SIZES = {0: 0, 1: 8, 2: 8, 3: 16, 4: 8, 5: 8}
"""By fsid type, the low bits of the first byte of the file's part: none, one 64-bit number (1, 2), UUID,
statfs, device."""
GANESHA_TYPE_SIZES = (0, 1, 2, 4)
"""By the two high bits of that byte: how wide the kernel's handle type is that follows the fsid."""
GANESHA_DUMMY = 0x20
"""No file, the filesystem as such."""


def _ganesha_file(fh: bytes) -> bytes | None:
    """The part the back end made; the export it was reached by, which comes before, is no part of the
    file."""
    if len(fh) < GANESHA_FIXED + 1 or fh[0] != GANESHA_VERSION or fh[1] & ~GANESHA_BIG_ENDIAN:
        return None
    end = GANESHA_FIXED + fh[4]
    if end > len(fh) or len(fh) - end > 3 or any(fh[end:]):
        return None
    part = fh[GANESHA_FIXED:end]
    if not part or part[0] & GANESHA_DUMMY or part[0] & 0x1F not in GANESHA_FSID_SIZES:
        return None
    width = GANESHA_TYPE_SIZES[part[0] >> 6]
    if not width or len(part) <= 1 + GANESHA_FSID_SIZES[part[0] & 0x1F] + width:
        return None
    return fh[1:2] + part


def _ganesha_locate(key: bytes) -> KernelHandle | None:
    if bool(key[0] & GANESHA_BIG_ENDIAN) != (byteorder == "big"):
        return None  # another machine's
    kind = key[1] & 0x1F
    start = 2 + GANESHA_FSID_SIZES[kind]
    stop = start + GANESHA_TYPE_SIZES[key[1] >> 6]
    number = int.from_bytes(key[start:stop], byteorder, signed=stop - start > 1)
    filesystem = {3: Filesystem.UUID, 4: Filesystem.STATFS, 5: Filesystem.DEVICE}.get(
        kind, Filesystem.UNKNOWN
    )
    return KernelHandle(filesystem, key[2:start], number, key[stop:])


# -- go-nfs and what is built on it: 16 bytes, an MD5 of the path (rclone's disk cache) or a random UUID


def _go_nfs_file(fh: bytes) -> bytes | None:
    """All of it: the 4 bytes rclone adds mark another file, the metadata of the first."""
    return fh if len(fh) in (16, 20) else None


def looks_random(fh: bytes) -> bool:
    """Whether 16 bytes have the marks of a version 4 UUID (RFC 9562 section 5.4); one MD5 in 64 has."""
    return len(fh) == 16 and fh[6] >> 4 == 4 and fh[8] >> 6 == 2


GANESHA = Layout("ganesha-vfs", b"g", _ganesha_file, _ganesha_locate)
KNFSD = Layout("knfsd", b"k", _knfsd_file, _knfsd_locate)
UNFS3 = Layout("unfs3", b"u", _unfs3_file, _unfs3_locate)
GO_NFS = Layout("go-nfs", b"n", _go_nfs_file)

LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "opaque": (),
    "unfs3": (UNFS3,),
    "knfsd": (KNFSD,),
    "ganesha-vfs": (GANESHA,),
    "go-nfs": (GO_NFS,),
    "auto": (GANESHA, KNFSD, UNFS3, GO_NFS),
}
"""By codec: the layouts it looks for, those hardest to mistake first."""
NAMES = tuple(LAYOUTS)

_LOCATE = {layout.tag: layout.locate for layout in (GANESHA, KNFSD, UNFS3)}


def locate(key: bytes) -> KernelHandle | None:
    """What the kernel knows the file of a key by; None where the handle does not say."""
    found = _LOCATE.get(key[:1])
    return None if found is None else found(key[1:])


class Codecs:
    """The codecs in force: one for all, and others for single addresses of this host. `warn(text)` is called
    once when handles turn out to be useless for locking."""

    __slots__ = ("_at", "_codec", "_seen", "_warn")

    def __init__(
        self, codec: str, at: Mapping[str, str] | None = None, *, warn: Callable[[str], None]
    ) -> None:
        self._codec = LAYOUTS[codec]
        self._at = {address: LAYOUTS[name] for address, name in (at or {}).items()}
        self._warn = warn
        self._seen: set[bytes] | None = set()
        """Different handles that looked random, while none was seen that does not."""

    def key(self, fh: bytes, local: str) -> bytes:
        """The lock key of a handle that came to the address `local` of ours. Any bytes have one."""
        for layout in self._at.get(local, self._codec):
            file = layout.file(fh)
            if file is not None:
                if layout is GO_NFS and self._seen is not None:
                    self._suspect(fh)
                return layout.tag + file
        return WHOLE + fh

    def _suspect(self, fh: bytes) -> None:
        """Handles from go-nfs's memory cache are made up anew when it restarts or forgets."""
        if not looks_random(fh):
            self._seen = None
        elif self._seen is not None:
            self._seen.add(fh)
            if len(self._seen) >= SUSPECTS:
                self._seen = None
                self._warn(
                    "file handles look random (go-nfs's memory cache): its server forgets them, and locks "
                    "taken by old ones then protect nothing; have rclone use --nfs-cache-type disk"
                )


def _device(major: int, minor: int) -> bytes:
    return major.to_bytes(4, byteorder) + minor.to_bytes(4, byteorder)


def device_of(st_dev: int) -> bytes:
    """The bytes of Filesystem.DEVICE for an st_dev of stat(2), whose 64 bits spread major and minor."""
    major = st_dev >> 8 & 0xFFF | st_dev >> 32 & 0xFFFFF000
    return _device(major, st_dev & 0xFF | st_dev >> 12 & 0xFFFFFF00)
