# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's command line; what it does on a network is in tests/e2e/test_pynmbd.py."""

from pathlib import Path

import pytest

from pydaemons.kit.main import main
from pydaemons.nmbd.daemon import PynmbdDaemon


@pytest.fixture
def conf(tmp_path) -> Path:
    file = tmp_path / "smb.conf"
    file.write_text("[global]\nnetbios name = TEST\n")
    return file


def test_a_good_configuration_is_said_to_be_good(conf, capsys):
    assert main(PynmbdDaemon(), ["-n", "-s", str(conf)]) == 0
    assert "OK" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workgroup = *\n", ":1: global.workgroup: '*' is not a NetBIOS name"),
        ("\nwins support = yes\nwins server = 10.0.0.1\n", "exclude each other"),
        ("server role = active directory domain controller\n", "nbtd"),
    ],
)
def test_a_bad_configuration_is_refused_with_the_reason(conf, capfd, text, said):
    conf.write_text(text)
    for words in (["-n"], ["-F"]):
        assert main(PynmbdDaemon(), [*words, "-s", str(conf)]) == 6
        assert said in capfd.readouterr().err


def test_a_log_on_stdout_needs_the_foreground(conf, capfd):
    assert main(PynmbdDaemon(), ["-n", "-S", "-s", str(conf)]) == 2
    assert "add -F or -i" in capfd.readouterr().err
    assert main(PynmbdDaemon(), ["-n", "-S", "-F", "-s", str(conf)]) == 0


def test_a_configuration_that_was_named_must_be_there(capfd):
    assert main(PynmbdDaemon(), ["-n", "-s", "/nonexistent/smb.conf"]) == 6
    assert "/nonexistent/smb.conf" in capfd.readouterr().err


def test_ipv6_interfaces_are_said_to_be_left_out(conf, capfd):
    conf.write_text("[global]\ninterfaces = lo fd00::1/64\n")
    assert main(PynmbdDaemon(), ["-n", "-s", str(conf)]) == 0
    assert "fd00::1/64 left out: NetBIOS is of IPv4 only" in capfd.readouterr().err
