# SPDX-License-Identifier: GPL-3.0-or-later
from pydaemons.tunables.declare import Effect, Tunables, live, state, tunable
from pydaemons.tunables.describe import describe
from pydaemons.tunables.kinds import Int, Seconds, YesNo


class Keys(Tunables, prefix="fs.sample"):
    timeout = tunable(Seconds(3, 20), 10, effect=Effect.NEXT_CALL, doc="Timeout.")
    stop = live(YesNo(), False, doc="Stop.")
    held = state(Int(0, 99), doc="Held.")


def test_a_tunable_is_described_with_everything_known_about_it() -> None:
    keys = Keys()
    keys.set("timeout", "5", "/etc/x.conf:3")
    assert describe("sampled", keys).rows["timeout"].fields == {
        "kind": "int 3..20 seconds",
        "mode": "0644",
        "default": "10",
        "effect": "next call",
        "unit": "seconds",
        "range": "3..20",
        "value": "5",
        "configured": "10",
        "configured_by": "default",
        "origin": "/etc/x.conf:3",
        "doc": "Timeout.",
    }


def test_a_state_key_is_read_only_and_has_neither_default_nor_value() -> None:
    row = describe("sampled", Keys()).rows["held"]
    assert not row.writable
    assert row.get("live") == "1"
    assert "default" not in row.fields and "value" not in row.fields


def test_a_live_key_keeps_the_value_asked_for() -> None:
    keys = Keys()
    keys.bind(stop=lambda: True)
    assert describe("sampled", keys).rows["stop"].get("value") == "N"
