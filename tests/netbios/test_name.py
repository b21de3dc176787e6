# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.netbios import name
from pydaemons.netbios.name import Name
from pydaemons.wire.errors import WireError

labels = st.binary(min_size=16, max_size=16)
scope_labels = st.binary(min_size=1, max_size=20).filter(lambda label: b"." not in label)
scopes = st.lists(scope_labels, max_size=5).map(b".".join)
names = st.builds(Name, labels, scopes)

# RFC 1001 section 14.1 encodes "The NetBIOS name" in scope SCOPE.ID.COM this way.
RFC_LABEL = b"The NetBIOS name"
RFC_FIRST_LEVEL = b"FEGIGFCAEOGFHEECEJEPFDCAGOGBGNGF"


def test_the_example_of_rfc_1001_encodes_as_printed() -> None:
    wire = name.pack(Name(RFC_LABEL, b"SCOPE.ID.COM"))
    assert wire == b"\x20" + RFC_FIRST_LEVEL + b"\x05SCOPE\x02ID\x03COM\0"
    assert name.unpack(wire) == Name(RFC_LABEL, b"SCOPE.ID.COM")


@given(names)
def test_packing_and_unpacking_are_inverse(value: Name) -> None:
    assert name.unpack(name.pack(value)) == value


@given(names, st.binary(max_size=40), st.binary(max_size=40))
def test_a_name_is_read_wherever_it_stands(value: Name, before: bytes, behind: bytes) -> None:
    wire = name.pack(value)
    assert name.read(before + wire + behind, len(before)) == (wire, len(before) + len(wire))


@given(names, st.binary(max_size=40))
def test_a_pointer_gives_the_name_it_points_to(value: Name, between: bytes) -> None:
    wire = name.pack(value)
    data = bytes(12) + wire + between + b"\xc0\x0c"
    assert name.read(data, len(data) - 2) == (wire, len(data))


@given(names)
def test_a_scope_may_be_compressed_apart_from_its_label(value: Name) -> None:
    wire = name.pack(value)
    data = wire + wire[:33] + bytes([0xC0, 33])
    assert name.read(data, len(wire)) == (wire, len(data))


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_a_name_or_a_wire_error(data: bytes, offset: int) -> None:
    try:
        wire, end = name.read(data, offset)
    except WireError:
        return
    assert offset < end <= len(data)
    assert name.pack(name.unpack(wire)) == wire


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"\xc0\x00", 0),
        (b"\xc0\x02\xc0\x00", 0),
        (b"\xc0\x02\xc0\x00", 2),
        (b"".join(bytes([0xC0, 2 * i]) for i in range(20)), 38),
    ],
    ids=["to itself", "forward", "a loop", "a chain"],
)
def test_compression_that_would_burn_time_is_refused(data: bytes, offset: int) -> None:
    with pytest.raises(WireError, match="pointer"):
        name.read(data, offset)


def test_a_name_of_273_bytes_is_read_and_one_of_274_is_not() -> None:
    first = b"\x20" + RFC_FIRST_LEVEL
    scope = b"\x3f" + b"s" * 63
    longest = first + 3 * scope + b"\x2e" + b"s" * 46 + b"\0"
    assert len(longest) == 273
    assert name.read(longest, 0) == (longest, 273)
    assert name.pack(name.unpack(longest)) == longest
    with pytest.raises(WireError, match="longer"):
        name.read(first + 3 * scope + b"\x2f" + b"s" * 47 + b"\0", 0)
    with pytest.raises(WireError):
        name.pack(Name(RFC_LABEL, b".".join([b"s" * 63] * 3 + [b"s" * 47])))


@pytest.mark.parametrize("scope", [b".", b"a..b", b".a", b"a.", b"x" * 64])
def test_a_scope_that_has_no_encoding_is_refused(scope: bytes) -> None:
    with pytest.raises(WireError):
        name.pack(Name(RFC_LABEL, scope))


def test_text_is_made_a_name_the_way_people_mean_it() -> None:
    assert name.make("server", 0x20).label == b"SERVER         \x20"
    assert name.make("*", 0).label == b"*" + bytes(15)
    assert name.make("a name that is far too long", 0).label == b"A NAME THAT IS \0"
    assert name.make("Zürich", 0).label == "ZÜRICH".encode("cp850").ljust(15) + b"\0"
    assert name.make("ZÜRICH", 0).text() == "ZÜRICH"


@pytest.mark.parametrize("text", ["SERVER#20", "A B#1b", "SERVER#00.some.scope", "*#00", "#20"])
def test_the_text_form_is_read_back(text: str) -> None:
    assert name.parse(text).format() == text


def test_the_other_text_forms_are_understood() -> None:
    assert name.parse("srv<1D>") == name.make("SRV", 0x1D)
    assert name.parse("srv", suffix=0x20, scope="x") == name.make("SRV", 0x20, scope="x")
    assert name.parse("srv#1d.x") == Name(b"SRV            \x1d", b"x")
    assert str(name.parse("srv#1d.x")) == "SRV<1d>.x"


def test_unprintable_bytes_are_shown_as_escapes() -> None:
    assert str(Name(b"\x01\x02__MSBROWSE__\x02\x01")) == "\\x01\\x02__MSBROWSE__\\x02<01>"


@given(names, st.integers(0, 255))
def test_shortcuts_on_wire_forms_agree_with_the_decoded_name(value: Name, suffix: int) -> None:
    wire = name.pack(value)
    assert name.suffix_of(wire) == value.suffix
    assert name.label_of(wire) == value.label
    changed = name.unpack(name.with_suffix(wire, suffix))
    assert changed == Name(value.label[:15] + bytes([suffix]), value.scope)
    raised = name.unpack(name.upper(wire))
    assert raised == Name(value.label[:15].upper() + value.label[15:], value.scope)


@given(names, st.integers(0, 40), st.integers(0, 255))
def test_a_plain_name_is_told_from_everything_else(value: Name, at: int, byte: int) -> None:
    wire = name.pack(value)
    assert name.is_plain(wire) is (not value.scope)
    changed = bytearray(wire)
    changed[min(at, len(wire) - 1)] = byte
    try:
        readable = name.read(bytes(changed), 0)[1] == 34 == len(changed)
    except WireError:
        readable = False
    assert name.is_plain(bytes(changed)) is readable


@given(names, st.binary(min_size=1, max_size=5))
def test_a_valid_name_is_told_from_everything_else(value: Name, surplus: bytes) -> None:
    wire = name.pack(value)
    assert name.is_valid(wire)
    for other in (wire + surplus, wire[:-1], wire[1:], wire[:20] + b"\xff" + wire[21:], b"\xc0\x0c", b""):
        assert not name.is_valid(other)


def test_the_two_odd_bytes_must_stand_at_the_ends() -> None:
    assert not name.is_plain(b"A\x20" + b"A" * 31 + b"\0")
    assert not name.is_plain(b"\x20" + b"A" * 31 + b"\0A")
