# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree on a loop: what is written is soon in force, what changed by other ways is shown."""

import asyncio
from pathlib import Path

from pydaemons.kit.log import Log
from pydaemons.kit.treewatch import TreeWatch
from pydaemons.netbios.node.tunables import NetbiosTunables


def test_a_value_written_to_the_tree_is_in_force_soon(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYSYSCTL_ROOT", str(tmp_path))
    tunables = NetbiosTunables()
    tunables.bind(**{n: lambda: 0 for n, e in tunables.entries.items() if not e.writable})
    key = tmp_path / "net/netbios/max_ttl"

    async def body() -> list[object]:
        changes: list[object] = []
        loop = asyncio.get_running_loop()
        watch = TreeWatch(tunables, "pynmbd", loop, log=Log("test"), changed=changes.append)
        assert key.read_text() == "259200\n"
        key.write_text("4711")
        for _ in range(500):
            if changes and key.read_text() == "4711\n":
                break
            await asyncio.sleep(0.01)
        watch.publish()
        watch.close()
        return changes

    (change,) = asyncio.run(body())
    assert (change.key, change.new) == ("net.netbios.max_ttl", 4711)
    assert tunables.max_ttl == 4711
