# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
from pathlib import Path

from pydaemons.kit.log import Log
from pydaemons.nmbd import hooks
from pydaemons.nmbd.hooks import Hooks


def run(calls: list[tuple[str, ...]], seconds: float = 20.0) -> None:
    async def body() -> None:
        waiting = Hooks(Log("test"))
        for call in calls:
            waiting.run(call)
        until = asyncio.get_running_loop().time() + seconds
        while (waiting._running or waiting._waiting) and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
        await waiting.stop()

    asyncio.run(body())


def test_arguments_arrive_as_they_are_and_no_shell_sees_them(tmp_path: Path):
    out = tmp_path / "out"
    run([("/usr/bin/touch", f"{out};touch {tmp_path}/pwned", f"{tmp_path}/$(id)", f"{tmp_path}/a b")])
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert "pwned" not in names
    assert "$(id)" in names
    assert "a b" in names


def test_many_calls_all_run(tmp_path: Path):
    run([("/usr/bin/touch", str(tmp_path / str(i))) for i in range(50)])
    assert len(list(tmp_path.iterdir())) == 50


def test_a_program_that_is_missing_or_fails_is_said(tmp_path: Path, capfd):
    run([("/nonexistent/hook", "add"), ("/bin/false", "add", "NAME")])
    said = capfd.readouterr().err
    assert "/nonexistent/hook: No such file" in said
    assert "/bin/false add NAME: exit status 1" in said


def test_a_program_that_hangs_is_killed(tmp_path: Path, capfd, monkeypatch):
    monkeypatch.setattr(hooks, "PATIENCE", 0.2)
    run([("/bin/sleep", "60")])
    assert "was killed" in capfd.readouterr().err


def test_calls_that_pile_up_are_dropped_and_counted(capfd, monkeypatch):
    monkeypatch.setattr(hooks, "WAITING", 3)

    async def body() -> int:
        waiting = Hooks(Log("test"))
        for _ in range(hooks.AT_ONCE + 3 + 5):
            waiting.run(("/bin/true",))
        dropped = waiting.dropped
        await waiting.stop()
        return dropped

    assert asyncio.run(body()) == 5


def test_a_program_that_fails_for_every_name_does_not_fill_the_log(capfd):
    run([("/bin/false", "add", f"N{number}") for number in range(60)])
    assert capfd.readouterr().err.count("exit status 1") <= 11
