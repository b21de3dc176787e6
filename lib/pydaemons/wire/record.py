# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed records: a NamedTuple whose fields name their wire kinds, compiled once into pack and unpack. Read
Codec first.

    class Lock(NamedTuple):
        caller_name: Annotated[bytes, Opaque(1024)]
        svid: Annotated[int, Fixed("i")]
        offset: Annotated[int, Fixed("Q")]

    LOCK = Codec(Lock)
    LOCK.unpack(LOCK.pack(Lock(b"host", 7, 0))) == Lock(b"host", 7, 0)

All multi-byte values are big endian. How it is fast: the place of every field depends only on the lengths of
the Opaque fields, so a packet of a size seen before is *predicted* to have the same lengths: one struct call
takes it apart, lengths included, and comparing those proves or refutes the prediction. A wrong guess costs
one more pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct, error, unpack_from
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from pydaemons.wire.errors import WireError

R = TypeVar("R", bound=NamedTuple)
SHAPES = 1024
"""Shapes remembered per codec; beyond that all are forgotten, so that hostile sizes cost time but no
memory."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value of one struct format character ("I", "i", "Q", "H", "B", "4s")."""

    format: str


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean in four bytes; any number but 0 is true, as the common C decoders have it."""


@dataclass(frozen=True, slots=True)
class Clamped:
    """An integer that leaves cut to what the format can hold (a 64-bit range told to a 32-bit peer)."""

    format: str
    highest: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """Variable bytes: a 32-bit length, the bytes, zeros to a multiple of four (XDR, RFC 4506 section
    4.10)."""

    longest: int


@dataclass(frozen=True, slots=True)
class Array:
    """A 32-bit count and that many records or values of `item` (RFC 4506 section 4.13). Python value: a
    tuple."""

    item: Any
    longest: int


@dataclass(frozen=True, slots=True)
class Optional:
    """A boolean and, when true, one value of `item` (RFC 4506 section 4.19). Python value: the value or
    None."""

    item: Any


@dataclass(frozen=True, slots=True)
class Nested:
    """Another record in place. Python value: the record."""

    codec: Codec[Any]


Kind = Fixed | Truth | Clamped | Opaque | Array | Optional | Nested
_Unpacker = Callable[[bytes, int], tuple[Any, int]]
_Packer = Callable[[Any], bytes]


def _simple(kind: Kind) -> bool:
    return isinstance(kind, Fixed | Truth | Clamped | Opaque)


def _as_kind(item: Any, substitute: Mapping[Kind, Kind]) -> Kind:
    if isinstance(item, Codec):
        return Nested(item.variant(substitute) if substitute else item)
    if isinstance(item, type):  # a NamedTuple class
        return Nested(Codec(item, substitute))
    kind: Kind = item
    return substitute.get(kind, kind)


class Codec(Generic[R]):
    """Pack and unpack of one record class.

    `substitute` exchanges wire kinds (an older version's 32-bit offsets) while the Python side stays the
    same. `unpack` returns the record and ignores surplus bytes, as RPC servers do; `unpack_from` says where
    it ended.
    """

    def __init__(self, record: type[R], substitute: Mapping[Kind, Kind] | None = None) -> None:
        self.record = record
        self._substitute = dict(substitute or {})
        self.kinds: tuple[Kind, ...] = tuple(_kinds(record, self._substitute))
        self.names: tuple[str, ...] = record._fields
        if all(_simple(kind) for kind in self.kinds):
            self._build_predicted()
        else:
            self._build_stepwise()

    def variant(self, substitute: Mapping[Kind, Kind]) -> Codec[R]:
        """The same record with some kinds exchanged."""
        return Codec(self.record, {**self._substitute, **substitute})

    def __repr__(self) -> str:
        return f"Codec({self.record.__name__})"

    pack: Callable[[R], bytes]
    """The wire form. Raises struct.error or WireError for values the format cannot hold: a bug of the
    caller."""
    unpack: Callable[[bytes, int], R]
    """`unpack(data, offset)`: the record at `offset`, or WireError."""
    unpack_from: Callable[[bytes, int], tuple[R, int]]
    """The record at `offset` and the offset behind it, or WireError."""

    def _build_stepwise(self) -> None:
        unpackers = [_unpacker(kind) for kind in self.kinds]
        packers = [_packer(kind) for kind in self.kinds]
        make: Callable[[Sequence[Any]], R] = self.record._make

        def unpack_from_(data: bytes, offset: int) -> tuple[R, int]:
            values = []
            for step in unpackers:
                value, offset = step(data, offset)
                values.append(value)
            return make(values), offset

        def pack(value: R) -> bytes:
            return b"".join([step(field) for step, field in zip(packers, value, strict=True)])

        self.unpack_from = unpack_from_
        self.unpack = lambda data, offset: unpack_from_(data, offset)[0]
        self.pack = pack

    def _build_predicted(self) -> None:
        namespace: dict[str, Any] = {
            "new": tuple.__new__,
            "cls": self.record,
            "stepwise": [_unpacker(kind) for kind in self.kinds],
            "WireError": WireError,
            "Struct": Struct,
            "error": error,
            "LIMIT": SHAPES,
            "longest": [kind.longest for kind in self.kinds if isinstance(kind, Opaque)],
        }
        exec(compile(_predicted_source(self.kinds), f"<codec {self.record.__name__}>", "exec"), namespace)
        self.unpack_from = namespace["unpack_from"]
        self.unpack = namespace["unpack"]
        self.pack = namespace["pack"]


def _kinds(record: type[Any], substitute: Mapping[Kind, Kind]) -> Iterator[Kind]:
    for name, hint in get_type_hints(record, include_extras=True).items():
        kind = None
        if get_origin(hint) is Annotated:
            kind = next(
                (_as_kind(a, substitute) for a in get_args(hint)[1:] if isinstance(a, Kind | Codec)), None
            )
        elif isinstance(hint, type) and hasattr(hint, "_fields"):
            kind = _as_kind(hint, substitute)
        if kind is None:
            raise TypeError(f"{record.__name__}.{name} does not say how it travels")
        yield kind


def _unpacker(kind: Kind) -> _Unpacker:
    """The careful way: one field at a time, every bound checked."""
    match kind:
        case Fixed(format=letter) | Clamped(format=letter):
            layout = Struct(">" + letter)
            size = layout.size

            def fixed(data: bytes, offset: int) -> tuple[Any, int]:
                if offset + size > len(data):
                    raise WireError("cut short", offset)
                return layout.unpack_from(data, offset)[0], offset + size

            return fixed
        case Truth():

            def truth(data: bytes, offset: int) -> tuple[bool, int]:
                if offset + 4 > len(data):
                    raise WireError("cut short", offset)
                return data[offset : offset + 4] != b"\0\0\0\0", offset + 4

            return truth
        case Opaque(longest=longest):

            def opaque(data: bytes, offset: int) -> tuple[bytes, int]:
                if offset + 4 > len(data):
                    raise WireError("cut short", offset)
                size = unpack_from(">I", data, offset)[0]
                start = offset + 4
                end = start + (size + 3 & ~3)
                if size > longest:
                    raise WireError(f"{size} bytes where {longest} are allowed", offset)
                if end > len(data):
                    raise WireError("cut short", start)
                return data[start : start + size], end

            return opaque
        case Array(item=item, longest=longest):
            step = _unpacker(_as_kind(item, {}))

            def array(data: bytes, offset: int) -> tuple[tuple[Any, ...], int]:
                if offset + 4 > len(data):
                    raise WireError("cut short", offset)
                count = unpack_from(">I", data, offset)[0]
                if count > longest:
                    raise WireError(f"{count} items where {longest} are allowed", offset)
                offset += 4
                values = []
                for _ in range(count):
                    value, offset = step(data, offset)
                    values.append(value)
                return tuple(values), offset

            return array
        case Optional(item=item):
            inner = _unpacker(_as_kind(item, {}))

            def optional(data: bytes, offset: int) -> tuple[Any, int]:
                if offset + 4 > len(data):
                    raise WireError("cut short", offset)
                if data[offset : offset + 4] == b"\0\0\0\0":
                    return None, offset + 4
                return inner(data, offset + 4)

            return optional
        case Nested(codec=codec):
            return codec.unpack_from


def _packer(kind: Kind) -> _Packer:
    match kind:
        case Fixed(format=letter):
            return Struct(">" + letter).pack
        case Clamped(format=letter, highest=highest):
            layout = Struct(">" + letter)
            return lambda value: layout.pack(min(value, highest))
        case Truth():
            return lambda value: b"\0\0\0\1" if value else b"\0\0\0\0"
        case Opaque(longest=longest):

            def opaque(value: bytes) -> bytes:
                size = len(value)
                if size > longest:
                    raise WireError(f"{size} bytes where {longest} are allowed", 0)
                return size.to_bytes(4, "big") + value + bytes(-size & 3)

            return opaque
        case Array(item=item, longest=longest):
            step = _packer(_as_kind(item, {}))

            def array(values: Sequence[Any]) -> bytes:
                if len(values) > longest:
                    raise WireError(f"{len(values)} items where {longest} are allowed", 0)
                return len(values).to_bytes(4, "big") + b"".join([step(value) for value in values])

            return array
        case Optional(item=item):
            inner = _packer(_as_kind(item, {}))
            return lambda value: b"\0\0\0\0" if value is None else b"\0\0\0\1" + inner(value)
        case Nested(codec=codec):
            return codec.pack


def _predicted_source(kinds: Sequence[Kind]) -> str:
    """The code of a codec whose fields are all simple: see the head of this module for the idea."""
    taken, values, checks, parts, sizes, packed, too_long = [], [], [], [], [], [], []
    opaques = 0
    for i, kind in enumerate(kinds):
        match kind:
            case Fixed(format=letter):
                taken.append(f"v{i}")
                values.append(f"v{i}")
                parts.append(f"'{letter}'")
                packed.append(f"r{i}")
            case Clamped(format=letter, highest=highest):
                taken.append(f"v{i}")
                values.append(f"v{i}")
                parts.append(f"'{letter}'")
                packed.append(f"r{i} if r{i} < {highest} else {highest}")
            case Truth():
                taken.append(f"v{i}")
                values.append(f"v{i} != 0")
                parts.append("'I'")
                packed.append(f"1 if r{i} else 0")
            case Opaque():
                taken += [f"n{i}", f"v{i}"]
                values.append(f"v{i}")
                checks.append(f"n{i} == s{opaques}")
                parts.append(f"f'I{{s{opaques}}}s{{-s{opaques} & 3}}x'")
                sizes.append(f"len(v{i})")
                packed += [f"len(r{i})", f"r{i}"]
                too_long.append(f"s{opaques} > longest[{opaques}]")
                opaques += 1
            case _:
                raise TypeError(f"{kind} cannot be predicted")

    def tuple_of(names: Sequence[str]) -> str:
        return f"({', '.join(names)},)" if names else "()"

    lens = [f"s{i}" for i in range(opaques)]
    layout = " + ".join(["'>'", *parts])
    lengths = [f"len(r{i})" for i, kind in enumerate(kinds) if isinstance(kind, Opaque)]
    fields = [f"r{i}" for i in range(len(kinds))]
    return f"""
predicted = {{}}
layouts = {{}}
def layout_of(lens):
    layout = layouts.get(lens)
    if layout is None:
        {f"{', '.join(lens)}, = lens" if lens else "pass"}
        if {" or ".join(too_long) or "False"}:
            raise WireError("a field is longer than its limit", 0)
        layout = Struct({layout})
        if len(layouts) >= LIMIT:
            layouts.clear()
        layouts[lens] = layout
    return layout
def carefully(data, offset):
    size = len(data) - offset
    start = offset
    fields = []
    for step in stepwise:
        value, offset = step(data, offset)
        fields.append(value)
    {tuple_of([f"v{i}" for i in range(len(kinds))])} = fields
    lens = {tuple_of(sizes)}
    if offset - start == size:
        if len(predicted) >= LIMIT:
            predicted.clear()
        predicted[size] = (layout_of(lens).unpack_from, lens)
    return new(cls, fields), offset
def unpack(data, offset):
    guess = predicted.get(len(data) - offset)
    if guess is not None:
        take, {tuple_of(lens)} = guess
        {tuple_of(taken)} = take(data, offset)
        if {" and ".join(checks) or "True"}:
            return new(cls, {tuple_of(values)})
    return carefully(data, offset)[0]
unpack_from = carefully
def pack(record):
    {tuple_of(fields)} = record
    return layout_of({tuple_of(lengths)}).pack({", ".join(packed)})
"""
