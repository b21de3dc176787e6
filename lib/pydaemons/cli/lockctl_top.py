# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockctl top: who has what, who waits, for whom, again and again. Read top.

On a terminal it is a picture that keys change and that outlives pylockd's restarts; elsewhere, and with -n,
it is so many pictures in plain text, or as many lines of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from itertools import count

from pydaemons.cli import tables
from pydaemons.cli.lockctl_screen import ORDERS, Sample, View, client_of, client_rates, picture, rates
from pydaemons.cli.lockctl_shared import OK
from pydaemons.cli.terminal import ENDED, Terminal
from pydaemons.kit.controlclient import ControlClient, NotRunningError

PATIENCE = 5.0
"""Seconds for an answer: a picture must not stand still for longer without saying so."""
FILES = 20
"""Files of a picture that is not on a terminal."""
STEPS = {"up": -1, "down": 1, "page up": -10, "page down": 10}


class Source:
    """Surveys and the rates between them."""

    def __init__(self, path: str, interface: str) -> None:
        self._path, self._interface = path, interface
        self._client: ControlClient | None = None
        self._since: dict[int, float] = {}
        self._last: Sample | None = None

    def look(self, view: View, files: int) -> Sample:
        """How it is now; NotRunningError."""
        if self._client is None:
            self._client = ControlClient(self._path, self._interface, timeout=PATIENCE)
        try:
            answer = self._client.call("Survey", files=files, order=view.order)
            if answer["pid"] not in self._since:
                self._since = {answer["pid"]: self._client.call("Status")["since"]}
        except NotRunningError:
            self.close()
            raise
        sample = Sample(answer, time.time())
        before = None if self._last is None else self._last.answer
        view.rates = rates(answer, before, sample.at - self._since[answer["pid"]])
        view.of_clients = client_rates(answer, before, sample.at)
        self._last = sample
        return sample

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


def top(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Until `q`, or so many times."""
    view = View(order=arguments.sort)
    source = Source(daemon.path, daemon.interface)
    live = not arguments.json and sys.stdin.isatty() and sys.stdout.isatty() and not arguments.iterations
    try:
        if live and os.environ.get("TERM") != "dumb":
            _watch(source, view, arguments.delay)
        elif live:  # a terminal that knows no commands: one picture below the other, until Ctrl-C
            _print(source, view, arguments, count())
        else:
            _print(source, view, arguments, range(arguments.iterations or 1))
    finally:
        source.close()
    return OK


def _print(source: Source, view: View, arguments: argparse.Namespace, rounds: Iterable[int]) -> None:
    for number in rounds:
        if number:
            time.sleep(arguments.delay)
            if not arguments.json:
                print()
        sample = source.look(view, FILES)
        if arguments.json:
            clients = [
                {**row, "calls_per_second": view.of_clients[client_of(row)]}
                for row in sample.answer["clients"]
            ]
            told = {"time": sample.at, "rates": view.rates, **sample.answer, "clients": clients}
            print(json.dumps(told), flush=True)
        else:
            print("\n".join(picture(sample, view, width=None, height=None)), flush=True)


def _watch(source: Source, view: View, delay: float) -> None:
    color = tables.style_of(sys.stdout).color
    sample = source.look(view, FILES)  # who is not there at the beginning is not waited for
    with Terminal() as terminal:
        due = 0.0
        while True:
            size = terminal.size()
            if time.monotonic() >= due:
                due = time.monotonic() + delay
                try:
                    sample = source.look(view, view.scroll + size.lines)
                    view.trouble = ""
                except NotRunningError as error:
                    stamp = time.strftime("%H:%M:%S", time.localtime(sample.at))
                    view.trouble = f"{error}; this is how it was at {stamp}"
            terminal.draw(picture(sample, view, width=size.columns, height=size.lines, color=color))
            key = terminal.key(max(0.0, due - time.monotonic()))
            if key in ("q", "Q", ENDED):
                return
            if key in ORDERS:
                view.order, view.scroll, due = ORDERS[key], 0, 0.0
            elif key == "c":
                view.clients = not view.clients
            elif key == " ":
                due = 0.0
            elif key == "redraw":
                terminal.forget()
            elif key == "home":
                view.scroll = 0
            elif key in STEPS:
                view.scroll = max(0, view.scroll + STEPS[key])
