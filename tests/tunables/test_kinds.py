# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.tunables import kinds
from pydaemons.tunables.kinds import (
    Address,
    AtAddress,
    Bool,
    Choice,
    ClientPattern,
    Flags,
    Int,
    List,
    Listen,
    Refused,
    Seconds,
    Text,
    YesNo,
    from_spec,
    parse_integer,
)

PORT = Int(0, 65535)
DEBUG = Flags(svc=1, svclock=8, xdr=0x100)
ALL_KINDS: list[Any] = [
    PORT,
    Int(-5, 5, unit="steps"),
    Seconds(3, 20),
    Bool(),
    YesNo(),
    Choice("auto", "off"),
    DEBUG,
    Text(16),
    Text(16, empty=False),
    kinds.Path(),
    kinds.Path(empty=True),
    Address(),
    AtAddress(Choice("auto", "off")),
    Listen(),
    ClientPattern(),
    List(ClientPattern()),
    List(Address(), empty=False),
]


@pytest.mark.parametrize(
    ("text", "value"),
    [("33", 33), ("33\n", 33), ("  33\t\n", 33), ("0x21", 33), ("0X21", 33), ("010", 8), ("0", 0), ("00", 0)],
)
def test_numbers_read_as_the_kernel_reads_them(text: str, value: int) -> None:
    assert PORT.parse(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "\n", " ", "+33", "-1", "65536", "abc", "33x", "3.5", "33\0", "3" * 20, "33 44", "33\n44\n", "0x",
     "08", "0b1", "0o7", "1_0", "--1", "- 1", "٣", "³", "1" * 100_000],
)  # fmt: skip
def test_what_is_no_number_in_range_is_refused_and_the_range_named(text: str) -> None:
    with pytest.raises(Refused, match=r"0\.\.65535"):
        PORT.parse(text)


@given(st.integers(-(2**63), 2**64))
def test_a_number_reads_back_in_every_base(number: int) -> None:
    sign, size = ("-", -number) if number < 0 else ("", number)
    assert parse_integer(str(number)) == number
    assert parse_integer(f"{sign}0x{size:x}") == number
    assert parse_integer(f"{sign}0{size:o}") == number


@pytest.mark.parametrize("text", ["Y", "y", "1", " Y\n"])
def test_end_grace_takes_the_kernels_ways_of_yes(text: str) -> None:
    assert YesNo().parse(text) is True


@pytest.mark.parametrize("text", ["N", "n", "0"])
def test_end_grace_takes_the_ways_of_no(text: str) -> None:
    assert YesNo().parse(text) is False


@pytest.mark.parametrize("text", ["", "yes", "2", "YY", "Y N"])
def test_end_grace_refuses_the_rest(text: str) -> None:
    with pytest.raises(Refused):
        YesNo().parse(text)


def test_flags_are_a_number_or_names_and_show_in_hexadecimal() -> None:
    assert DEBUG.parse("svc,xdr") == DEBUG.parse("0x101") == DEBUG.parse("257") == 0x101
    assert DEBUG.format(0x101) == "0x0101"
    assert DEBUG.parse("all") == 0x109
    assert DEBUG.parse("none") == 0


@pytest.mark.parametrize("text", ["svc,what", "0x2", "-1", "", "svc xdr"])
def test_flags_without_meaning_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="svc,svclock,xdr"):
        DEBUG.parse(text)


@pytest.mark.parametrize(
    "text", ["link", "*", "10.0.0.0/8", "::1", "fe80::/10", "*.example.org", "nfs-client?", "@trusted"]
)
def test_client_patterns_are_those_of_exports(text: str) -> None:
    assert ClientPattern().parse(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::/80", "::/80"),
        ("LINK", "link"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    ],
)
def test_a_client_has_one_form(text: str, value: str) -> None:
    assert ClientPattern().parse(text) == value


