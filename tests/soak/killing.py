# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/soak/lockd runs: pylockd as a service of a machine with a real systemd, clients on a host beside
it, kills (SIGKILL) and restarts (systemctl restart) spread over the time. Read soak.

It ends with 1 when a lock was lost or given twice, when the server's table is not the clients' in the end, or
when a client saw an error of a restart.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from dataclasses import dataclass

from hosts import badnet, peers
from hosts.lab import Host, Lab
from hosts.lockload import PORT, Ledger, Turns, Worker, kill, restart, server_of, shown
from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT
from hosts.waiting import wait_for

RELAY = 4046
"""Port of the bad network between the clients' datagrams and the server."""
OPTIONS = f"""[fs.nfs]
nlm_udpport = {PORT}
nlm_tcpport = {PORT}
[nsm]
mode = embedded
"""


def install(lab: Lab, limit: float) -> SystemdHost:
    machine = lab.boot("h2", binds=[CHECKOUT], limit=limit)
    machine.run("mkdir", "-p", "/etc/pylockd.conf.d", check=True)
    machine.run(str(CHECKOUT / "bin" / "quickstart"), "--install", check=True)
    machine.write("/etc/pylockd.conf.d/50-test.conf", OPTIONS)
    peers.start_rpcbind(lab.h1)
    machine.systemctl("start", "pylockd")
    return machine


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients are like."""

    clients: int
    transport: str
    """udp, tcp, or both by turns."""
    files: int
    bad: float
    """How often a datagram is lost, doubled, or late: each. A TCP connection ends half as often in a call."""
    waiting: bool
    """Some locks are waited for."""

    def workers(self, place: Host, ledger: Ledger) -> list[Worker]:
        """The clients, on that host."""
        way = None
        if self.bad:
            words = [f"127.0.0.1:{RELAY}", f"{server_of(place)}:{PORT}", *[str(self.bad)] * 3, "1"]
            relay = place.start("/usr/bin/python3", badnet.__file__, *words, name="badnet")
            relay.wait_for_log("relaying")
            way = "127.0.0.1", RELAY
        turns = Turns(place, ledger) if self.waiting else None
        if turns is not None:
            turns.start()
        return [
            Worker(
                *(place, ledger, 100 + number),
                tcp={"udp": False, "tcp": True}.get(self.transport, bool(number % 2)),
                way=way,
                files=self.files,
                turns=turns,
                cuts=self.bad / 2,
            )
            for number in range(self.clients)
        ]


def soak(seconds: float, kills: int, restarts: int, *, load: Load, seed: int) -> list[str]:
    """What went wrong."""
    limit = seconds + 60 * (kills + restarts) + 120
    dice = random.Random(seed)
    events = [kill] * kills + [restart] * restarts
    dice.shuffle(events)
    with Lab(2, limit=limit) as lab:
        machine = install(lab, limit)
        ledger = Ledger()
        workers = load.workers(lab.h1, ledger)
        for worker in workers:
            worker.start()
        errors = {kill: 0, restart: 0}
        began = time.monotonic()
        for number, event in enumerate(events):
            due = began + seconds * (number + dice.random()) / len(events)
            time.sleep(max(0.0, due - time.monotonic()))
            seen, granted = len(ledger.errors), ledger.granted
            event(machine)
            wait_for(
                lambda at=granted: ledger.granted > at + 20 or ledger.wrong, what="locks to be granted again"
            )
            errors[event] += len(ledger.errors) - seen
            if ledger.wrong:
                break
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        ledger.over.set()
        for worker in workers:
            worker.join(90)
        model = set().union(*(worker.rows() for worker in workers))
        found = shown(machine)
        wrong = list(ledger.wrong)
        if found != model:
            wrong.append(f"lost: {sorted(model - found)[:10]}; never asked for: {sorted(found - model)[:10]}")
        if errors[restart]:
            wrong.append(f"{errors[restart]} errors seen by clients at restarts")
        if "traceback" in machine.journal("pylockd").lower():
            wrong.append("a traceback in the journal")
        print(
            f"{kills} kills, {restarts} restarts, {load.clients} clients: {ledger.granted} locks fought for, "
            f"{ledger.waited} of them waited for, {ledger.tended} changes of own locks, "
            f"{len(model)} held in the end; "
            f"connections made anew by clients: {errors[kill]} after kills, {errors[restart]} after restarts"
        )
        return wrong


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tests/soak/lockd", description="Kill and restart pylockd under load. Needs root."
    )
    parser.add_argument("--minutes", type=float, default=0.5, help="how long (%(default)s)")
    parser.add_argument("--kill", type=int, default=4, metavar="N", help="how many kills (%(default)s)")
    parser.add_argument("--restart", type=int, metavar="N", help="how many restarts (a quarter of the kills)")
    parser.add_argument("--clients", type=int, default=12, metavar="N", help="how many clients (%(default)s)")
    parser.add_argument(
        "--transport", choices=("both", "udp", "tcp"), default="both", help="of the clients (%(default)s)"
    )
    parser.add_argument("--files", type=int, default=4, metavar="N", help="how many to lock (%(default)s)")
    parser.add_argument(
        "--bad",
        type=float,
        default=0.02,
        metavar="P",
        help="how often a datagram is lost, doubled, late, or a connection cut (%(default)s)",
    )
    parser.add_argument("--no-waiting", action="store_true", help="nobody waits for a lock")
    parser.add_argument("--seed", type=int, default=1, help="of when what happens (%(default)s)")
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0:
        print("tests/soak/lockd: must be root: it runs a systemd in namespaces", file=sys.stderr)
        return 2
    restarts = max(1, arguments.kill // 4) if arguments.restart is None else arguments.restart
    load = Load(
        arguments.clients,
        arguments.transport,
        files=arguments.files,
        bad=arguments.bad,
        waiting=not arguments.no_waiting,
    )
    wrong = soak(60 * arguments.minutes, arguments.kill, restarts, load=load, seed=arguments.seed)
    for text in wrong[:20]:
        print(f"WRONG: {text}")
    print("ok" if not wrong else f"{len(wrong)} things wrong")
    return 1 if wrong else 0
