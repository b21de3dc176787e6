# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first process of a host does between fork and being the host's init. Read systemd() or bare().

Runs as PID 1 of a new PID namespace, as root, in namespaces of its own (guard.py made them). `systemd` ends
by becoming systemd; `bare` stays as a small init that only reaps. Every mount made here is private to the
host and vanishes with its last process. Edits of files are made *after* pivot_root, so that an absolute
symbolic link in the tree can never lead back to the outer machine.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import uuid
from pathlib import Path
from typing import Any, NoReturn

from hosts import kernel
from hosts.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What systemd starts by itself that is about hardware, consoles, or the machine's own long-lived state.
# Everything an administrator enabled is gone already: /etc/systemd/system starts empty.
MASKED = (
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty.target",
    "kmod-static-nodes.service",
    "ldconfig.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-initctl.socket",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-repart.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
)


def boot(spec: dict[str, Any], work: str, ready: int) -> NoReturn:
    """Become the init of a host as `spec` says; one byte goes to `ready` when the mounts stand."""
    kernel.make_mounts_private()
    socket.sethostname(spec["hostname"])
    kernel.loopback_up()
    if spec["kind"] == "systemd":
        systemd(spec, work, ready)
    bare(work, ready)


# ------------------------------------------------------------------------------- a machine with systemd


def systemd(spec: dict[str, Any], work: str, ready: int) -> NoReturn:
    root = _new_root(work)
    os.chdir(root)
    os.mkdir(".old")
    kernel.pivot_root(".", ".old")  # a true root, so that setns() into the host works as on a machine
    os.chdir("/")
    _forget(spec)
    _write_configuration(spec)
    for source, target in spec["copies"]:
        _copy("/.old" + source, target)
    for name in spec["enable"]:
        _enable(name)
    for path, read_only in spec["binds"]:
        _bind("/.old" + path, path, read_only=read_only)
    kernel.bind(f"/.old{work}/console", "/dev/console")
    kernel.bind(f"/.old{work}/boot_id", "/proc/sys/kernel/random/boot_id")
    kernel.detach("/.old")
    os.rmdir("/.old")
    with open("/dev/console", "ab") as console:
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
    os.write(ready, b"+")
    os.execve(
        "/lib/systemd/systemd",
        ["/lib/systemd/systemd", f"--unit={spec['target']}", "--log-target=journal"],
        {"container": "pydaemons", "PATH": PATH},
    )


