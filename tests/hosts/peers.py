# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs a lab's hosts run: rpcbind, rpc.statd, nfs-ganesha (NLM on or off) and pylockd from this checkout.

Each start_* returns when the program answers on the wire, and raises AssertionError with its log when it does
not. Everything stops with its host.
"""

from __future__ import annotations

import os
import socket
import textwrap
from dataclasses import dataclass
from pathlib import Path

from hosts import rpc
from hosts.holder import Process
from hosts.lab import Host
from hosts.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[2]

MOUNT_PORT, NFS_PORT, NLM_PORT = 20048, 2049, 32803


def _until(process: Process, ready: object, what: str) -> None:
    assert callable(ready)
    wait_for(lambda: ready() or not process.running, what=f"{what}\n{process.log[-2000:]}")
    if not process.running:
        raise AssertionError(f"{what} ended with {process.popen.returncode}:\n{process.log[-2000:]}")


def start_rpcbind(host: Host) -> Process:
    process = host.start("rpcbind", "-w", "-f")
    _until(process, lambda: rpc.answers("127.0.0.1", 111, rpc.PORTMAP, 2, place=host.network), "rpcbind")
    return process


def start_statd(host: Host, *, port: int = 4002, notify_port: int = 4003) -> Process:
    """rpc.statd on fixed ports, not notifying anybody at its start (-L)."""
    process = host.start("rpc.statd", "-F", "-L", "-p", str(port), "-o", str(notify_port))
    _until(
        process,
        lambda: (
            rpc.getport("127.0.0.1", rpc.NSM, 1, place=host.network) == port
            and rpc.answers("127.0.0.1", port, rpc.NSM, 1, place=host.network)
        ),
        "rpc.statd",
    )
    return process


@dataclass(frozen=True, slots=True)
class Ganesha:
    """A running nfs-ganesha; `export` is both the path to mount and the folder on disk."""

    process: Process
    address: str
    export: Path

    def handles(self, host: Host, *names: str) -> list[bytes]:
        """Real file handles of files made in the export, asked for by `host`."""
        root = rpc.mount_root(self.address, str(self.export), port=MOUNT_PORT, place=host.network)
        with rpc.Nfs(self.address, port=NFS_PORT, place=host.network) as nfs:
            return [nfs.create(root, name) for name in names]


def start_ganesha(host: Host, export: Path, *, nlm: bool, grace: int = 0, address: str = "") -> Ganesha:
    """nfs-ganesha exporting the folder `export` by its VFS back end; needs rpcbind (and rpc.statd for NLM).

    Files get mode 0666 and no identity is squashed. `grace` 0 means none.
    """
    address = address or host.address
    lease = max(grace // 2, 2)
    period = (
        f"Graceless = false; Grace_Period = {grace}; Lease_Lifetime = {lease};"
        if grace
        else "Graceless = true;"
    )
    configuration = host.work / "ganesha.conf"
    configuration.write_text(
        textwrap.dedent(f"""
            NFS_CORE_PARAM {{
                Protocols = 3; Enable_NLM = {str(nlm).lower()}; Enable_RQUOTA = false; Enable_UDP = true;
                NFS_Port = {NFS_PORT}; MNT_Port = {MOUNT_PORT}; NLM_Port = {NLM_PORT};
                mount_path_pseudo = false;
            }}
            NFSv4 {{ {period} RecoveryBackend = fs; }}
            EXPORT {{
                Export_Id = 1; Path = {export}; Pseudo = /export; Access_Type = RW; Squash = none;
                Protocols = 3; Transports = UDP, TCP; SecType = none, sys;
                FSAL {{ Name = VFS; }}
            }}
            LOG {{ Default_Log_Level = EVENT; }}
        """)
    )
    host.run("mkdir", "-p", "/run/ganesha", check=True)
    arguments = ["-F", "-f", configuration, "-L", "STDERR", "-p", "/run/ganesha/pid"]
    process = host.start("ganesha.nfsd", *arguments, name="ganesha")

    def ready() -> bool:
        place = host.network
        wanted = [(rpc.MOUNT, 3, MOUNT_PORT), (rpc.NFS, 3, NFS_PORT)] + (
            [(rpc.NLM, 4, NLM_PORT)] if nlm else []
        )
        return all(
            rpc.getport("127.0.0.1", program, version, rpc.TCP, place=place) == port
            and rpc.answers("127.0.0.1", port, program, version, tcp=True, place=place)
            for program, version, port in wanted
        )

    _until(process, ready, "nfs-ganesha")
    return Ganesha(process, address, export)


@dataclass(frozen=True, slots=True)
class Lockd:
    """A running pylockd. Its /run/pylockd and /run/pysysctl are the host's own and outlive it, as does
    `state_dir` on the outer disk: start_pylockd again on the same host is a restart."""

    process: Process
    run_dir: Path
    """/run/pylockd of the host, as the outer machine reaches it."""
    state_dir: Path


def start_pylockd(
    host: Host,
    configuration: str = "[pylockd]\n",
    *,
    settings: tuple[str, ...] = (),
    wait: bool = True,
    extra: tuple[str, ...] = (),
) -> Lockd:
    """bin/pylockd in the foreground, as an outside tester runs it; returns when it announces READY.

    `settings` are KEY=VALUE for --set. Readiness is the daemon's own sd_notify READY=1, caught on a socket in
    the host's work folder; with `wait` false, it returns at once.
    """
    state_dir = host.work / "pylockd-state"
    state_dir.mkdir(exist_ok=True)
    host.run("mkdir", "-p", "/run/pylockd", "/run/pysysctl", check=True)
    file = host.work / "pylockd.conf"
    file.write_text(textwrap.dedent(configuration))
    notify = host.work / "pylockd.notify"
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(notify))
        listener.setblocking(False)
        process = host.start(
            *(CHECKOUT / "bin" / "pylockd", "--config", file, "--run-dir", "/run/pylockd"),
            *("--state-dir", state_dir),
            *(word for setting in settings for word in ("--set", setting)),
            *extra,
            env={"NOTIFY_SOCKET": str(notify)},
            name="pylockd",
        )
        if wait:
            _until(process, lambda: _announced(listener), "pylockd")
    return Lockd(process, host.run_dir / "pylockd", state_dir)


def _announced(listener: socket.socket) -> bool:
    while True:
        try:
            data, controls, _, _ = socket.recv_fds(listener, 4096, 16)
        except BlockingIOError:
            return False
        for descriptor in controls:
            os.close(descriptor)
        if b"READY=1" in data.split(b"\n"):
            return True
