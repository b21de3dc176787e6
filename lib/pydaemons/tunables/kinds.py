# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of values: the text a person writes, the value the code reads, the canonical text shown.

Every kind parses text (or raises Refused, which says what is wrong and what would be right), formats a
value back, names its range and unit, and has a one-line `spec` from which `from_spec` builds it
again: that line travels in `.schema`, so pysysctl can check a value without knowing any daemon.

Integers read as the kernel's sysctl handlers read them: base 0 (`0x21`, `010`), blanks around
ignored, no plus sign, no junk behind. Two values in one line are refused, where the kernel takes the
first and drops the rest silently.

Plain classes and no imports: pysysctl loads this module, and `typing` or `dataclasses` alone would
double its start-up time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

BLANKS = " \t\n\v\f\r"
_DIGITS = {8: "01234567", 10: "0123456789", 16: "0123456789abcdefABCDEF"}
_LONGEST_NUMBER = 24  # 64 bits in octal with its prefix; longer text is not worth converting


class Refused(ValueError):  # noqa: N818 -- a rule said no; nothing went wrong here
    """A text that is not a value of its kind."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}, {right}")
        self.wrong = wrong
        """what is wrong with the text"""
        self.right = right
        """what would be right"""


def quote(text: str) -> str:
    """Any text as one short printable word for a message."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return "'" + "".join(c if c.isprintable() and c != "'" else f"\\x{ord(c):02x}" for c in shown) + "'"


def parse_integer(text: str) -> int | None:
    """A whole number written as the kernel takes it, or None. Blanks around it are allowed."""
    digits = text.strip(BLANKS)
    sign = 1
    if digits[:1] == "-":
        sign, digits = -1, digits[1:]
    base = 10
    if digits[:2] in ("0x", "0X"):
        base, digits = 16, digits[2:]
    elif digits[:1] == "0" and len(digits) > 1:
        base = 8
    allowed = _DIGITS[base]
    if not digits or len(digits) > _LONGEST_NUMBER or any(c not in allowed for c in digits):
        return None
    return sign * int(digits, base)


class Int:
    """A whole number with a range."""

    name = "int"

    def __init__(self, minimum: int, maximum: int, *, unit: str = "") -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.unit = unit
        self.range = f"{minimum}..{maximum}"
        self.right = f"a whole number {self.range}" + (f" ({unit})" if unit else "")
        self.spec = f"{self.name} {self.range}" + (f" {unit}" if unit else "")

    def parse(self, text: str) -> int:
        value = parse_integer(text)
        if value is None:
            raise Refused(f"{quote(text)} is not a whole number", f"want {self.right}")
        if not self.minimum <= value <= self.maximum:
            raise Refused(f"{value} is out of range", f"want {self.right}")
        return value

    def format(self, value: int) -> str:
        return str(value)


class Seconds(Int):
    """Whole seconds with a range."""

    def __init__(self, minimum: int, maximum: int) -> None:
        super().__init__(minimum, maximum, unit="seconds")


class Bool:
    """A switch, shown `1` or `0`; the words of configparser are understood too."""

    name = "bool"
    unit = ""
    range = "0..1"
    right = "0 or 1 (or no, yes, off, on, false, true)"
    spec = "bool"

    def parse(self, text: str) -> bool:
        word = text.strip(BLANKS).lower()
        if word in ("yes", "on", "true", "y"):
            return True
        if word in ("no", "off", "false", "n"):
            return False
        number = parse_integer(word)
        if number not in (0, 1):
            raise Refused(f"{quote(text)} is not a switch", f"want {self.right}")
        return number == 1

    def format(self, value: bool) -> str:
        return "1" if value else "0"


class YesNo:
    """A switch shown `Y` or `N`, as lockd's end_grace file is."""

    name = "yesno"
    unit = ""
    range = "Y or N"
    right = "Y or N (also y, 1, n, 0)"
    spec = "yesno"

    def parse(self, text: str) -> bool:
        word = text.strip(BLANKS)
        if word not in ("Y", "y", "1", "N", "n", "0"):
            raise Refused(f"{quote(text)} is not a switch", f"want {self.right}")
        return word in "Yy1"

    def format(self, value: bool) -> str:
        return "Y" if value else "N"


class Choice:
    """One of a few words."""

    name = "choice"
    unit = ""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.range = " | ".join(words)
        self.right = "one of " + ", ".join(words)
        self.spec = "choice " + "|".join(words)

    def parse(self, text: str) -> str:
        word = text.strip(BLANKS)
        if word not in self.words:
            raise Refused(f"{quote(text)} is not known", f"want {self.right}")
        return word

    def format(self, value: str) -> str:
        return value


