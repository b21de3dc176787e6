# SPDX-License-Identifier: GPL-3.0-or-later
"""Anything that happens to a lock manager, in any order: STEPS for hypothesis, `step` to do one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fakes.locking import World

FILES = st.sampled_from([b"a", b"bb" * 16])
SPANS = st.sampled_from([(0, 0), (0, 10), (5, 10), (10, 1), (2**62, 0)])
OWNERS = st.tuples(st.sampled_from([2, 3, 4]), st.sampled_from([1, 2, -1]))
VERBS = st.sampled_from(
    ["lock", "wait", "unlock", "cancel", "share", "unshare", "free_all", "repeat", "time", "long time"]
    + ["release owner", "release file", "release shares", "restarted", "drop_all", "end_grace", "rewrite"]
    + 4 * ["lock", "wait", "unlock"]
)
STEPS = st.lists(st.tuples(VERBS, OWNERS, FILES, SPANS, st.booleans(), st.booleans()), max_size=40)


def step(
    world: World,
    verb: str,
    owner: tuple[int, int],
    file: bytes,
    span: Any,
    mode: bool,
    bit: bool,
    *,
    rewrite: bool = True,
) -> None:
    """One thing that happens to a server; its journal is rewritten only if that is allowed."""
    number, svid = owner
    client = world.clients.get(f"10.0.0.{number}") or world.client(
        number, silent=bit, version=4 if mode else 3
    )
    offset, length = span if client.version == 4 else (span[0] & 0xFF, span[1])
    where = {"fh": file, "svid": svid, "offset": offset, "length": length}
    server, now = world.server, world.now
    match verb:
        case "lock" | "wait":
            client.lock(exclusive=mode, block=verb == "wait", **where)
        case "unlock":
            client.unlock(**where)
        case "cancel":
            client.cancel(exclusive=mode, **where)
        case "share":
            client.share(mode=int(mode), access=1 + int(bit), fh=file)
        case "unshare":
            client.unshare(mode=int(mode), access=1 + int(bit), fh=file)
        case "free_all":
            client.free_all()
        case "repeat":
            for _ in range(2):
                client.unlock(xid=5, **where)
        case "time":
            world.run(1.0)
        case "long time":
            world.run(400.0)
        case "release owner":
            server.release(lambda each: each.svid == svid, now)
        case "release file":
            server.release_file(file, now)
        case "release shares":
            server.release_shares(lambda host: host.address == client.address)
        case "restarted":
            world.engine.client_restarted(client.address, 7, now)
        case "drop_all":
            world.engine.drop_all(now)
        case "end_grace":
            world.engine.end_grace()
        case "rewrite" if rewrite:
            world.journal = list(world.engine.snapshot())
    world.carry()
