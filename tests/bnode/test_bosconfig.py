# SPDX-License-Identifier: GPL-3.0-or-later
"""BosConfig, as a real bosserver 1.8.9 writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode import bosconfig
from pydaemons.bnode.bosconfig import BosConfig, BosConfigError, Entry
from pydaemons.bnode.ktime import KTime
from pydaemons.bnode.model import Goal

PEERS = """restrictmode 0
restarttime 16 0 0 0 0
checkbintime 3 0 5 0 0
bnode simple a 1
parm /bin/sleep 30023
end
bnode cron backup 1 /usr/local/bin/note
parm /usr/bin/backup  -all
parm sun 4:00 am
end
bnode fs fs 0
parm /usr/lib/openafs/fileserver
parm /usr/lib/openafs/volserver
parm /usr/lib/openafs/salvager
end
"""


def test_the_peers_file_comes_back_to_the_byte():
    config = bosconfig.parse(PEERS, "BosConfig")
    assert [entry.name for entry in config.entries] == ["a", "backup", "fs"]
    assert config.entries[1].notifier == "/usr/local/bin/note"
    assert config.entries[1].commands == ("/usr/bin/backup  -all", "sun 4:00 am")
    assert config.entries[2].goal is Goal.SHUTDOWN
    assert bosconfig.format(config) == PEERS


def test_an_empty_file_is_the_defaults():
    assert bosconfig.parse("", "x") == BosConfig()
    assert bosconfig.format(BosConfig()) == "".join(PEERS.splitlines(keepends=True)[:3])


NAMES = st.text(st.sampled_from("abcXYZ019._-+@"), min_size=1, max_size=63).filter(
    lambda n: n not in (".", "..")
)
COMMANDS = st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=("Cs",)), max_size=40)
TIMES = st.builds(
    KTime, st.integers(0, 63), st.integers(0, 6), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59)
)
ENTRIES = st.builds(
    Entry,
    st.sampled_from(["simple", "cron", "fs"]),
    NAMES,
    st.sampled_from(list(Goal)),
    st.lists(COMMANDS, max_size=4).map(tuple),
    st.none() | st.just("/bin/note"),
)


@given(st.booleans(), TIMES, TIMES, st.lists(ENTRIES, max_size=5, unique_by=lambda entry: entry.name))
def test_whatever_is_written_is_read_again(restricted, general, binaries, entries):
    config = BosConfig(restricted, general, binaries, tuple(entries))
    assert bosconfig.parse(bosconfig.format(config), "x") == config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("restrictmode 2\n", "f:1: restrictmode '2', want 0 or 1"),
        ("restrictmode 0\nrestarttime 16 0\n", "f:2: '16 0', want five numbers"),
        ("restarttime 16 0 24 0 0\n", "f:1: hour 24 is not in 0..23"),
        (
            "bnode simple a b 1\nparm x\nend\n",
            "f:1: bnode 'simple a b 1', want bnode TYPE NAME 0|1 [NOTIFIER]",
        ),
        ("bnode simple a 1\nparm x\n", "f:1: bnode a has no end"),
        ("parm x\n", "f:1: parm outside of a bnode"),
        ("bnode simple a 1\nend\nbnode simple a 1\nend\n", "f:3: bnode a stands already in f:1"),
        ("bnode simple a 1\nrestrictmode 0\nend\n", "f:2: 'restrictmode' inside of bnode a"),
        ("# hello\n", "f:1: '#' is not known"),
        ("bnode simple a/b 1\nend\n", "f:1: the name has a '/'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, problem):
    with pytest.raises(BosConfigError) as caught:
        bosconfig.parse(text, "f")
    assert len(caught.value.args) == 1
    assert caught.value.args[0].startswith(problem)


def test_all_that_is_wrong_is_reported():
    with pytest.raises(BosConfigError) as caught:
        bosconfig.parse("x\nrestrictmode 7\nbnode a\nparm x\nend\ny\n", "f")
    assert [problem.split(": ")[0] for problem in caught.value.args] == ["f:1", "f:2", "f:3", "f:6"]


@given(st.text(max_size=200))
def test_any_text_parses_or_says_what_is_wrong(text):
    try:
        bosconfig.parse(text, "f")
    except BosConfigError as error:
        assert error.args
