# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of other masters, fetched by a process each (see fetchlist), never waited for by anybody. Read
ListFetcher.fetch."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import pydaemons
from pydaemons.netbios.browse import LONGEST_COMMENT
from pydaemons.netbios.node.browsesync import FetchList, ListFetched
from pydaemons.netbios.node.serverlist import Told, clean_text

PATIENCE = 45.0
"""Seconds a fetch may take as a whole."""
MOST_BYTES = 16 << 20
"""Of an answer."""
LIB = os.path.dirname(os.path.dirname(os.path.abspath(pydaemons.__file__)))


class ListFetcher:
    """All fetches under way. `done` takes what came of each."""

    def __init__(self, done: Callable[[ListFetched], None]) -> None:
        self._done = done
        self._running: set[asyncio.Task[None]] = set()

    def fetch(self, effect: FetchList, charset: str) -> None:
        """Begin."""
        task = asyncio.ensure_future(self._fetch(effect, charset))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _fetch(self, effect: FetchList, charset: str) -> None:
        servers = "" if effect.servers is None else str(effect.servers)
        words = (effect.host, effect.name, effect.group, servers, str(effect.groups), charset)
        try:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pydaemons.nmbd.fetchlist", *words),
                env={**os.environ, "PYTHONPATH": LIB},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            self._done(ListFetched(effect.host, effect.group, error=f"{sys.executable}: {error.strerror}"))
            return
        assert child.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                text, whole = await _read(child.stdout)
                if whole:
                    await child.wait()  # killed on its way out, it might be reaped behind asyncio's back
            result = parse(effect, text)
        except TimeoutError:
            result = ListFetched(effect.host, effect.group, error=f"no list within {PATIENCE:.0f} s")
        finally:
            if child.returncode is None:
                try:
                    child.kill()
                except ProcessLookupError:
                    pass
            while await child.stdout.read(65536):
                pass  # what nobody reads keeps asyncio from seeing the end
            await child.wait()
        self._done(result)

    async def stop(self) -> None:
        """Give all of them up."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _read(stream: asyncio.StreamReader) -> tuple[bytes, bool]:
    """All that is said, if it is whole; nothing of an answer without end."""
    parts: list[bytes] = []
    size = 0
    while piece := await stream.read(65536):
        size += len(piece)
        if size > MOST_BYTES:
            return b"", False
        parts.append(piece)
    return b"".join(parts), True


def parse(effect: FetchList, text: bytes) -> ListFetched:
    """What the process printed."""
    try:
        answer: dict[str, Any] = json.loads(text)
        if "error" in answer:
            return ListFetched(effect.host, effect.group, error=str(answer["error"]))
        servers = tuple(filter(None, map(_told, answer["servers"])))
        groups = tuple(filter(None, map(_told, answer["groups"])))
    except (ValueError, KeyError, TypeError):
        return ListFetched(effect.host, effect.group, error="the fetching process ended without an answer")
    return ListFetched(effect.host, effect.group, servers, groups)


def _told(entry: list[Any]) -> Told | None:
    """One line, cleaned as what comes in frames is."""
    name, types, comment, major, minor = entry
    shown = clean_text(str(name)).strip().upper()
    return (
        Told(shown, int(types), clean_text(str(comment), LONGEST_COMMENT), (int(major), int(minor)))
        if shown
        else None
    )
