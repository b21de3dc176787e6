# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.tunables.declare import Effect, Settings, TunableChanged, Tunables, live, state, tunable
from pydaemons.tunables.keys import to_path
from pydaemons.tunables.kinds import Int, Refused, Seconds, YesNo


class Sample(Tunables, prefix="fs.sample"):
    timeout = tunable(Seconds(3, 20), 10, effect=Effect.NEXT_CALL, doc="First\n    timeout.")
    stop = live(YesNo(), False, doc="Stops it.")
    held = state(Int(0, 99), doc="Held now.")


def test_a_declaration_is_read_back_as_a_plain_slot() -> None:
    settings = Sample()
    assert settings.timeout == 10
    assert type(Sample.__dict__["timeout"]).__name__ == "member_descriptor"
    assert not hasattr(settings, "__dict__")


def test_the_entry_keeps_kind_default_effect_and_a_one_line_doc() -> None:
    entry = Sample.entries["timeout"]
    assert (entry.name, entry.default, entry.effect, entry.doc) == (
        "timeout",
        10,
        Effect.NEXT_CALL,
        "First timeout.",
    )


def test_setting_announces_old_and_new_and_keeps_the_origin() -> None:
    settings = Sample()
    assert settings.set("timeout", "0x10", "/etc/x.conf:4") == TunableChanged("fs.sample.timeout", 10, 16)
    assert (settings.timeout, settings.text("timeout"), settings.origin("timeout")) == (
        16,
        "16",
        "/etc/x.conf:4",
    )


def test_setting_the_value_in_force_changes_only_the_origin() -> None:
    settings = Sample()
    assert settings.set("timeout", "10", "runtime") is None
    assert settings.origin("timeout") == "runtime"


def test_a_refused_value_leaves_everything_as_it_was() -> None:
    settings = Sample()
    with pytest.raises(Refused):
        settings.set("timeout", "2", "runtime")
    assert (settings.timeout, settings.origin("timeout")) == (10, "default")


def test_a_live_key_announces_every_write_and_shows_what_its_owner_says() -> None:
    settings = Sample()
    assert settings.text("stop") == "N"
    settings.bind(stop=lambda: True)
    assert settings.text("stop") == "Y"
    settings.set("stop", "Y", "runtime")
    assert settings.set("stop", "Y", "runtime") == TunableChanged("fs.sample.stop", True, True)


def test_a_state_key_is_its_owners_and_cannot_be_set() -> None:
    settings = Sample()
    assert settings.text("held") == ""
    settings.bind(held=lambda: 7)
    assert settings.text("held") == "7"
    assert not hasattr(settings, "held")
    with pytest.raises(Refused, match="read-only"):
        settings.set("held", "3", "runtime")


def test_binding_an_owner_to_a_stored_key_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(TypeError, match=r"fs\.sample\.timeout"):
        Sample().bind(timeout=lambda: 3)


def test_two_instances_share_nothing() -> None:
    first, second = Sample(), Sample()
    first.set("timeout", "3", "runtime")
    assert second.timeout == 10


def test_a_default_outside_its_range_is_found_at_class_creation() -> None:
    with pytest.raises(Refused):

        class Wrong(Settings, section="x"):
            timeout = tunable(Seconds(3, 20), 21, doc="")


@pytest.mark.parametrize(
    ("name", "key"), [("blue", "fs.sample@blue.timeout"), ("a.b", "fs.sample@a/b.timeout")]
)
def test_an_instance_has_keys_of_its_own_and_the_section_keeps_its_name(name: str, key: str) -> None:
    settings, others = Sample(), Sample()
    settings.move(name)
    assert settings.key("timeout") == key
    assert settings.set("timeout", "16", "test") == TunableChanged(key, 10, 16)
    assert (settings.section, others.prefix) == ("fs.sample", "fs.sample")
    assert to_path(key) == f"fs/sample@{name}/timeout"
