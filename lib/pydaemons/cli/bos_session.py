# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation of pybos works with: the link, where to write, and how to say that something failed."""

from __future__ import annotations

from pydaemons.cli.bos_link import Link, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


class Session:
    """One run of the command. `server` is the machine's name, for texts."""

    def __init__(
        self, program: str, link: Link, server: str, *, json: bool, out: TextIO, err: TextIO
    ) -> None:
        self.program = program
        self.link = link
        self.server = server
        self.json = json
        self.out = out
        self.err = err

    def say(self, text: str) -> None:
        self.out.write(text + "\n")

    def show(self, result: Any) -> int:
        """The result as JSON."""
        import json  # noqa: PLC0415

        from pydaemons.cli.shared import snake_case  # noqa: PLC0415

        json.dump(snake_case(result, named=("unwritten",)), self.out, indent=2, ensure_ascii=False)
        self.out.write("\n")
        return 0

    def complain(self, text: str) -> None:
        self.out.flush()
        self.err.write(f"{self.program}: {text}\n")

    def attempt(self, what: str, verb: str, **arguments: Any) -> int:
        """Call; when refused, say that `what` failed. The exit status."""
        try:
            self.link.call(verb, **arguments)
        except Refused as refused:
            self.complain(f"{what} {refused}")
            return refused.status
        return 0

    def attempt_turned(self, what: str, verb: str, **arguments: Any) -> int:
        """The same with the two texts the other way round, as the peer has it for some operations."""
        try:
            self.link.call(verb, **arguments)
        except Refused as refused:
            self.complain(f"{refused.text} ({what})" + (f": {refused.reason}" if refused.reason else ""))
            return refused.status
        return 0


def worst(results: list[int]) -> int:
    """The last one that failed."""
    return next((status for status in reversed(results) if status), 0)
