# SPDX-License-Identifier: GPL-3.0-or-later
"""Times at which something happens again: `5:00`, `sun 4:00 am`, `never`, `now`. After the peer's bos(8).

    [every|at] [DAY] [at|every] [HOUR[:MINUTE[:SECOND]] [am|pm]]   |   now   |   never

Days are sun ... sat or their full names in lower case; am and pm stand after a blank; hours are 0-23,
with am or pm 0-12. What is left out is midnight. A file keeps such a time as five numbers and a mask of
the fields that must match; times are local, so a day that skips 2:30 runs it an hour later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntFlag

DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class Field(IntFlag):
    """The mask."""

    HOUR = 1
    MINUTE = 2
    SECOND = 4
    DAY = 8
    NEVER = 16
    NOW = 32

    CLOCK = HOUR | MINUTE | SECOND


@dataclass(frozen=True, slots=True)
class KTime:
    """When, in the order of the numbers in BosConfig."""

    mask: int
    day: int = 0
    """0 is sunday"""
    hour: int = 0
    minute: int = 0
    second: int = 0

    def __post_init__(self) -> None:
        ranges = (("mask", 63), ("day", 6), ("hour", 23), ("minute", 59), ("second", 59))
        for name, most in ranges:
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ValueError(f"{name} {value} is not in 0..{most}")

    @property
    def never(self) -> bool:
        return bool(self.mask & Field.NEVER)

    @property
    def now(self) -> bool:
        return bool(self.mask & Field.NOW)

    def after(self, wall: float) -> float | None:
        """The first such time later than `wall`; None for never. `now` is at once."""
        if self.never:
            return None
        if self.now:
            return wall
        here = datetime.fromtimestamp(wall)
        fixed = [
            value if self.mask & field else None
            for field, value in (
                (Field.HOUR, self.hour),
                (Field.MINUTE, self.minute),
                (Field.SECOND, self.second),
            )
        ]
        # fields after the last one that counts are zero, those before it may be anything
        last = max((index for index, value in enumerate(fixed) if value is not None), default=-1)
        spans = [
            range(value, value + 1) if value is not None else range(most if index < last else 1)
            for index, (value, most) in enumerate(zip(fixed, (24, 60, 60), strict=True))
        ]
        for ahead in range(9):
            date = (here + timedelta(days=ahead)).date()
            if self.mask & Field.DAY and (date.weekday() + 1) % 7 != self.day:
                continue
            for hour in spans[0]:
                for minute in spans[1]:
                    for second in spans[2]:
                        at = datetime(date.year, date.month, date.day, hour, minute, second).timestamp()
                        if at > wall:
                            return at
        return None


NEVER = KTime(Field.NEVER)
NOW = KTime(Field.NOW)


def parse(text: str) -> KTime:
    """Raises ValueError with what is wrong and what would be right."""
    words = text.split()
    match words:
        case ["never"]:
            return NEVER
        case ["now"]:
            return NOW
        case _:
            return _parse_words(text, words)


def _parse_words(text: str, words: list[str]) -> KTime:
    day: int | None = None
    clock: tuple[int, int, int] | None = None
    half = ""
    for word in words:
        if word in ("at", "every"):
            continue
        found = next((n for n, name in enumerate(DAYS) if word in (name, name[:3])), None)
        if found is not None:
            if day is not None:
                raise ValueError(f"{text!r} names two days, want one")
            day = found
        elif word in ("am", "pm"):
            if clock is None or half:
                raise ValueError(f"{text!r}: {word} must follow an hour")
            half = word
        elif clock is not None:
            raise ValueError(f"{text!r} has two hours, want one")
        else:
            clock = _parse_clock(text, word)
    hour, minute, second = clock or (0, 0, 0)
    if half:
        if hour > 12:
            raise ValueError(f"{text!r}: hour {hour} cannot be {half}")
        hour = hour % 12 + (12 if half == "pm" else 0)
    if day is None:
        return KTime(int(Field.CLOCK), 0, hour, minute, second)
    return KTime(int(Field.CLOCK | Field.DAY), day, hour, minute, second)


def _parse_clock(text: str, word: str) -> tuple[int, int, int]:
    fields = word.split(":")
    if len(fields) > 3 or not all(
        field.isascii() and field.isdigit() and len(field) <= 2 for field in fields
    ):
        raise ValueError(
            f"{text!r}: {word!r} is no time; want a day (sun ... sat), H:MM, H:MM:SS, either with am or pm "
            "after a blank, or now, or never"
        )
    hour, minute, second = (int(field) for field in (*fields, "0", "0")[:3])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text!r}: {word} is no time of day")
    return hour, minute, second


def format(time: KTime) -> str:
    """As the peer shows it: `never`, `now`, `at sat 3:30 am`."""
    if time.never:
        return "never"
    if time.now:
        return "now"
    day = f"{DAYS[time.day][:3]} " if time.mask & Field.DAY else ""
    second = f":{time.second:02d}" if time.second else ""
    half = "am" if time.hour < 12 else "pm"
    return f"at {day}{time.hour % 12 or 12}:{time.minute:02d}{second} {half}"
