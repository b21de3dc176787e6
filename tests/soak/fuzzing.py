# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/soak/fuzz runs: stories of packets (fakes/stories.py) are changed at random, and those that
reach a step between two lines that none has reached before are kept and changed further. Read hunt.

The corpus, tests/golden/nlm-stories.txt, is told in the tests each time (tests/nlm/test_stories.py);
`--write` adds to it what was found, as short as it can be made.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from fakes import stories
from fakes.stories import CLIENTS, Packet, Story, Wait
from hosts import nlmcalls as nlm
from hosts import rpc

CORPUS = Path(__file__).resolve().parents[1] / "golden" / "nlm-stories.txt"
WATCHED = tuple(f"/pydaemons/{name}/" for name in ("nlm", "sunrpc", "wire", "lockd"))
WORDS = (0, 1, 2, 3, 4, 5, 10, 16, 24, 100021, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
WAITS = (0.5, 6.0, 11.0, 100.0, 700.0)
LONGEST = 24
"""Events in a story."""

Step = tuple[CodeType, int, int]
"""Between two lines."""


def reached(story: Story) -> set[Step]:
    """The steps that telling it takes; AssertionError, or whatever else, when the server does wrong."""
    steps: set[Step] = set()
    last: dict[FrameType, int] = {}

    def line(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        if event == "line":
            steps.add((frame.f_code, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return line if any(name in frame.f_code.co_filename for name in WATCHED) else None

    sys.settrace(call)
    try:
        stories.tell(story)
    finally:
        sys.settrace(None)
    return steps


# ---------------------------------------------------------------------- stories


def calls(dice: random.Random) -> Iterator[Packet]:
    """Calls as clients make them."""
    while True:
        version = dice.choice((1, 3, 4, 4))
        lock = nlm.Alock(
            caller=b"client",
            fh=dice.choice((b"file", b"f" * 28)),
            svid=dice.choice((1, 2, -1)),
            offset=dice.choice((0, 5, 10, 2**32 - 1)),
            length=dice.choice((0, 1, 10)),
        )
        flags = {"exclusive": dice.random() < 0.6}
        number, arguments = dice.choice(
            (
                (nlm.NULL, b""),
                (nlm.TEST, nlm.test(version, lock, **flags)),
                (nlm.LOCK, nlm.lock(version, lock, block=True, **flags)),
                (nlm.LOCK, nlm.lock(version, lock, **flags)),
                (nlm.LOCK, nlm.lock(version, lock, block=True, state=3, **flags)),
                (nlm.CANCEL, nlm.cancel(version, lock, **flags)),
                (nlm.UNLOCK, nlm.unlock(version, lock)),
                (nlm.UNLOCK, nlm.unlock(version, lock)),
                (nlm.GRANTED_RES, nlm.result(dice.randrange(5))),
                (nlm.LOCK_MSG, nlm.lock(version, lock, block=True, **flags)),
                (nlm.UNLOCK_MSG, nlm.unlock(version, lock)),
                (nlm.SHARE, nlm.share(lock, mode=dice.randrange(4), access=dice.randrange(4))),
                (nlm.UNSHARE, nlm.share(lock, mode=dice.randrange(4), access=dice.randrange(4))),
                (nlm.NM_LOCK, nlm.lock(version, lock)),
                (nlm.FREE_ALL, nlm.free_all(b"client")),
                (nlm.SM_NOTIFY, nlm.sm_notify(b"client", 7)),
            )
        )
        xid = dice.choice((dice.getrandbits(32), dice.randrange(8)))
        yield Packet(
            dice.choice(CLIENTS),
            dice.choice("ut"),
            rpc.call_bytes(rpc.NLM, version, number, arguments, xid=xid),
        )


def changed(data: bytes, dice: random.Random) -> bytes:
    """A packet with something wrong with it, or only different."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        word = 4 * dice.randrange(max(len(data) // 4, 1))
        match dice.randrange(6):
            case 0:
                number = dice.choice((*WORDS, dice.getrandbits(32)))
                data = data[:word] + number.to_bytes(4, "big") + data[word + 4 :]
            case 1:
                at = dice.randrange(max(len(data), 1))
                data = data[:at] + bytes((data[at] ^ 1 << dice.randrange(8) if data else 0,)) + data[at + 1 :]
            case 2:
                data = data[: dice.randrange(len(data) + 1)]
            case 3:
                data += bytes(dice.choice((1, 4, 100)))
            case 4:
                data = data[:word] + data[word + 4 :]
            case 5:
                data = data[:word] + data[word : word + 4] + data[word:]
    return data


def varied(story: Story, others: list[Story], dice: random.Random) -> Story:
    """Another story out of this one."""
    events = list(story)
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(len(events) + 1)
        event = events[at] if at < len(events) else None
        match dice.randrange(8):
            case 0 | 1:
                events.insert(at, next(calls(dice)))
            case 2:
                events.insert(at, Wait(dice.choice(WAITS)))
            case 3 if event is not None:
                events.insert(dice.randrange(len(events) + 1), event)
            case 4 if event is not None:
                del events[at]
            case 5:
                other = dice.choice(others)
                events[at:at] = other[: dice.randrange(len(other) + 1)]
            case 6 if isinstance(event, Packet):
                events[at] = Packet(dice.choice(CLIENTS), dice.choice("ut"), event.data)
            case _ if isinstance(event, Packet):
                events[at] = Packet(event.client, event.transport, changed(event.data, dice))
    return tuple(events[:LONGEST])


def shortened(story: Story, still: Callable[[Story], bool]) -> Story:
    """The same without what is not needed for it."""
    at = 0
    while at < len(story):
        less = story[:at] + story[at + 1 :]
        if less and still(less):
            story = less
        else:
            at += 1
    return story


# ---------------------------------------------------------------------- the hunt


def hunt(seconds: float, seed: int, corpus: list[Story]) -> tuple[list[Story], list[tuple[Story, str]], int]:
    """New stories, those that went wrong and how, and how many were told."""
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    seen: set[Step] = set()
    wrong: list[tuple[Story, str]] = []
    found: list[Story] = []
    pool = [*corpus, *(tuple(call for call, _ in zip(calls(dice), range(4), strict=False)) for _ in range(8))]
    count = 0
    todo = pool[::-1]
    while time.monotonic() < end:
        known = bool(todo)
        story = todo.pop() if todo else varied(dice.choice(pool), pool, dice)
        count += 1
        try:
            new = reached(story) - seen
        except Exception as error:
            what = repr(error)
            wrong.append((shortened(story, lambda less, what=what: _fails(less, what)), what))
            if len(wrong) > 5:
                break
            continue
        seen |= new
        if new and not (known and story in corpus):
            story = shortened(story, lambda less, new=new: _reaches(less, new))
            found.append(story)
            pool.append(story)
    return found, wrong, count


def _fails(story: Story, what: str) -> bool:
    try:
        stories.tell(story)
    except Exception as error:
        return repr(error)[:80] == what[:80]
    return False


def _reaches(story: Story, steps: set[Step]) -> bool:
    try:
        return steps <= reached(story)
    except Exception:
        return False


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tests/soak/fuzz", description="Tell a lock server stories that nobody has told it yet."
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of the dice (another each time)")
    parser.add_argument("--write", action="store_true", help=f"add what was found to {CORPUS.name}")
    arguments = parser.parse_args(argv)
    seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
    corpus = stories.read(CORPUS) if CORPUS.exists() else []
    found, wrong, count = hunt(arguments.seconds, seed, corpus)
    print(f"seed {seed}: {count} stories told, {len(corpus)} known, {len(found)} kept, {len(wrong)} wrong")
    for story, error in wrong:
        print(f"WRONG: {error}\n  {stories.told(story)}")
    if arguments.write and found:
        with open(CORPUS, "a", encoding="ascii") as file:
            file.writelines(f"{stories.told(story)}\n" for story in found)
    return 1 if wrong else 0
