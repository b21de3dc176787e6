# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/soak/lockd runs: pylockd as a service of a machine with a real systemd, clients on a host beside
it, kills (SIGKILL) and restarts (systemctl restart) spread over the time. Read soak.

It ends with 1 when a lock was lost or given twice, when the server's table is not the clients' in the end, or
when a client saw an error of a restart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time

from hosts import peers
from hosts.lab import Lab
from hosts.lockload import OWN, PORT, Ledger, Worker, kill, restart
from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT
from hosts.waiting import wait_for

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


def held(machine: SystemdHost) -> set[tuple[int, int, int, str]]:
    """svid, offset, length, mode of the locks on OWN, as pylockd tells."""
    out = machine.run("pylockctl", "locks", "--json", check=True).stdout
    rows = json.loads(out)
    rows = rows["locks"] if isinstance(rows, dict) else rows
    return {
        (row["svid"], row["offset"], row["length"], row["mode"]) for row in rows if row["file"] == OWN.hex()
    }


def soak(seconds: float, kills: int, restarts: int, *, clients: int, seed: int) -> list[str]:
    """What went wrong."""
    limit = seconds + 60 * (kills + restarts) + 120
    dice = random.Random(seed)
    events = [kill] * kills + [restart] * restarts
    dice.shuffle(events)
    with Lab(2, limit=limit) as lab:
        machine = install(lab, limit)
        ledger = Ledger()
        workers = [Worker(lab.h1, ledger, 100 + n, tcp=bool(n % 2)) for n in range(clients)]
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
        found = held(machine)
        wrong = list(ledger.wrong)
        if found != model:
            wrong.append(f"lost: {sorted(model - found)[:10]}; never asked for: {sorted(found - model)[:10]}")
        if errors[restart]:
            wrong.append(f"{errors[restart]} errors seen by clients at restarts")
        if "traceback" in machine.journal("pylockd").lower():
            wrong.append("a traceback in the journal")
        print(
            f"{kills} kills, {restarts} restarts, {clients} clients: {ledger.granted} locks fought for, "
            f"{ledger.tended} changes of own locks, {len(model)} held in the end; "
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
    parser.add_argument("--seed", type=int, default=1, help="of when what happens (%(default)s)")
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0:
        print("tests/soak/lockd: must be root: it runs a systemd in namespaces", file=sys.stderr)
        return 2
    restarts = max(1, arguments.kill // 4) if arguments.restart is None else arguments.restart
    wrong = soak(
        60 * arguments.minutes, arguments.kill, restarts, clients=arguments.clients, seed=arguments.seed
    )
    for text in wrong[:20]:
        print(f"WRONG: {text}")
    print("ok" if not wrong else f"{len(wrong)} things wrong")
    return 1 if wrong else 0