class Flags:
    """A set of bits, written as a number or as names joined by commas, shown in hexadecimal.

    `0x0009` and `svc,svclock` are the same value where those names stand for bits 1 and 8. The
    name `all` sets every bit that has a name, `none` or 0 clears them.
    """

    name = "flags"
    unit = ""

    def __init__(self, **bits: int) -> None:
        self.bits = bits
        self.every = 0
        for bit in bits.values():
            self.every |= bit
        self.range = f"0..{self.every:#06x}"
        self.right = f"a number {self.range} or names out of " + ",".join(bits)
        self.spec = "flags " + ",".join(f"{name}={bit:#x}" for name, bit in bits.items())

    def parse(self, text: str) -> int:
        value = parse_integer(text)
        if value is None:
            value = 0
            for word in text.strip(BLANKS).lower().split(","):
                name = word.strip(BLANKS)
                if name == "all":
                    value |= self.every
                elif name in self.bits:
                    value |= self.bits[name]
                elif name != "none":
                    raise Refused(f"{quote(word)} is not a flag", f"want {self.right}")
        if value < 0 or value & ~self.every:
            raise Refused(f"{value:#x} is out of range", f"want {self.right}")
        return value

    def format(self, value: int) -> str:
        return f"{value:#06x}"


class Text:
    """One line of printable text."""

    name = "text"
    unit = ""

    def __init__(self, longest: int = 255, *, empty: bool = True) -> None:
        self.longest = longest
        self.empty = empty
        self.range = f"{0 if empty else 1}..{longest} characters"
        self.right = f"one line of {self.range}"
        self.spec = f"text {0 if empty else 1}..{longest}"

    def parse(self, text: str) -> str:
        value = text.strip(BLANKS)
        if len(value) > self.longest:
            raise Refused(f"{quote(text)} has {len(value)} characters", f"want {self.right}")
        if not value and not self.empty:
            raise Refused("the value is empty", f"want {self.right}")
        if not value.isprintable():
            raise Refused(f"{quote(text)} has unprintable characters", f"want {self.right}")
        return value

    def format(self, value: str) -> str:
        return value


class Path(Text):
    """An absolute path, or nothing where `empty` is allowed."""

    name = "path"

    def __init__(self, *, empty: bool = False) -> None:
        super().__init__(4095, empty=empty)
        self.range = "absolute path" + (" or empty" if empty else "")
        self.right = "an absolute path" + (" or nothing" if empty else "")
        self.spec = "path" + (" empty" if empty else "")

    def parse(self, text: str) -> str:
        value = super().parse(text)
        if value and not value.startswith("/"):
            raise Refused(f"{quote(value)} is not an absolute path", f"want {self.right}")
        return value


class Address:
    """An IPv4 or IPv6 address, kept in its shortest form."""

    name = "address"
    unit = ""
    range = "IPv4 or IPv6 address"
    right = "an IPv4 or IPv6 address"
    spec = "address"

    def parse(self, text: str) -> str:
        from ipaddress import ip_address  # noqa: PLC0415 -- 10 ms, and only these kinds need it

        try:
            return str(ip_address(text.strip(BLANKS)))
        except ValueError:
            raise Refused(f"{quote(text)} is not an address", f"want {self.right}") from None

    def format(self, value: str) -> str:
        return value


class AtAddress:
    """A word for one address: `192.0.2.1=word`."""

    name = "at"
    unit = ""

    def __init__(self, word: Choice) -> None:
        self.word = word
        self.range = f"address=word, a word out of: {word.range}"
        self.right = f"ADDRESS=WORD, the word {word.right}"
        self.spec = f"at {word.spec}"

    def parse(self, text: str) -> str:
        address, _, word = text.strip(BLANKS).partition("=")
        return f"{Address().parse(address)}={self.word.parse(word)}"

    def format(self, value: str) -> str:
        return value


