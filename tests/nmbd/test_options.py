# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.kit.main import parse_arguments
from pydaemons.nmbd.daemon import PynmbdDaemon


def test_nmbds_options_are_understood():
    words = [
        "-F",
        "-s",
        "/f",
        "-p",
        "5137",
        "-H",
        "/lmhosts",
        "-d",
        "10",
        "-D",
        "-i",
        "-S",
        "--no-process-group",
        "--pidfile",
        "/p",
        "--cache-dir",
        "/c",
    ]
    arguments = parse_arguments(PynmbdDaemon(), words)
    assert (arguments.config, arguments.port, arguments.hosts, arguments.debug) == (
        "/f",
        5137,
        "/lmhosts",
        True,
    )
    assert parse_arguments(PynmbdDaemon(), ["-d", "2"]).debug is False
    assert parse_arguments(PynmbdDaemon(), ["-d"]).debug is True
    assert parse_arguments(PynmbdDaemon(), ["--config", "/f"]).config == "/f"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--nonsense"], "--nonsense"),
        (["-p", "65536"], "'65536' is no port"),
        (["-p", "netbios-ns"], "'netbios-ns' is no port"),
        (["-p", "0"], "'0' is no port"),
        (["-d", "much"], "'much' is no level"),
    ],
)
def test_a_wrong_option_is_shown_with_the_usage(words, shown, capsys):
    with pytest.raises(SystemExit) as left:
        parse_arguments(PynmbdDaemon(), words)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert shown in said
    assert "usage: pynmbd" in said