@pytest.mark.parametrize("text", ["", "@", "10.0.0.1/8", "10.0.0.300", "10.0.0.0/33", "a b", "gr{}", "1:2:3"])
def test_what_is_no_client_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="want an address"):
        ClientPattern().parse(text)


def test_lists_go_by_commas_blanks_and_lines() -> None:
    assert List(ClientPattern()).parse("link, ::1\n  10.0.0.0/8") == ("link", "::1", "10.0.0.0/8")
    with pytest.raises(Refused, match="empty"):
        List(Address(), empty=False).parse(" , ")


@pytest.mark.parametrize("text", ["relative", "", "/a\nb"])
def test_a_path_is_absolute_and_one_line(text: str) -> None:
    with pytest.raises(Refused):
        kinds.Path().parse(text)


def test_text_has_a_length_and_no_control_characters() -> None:
    for bad in ("x" * 17, "a\tb", "a\x1bb", "\udcff"):
        with pytest.raises(Refused):
            Text(16).parse(bad)


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.spec)
@given(text=st.text(max_size=20))
def test_any_text_parses_or_is_refused_and_what_parses_is_stable(kind: Any, text: str) -> None:
    try:
        value = kind.parse(text)
    except Refused as refused:
        assert refused.wrong and refused.right and "\n" not in str(refused)
    else:
        assert kind.parse(kind.format(value)) == value


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.spec)
@given(text=st.text(max_size=20))
def test_the_kind_built_from_a_spec_judges_alike(kind: Any, text: str) -> None:
    twin: Any = from_spec(kind.spec)
    assert (twin.spec, twin.range, twin.right, twin.unit) == (kind.spec, kind.range, kind.right, kind.unit)
    try:
        value = kind.parse(text)
    except Refused:
        with pytest.raises(Refused):
            twin.parse(text)
    else:
        assert twin.parse(text) == value


@pytest.mark.parametrize(
    "spec", ["", "int", "int x", "quantum 1", "list 0 int 0..1", "text", "flags a", "at int 0..1"]
)
def test_a_spec_nobody_knows_is_a_value_error(spec: str) -> None:
    with pytest.raises(ValueError):
        from_spec(spec)


def test_kinds_and_schema_import_nothing_slow() -> None:
    code = """import sys
sys.path.insert(0, sys.argv[1])
import pydaemons.tunables.schema, pydaemons.tunables.kinds, pydaemons.tunables.sysctld
print(sorted({"re", "typing", "dataclasses", "enum", "functools", "os"} & set(sys.modules)))"""
    lib = str(Path(__file__).parents[2] / "lib")
    done = subprocess.run([sys.executable, "-ISc", code, lib], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1:7007", "127.0.0.1:7007"),
        (" 192.0.2.1:07007\n", "192.0.2.1:7007"),
        ("[::1]:7007", "[::1]:7007"),
        ("[2001:DB8:0::1]:1", "[2001:db8::1]:1"),
        ("", ""),
    ],
)
def test_an_address_to_listen_on_has_a_port(text: str, value: str) -> None:
    assert Listen().parse(text) == value and Listen().parse(value) == value


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "7007",
        ":7007",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "::1:7007",
        "host:7007",
        "[::1]",
    ],
)
def test_an_address_without_one_or_a_name_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        Listen().parse(text)


@pytest.mark.parametrize("text", [" 192.0.2.1=auto", "192.0.2.1 = auto"])
def test_a_word_for_an_address_is_kept_in_its_shortest_form(text: str) -> None:
    assert AtAddress(Choice("auto", "off")).parse(text) == "192.0.2.1=auto"
    assert AtAddress(Choice("auto", "off")).parse("2001:DB8:0::1=off") == "2001:db8::1=off"


@pytest.mark.parametrize(
    "text", ["", "auto", "=auto", "host=auto", "192.0.2.1", "192.0.2.1=on", "192.0.2.1=auto=off"]
)
def test_a_word_for_an_address_needs_both(text: str) -> None:
    with pytest.raises(Refused):
        AtAddress(Choice("auto", "off")).parse(text)
