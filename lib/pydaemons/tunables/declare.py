# SPDX-License-Identifier: GPL-3.0-or-later
"""How a daemon declares its settings: one class attribute each, read back as a plain attribute.

    class NlmTunables(Tunables, prefix="fs.nfs"):
        nlm_timeout = tunable(Seconds(3, 20), 10, effect=Effect.NEXT_CALL, doc="First timeout of ...")
        locks = state(Int(0, 2**31 - 1), doc="Locks held now.")

    settings = NlmTunables()
    settings.nlm_timeout                        # 10, an int in a slot: no descriptor in the way
    settings.set("nlm_timeout", "0x10", "/etc/pylockd.conf:4")     # a TunableChanged, or raises Refused
    settings.bind(locks=table.count)            # the owner of a state key says what it is now
    settings.text("nlm_timeout")                # "16", canonical

`Settings` is a section of a configuration file; `Tunables` is one whose entries are keys of the
tree as well. At class creation the declarations move to `entries` and leave slots of the same names.
Read Entry, then Settings. `layers` says which of several values wins, `kinds` what values there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Protocol, TypeVar, cast

from .keys import SWAP
from .kinds import Refused

T = TypeVar("T")


class Kind(Protocol[T]):
    """What a declaration needs of a kind; `kinds` has them all."""

    @property
    def unit(self) -> str: ...
    @property
    def range(self) -> str: ...
    @property
    def right(self) -> str: ...
    @property
    def spec(self) -> str: ...
    def parse(self, text: str) -> T: ...
    def format(self, value: T) -> str: ...


class Effect(Enum):
    """When a new value takes effect."""

    AT_ONCE = "at once"
    NEXT_CALL = "next call"
    NEXT_CONNECTION = "next connection"
    NEXT_GRACE = "next grace period"
    AT_RESTART = "at restart"


class Access(Enum):
    """Who changes an entry, and where the text shown comes from."""

    STORED = "stored"
    """written by people, shown as written"""
    LIVE = "live"
    """written by people, but what is shown is what the owner says is so now"""
    STATE = "state"
    """not written by people at all"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One declaration."""

    name: str
    kind: Kind[Any]
    default: Any
    access: Access
    effect: Effect
    doc: str

    @property
    def writable(self) -> bool:
        return self.access is not Access.STATE


@dataclass(frozen=True, slots=True)
class TunableChanged:
    """A value was changed; engines get it through handle(). Live keys announce every write."""

    key: str
    """dotted, with its folder: `fs.nfs.nlm_timeout`"""
    old: object
    new: object


def tunable(kind: Kind[T], default: T, *, doc: str, effect: Effect = Effect.AT_ONCE) -> T:
    """Declare a value people set. (What is returned is the declaration; the attribute will be the value.)"""
    return cast(T, Entry("", kind, default, Access.STORED, effect, doc))


def live(kind: Kind[T], default: T, *, doc: str, effect: Effect = Effect.AT_ONCE) -> T:
    """Declare a value people set and the daemon changes too: shown is what the bound owner says.

    The attribute holds what was last asked for; until an owner is bound that is what is shown.
    """
    return cast(T, Entry("", kind, default, Access.LIVE, effect, doc))


def state(kind: Kind[T], *, doc: str) -> T:
    """Declare a read-only value of the tree. It has no attribute to read: its owner knows it."""
    return cast(T, Entry("", kind, None, Access.STATE, Effect.AT_ONCE, doc))


setting = tunable
"""The same word for sections that are no part of the tree."""


