# SPDX-License-Identifier: GPL-3.0-or-later
from collections.abc import Mapping

from pydaemons.engine.effects import Level
from pydaemons.kit.treejournal import CHANGED_ID, REFUSED_ID, TreeJournal
from pydaemons.tunables.declare import TunableChanged, Tunables, live, tunable
from pydaemons.tunables.kinds import Refused, Seconds, YesNo


class Keys(Tunables, prefix="fs.sample"):
    timeout = tunable(Seconds(3, 20), 10, doc="Timeout.")
    stop = live(YesNo(), False, doc="Stop.")


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[Level, str, dict[str, str], str | None]] = []

    def log(
        self,
        level: Level,
        message: str,
        fields: Mapping[str, str] | None = None,
        message_id: str | None = None,
    ) -> None:
        self.said.append((level, message, dict(fields or {}), message_id))


def journal() -> tuple[TreeJournal, Lines]:
    lines = Lines()
    return TreeJournal(Keys(), lines, "/run/pysysctl/fs/sample"), lines


def test_a_change_tells_old_new_and_how() -> None:
    told, lines = journal()
    told.changed("timeout", "10", TunableChanged("fs.sample.timeout", 10, 5))
    fields = {"KEY": "fs.sample.timeout", "OLD": "10", "NEW": "5", "ORIGIN": "runtime"}
    assert lines.said == [(Level.NOTICE, "fs.sample.timeout: 10 -> 5", fields, CHANGED_ID)]


def test_an_order_to_a_live_key_is_told_as_one() -> None:
    told, lines = journal()
    told.changed("stop", "N", TunableChanged("fs.sample.stop", False, True))
    assert lines.said[0][1] == "fs.sample.stop: Y written"


def test_a_refusal_names_key_value_and_range_and_what_stays() -> None:
    told, lines = journal()
    told.refused("timeout", "10", "99" * 1000, Refused("it is out of range", "want 3..20"))
    ((level, message, fields, message_id),) = lines.said
    assert (level, message_id) == (Level.WARNING, REFUSED_ID)
    assert message == "fs.sample.timeout: it is out of range, refused; want 3..20; 10 stays"
    assert fields["RANGE"] == "3..20"
    assert len(fields["REFUSED"]) < 300


def test_what_took_a_files_place_is_named() -> None:
    told, lines = journal()
    told.replaced("timeout", "a symbolic link")
    assert lines.said[0][1] == "fs.sample.timeout: the file is a symbolic link; put back with 10"


def test_a_folder_that_cannot_be_written_is_told_once_until_it_was_well() -> None:
    told, lines = journal()
    full = OSError(28, "No space left on device")
    for _ in range(3):
        told.unwritable(full)
    assert len(lines.said) == 1
    assert "/run/pysysctl/fs/sample: No space left on device" in lines.said[0][1]
    told.unwritable(OSError(30, "Read-only file system"))
    told.well()
    told.unwritable(full)
    assert len(lines.said) == 3
