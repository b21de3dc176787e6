# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' text format: families in order, labels escaped, truth as a number."""

from pydaemons.cli.metrics import Metrics


def test_a_page_has_help_type_and_samples_in_the_order_they_were_added():
    page = Metrics("pyxd")
    page.family("calls_total", "counter", "Calls.", [({"what": "a"}, 1), ({"what": "b", "who": "c"}, 2.5)])
    page.gauge("up", "Whether it is.", True)
    assert page.text() == (
        "# HELP pyxd_calls_total Calls.\n"
        "# TYPE pyxd_calls_total counter\n"
        'pyxd_calls_total{what="a"} 1\n'
        'pyxd_calls_total{what="b",who="c"} 2.5\n'
        "# HELP pyxd_up Whether it is.\n"
        "# TYPE pyxd_up gauge\n"
        "pyxd_up 1\n"
    )


def test_what_would_end_a_label_is_escaped():
    page = Metrics("pyxd")
    page.family("x", "gauge", "X.", [({"name": 'a"b\\c\nd'}, 0)])
    assert page.text().splitlines()[-1] == r'pyxd_x{name="a\"b\\c\nd"} 0'
