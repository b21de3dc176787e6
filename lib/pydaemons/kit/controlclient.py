# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands' end of a control socket (see kit.control): synchronous, small, quick to import.

with ControlClient("/run/pylockd/control", "org.pydaemons.lockd") as daemon:
    answer = daemon.call("Status")
    for event in daemon.watch("Watch", client="192.0.2.1"): ...
"""

from __future__ import annotations

import json
import os
import socket
from errno import ECONNREFUSED, ENOENT

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone would be a quarter of a command's start
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Any

_PATH = 107


class NotRunningError(Exception):
    """Nobody answers on the socket."""


class CallError(Exception):
    """The daemon's answer is an error: its qualified name and parameters."""

    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        super().__init__(_words(name, parameters))
        self.name = name
        self.parameters = parameters


class ControlClient:
    """A connection, opened by the first call. `interface` goes before method names without a dot."""

    def __init__(self, path: str, interface: str, *, timeout: float | None = 30.0) -> None:
        self.path = path
        self.interface = interface
        self._timeout = timeout
        self._sock: socket.socket | None = None
        self._buffer = bytearray()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, method: str, /, **parameters: object) -> dict[str, Any]:
        """Call `method` and return what its answer holds. Parameters that are None are left out. Raises
        CallError, NotRunningError."""
        self._ask(method, parameters, more=False)
        return self._answer()[0]

    def watch(self, method: str, /, **parameters: object) -> Iterator[dict[str, Any]]:
        """Call a method that streams and yield its answers as they come, however long it takes."""
        answers = self.pieces(method, **parameters)
        if self._sock is not None:
            self._sock.settimeout(None)
        yield from answers

    def pieces(self, method: str, /, **parameters: object) -> Iterator[dict[str, Any]]:
        """Call a method whose answer comes in pieces, each of which is waited for as for an answer."""
        self._ask(method, parameters, more=True)
        return self._pieces()

    def _pieces(self) -> Iterator[dict[str, Any]]:
        continues = True
        while continues:
            answer, continues = self._answer()
            if continues or answer:
                yield answer

    def close(self) -> None:
        """Hang up."""
        if self._sock is not None:
            self._sock.close()
        self._sock = None

    def _ask(self, method: str, parameters: Mapping[str, object], *, more: bool) -> None:
        qualified = method if "." in method else f"{self.interface}.{method}"
        given = {name: value for name, value in parameters.items() if value is not None}
        request = {"method": qualified, "parameters": given, **({"more": True} if more else {})}
        if self._sock is None:
            self._sock = self.connect()
        try:
            # the commands let SIGPIPE end them, for the sake of `| head`; a daemon that left is no such end
            self._sock.sendall(json.dumps(request).encode() + b"\0", socket.MSG_NOSIGNAL)
        except OSError as error:
            raise NotRunningError(f"{self.path}: {error.strerror}") from error

    def _answer(self) -> tuple[dict[str, Any], bool]:
        assert self._sock is not None
        while (end := self._buffer.find(b"\0")) < 0:
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                raise NotRunningError(f"{self.path}: no answer within {self._timeout:.0f} s") from None
            except OSError as error:
                raise NotRunningError(f"{self.path}: {error.strerror}") from error
            if not data:
                raise NotRunningError(f"{self.path}: the daemon hung up")
            self._buffer += data
        answer = json.loads(self._buffer[:end])
        del self._buffer[: end + 1]
        parameters = answer.get("parameters") or {}
        if "error" in answer:
            raise CallError(answer["error"], parameters)
        return parameters, answer.get("continues") is True

    def connect(self) -> socket.socket:
        """A socket of its own to the daemon. Raises NotRunningError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        sock.settimeout(self._timeout)
        try:
            if len(os.fsencode(self.path)) <= _PATH:
                sock.connect(self.path)
            else:
                folder, _, name = self.path.rpartition("/")
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    sock.connect(f"/proc/self/fd/{descriptor}/{name}")
                finally:
                    os.close(descriptor)
        except OSError as error:
            sock.close()
            reason = "not running" if error.errno in (ENOENT, ECONNREFUSED) else error.strerror
            raise NotRunningError(f"{self.path}: {reason}") from error
        return sock


def _words(name: str, parameters: Mapping[str, Any]) -> str:
    """An error for people: the last part of its name in words, and what it says."""
    word = name.rpartition(".")[2]
    text = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in word).strip()
    if "message" in parameters:
        return str(parameters["message"])
    values = ", ".join(f"{key} {value}" for key, value in parameters.items())
    return f"{text}: {values}" if values else text
