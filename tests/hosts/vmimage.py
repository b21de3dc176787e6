# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel and the initial file system that guests (vm.py) boot, made once and kept in the tests' cache.

`fetch()` needs the network: it takes Debian's kernel and a static busybox out of their packages, which are
not installed. `image()` needs none: it packs these with the machine's own rpcbind, rpc.statd and mount.nfs
and the lock tester guest/locker.c into an archive (cpio's "newc" format), anew when one of them changed.

    sudo python3 tests/hosts/vmimage.py      fetch what is missing, as tests/run does
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GUEST = Path(__file__).resolve().parent / "guest"
MODULES = ("virtio_pci", "virtio_net", "virtio-rng", "9pnet_virtio", "9p", "nfsv3")
PROGRAMS = ("rpcbind", "rpcinfo", "rpc.statd", "sm-notify", "mount.nfs", "umount.nfs")
FILES = ("/etc/netconfig", "/etc/services", "/etc/rpc", "/etc/protocols", "/etc/passwd", "/etc/group")
FOLDERS = ("bin", "dev", "mnt", "modules", "proc", "run", "sbin", "shared", "sys", "tmp", "var/lib/nfs")
KERNEL_PACKAGE, BUSYBOX_PACKAGE = "linux-image-amd64", "busybox-static"


class ImageError(RuntimeError):
    """Guests cannot be booted here, and why."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest boots."""

    kernel: Path
    initramfs: Path


def cache_folder() -> Path:
    """Where tests/run keeps what it installed."""
    return Path(os.environ.get("PYDAEMONS_TESTS_CACHE", "/var/cache/pydaemons-tests"))


# ---------------------------------------------------------------------------------------------- fetching


def fetched(folder: Path) -> bool:
    return (folder / "kernel").exists() and (folder / "busybox").exists() and (folder / "modules").is_dir()


def fetch(cache: Path | None = None) -> Path:
    """The folder with kernel, modules/ and busybox; downloads the packages when it is not complete."""
    folder = (cache or cache_folder()) / "guest"
    if fetched(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as work:
        kernel, busybox = (_download(name, Path(work)) for name in (_kernel_package(), BUSYBOX_PACKAGE))
        fresh = Path(work, "modules")
        fresh.mkdir()
        for name, source in _contents(kernel):
            if re.fullmatch(r"\./boot/vmlinuz-.*", name):
                Path(work, "kernel").write_bytes(unpacked(source.read()))
            elif match := re.fullmatch(r"\./(?:usr/)?lib/modules/.*/([^/]+\.ko(?:\.xz)?)", name):
                _write(fresh / match[1], source)
        for name, source in _contents(busybox):
            if name in ("./bin/busybox", "./usr/bin/busybox"):
                _write(Path(work, "busybox"), source)
        _keep_needed(fresh)
        if not fetched(Path(work)):
            raise ImageError(f"{kernel.name} or {busybox.name} lacks what was looked for")
        shutil.rmtree(folder / "modules", ignore_errors=True)
        for name in ("modules", "busybox", "kernel"):
            os.replace(Path(work, name), folder / name)
    return folder


def _kernel_package() -> str:
    """The package that the one without a version in its name depends on."""
    shown = _run("apt-cache", "depends", KERNEL_PACKAGE)
    found = re.findall(r"Depends: (linux-image-\S+)", shown)
    if not found:
        raise ImageError(f"apt knows no {KERNEL_PACKAGE}: {shown}")
    return found[0]


def _download(package: str, work: Path) -> Path:
    place = work / package
    place.mkdir()
    _run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=place)
    (found,) = place.glob("*.deb")
    return found


def _contents(package: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a Debian package, one after the other; each can be read until the next is asked for."""
    process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    assert process.stdout
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        for member in archive:
            if member.isfile() and (source := archive.extractfile(member)):
                yield member.name, source


def unpacked(vmlinuz: bytes) -> bytes:
    """The ELF file in a kernel compressed by xz, which boots in half the time (PVH); any other as it is."""
    start = vmlinuz.find(b"\xfd7zXZ\0")
    return lzma.LZMADecompressor().decompress(vmlinuz[start:]) if start >= 0 else vmlinuz


def _write(path: Path, source: IO[bytes]) -> None:
    with open(path, "wb") as sink:
        shutil.copyfileobj(source, sink)


def _keep_needed(folder: Path) -> None:
    """Of some four thousand modules a dozen is kept."""
    needed = set(load_order(folder))
    for path in folder.iterdir():
        if path not in needed:
            path.unlink()


# ---------------------------------------------------------------------------------------------- modules


def _module_text(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def load_order(folder: Path) -> list[Path]:
    """The files of MODULES and of what they need, each after what it names in its `depends=`."""
    files = {path.name.partition(".")[0].replace("-", "_"): path for path in folder.iterdir()}
    order: dict[str, Path] = {}

    def visit(name: str) -> None:
        if name in order or name not in files:  # built in, where there is no file
            return
        match = re.search(rb"\0depends=([^\0]*)\0", _module_text(files[name]))
        for other in match[1].decode().split(",") if match else ():
            visit(other.replace("-", "_"))
        order[name] = files[name]

    for name in MODULES:
        visit(name.replace("-", "_"))
    return list(order.values())


# ---------------------------------------------------------------------------------------------- packing


def image(cache: Path | None = None) -> Image:
    """Kernel and initramfs; ImageError says what is missing."""
    cache = cache or cache_folder()
    folder = cache / "guest"
    if not fetched(folder):
        raise ImageError("no kernel for guests was fetched: tests/run does, with a network")
    parts = [folder / name for name in ("kernel", "busybox", "modules")]
    sources = [*_programs().values(), *GUEST.iterdir(), Path(__file__), *parts]
    mark = hashlib.sha256()
    for path in sorted(sources):
        status = path.stat()
        mark.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    target = folder / f"initramfs-{mark.hexdigest()[:16]}"
    if not target.exists():
        for old in folder.glob("initramfs-*"):
            old.unlink(missing_ok=True)
        fresh = cache / f"initramfs.{os.getpid()}"
        fresh.write_bytes(pack(_tree(folder)))
        os.replace(fresh, target)
    return Image(folder / "kernel", target)


def _programs() -> dict[str, Path]:
    found = {}
    for name in PROGRAMS:
        path = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if path is None:
            raise ImageError(f"{name} is not installed")
        found[name] = Path(path).resolve()
    return found


def _tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Path → mode and content (of a link: its target) of everything in the guest's file system."""
    tree = dict.fromkeys(FOLDERS, (stat.S_IFDIR | 0o755, b""))
    program, plain = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644
    tree["init"] = (program, (GUEST / "init").read_bytes())
    tree["bin/busybox"] = (program, (folder / "busybox").read_bytes())
    tree["bin/locker"] = (program, _compile(GUEST / "locker.c"))
    libraries: set[str] = set()
    for name, path in _programs().items():
        tree[f"sbin/{name}"] = (program, path.read_bytes())
        libraries.update(re.findall(r"(/\S+) \(0x", _run("ldd", path)))
    for library in libraries:
        tree[library.lstrip("/")] = (program, Path(library).read_bytes())
    for file in FILES:
        if os.path.exists(file):
            tree[file.lstrip("/")] = (plain, Path(file).read_bytes())
    tree["etc/nsswitch.conf"] = (plain, b"hosts: files\npasswd: files\ngroup: files\n")
    tree["etc/fstab"] = tree["etc/nfs.conf"] = (plain, b"")
    tree["etc/mtab"] = (stat.S_IFLNK | 0o777, b"/proc/mounts")
    order = load_order(folder / "modules")
    for path in order:
        tree[f"modules/{path.name.removesuffix('.xz')}"] = (plain, _module_text(path))
    names = "".join(path.name.removesuffix(".xz") + "\n" for path in order)
    tree["modules/order"] = (plain, names.encode())
    return tree


def _compile(source: Path) -> bytes:
    with tempfile.TemporaryDirectory() as work:
        program = Path(work, "program")
        _run("gcc", "-O2", "-Wall", "-Werror", "-static", "-s", "-o", program, source)
        return program.read_bytes()


def pack(tree: dict[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive of the "newc" format (cpio(5)), with the parent folders the tree leaves out."""
    whole: dict[str, tuple[int, bytes]] = {}
    for path, entry in tree.items():
        for parent in reversed(Path(path).parents):
            if parent.parts:
                whole.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))
        whole[path] = entry
    out = bytearray()
    for number, (path, (mode, data)) in enumerate([*whole.items(), ("TRAILER!!!", (0, b""))], start=1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def _run(*words: str | os.PathLike[str], cwd: Path | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise ImageError(f"{' '.join(map(str, words))}: {done.stderr.strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        fetch()
    except (ImageError, OSError) as error:
        sys.exit(str(error))
