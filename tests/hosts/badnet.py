# SPDX-License-Identifier: GPL-3.0-or-later
"""A bad network between UDP clients and a server: badnet.py ADDRESS:PORT SERVER:PORT LOSS DOUBLE LATE SEED.

Every datagram, in both directions, is lost, doubled, or comes late (behind others sent after it) with these
probabilities. A relay and not tc-netem(8): there are kernels without sch_netem, and its dice are not ours.
Python's standard library only: it runs on hosts.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import sys
import time
from itertools import count

LATE = 0.03
"""Seconds: some round trips of a lab."""
Address = tuple[str, int]


def main(listen: Address, server: Address, loss: float, double: float, late: float, seed: int) -> None:
    dice = random.Random(seed)
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind(listen)
    back: dict[Address, socket.socket] = {}
    clients: dict[socket.socket, Address] = {}
    waiting: list[tuple[float, int, socket.socket, Address, bytes]] = []
    order = count()
    print("relaying", flush=True)

    def send(sock: socket.socket, data: bytes, to: Address) -> None:
        if dice.random() < loss:
            return
        for _ in range(1 + (dice.random() < double)):
            at = time.monotonic() + (LATE if dice.random() < late else 0.0)
            heapq.heappush(waiting, (at, next(order), sock, to, data))

    while True:
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, sock, to, data = heapq.heappop(waiting)
            try:
                sock.sendto(data, to)
            except OSError:
                pass  # a client that has gone
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
        for sock in select.select([front, *clients], [], [], patience)[0]:
            try:
                data, peer = sock.recvfrom(65536)
            except OSError:
                continue
            if sock is not front:
                send(front, data, clients[sock])
                continue
            if peer not in back:
                back[peer] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                clients[back[peer]] = peer
            send(back[peer], data, server)


def address(word: str) -> Address:
    host, _, port = word.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(address(words[0]), address(words[1]), *(float(word) for word in words[2:5]), int(words[5]))