class Listen:
    """Where to listen: `127.0.0.1:7007`, `[::1]:7007`, or nothing for nowhere."""

    name = "listen"
    unit = ""
    range = "address:port, IPv6 addresses in brackets, or empty"
    right = "ADDRESS:PORT, an IPv6 address in brackets, or nothing"
    spec = "listen"

    def parse(self, text: str) -> str:
        word = text.strip(BLANKS)
        if not word:
            return ""
        host, _, port = word.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if bare == host and ":" in host:
            raise Refused(f"{quote(text)} has an IPv6 address without brackets", f"want {self.right}")
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise Refused(f"{quote(text)} has no port", f"want {self.right}")
        address = Address().parse(bare)
        return f"[{address}]:{int(port)}" if ":" in address else f"{address}:{int(port)}"

    def format(self, value: str) -> str:
        return value


class ClientPattern:
    """Who may talk to a daemon: address, network, host wildcard, @netgroup, `link`, `*`, as exports(5)."""

    name = "clients"
    unit = ""
    range = "address, address/prefix, host wildcard, @netgroup, link or *"
    right = "an address, address/prefix, host name with * and ?, @netgroup, link or *"
    spec = "clients"

    def parse(self, text: str) -> str:
        word = text.strip(BLANKS)
        if word in ("*", "link"):
            return word
        if word[:1] == "@":
            if len(word) > 1 and _is_name(word[1:], "-_."):
                return word
            raise Refused(f"{quote(text)} is not a netgroup", f"want {self.right}")
        if "/" in word or ":" in word or word.replace(".", "").isdecimal():
            return self._network(word)
        if not word or not _is_name(word, "-_.*?[]"):
            raise Refused(f"{quote(text)} is not a client", f"want {self.right}")
        return word.lower()

    def _network(self, word: str) -> str:
        from ipaddress import ip_network  # noqa: PLC0415

        try:
            network = ip_network(word)
            if network.version == 6 and network.prefixlen >= 96:
                mapped = network.network_address.ipv4_mapped
                if mapped is not None:  # no packet comes from there but as IPv4
                    network = ip_network(f"{mapped}/{network.prefixlen - 96}")
        except ValueError as error:
            wrong = "has host bits set" if "host bits" in str(error) else "is not an address or network"
            raise Refused(f"{quote(word)} {wrong}", f"want {self.right}") from None
        return str(network) if "/" in word else str(network.network_address)

    def format(self, value: str) -> str:
        return value


def _is_name(word: str, marks: str) -> bool:
    return word.isascii() and all(c.isalnum() or c in marks for c in word)


if TYPE_CHECKING:
    TextKind = Choice | Text | Path | Address | AtAddress | Listen | ClientPattern


class List:
    """Several values of one kind, by commas or blanks; shown joined by a comma and a blank."""

    name = "list"
    unit = ""

    def __init__(self, item: TextKind, *, empty: bool = True) -> None:
        self.item = item
        self.empty = empty
        self.range = f"list of: {item.range}"
        self.right = f"{item.right}; several by commas"
        self.spec = f"list {0 if empty else 1} {item.spec}"

    def parse(self, text: str) -> tuple[str, ...]:
        values = tuple(self.item.parse(word) for word in text.replace(",", " ").split())
        if not values and not self.empty:
            raise Refused("the list is empty", f"want {self.right}")
        return values

    def format(self, value: Iterable[str]) -> str:
        return ", ".join(value)


if TYPE_CHECKING:
    AnyKind = Int | Bool | YesNo | Flags | List | TextKind


def from_spec(spec: str) -> AnyKind:
    """The kind a `spec` line stands for. ValueError when it is none (a newer daemon's, say)."""
    name, _, rest = spec.partition(" ")
    match name:
        case "int":
            bounds, _, unit = rest.partition(" ")
            minimum, _, maximum = bounds.partition("..")
            return Int(int(minimum), int(maximum), unit=unit)
        case "bool":
            return Bool()
        case "yesno":
            return YesNo()
        case "choice":
            return Choice(*rest.split("|"))
        case "flags":
            pairs = [pair.partition("=") for pair in rest.split(",")]
            return Flags(**{flag: int(bit, 0) for flag, _, bit in pairs})
        case "text":
            shortest, _, longest = rest.partition("..")
            return Text(int(longest), empty=shortest == "0")
        case "path":
            return Path(empty=rest == "empty")
        case "address":
            return Address()
        case "listen":
            return Listen()
        case "at":
            word = from_spec(rest)
            if isinstance(word, Choice):
                return AtAddress(word)
        case "clients":
            return ClientPattern()
        case "list":
            shortest, _, inner = rest.partition(" ")
            item = from_spec(inner)
            if not isinstance(item, Int | Bool | YesNo | Flags | List):
                return List(item, empty=shortest == "0")
    raise ValueError(f"unknown kind {quote(spec)}")