class _Compiled(type):
    """Turns the declarations of a class body into `entries` and slots."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: str) -> _Compiled:
        entries: dict[str, Entry] = {}
        for base in bases:
            entries.update(getattr(base, "entries", {}))
        slots = []
        for attribute, value in list(body.items()):
            if isinstance(value, Entry):
                del body[attribute]
                kind, default = value.kind, value.default
                if value.writable:
                    slots.append(attribute)
                    if kind.parse(kind.format(default)) != default:
                        raise TypeError(f"{name}.{attribute}: the default {default!r} is not of its kind")
                entries[attribute] = Entry(
                    attribute, kind, default, value.access, value.effect, " ".join(value.doc.split())
                )
        body["entries"] = entries
        body.setdefault("__slots__", tuple(slots))
        return super().__new__(cls, name, bases, body, **options)


class Settings(metaclass=_Compiled):
    """One section of a configuration file: a typed attribute per entry, and where each came from."""

    __slots__ = ("_configured", "_getters", "_origins")

    entries: ClassVar[Mapping[str, Entry]]
    section: ClassVar[str] = ""
    """its name between brackets in the file"""

    def __init_subclass__(cls, *, section: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        if section:
            cls.section = section

    def __init__(self) -> None:
        self._origins: dict[str, str] = {}
        self._getters: dict[str, Callable[[], Any]] = {}
        self._configured: dict[str, tuple[Any, str]] = {}
        for entry in self.entries.values():
            if entry.writable:
                setattr(self, entry.name, entry.default)
                self._origins[entry.name] = "default"
                self._configured[entry.name] = (entry.default, "default")

    def key(self, name: str) -> str:
        """The full dotted name of an entry."""
        return f"{self.section}.{name}"

    def set(self, name: str, text: str, origin: str) -> TunableChanged | None:
        """Parse `text`, put it in force and remember `origin`; None when nothing changed.

        Raises Refused, and the old value stays. KeyError for a name not declared.
        """
        entry = self.entries[name]
        if not entry.writable:
            raise Refused("the key is read-only", "leave it out")
        return self.put(name, entry.kind.parse(text), origin)

    def put(self, name: str, value: object, origin: str) -> TunableChanged | None:
        """As `set`, for a value already parsed."""
        entry = self.entries[name]
        old = getattr(self, name)
        self._origins[name] = origin
        if old == value and entry.access is Access.STORED:
            return None
        setattr(self, name, value)
        return TunableChanged(self.key(name), old, value)

    def configure(self, name: str, value: object, origin: str) -> None:
        """Note what files and options say, whether or not it is in force: what a restart would find."""
        self._configured[name] = (value, origin)

    def configured(self, name: str) -> tuple[str, str]:
        """The canonical text and the origin of what files and options say."""
        value, origin = self._configured[name]
        return self.entries[name].kind.format(value), origin

    def bind(self, **getters: Callable[[], Any]) -> None:
        """Name the owners of state and live entries: a function each that returns the value now."""
        for name, getter in getters.items():
            if self.entries[name].access is Access.STORED:
                raise TypeError(f"{self.key(name)} is stored, it has no owner to ask")
            self._getters[name] = getter

    def value(self, name: str) -> object:
        """The value in force; None for a state entry that nobody has bound."""
        getter = self._getters.get(name)
        if getter is not None:
            return getter()
        return getattr(self, name, None)

    def text(self, name: str) -> str:
        """The value in force in its canonical text; empty for a state entry that nobody has bound."""
        value = self.value(name)
        return "" if value is None else self.entries[name].kind.format(value)

    def origin(self, name: str) -> str:
        """Where the value in force comes from: `default`, `FILE:LINE`, `--set`, `runtime`, `state`."""
        return self._origins.get(name, "state")


class Tunables(Settings):
    """A section whose entries are keys of the tree: `prefix` is the folder, dotted."""

    __slots__ = ("prefix",)

    def __init_subclass__(cls, *, prefix: str = "", **options: Any) -> None:
        super().__init_subclass__(section=prefix, **options)

    def __init__(self) -> None:
        super().__init__()
        self.prefix = self.section

    def move(self, instance: str) -> None:
        """Be the keys of one of several daemons of a kind: `fs.nfs@INSTANCE`. In configuration files the
        section keeps its name."""
        self.prefix = f"{self.section}@{instance.translate(SWAP)}"

    def key(self, name: str) -> str:
        """The full dotted name of an entry."""
        return f"{self.prefix}.{name}"


class Configuration:
    """All settings of one daemon. Subclasses make one attribute per section in `__init__`."""

    daemon: ClassVar[str]
    """the program's name, and the stem of its files"""
    tunables: Tunables

    def sections(self) -> tuple[Settings, ...]:
        """Every section, in the order of the sample file."""
        return tuple(value for value in vars(self).values() if isinstance(value, Settings))

    def find_section(self, name: str) -> Settings | None:
        return next((section for section in self.sections() if section.section == name), None)
