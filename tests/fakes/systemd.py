# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's end of the notification socket."""

from __future__ import annotations

import socket


class Systemd:
    """The other end of the notification socket."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(10)

    def hear(self):
        return self.sock.recv(4096).decode().split("\n")

    def hear_with_descriptors(self):
        data, descriptors, _, _ = socket.recv_fds(self.sock, 4096, 4)
        return data.decode().split("\n"), descriptors

    def silent(self):
        self.sock.setblocking(False)
        try:
            return self.sock.recv(4096) is None
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(10)
