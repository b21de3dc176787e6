# SPDX-License-Identifier: GPL-3.0-or-later
"""What we tell systemd: readiness, reload, status, watchdog, and descriptors to keep (sd_notify(3)).

Over sdnotify's SystemdNotifier, whose socket is used directly where it falls short: it encodes latin-1, so
that a status with other letters is lost without a word, and it cannot pass descriptors. Without systemd every
call does nothing.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence

from sdnotify import SystemdNotifier

STATUS_INTERVAL = 1.0


class Notifier:
    """The notification socket of this process. Made once, early: it takes NOTIFY_SOCKET and WATCHDOG_* out of
    the environment, so that children do not speak in our name."""

    def __init__(self) -> None:
        environ = os.environ
        self._socket: socket.socket | None = None
        if environ.get("NOTIFY_SOCKET"):
            self._socket = SystemdNotifier().socket
            if self._socket is not None:
                self._socket.settimeout(5.0)
        self._status = ""
        self._status_at = float("-inf")
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        ours = not pid or pid == str(os.getpid())
        self.watchdog_interval: float | None = None
        """How often `watchdog` must be called: half of what systemd waits."""
        if self._socket is not None and ours and usec.isdecimal() and int(usec) > 0:
            self.watchdog_interval = int(usec) / 2e6
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)

    @property
    def active(self) -> bool:
        """Somebody listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """The start, or a reload, is complete."""
        self._status = status or self._status
        self._tell("READY=1", *([f"STATUS={_line(status)}"] if status else []))

    def reloading(self) -> None:
        """A reload begins; `ready` must follow. The stamp is what Type=notify-reload wants."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The orderly end begins."""
        self._tell("STOPPING=1")

    def status(self, text: str, now: float) -> bool:
        """One line for people, sent when it changed and at most once a second (`now` is monotonic). False
        when it was held back and should be offered again."""
        if text == self._status:
            return True
        if now - self._status_at < STATUS_INTERVAL:
            return False
        self._status, self._status_at = text, now
        self._tell(f"STATUS={_line(text)}")
        return True

    def watchdog(self) -> None:
        """We are alive."""
        self._tell("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Starting, stopping or reloading goes on for up to `seconds` more."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def failed(self, status: str, errno: int = 0) -> None:
        """Why we give up."""
        self._tell(f"STATUS={_line(status)}", *([f"ERRNO={errno}"] if errno else []))

    def store(self, name: str, descriptor: int, *, poll: bool = True) -> bool:
        """Have systemd keep `descriptor` over a restart as `name`, which must be unique: `forget` removes all
        of a name. False when it was not even sent. With `poll` systemd drops it once the peer hangs up."""
        lines = ["FDSTORE=1", f"FDNAME={name}", *([] if poll else ["FDPOLL=0"])]
        return self._tell(*lines, descriptors=[descriptor])

    def forget(self, name: str) -> None:
        """Have systemd close its copy of `name`. Call before closing our own, or the peer never sees the end
        of its connection."""
        self._tell("FDSTOREREMOVE=1", f"FDNAME={name}")

    def barrier(self, timeout: float = 5.0) -> bool:
        """Wait until systemd has read everything sent so far."""
        if self._socket is None:
            return True
        ours, theirs = os.pipe()
        try:
            sent = self._tell("BARRIER=1", descriptors=[theirs])
            os.close(theirs)
            theirs = -1
            poll = select.poll()
            poll.register(ours, select.POLLHUP)
            return sent and bool(poll.poll(timeout * 1000))
        finally:
            os.close(ours)
            if theirs >= 0:
                os.close(theirs)

    def _tell(self, *lines: str, descriptors: Sequence[int] = ()) -> bool:
        if self._socket is None:
            return False
        data = "\n".join(lines).encode("utf-8", "backslashreplace")
        try:
            if descriptors:
                socket.send_fds(self._socket, [data], list(descriptors))
            else:
                self._socket.sendall(data)
        except OSError:
            # systemd is not there or does not listen: what we do is not less right for it.
            return False
        return True


def _line(text: str) -> str:
    return text.replace("\n", " ")
