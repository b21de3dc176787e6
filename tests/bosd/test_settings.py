# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/pybosd.conf."""

from __future__ import annotations

from pydaemons.bosd.settings import PybosdConfiguration


def test_sections_and_defaults():
    configuration = PybosdConfiguration()
    assert [section.section for section in configuration.sections()] == ["pybosd", "rx", "kernel.bos"]
    assert configuration.pybosd.bin_dir == "/usr/lib/openafs"
    assert not configuration.pybosd.no_auth and not configuration.pybosd.restricted
    assert configuration.rx.listen == "" and not configuration.rx.noauth, "no network unless asked for"
