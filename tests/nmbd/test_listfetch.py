# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import json
import sys
from pathlib import Path

import pytest

from pydaemons.netbios.node.browsesync import FetchList, ListFetched
from pydaemons.netbios.node.serverlist import Told
from pydaemons.nmbd import listfetch
from pydaemons.nmbd.listfetch import ListFetcher, parse

ASKED = FetchList("10.0.0.9", "THERE", "GRP", 0x40000000, 0xC0000000)


def fetch(tmp_path: Path, monkeypatch, script: str, *, stop: bool = False) -> list[ListFetched]:
    """Run a fetch whose process is this shell script."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    got: list[ListFetched] = []

    async def body() -> None:
        fetcher = ListFetcher(got.append)
        fetcher.fetch(ASKED, "cp850")
        if stop:
            await asyncio.sleep(0.1)
            await fetcher.stop()
        while fetcher._running:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(body(), 30))
    return got


def test_what_the_process_prints_is_the_list(tmp_path, monkeypatch):
    said = {"servers": [["peer ", 0x9A03, 'a "b"', 6, 1]], "groups": [["GRP", 0x80001000, "M", 0, 0]]}
    (result,) = fetch(tmp_path, monkeypatch, f"cat <<'END'\n{json.dumps(said)}\nEND")
    assert result == ListFetched(
        "10.0.0.9",
        "GRP",
        (Told("PEER", 0x9A03, "a 'b'", (6, 1)),),
        (Told("GRP", 0x80001000, "M", (0, 0)),),
    )


def test_the_process_is_told_what_to_ask(tmp_path, monkeypatch):
    (result,) = fetch(tmp_path, monkeypatch, """printf '{"error": "%s"}' "$*" """)
    words = "-m pydaemons.nmbd.fetchlist 10.0.0.9 THERE GRP 1073741824 3221225472 cp850"
    assert result.error == words


@pytest.mark.parametrize(
    "script",
    [
        "exit 3",
        "echo nonsense",
        "echo '[]'",
        "echo '{\"servers\": 5}'",
        'echo \'{"servers": [["x"]], "groups": []}\'',
    ],
)
def test_a_process_without_an_answer_is_an_error(tmp_path, monkeypatch, script):
    (result,) = fetch(tmp_path, monkeypatch, script)
    assert "without an answer" in result.error


def test_a_process_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(listfetch, "PATIENCE", 0.2)
    (result,) = fetch(tmp_path, monkeypatch, "exec sleep 60")
    assert "no list within" in result.error


def test_an_answer_without_end_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(listfetch, "MOST_BYTES", 100_000)
    (result,) = fetch(tmp_path, monkeypatch, "exec yes")
    assert "without an answer" in result.error


def test_a_process_that_has_answered_ends_by_itself(tmp_path, monkeypatch):
    done = tmp_path / "done"
    (result,) = fetch(
        tmp_path, monkeypatch, f"""printf '{{"error": "no"}}'; exec >&-; sleep 0.2; : >{done}"""
    )
    assert result.error == "no"
    assert done.exists()


def test_nothing_is_told_after_the_end(tmp_path, monkeypatch):
    assert fetch(tmp_path, monkeypatch, "exec sleep 60", stop=True) == []


def test_an_interpreter_that_is_gone_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    got: list[ListFetched] = []

    async def body() -> None:
        fetcher = ListFetcher(got.append)
        fetcher.fetch(ASKED, "cp850")
        while fetcher._running:
            await asyncio.sleep(0.01)

    asyncio.run(body())
    assert "No such file" in got[0].error


def test_names_that_are_none_are_left_out():
    text = json.dumps({"servers": [["  ", 3, "", 6, 1], ["A", 3, "x" * 500, 6, 1]], "groups": []}).encode()
    assert [(told.name, len(told.comment)) for told in parse(ASKED, text).servers] == [("A", 48)]
