# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests: virtual machines with a Linux kernel of their own on a lab's bridge, as real NFSv3 clients.

A kernel has a lock manager of its own and shares rpcbind with it, so a kernel client needs a network and an
rpcbind where no other lock manager is: a machine. Qemu emulates the processor (no KVM needed); a guest is up
in about six seconds.

    lab = Lab(1, guests=2)                       h1 is a host of namespaces, h2 and h3 are names for guests
    one, two = Guest(lab, 2), Guest(lab, 3)      both boot at the same time
    one.wait_ready()
    one.mount("h1", "/export")                   on /mnt
    locker = one.locker("/mnt/file")             a process in the guest with that file open
    locker.lock(0, 100)                          True when granted, False when refused
    one.crash(); one.reboot()                    the same name, address and /var/lib/nfs come back

Commands reach a guest by TCP (port 9999, left out of captures by NOT_CONTROL).
"""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from hosts.holder import Process
from hosts.lab import Lab, ipv4, ipv6
from hosts.vmimage import Image
from hosts.waiting import wait_for

CONTROL_PORT = 9999
NOT_CONTROL = f"not tcp port {CONTROL_PORT} and not arp and not icmp6"
MEMORY = 192
PATIENCE = 20.0
"""Seconds for anything to happen in a guest: its processor is emulated, and the machine may be busy."""


class GuestError(RuntimeError):
    """The guest did not do as told."""


class Line:
    """One connection to a guest: a shell, or the program it became."""

    def __init__(self, guest: Guest) -> None:
        with guest.lab.switch.network():
            self._socket = socket.create_connection((guest.address, CONTROL_PORT), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = bytearray()

    def send(self, text: str) -> None:
        self._socket.sendall(text.encode() + b"\n")

    def read_line(self, timeout: float = PATIENCE) -> str:
        """The next line; GuestError when the other end is gone, TimeoutError when nothing comes."""
        self._socket.settimeout(timeout)
        while b"\n" not in self._input:
            data = self._socket.recv(65536)
            if not data:
                raise GuestError(f"the guest hung up after {bytes(self._input)!r}")
            self._input += data
        line, _, rest = self._input.partition(b"\n")
        self._input = rest
        return line.decode(errors="replace")

    def silent(self, seconds: float) -> bool:
        """Did nothing arrive for so long?"""
        self._socket.settimeout(seconds)
        if b"\n" in self._input:
            return False
        try:
            self._input += self._socket.recv(65536)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


class Locker:
    """A process in a guest with one file open (guest/locker.c). What it asks for is the kernel's business."""

    def __init__(self, guest: Guest, path: str) -> None:
        self.guest = guest
        self._line = Line(guest)
        self._line.send(f"exec locker {shlex.quote(path)} 2>&1")
        first = self._line.read_line()
        if not first.isdigit():
            raise GuestError(f"{path}: {first}")
        self.pid = int(first)

    def ask(self, request: str) -> None:
        """Begin something; answer() has how it ended."""
        self._line.send(request)

    def answer(self, timeout: float = PATIENCE) -> str:
        return self._line.read_line(timeout)

    def waits(self, seconds: float = 1.0) -> bool:
        """Is it still at what was asked, after so long?"""
        return self._line.silent(seconds)

    def call(self, request: str, timeout: float = PATIENCE) -> str:
        self.ask(request)
        return self.answer(timeout)

    def lock(self, start: int = 0, length: int = 0) -> bool:
        """F_SETLK for writing: granted or not; anything else is a GuestError."""
        return self._taken(self.call(f"lock {start} {length}"))

    def rlock(self, start: int = 0, length: int = 0) -> bool:
        return self._taken(self.call(f"rlock {start} {length}"))

    def lockw(self, start: int = 0, length: int = 0) -> None:
        """F_SETLKW, begun only: `waits()`, then `granted()`."""
        self.ask(f"lockw {start} {length}")

    def granted(self, timeout: float = PATIENCE) -> bool:
        """How the lock begun by `lockw` ended."""
        return self._taken(self.answer(timeout))

    def unlock(self, start: int = 0, length: int = 0) -> None:
        if (said := self.call(f"unlock {start} {length}")) != "ok":
            raise GuestError(f"unlock: {said}")

    def test(self, start: int = 0, length: int = 0) -> str:
        """F_GETLK for writing: "free", or as "held w START LENGTH" the lock in the way."""
        # the pid that follows is minus the svid of the holder, a number only its kernel knows
        return " ".join(self.call(f"test {start} {length}").split()[:4])

    def kill(self, signal: str = "KILL") -> None:
        self.guest.run(f"kill -{signal} {self.pid}")

    def close(self) -> None:
        """The process sees the end of its input and leaves; the kernel gives back what it held."""
        self._line.close()

    @staticmethod
    def _taken(said: str) -> bool:
        if said in ("ok", "EAGAIN", "EACCES"):
            return said == "ok"
        raise GuestError(said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Guest:
    """A virtual machine named h`number` with that host's addresses. It dies with the lab."""

    def __init__(self, lab: Lab, number: int, image: Image) -> None:
        self.lab = lab
        self.name = f"h{number}"
        self.address, self.address6 = ipv4(number), ipv6(number)
        self._image = image
        self._tap = f"tap{number}"
        self._number = number
        self.folder = lab.switch.work / self.name
        """Shared with the guest: what it is told about itself, and its /var/lib/nfs, which outlives it."""
        for name in ("nfs/sm", "nfs/sm.bak"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "nfs" / "state").touch()
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{lab.names}")
        (self.folder / "identity").write_text(
            f"name={self.name} address={self.address} address6={self.address6}\n"
        )
        lab.switch.run_in_network(
            *("ip", "-batch", "-"),
            input=f"tuntap add dev {self._tap} mode tap\nlink set {self._tap} master br0 up\n",
        )
        self.qemu = self._start()

    def _start(self) -> Process:
        words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(MEMORY), "-nodefaults"]
        words += ["-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]
        words += ["-kernel", str(self._image.kernel), "-initrd", str(self._image.initramfs)]
        words += ["-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable random.trust_cpu=on"]
        words += ["-netdev", f"tap,id=net,ifname={self._tap},script=no,downscript=no"]
        mac = f"52:54:00:97:00:{self._number:02x}"
        words += ["-device", f"virtio-net-pci,netdev=net,mac={mac},romfile="]
        words += ["-fsdev", f"local,id=shared,path={self.folder},security_model=passthrough"]
        words += ["-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared", "-device", "virtio-rng-pci"]
        return self.lab.switch.start(*words, name=f"guest-{self.name}")

    @property
    def console(self) -> str:
        return self.qemu.log

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Returns when its rpcbind, rpc.statd and control port answer."""
        self.qemu.wait_for_log("GUEST READY", timeout=timeout)
        wait_for(self._listens, what=f"the control port of {self.name}")

    def _listens(self) -> bool:
        try:
            Line(self).close()
        except ConnectionRefusedError:
            return False
        return True

    def run(self, script: str, *, timeout: float = PATIENCE, check: bool = True) -> str:
        """What a shell command wrote; GuestError when it failed."""
        line = Line(self)
        try:
            line.send(
                f"({script}) 2>&1; echo; echo =$?=; exit".replace("echo; echo =$?=", 'printf "\\n=$?=\\n"')
            )
            said: list[str] = []
            while not (said and said[-1].startswith("=") and said[-1].endswith("=")):
                said.append(line.read_line(timeout))
        finally:
            line.close()
        text = "\n".join(said[:-1]).removesuffix("\n")
        if check and said[-1] != "=0=":
            raise GuestError(f"{script}: exit {said[-1].strip('=')}: {text}")
        return text

    def mount(
        self, server: str, export: str | Path, options: str = "vers=3,proto=tcp,hard", where: str = "/mnt"
    ) -> None:
        self.run(f"mkdir -p {where}; mount.nfs {server}:{export} {where} -o {options}")

    def unmount(self, where: str) -> None:
        """Once nothing has a file open there: a process that was told to end takes its time."""
        tries = f"for i in $(seq 100); do umount {where} && exit 0; sleep 0.1; done; exit 1"
        self.run(f"({tries}) 2>/dev/null || umount {where}")

    def locker(self, path: str) -> Locker:
        return Locker(self, path)

    def bring(self, program: str) -> str:
        """Give it a program of this machine; the command that runs it there."""
        place = self.folder / "programs"
        place.mkdir(exist_ok=True)
        path = shutil.which(program)
        assert path is not None, program
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"(/\S+) \(0x", listed)
        for file in (path, *needed):
            shutil.copy(file, place)
        (loader,) = [Path(file).name for file in needed if Path(file).name.startswith("ld-")]
        return f"/shared/programs/{loader} --library-path /shared/programs /shared/programs/{program}"

    def monitored(self) -> set[str]:
        """The names on the list of its status monitor."""
        return {path.name for path in (self.folder / "nfs" / "sm").iterdir()}

    def unplug(self, *, back: bool = False) -> None:
        """Take its cable out of the switch, or put it back."""
        self.lab.switch.run_in_network("ip", "link", "set", self._tap, "up" if back else "down")

    def crash(self) -> None:
        """As a power cut: nobody is told anything."""
        self.qemu.stop(9)

    def reboot(self) -> None:
        """After crash(): boot again with what lay on disk; rpc.statd then tells those on its list."""
        assert not self.qemu.running
        self.qemu = self._start()
        self.wait_ready()


def boot(lab: Lab, *numbers: int, image: Image) -> list[Guest]:
    """Guests of these numbers, booted side by side."""
    guests = [Guest(lab, number, image) for number in numbers]
    for guest in guests:
        guest.wait_ready()
    return guests
