# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a pybosd: its control socket here, or that of another machine through ssh.

For another machine `ssh HOST pybos relay` is run and speaks for us there, as the user that ssh makes us:
no protocol of our own on the network, no keys but ssh's.
"""

from __future__ import annotations

import os
import select
import socket

from pydaemons.kit.controlclient import CallError, ControlClient, NotRunningError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

INTERFACE = "org.pydaemons.bosd"
REFUSED = f"{INTERFACE}.Refused"
DEFAULT_SOCKET = "/run/pybosd/control"


class Refused(Exception):  # noqa: N818 -- an answer, no accident
    """The daemon's no: the peer's code and text, and a reason or nothing."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.code = int(parameters.get("code", -1))
        self.text = str(parameters.get("text", ""))
        self.reason = str(parameters.get("message", ""))
        super().__init__(self.text)

    @property
    def status(self) -> int:
        """What the command exits with: the low byte, as the peer."""
        return self.code & 0xFF or 1

    def __str__(self) -> str:
        return f"({self.text})" + (f": {self.reason}" if self.reason else "")


class UnreachableError(Exception):
    """No pybosd answers on another machine; ssh has said why, if it knows."""


class _Ssh(ControlClient):
    """A control socket at the other end of ssh."""

    def __init__(self, host: str, path: str) -> None:
        super().__init__(f"{host}:{path}", INTERFACE, timeout=None)
        self._host = host
        self._remote_path = path

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        command = [
            "ssh",
            "-o",
            "BatchMode=yes",
            "--",
            self._host,
            "pybos",
            "--socket",
            self._remote_path,
            "relay",
        ]
        import subprocess  # noqa: PLC0415 -- only for other machines: it costs 3 ms

        subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno())
        theirs.close()
        return ours


class Link:
    """Calls to one pybosd."""

    def __init__(self, path: str, host: str | None) -> None:
        self._host = host
        self._client = ControlClient(path, INTERFACE, timeout=None) if host is None else _Ssh(host, path)

    def call(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The result; Refused when it says no."""
        try:
            result: dict[str, Any] = self._call(verb, arguments)["result"]
        except CallError as error:
            if error.name == REFUSED:
                raise Refused(error.parameters) from error
            raise
        return result

    def call_common(self, method: str) -> dict[str, Any]:
        """A method that every daemon of the family has."""
        return self._call(f"org.pydaemons.Daemon.{method}", {})

    def _call(self, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._client.call(method, **arguments)
        except NotRunningError as error:
            if self._host is None:
                raise
            raise UnreachableError(f"no pybosd answers on {self._host} by ssh") from error


def relay(path: str) -> int:
    """Between standard input and output and the control socket until the daemon hangs up, or whoever reads
    our output does; the end of the input is passed on, so that what was asked is still answered."""
    with ControlClient(path, INTERFACE, timeout=None).connect() as sock:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(sock, select.POLLIN)
        poll.register(1, 0)  # tells when nobody reads it any more
        while True:
            ready = dict(poll.poll())
            if 1 in ready:
                return 1
            if 0 in ready:
                data = os.read(0, _PIECE)
                if data:
                    sock.sendall(data)
                else:
                    poll.unregister(0)
                    sock.shutdown(socket.SHUT_WR)
            if sock.fileno() in ready:
                data = sock.recv(_PIECE)
                if not data:
                    return 0
                while data:
                    data = data[os.write(1, data) :]


_PIECE = 65536
