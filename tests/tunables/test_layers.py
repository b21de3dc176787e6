# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.tunables.conf import Assignment, Severity, parse
from pydaemons.tunables.declare import (
    Configuration,
    Settings,
    TunableChanged,
    Tunables,
    live,
    setting,
    state,
    tunable,
)
from pydaemons.tunables.kinds import Choice, Int, Refused, Seconds, YesNo
from pydaemons.tunables.layers import RUNTIME, adopt, from_sysctld, parse_set, resolve


class Keys(Tunables, prefix="fs.sample"):
    timeout = tunable(Seconds(3, 20), 10, doc="Timeout.")
    port = tunable(Int(0, 65535), 0, doc="Port.")
    stop = live(YesNo(), False, doc="Stop.")
    held = state(Int(0, 99), doc="Held.")


class Mode(Settings, section="mode"):
    mode = setting(Choice("on", "off"), "on", doc="Mode.")


class SampleConfiguration(Configuration):
    daemon = "sampled"
    tunables: Keys

    def __init__(self) -> None:
        self.tunables = Keys()
        self.mode = Mode()


def assign(text: str, where: str, name: str = "timeout") -> Assignment:
    return Assignment("fs.sample", name, text, where)


LAYERS = ["conf", "sysctld", "sets"]


@pytest.mark.parametrize("count", range(4))
def test_each_layer_wins_over_those_below_it(count: int) -> None:
    configuration = SampleConfiguration()
    sources = {layer: [assign(str(4 + n), layer)] for n, layer in enumerate(LAYERS[:count])}
    adopt(configuration, resolve(configuration, **sources))
    want = (10, "default") if count == 0 else (3 + count, LAYERS[count - 1])
    assert (configuration.tunables.timeout, configuration.tunables.origin("timeout")) == want


def test_the_later_of_two_assignments_in_a_layer_wins_with_its_origin() -> None:
    configuration = SampleConfiguration()
    adopt(configuration, resolve(configuration, conf=[assign("4", "a.conf:1"), assign("5", "b.conf:9")]))
    assert (configuration.tunables.timeout, configuration.tunables.origin("timeout")) == (5, "b.conf:9")


def test_adopting_tells_what_changed() -> None:
    configuration = SampleConfiguration()
    resolved = resolve(configuration, conf=[assign("4", "f:1"), assign("0", "f:2", "port")])
    assert adopt(configuration, resolved) == [TunableChanged("fs.sample.timeout", 10, 4)]
    assert configuration.tunables.origin("port") == "f:2"


def test_a_key_taken_out_of_the_file_goes_back_to_its_default_at_reload() -> None:
    configuration = SampleConfiguration()
    adopt(configuration, resolve(configuration, conf=[assign("4", "f:1")]))
    adopt(configuration, resolve(configuration))
    assert (configuration.tunables.timeout, configuration.tunables.origin("timeout")) == (10, "default")


def test_resolving_changes_nothing() -> None:
    configuration = SampleConfiguration()
    resolve(configuration, conf=[assign("4", "f:1")])
    assert configuration.tunables.timeout == 10


def test_a_runtime_write_survives_a_reload_and_the_file_hidden_by_it_is_named() -> None:
    configuration = SampleConfiguration()
    configuration.tunables.set("timeout", "7", RUNTIME)
    resolved = resolve(configuration, conf=[assign("4", "f:1")])
    adopt(configuration, resolved)
    assert configuration.tunables.timeout == 7
    assert not resolved.fatal
    assert str(resolved.problems[0]) == (
        "f:1: fs.sample.timeout: the value 7 written at runtime stays in force, "
        "write 4 to the key to change it now"
    )


@pytest.mark.parametrize(
    ("section", "name", "text", "said"),
    [
        ("fs.sample", "timeout", "2", "f:1: fs.sample.timeout: 2 is out of range, "
         "want a whole number 3..20 (seconds)"),
        ("fs.sample", "timout", "5", "f:1: fs.sample.timout: unknown key, did you mean timeout"),
        ("fs.sample", "zzz", "5", "f:1: fs.sample.zzz: unknown key, known are timeout, port, stop"),
        ("fs.sample", "held", "5", "f:1: fs.sample.held: the key is read-only, leave it out"),
        ("fs.sampel", "timeout", "5", "f:1: fs.sampel.timeout: no such section, did you mean [fs.sample]"),
        ("mode", "mode", "of", "f:1: mode.mode: 'of' is not known, want one of on, off"),
    ],
)  # fmt: skip
def test_a_bad_line_names_file_line_key_and_what_would_be_right(
    section: str, name: str, text: str, said: str
) -> None:
    resolved = resolve(SampleConfiguration(), conf=[Assignment(section, name, text, "f:1")])
    assert [str(problem) for problem in resolved.problems] == [said]
    assert resolved.fatal


def test_every_problem_is_reported_not_only_the_first() -> None:
    found, _ = parse("[fs.sample]\ntimeout = x\nport = 70000\n[mode]\nmode = maybe\n", "f")
    assert len(resolve(SampleConfiguration(), conf=found).problems) == 3


def test_a_bad_value_in_sysctl_d_is_said_but_does_not_stop_the_daemon() -> None:
    resolved = resolve(SampleConfiguration(), sysctld=[assign("99", "50-x.conf:2")])
    assert [problem.severity for problem in resolved.problems] == [Severity.WARNING]
    assert not resolved.fatal


def test_a_bad_value_behind_a_dash_is_not_even_said() -> None:
    bad = Assignment("fs.sample", "timeout", "99", "50-x.conf:2", lenient=True)
    assert resolve(SampleConfiguration(), sysctld=[bad]).problems == []


def test_sysctl_d_gives_assignments_for_the_daemons_keys_only() -> None:
    files = [("/etc/sysctl.d/10.conf", "kernel.x = 1\n-fs.sample.timeout = 5\nfs/sample/port = 9\n")]
    assignments, problems = from_sysctld(Keys(), files)
    assert assignments == [
        Assignment("fs.sample", "timeout", "5", "/etc/sysctl.d/10.conf:2", lenient=True),
        Assignment("fs.sample", "port", "9", "/etc/sysctl.d/10.conf:3"),
    ]
    assert problems == []


def test_an_unknown_key_in_our_folder_is_a_notice_for_it_may_be_the_kernels() -> None:
    _, problems = from_sysctld(Keys(), [("f", "fs.sample.nfs_callback_tcpport = 1\n-fs.sample.other = 1\n")])
    assert [(str(p), p.severity) for p in problems] == [
        ("f:1: fs.sample.nfs_callback_tcpport: unknown key", Severity.NOTICE)
    ]


@pytest.mark.parametrize(
    ("argument", "section", "name"),
    [
        ("fs.sample.timeout=5", "fs.sample", "timeout"),
        ("fs/sample/timeout = 5", "fs.sample", "timeout"),
        ("timeout=5", "fs.sample", "timeout"),
        ("mode.mode=5", "mode", "mode"),
    ],
)
def test_set_takes_full_keys_last_names_and_settings_of_other_sections(
    argument: str, section: str, name: str
) -> None:
    assert parse_set(SampleConfiguration(), argument) == Assignment(section, name, "5", "--set")


def test_set_without_an_equals_sign_is_refused() -> None:
    with pytest.raises(Refused, match="want KEY=VALUE"):
        parse_set(SampleConfiguration(), "timeout")
