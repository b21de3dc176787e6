# SPDX-License-Identifier: GPL-3.0-or-later
"""Small hosts joined by a bridge: one set of namespaces per host, nothing of it in the machine's own network.

`with Lab(n=3) as lab:` gives lab.h1 … lab.h3 with net0 = 10.97.0.K/24 and fd00:97::K/64, names h1 … h3 (and
h1-6 … h3-6 for the IPv6 address) in every host's /etc/hosts, and an empty resolv.conf. Each host has its own
/run, /var/lib/nfs, hostname and boot id. `lab.boot("h2", units=…)` puts a systemd machine on h2's network.
Further bridges: `lab.join(lab.h1, 1)` adds net1 = 10.97.1.1/24.
"""

from __future__ import annotations

import os
import re
import signal
import uuid
from pathlib import Path
from typing import Any, Self

from hosts.holder import Held, Process
from hosts.machine import SystemdHost
from hosts.waiting import wait_for


class Capture:
    """A running tcpdump. finish() ends it with every packet seen so far in the file."""

    _COUNTS = re.compile(
        r"(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel"
    )

    def __init__(self, process: Process, path: Path) -> None:
        self.process = process
        self.path = path
        process.wait_for_log("listening on")

    def finish(self) -> Path:
        """The file, complete: at SIGINT tcpdump drops what it has not read, so it is asked to catch up."""
        counts: list[tuple[int, int, int]] = []
        wait_for(lambda: self._caught_up(counts), what="tcpdump to have read every packet", every=0.05)
        self.process.stop(signal.SIGINT)
        return self.path

    def _caught_up(self, counts: list[tuple[int, int, int]]) -> bool:
        """Packets of the moment before its filter was in force may count as received for ever, so counts that
        stand still will do as well."""
        seen = len(self._COUNTS.findall(self.process.log))
        self.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: len(self._COUNTS.findall(self.process.log)) > seen, what="tcpdump's counts")
        captured, received, dropped = map(int, self._COUNTS.findall(self.process.log)[-1])
        counts.append((captured, received, dropped))
        return captured + dropped >= received or counts[-5:] == [counts[-1]] * 5


class Host(Held):
    """A bare host of a lab: the outer file system, its own /run, /var/lib/nfs, /etc/hosts and network."""

    def __init__(self, name: str, *, number: int, hosts: str, limit: float) -> None:
        self.name = name
        self.number = number
        super().__init__(
            {"kind": "bare", "hostname": name, "hosts": hosts, "network": "", "name": "", "limit": limit},
        )

    @property
    def address(self) -> str:
        return ipv4(self.number)

    @property
    def address6(self) -> str:
        return ipv6(self.number)

    @property
    def run_dir(self) -> Path:
        """The host's /run as the outer machine reaches it, for reading what its daemons left there."""
        return Path(f"/proc/{self.init}/root/run")

    def add_address(self, address: str, device: str = "net0") -> None:
        """A further address such as 10.97.0.99/24: a host with two addresses, or a moved service address."""
        self.run("ip", "address", "add", address, "dev", device, "nodad", check=True)

    def new_boot_id(self) -> str:
        """What a daemon here takes for the kernel's boot id changes, as after a reboot of the machine."""
        value = str(uuid.uuid4())
        (self.work / "boot_id").write_text(value + "\n")
        return value

    def capture(self, path: str | os.PathLike[str], expression: str = "", device: str = "any") -> Capture:
        """tcpdump into `path`, capturing when this returns; its finish() completes the file."""
        process = self.start(
            *(
                "tcpdump",
                "-Z",
                "root",
                "-U",
                "--immediate-mode",
                "-n",
                "-s",
                "0",
                "-i",
                device,
                "-w",
                os.fspath(path),
            ),
            *([expression] if expression else []),
            name="tcpdump",
        )
        return Capture(process, Path(path))


def ipv4(number: int, network: int = 0) -> str:
    return f"10.97.{network}.{number}"


def ipv6(number: int, network: int = 0) -> str:
    return f"fd00:97:{network}::{number}" if network else f"fd00:97::{number}"


class Lab:
    """`n` hosts on one bridge. Everything dies with the lab, and the lab with the process that made it."""

    def __init__(self, n: int = 2, *, guests: int = 0, limit: float = 180.0) -> None:
        """`guests`: so many more hosts are only names and addresses, for virtual machines to have (vm.py)."""
        self.names = "".join(
            f"{ipv4(number)} h{number}\n{ipv6(number)} h{number}-6\n" for number in range(1, n + guests + 1)
        )
        names = f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{self.names}"
        self._limit = limit
        self._machines: list[SystemdHost] = []
        self._bridges: set[int] = set()
        self.switch = Host("switch", number=254, hosts=names, limit=limit)
        self.hosts: dict[str, Host] = {}
        try:
            for number in range(1, n + 1):
                name = f"h{number}"
                self.hosts[name] = Host(name, number=number, hosts=names, limit=limit)
            for host in (self.switch, *self.hosts.values()):
                host.wait_ready()
            for host in self.hosts.values():
                self.join(host, 0)
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name: str) -> Host:
        try:
            return self.__dict__["hosts"][name]
        except KeyError:
            raise AttributeError(f"no host {name} in this lab") from None

    def join(self, host: Host, network: int) -> None:
        """Give `host` an interface netN on bridge N (made when needed)."""
        bridge, port, device = f"br{network}", f"p{network}-{host.name}", f"net{network}"
        commands = ""
        if network not in self._bridges:
            self._bridges.add(network)
            commands += (
                f"link add {bridge} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n"
                f"address add {ipv4(254, network)}/24 dev {bridge}\nlink set {bridge} up\n"
            )
        # the peer is born in the host's namespace: it never shows in the machine's own
        commands += (
            f"link add {port} type veth peer name {device} netns {host.init}\n"
            f"link set {port} master {bridge} up\n"
        )
        self._in_network(self.switch, commands)
        self._in_network(
            host,
            f"link set {device} up\n"
            f"address add {ipv4(host.number, network)}/24 broadcast + dev {device}\n"
            f"address add {ipv6(host.number, network)}/64 dev {device} nodad\n",
        )

    def unplug(self, host: Host, network: int = 0, *, back: bool = False) -> None:
        """Take the host's cable out of the switch (or put it back): what a crash looks like to the others."""
        state = "up" if back else "down"
        self._in_network(self.switch, f"link set p{network}-{host.name} {state}\n")

    @staticmethod
    def _in_network(host: Host, commands: str) -> None:
        """`ip -batch` in the host's network, but outside its PID namespace: `netns PID` needs outer pids."""
        host.run_in_network("ip", "-batch", "-", input=commands)

    def boot(self, name: str, **options: Any) -> SystemdHost:
        """A machine with systemd on the network of host `name` (which then runs nothing else itself)."""
        host = self.hosts[name]
        machine = SystemdHost(
            network=f"/proc/{host.init}/ns/net",
            hostname=name,
            hosts=(host.work / "hosts").read_text(),
            limit=options.pop("limit", self._limit),
            **options,
        )
        self._machines.append(machine)
        return machine

    def close(self) -> None:
        for machine in self._machines:
            machine.close()
        for host in (*self.hosts.values(), self.switch):
            host.release()
        for host in (*self.hosts.values(), self.switch):
            host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
