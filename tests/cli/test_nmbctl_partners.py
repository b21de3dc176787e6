# SPDX-License-Identifier: GPL-3.0-or-later
import re

from pydaemons.cli import nmbctl_partners


def test_partners_are_shown_in_columns_with_their_trouble_last():
    one = {"partner": "10.0.0.2", "push": True, "pull": False, "state": "resting", "error": ""}
    two = {"partner": "10.0.0.3", "push": True, "pull": True, "state": "no connection", "error": "no route"}
    figures = ({"pulled": 0, "told": 1700000000, "taken": 7}, {"pulled": 0, "told": 0, "taken": 0})
    answer = {"partners": [one | figures[0], two | figures[1]]}
    head, one, two = nmbctl_partners.partners(answer)
    assert head.startswith("PARTNER")
    assert re.fullmatch(r"10\.0\.0\.2 +push +resting +never +2023-11-1\dT\d\d:\d\d +7  -", one)
    assert re.fullmatch(r"10\.0\.0\.3 +push\+pull +no connection +never +never +0  no route", two)


def test_the_first_owner_is_this_server():
    answer = {"owners": [{"owner": "10.0.0.1", "version": 12, "names": 3}, {"owner": "10.0.0.2", "version": 5,
              "names": 4}]}  # fmt: skip
    _, ours, theirs = nmbctl_partners.owners(answer)
    assert ours.split() == ["10.0.0.1", "12", "3", "ours"]
    assert theirs.split() == ["10.0.0.2", "5", "4", "-"]


def test_a_name_shows_where_it_comes_from_if_that_is_known():
    assert nmbctl_partners.origin({}) == ""
    assert nmbctl_partners.origin({"owner": "", "version": 4, "static": False}) == "[ours 4]"
    assert (
        nmbctl_partners.origin({"owner": "10.0.0.2", "version": 4, "static": True}) == "[10.0.0.2 4 static]"
    )
