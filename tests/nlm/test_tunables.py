# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.nlm.tunables import NlmTunables
from pydaemons.tunables.kinds import Refused

KERNEL = {  # name: (lowest, highest, default), of Linux' lockd
    "nlm_grace_period": (0, 240, 0),
    "nlm_timeout": (3, 20, 10),
    "nlm_udpport": (0, 65535, 0),
    "nlm_tcpport": (0, 65535, 0),
    "nsm_use_hostnames": (0, 1, 0),
}


@pytest.mark.parametrize("name", KERNEL)
def test_kernel_keys_have_the_kernels_ranges_and_defaults(name: str) -> None:
    lowest, highest, default = KERNEL[name]
    settings = NlmTunables()
    assert getattr(settings, name) == default
    for good in (lowest, highest):
        settings.set(name, str(good), "t")
    for bad in (lowest - 1, highest + 1):
        with pytest.raises(Refused):
            settings.set(name, str(bad), "t")


@pytest.mark.parametrize("name", NlmTunables.entries)
def test_every_key_is_described_and_named_as_lockds_are(name: str) -> None:
    entry = NlmTunables.entries[name]
    assert name.startswith(("nlm_", "nsm_"))
    assert entry.doc.endswith(".") and len(entry.doc) > 15


def test_a_debug_mask_takes_the_kernels_bits_by_name() -> None:
    settings = NlmTunables()
    settings.set("nlm_debug", "svc,monitor", "t")
    assert (settings.nlm_debug, settings.text("nlm_debug")) == (0x11, "0x0011")