def _new_root(work: str) -> str:
    """The outer root under a layer of tmpfs, with fresh /proc /sys /dev /run /tmp on top."""
    base = f"{work}/root"
    kernel.mount("tmpfs", base, "tmpfs", options="mode=0755")
    root = f"{base}/root"
    os.mkdir(root, 0o755)
    # an overlay shows one file system without what is mounted on it: each of these may be one of its own
    for number, place in enumerate(("/", "/usr", "/etc", "/var", "/opt", "/srv")):
        if os.path.ismount(place):
            upper, scratch = f"{base}/upper{number}", f"{base}/scratch{number}"
            os.mkdir(upper, 0o755)
            os.mkdir(scratch)
            layers = f"lowerdir={place},upperdir={upper},workdir={scratch}"
            kernel.mount("overlay", root + place, "overlay", options=layers)
    strict = MS_NOSUID | MS_NODEV | MS_NOEXEC
    kernel.mount("proc", f"{root}/proc", "proc", strict)
    # nothing done inside may reach the real kernel's settings; /proc/sys/net is the host's own network's
    kernel.bind(f"{root}/proc/sys", f"{root}/proc/sys")
    kernel.bind(f"{root}/proc/sys/net", f"{root}/proc/sys/net")
    kernel.mount("none", f"{root}/proc/sys", flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY)
    if os.path.exists(f"{root}/proc/sysrq-trigger"):
        kernel.bind("/dev/null", f"{root}/proc/sysrq-trigger")
    kernel.mount("sysfs", f"{root}/sys", "sysfs", strict | kernel.MS_RDONLY)
    kernel.mount("cgroup2", f"{root}/sys/fs/cgroup", "cgroup2", strict)
    kernel.mount("tmpfs", f"{root}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    kernel.mount("tmpfs", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    _devices(f"{root}/dev")
    return root


def _devices(dev: str) -> None:
    kernel.mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=0755")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "fuse"):
        if os.path.exists(f"/dev/{name}"):
            Path(dev, name).touch()
            kernel.bind(f"/dev/{name}", f"{dev}/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{dev}/{name}")
    kernel.mount("devpts", f"{dev}/pts", "devpts", options="newinstance,ptmxmode=0666,mode=620,gid=5")
    kernel.mount("tmpfs", f"{dev}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        os.symlink(target, f"{dev}/{name}")
    Path(dev, "console").touch()


def _forget(spec: dict[str, Any]) -> None:
    """Start from what packages ship, not from what this machine's administrator made of it."""
    for path in ("/etc/systemd/system", "/etc/systemd/system-generators", *spec["hide"]):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


def _write_configuration(spec: dict[str, Any]) -> None:
    system = Path("/etc/systemd/system")
    system.mkdir(parents=True)
    for name in MASKED:
        if name not in spec["keep"]:
            (system / name).symlink_to("/dev/null")
    # generators look at fstab, partitions, /etc/init.d, consoles: all of the outer machine
    off = Path("/etc/systemd/system-generators")
    off.mkdir()
    shipped = Path("/lib/systemd/system-generators")
    for generator in shipped.iterdir() if shipped.is_dir() else ():
        (off / generator.name).symlink_to("/dev/null")
    _write(
        "/etc/systemd/system.conf.d/50-host.conf",
        "[Manager]\nDefaultTimeoutStartSec=30s\nDefaultTimeoutStopSec=10s\nShowStatus=no\n",
    )
    _write(
        "/etc/systemd/journald.conf.d/50-host.conf",
        "[Journal]\nStorage=volatile\nForwardToConsole=no\nRateLimitBurst=0\nReadKMsg=no\nAudit=no\n",
    )
    _write("/etc/fstab", "")
    _write("/etc/hostname", spec["hostname"] + "\n")
    _write("/etc/machine-id", uuid.uuid4().hex + "\n")
    if spec["hosts"]:
        _write("/etc/hosts", spec["hosts"])
        _write("/etc/resolv.conf", "")


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        os.unlink(path)
    Path(path).write_text(text)


def _copy(source: str, target: str) -> None:
    """cp -a; a target that ends in / is the folder to copy into."""
    if target.endswith("/"):
        target += os.path.basename(source)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def _enable(name: str) -> None:
    """The one symbolic link `systemctl enable` comes down to here; the target decides which folder."""
    folder = "sockets.target.wants" if name.endswith(".socket") else "multi-user.target.wants"
    wants = Path("/etc/systemd/system") / folder
    wants.mkdir(exist_ok=True)
    for base in ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system"):
        if os.path.exists(f"{base}/{name}"):
            (wants / name).symlink_to(f"{base}/{name}")
            return
    raise FileNotFoundError(f"no unit {name} to enable")


def _bind(source: str, target: str, *, read_only: bool) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            Path(target).touch()
    kernel.bind(source, target, read_only=read_only, recursive=True)


# ------------------------------------------------------------------------------- a bare network host


def bare(work: str, ready: int) -> NoReturn:
    """The outer file system with /run, /var/lib/nfs and the resolver's files of its own, and a network."""
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    kernel.bind(f"{work}/boot_id", "/proc/sys/kernel/random/boot_id")
    # unix sockets cross network namespaces: without a /run of its own a host would register its programs
    # with its neighbour's rpcbind
    resolver = os.path.realpath("/etc/resolv.conf")
    kernel.mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    os.makedirs("/run/lock", exist_ok=True)
    _folder("/run/rpcbind", owner="_rpc")
    if resolver.startswith("/run/"):
        os.makedirs(os.path.dirname(resolver), exist_ok=True)
    if not os.path.exists(resolver):
        Path(resolver).touch()
    kernel.bind(f"{work}/hosts", "/etc/hosts")
    kernel.bind(f"{work}/resolv.conf", resolver)
    if os.path.isdir("/var/lib/nfs"):
        kernel.mount("tmpfs", "/var/lib/nfs", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        for name in ("sm", "sm.bak", "ganesha", "rpc_pipefs"):
            _folder(f"/var/lib/nfs/{name}", owner="statd")
        Path("/var/lib/nfs/state").touch()
        os.chown("/var/lib/nfs/state", *_ids("statd"))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    os.write(ready, b"+")
    os.close(ready)
    while True:
        signal.sigwait({signal.SIGCHLD})
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _ids(user: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return 0, 0
    return entry.pw_uid, entry.pw_gid


def _folder(path: str, *, owner: str) -> None:
    os.makedirs(path, mode=0o755, exist_ok=True)
    os.chown(path, *_ids(owner))
