# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls a server on this machine over Rx as bos does, and prints calls per second: ... SECONDS CLIENTS.

Each client is a process with one connection that asks for the name of the first bnode, takes the answer,
acknowledges it, and asks again. Python's standard library only: it runs on hosts.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from multiprocessing import Barrier, Pipe, Process
from typing import Any

PORT = 7007
_HEAD = struct.Struct("!5I4B2H")
_REQUEST = struct.pack("!2I", 84, 0)
_ACK = struct.pack("!2H3I2B", 0, 0, 2, 1, 0, 8, 0) + b"\0\0\0" + struct.pack("!4I", 5692, 1444, 32, 4)
DATA, ACK, PATIENCE = 1, 2, 5.0


def client(begin: Any, seconds: float, result: Any) -> None:
    """Calls until the time is over; then how many there were, and how long it took."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", PORT))
    sock.settimeout(PATIENCE)
    epoch, cid, serial, number = 0x80000000 | os.getpid(), int.from_bytes(os.urandom(3), "big") << 2, 0, 0
    send, receive, pack = sock.send, sock.recv, _HEAD.pack
    begin.wait()
    start = time.perf_counter()
    end = start + seconds
    while time.perf_counter() < end:
        number, serial = number + 1, serial + 2
        send(pack(epoch, cid, number, 1, serial - 1, DATA, 5, 0, 0, 0, 1) + _REQUEST)
        wanted = number.to_bytes(4, "big")
        while True:
            answer = receive(2048)
            if answer[8:12] == wanted and answer[20] == DATA:
                break
        send(pack(epoch, cid, number, 0, serial, ACK, 33, 0, 0, 0, 1) + _ACK)
    result.send((number, time.perf_counter() - start))


def main(seconds: float, clients: int) -> None:
    begin, results = Barrier(clients), []
    processes = []
    for _ in range(clients):
        ours, theirs = Pipe()
        results.append(ours)
        processes.append(Process(target=client, args=(begin, seconds, theirs)))
        processes[-1].start()
    print(sum(number / taken for number, taken in (pipe.recv() for pipe in results)))
    for process in processes:
        process.join()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
