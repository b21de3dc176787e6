# SPDX-License-Identifier: GPL-3.0-or-later
"""Results in words and as rows."""

from __future__ import annotations

import pytest

from pydaemons.cli.lockctl_report import MEANING, Report, Request, bytes_of, holder_row, holder_words, words
from pydaemons.nlm.types import HolderBody, Status


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ((0, 0), "the whole file"),
        ((7, 0), "bytes 7 to the end"),
        ((0, 1), "bytes 0-0"),
        ((7, 3), "bytes 7-9"),
    ],
)
def test_a_range_is_named_by_its_first_and_last_byte(span, said):
    assert bytes_of(*span) == said


@pytest.mark.parametrize(
    ("oh", "client"),
    [(b"7@h1", "h1"), (b"7@h1.example.com", "h1.example.com"), (b"\x01\x02", ""), (b"", ""), (b"7@a b", "")],
)
def test_the_holders_client_is_known_where_its_owner_handle_tells_it(oh, client):
    row = holder_row(HolderBody(True, 7, oh, 0, 0))
    assert row["client"] == client
    assert ("of h1" in holder_words(row)) is client.startswith("h1")


def test_an_owner_handle_cannot_give_orders_to_the_terminal():
    row = holder_row(HolderBody(False, 7, b"7@\x1b[2J", 0, 0))
    assert "\x1b" not in holder_words(row)


@pytest.mark.parametrize("status", Status)
def test_every_status_has_words(status):
    for verb in ("null", "test", "lock", "unlock", "share", "unshare", "free-all"):
        said = words(Report(Request(verb, "h1"), host="10.0.0.1", status=status.name, by="reply"))
        assert said.isprintable()
        assert (status is Status.GRANTED) or said == MEANING[status]


def test_a_status_no_protocol_knows_keeps_its_number():
    assert words(Report(Request("lock", "h1"), status=Status(99).name)) == "the server answers UNKNOWN_99"


def test_a_grant_by_callback_says_which_and_when():
    report = Report(Request("lock", "h1"), status="GRANTED", by="GRANTED_MSG", waited=1.25)
    assert words(report) == "granted by GRANTED_MSG: write lock on the whole file, svid 1, after 1.250 s"


@pytest.mark.parametrize("verb", ["null", "free-all"])
def test_a_row_has_only_what_concerns_its_verb(verb):
    assert "file" not in Report(Request(verb, "h1")).row()
    assert Report(Request("lock", "h1", b"\x0a")).row()["file"] == "0a"
    assert "access" in Report(Request("share", "h1")).row()
