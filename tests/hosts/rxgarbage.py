# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends mutated Rx packets: rxgarbage.py HOST:PORT COUNT SEED. Prints as JSON how much was sent and how much
came back. Python's standard library only: it runs on hosts.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys

HEAD = struct.Struct("!5I4B2H")
FRESH = 2000
"""Packets from one socket before the next takes its place."""
CHUNK = 100
"""Packets sent before answers are looked at: a receive buffer holds more."""


def packet(kind: int, body: bytes, *, flags: int = 5, seq: int = 1, call: int = 1, service: int = 1) -> bytes:
    return HEAD.pack(0x90000000, 0x1000, call, seq, 1, kind, flags, 0, 0, 0, service) + body


def text(value: bytes) -> bytes:
    return struct.pack("!I", len(value)) + value + b"\0" * (-len(value) % 4)


ACK = (
    struct.pack("!2H3I2B", 0, 0, 1, 0, 1, 6, 3)
    + b"\1\0\1"
    + b"\0\0\0"
    + struct.pack("!4I", 5692, 1444, 32, 4)
)
CALLS = [
    struct.pack("!2I", 84, 0), struct.pack("!I", 83) + text(b"a"), struct.pack("!I", 85) + text(b"a"),
    struct.pack("!I", 112) + text(b"BigLog"), struct.pack("!I", 108) + text(b"true"), struct.pack("!I", 113),
    struct.pack("!I", 80) + text(b"simple") + text(b"x" * 200) + text(b"/bin/x") * 5 + text(b""),
    struct.pack("!I", 105) + text(b"/usr/afs/bin/x") + struct.pack("!3I", 100_000, 0o755, 1) + bytes(1000),
]  # fmt: skip
SAMPLES = [
    *(packet(1, body) for body in CALLS),
    *(packet(1, body, flags=1) for body in CALLS),
    packet(1, CALLS[0], seq=2), packet(2, ACK, seq=0, flags=3), packet(2, ACK[:20], seq=0), packet(3, b""),
    packet(4, b"\xff\xff\xff\xff"), packet(5, b""), packet(6, bytes(16)), packet(7, bytes(210)),
    packet(8, struct.pack("!2I", 1, 0)), packet(13, b"\0"), packet(13, bytes(65)),
    packet(1, bytes(1412) + bytes(4) + bytes(100), flags=0x21),
]  # fmt: skip


def mutated(dice: random.Random) -> bytes:
    data = bytearray(dice.choice(SAMPLES))
    struct.pack_into("!2I", data, 0, dice.choice((0x90000000, 7)), dice.randrange(64) * 4)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        data[dice.randrange(len(data))] = dice.choice((0, 1, 2, 4, 8, 127, 128, 255, dice.randrange(256)))
    if dice.random() < 0.15:
        del data[dice.randrange(len(data)) :]
    if dice.random() < 0.05:
        data += dice.randbytes(dice.randrange(2000))
    return bytes(data)


def main(host: str, port: int, number: int, seed: int) -> None:
    dice = random.Random(seed)
    sent = received = sent_bytes = received_bytes = 0
    sock = None
    for index in range(number):
        if sock is None or index % FRESH == 0:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((host, port))
        data = mutated(dice)
        try:
            sock.send(data)
        except ConnectionRefusedError:
            pass
        sent, sent_bytes = sent + 1, sent_bytes + len(data)
        if index % CHUNK == CHUNK - 1:
            sock.settimeout(0.02)
            while True:
                try:
                    answer = sock.recv(65536)
                except (TimeoutError, ConnectionRefusedError):
                    break
                received, received_bytes = received + 1, received_bytes + len(answer)
                sock.settimeout(0.002)
    print(
        json.dumps({"sent": sent, "sent_bytes": sent_bytes, "back": received, "back_bytes": received_bytes})
    )


if __name__ == "__main__":
    where, _, port_word = sys.argv[1].rpartition(":")
    main(where, int(port_word), int(sys.argv[2]), int(sys.argv[3]))
