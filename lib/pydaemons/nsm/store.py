# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status monitor keeps on disk, and what its content means at start. Read `begin`.

In the daemon's state folder: `state`, this host's state number; `sm/ADDRESS`, a monitored host; `sm.bak/
ADDRESS`, a host that has yet to be told that we restarted. Every file is a few lines of text, written whole;
what cannot be read is moved to `damaged/` and said, and an address is believed by the file's name alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv6Address, ip_address

from pydaemons.engine.effects import Effect, Level, Log, Persist
from pydaemons.nsm.types import PRIVATE, Caller

STATE_FILE = "state"
MONITORED, UNTOLD, DAMAGED = "sm", "sm.bak", "damaged"
HEAD = "pydaemons nsm 1"
LARGEST_STATE = 2**31 - 1

DAMAGED_ID = "c7a7d6a3f1f84f0f8c1b7fd8f6f94b11"
"""MESSAGE_ID of a state file that cannot be read."""


class StoreError(ValueError):
    """A state file that is not one."""


def canonical(address: str) -> str:
    """The one form of a numeric address, mapped IPv4 addresses as IPv4; ValueError when it is none."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


@dataclass(slots=True)
class Host:
    """A host we monitor, or have yet to notify."""

    address: str
    name: bytes = b""
    """What it calls itself, to be shown."""
    locals: list[str] = field(default_factory=list)
    """The addresses of ours that it talks to: its monitor knows us by these, and may by nothing else."""
    state: int = 0
    """Its state number as last heard, 0 when never."""
    told: int = 0
    """Our state number when it was first monitored."""
    private: bytes = bytes(PRIVATE)
    """What we gave the host's own monitor to recognise it by (external mode)."""
    alias: bytes = b""
    """What the host's own monitor knows it by (external mode)."""
    ours: bool = True
    """Whether the lock manager of this daemon wants it monitored."""
    callers: dict[Caller, bytes] = field(default_factory=dict)
    """Other programs on this host that do, and what they get back (SM_MON)."""

    def format(self) -> bytes:
        """The state file."""
        lines = [HEAD, f"address {self.address}", f"name {_shown(self.name)}"]
        lines += [f"local {local}" for local in self.locals or "-"]
        lines += [f"state {self.state}", f"told {self.told}", f"private {self.private.hex()}"]
        lines.append(f"alias {_shown(self.alias)}")
        lines.append(f"ours {'yes' if self.ours else 'no'}")
        for caller, private in self.callers.items():
            numbers = f"{caller.program} {caller.version} {caller.procedure}"
            lines.append(f"caller {numbers} {private.hex()} {_shown(caller.name)}")
        lines.append("end\n")
        return "\n".join(lines).encode()

    @classmethod
    def parse(cls, data: bytes) -> Host:
        """The host a state file is about; StoreError when it is not whole."""
        try:
            lines = data.decode("ascii").split("\n")
            if lines[0] != HEAD or lines[-2:] != ["end", ""]:
                raise StoreError("cut short, or of another format")
            host = cls("")
            for line in lines[1:-2]:
                key, _, value = line.partition(" ")
                host._take(key, value)
        except StoreError:
            raise
        except ValueError as error:
            raise StoreError(str(error)) from None
        if not host.address:
            raise StoreError("it names no address")
        return host

    def _take(self, key: str, value: str) -> None:
        match key:
            case "address":
                self.address = canonical(value)
            case "name":
                self.name = _read(value)
            case "local":
                self.locals += [] if value == "-" else [canonical(value)]
            case "state":
                self.state = _number(value)
            case "told":
                self.told = _number(value)
            case "private":
                self.private = _private(value)
            case "alias":
                self.alias = _read(value)
            case "ours":
                self.ours = value == "yes"
            case "caller":
                program, version, procedure, private, name = value.split(" ", 4)
                caller = Caller(_read(name), int(program), int(version), int(procedure))
                self.callers[caller] = _private(private)
            case _:
                raise StoreError(f"unknown line {key!r}")


def _shown(name: bytes) -> str:
    """A name as people read it; what does not print as a Python escape."""
    return name.decode("latin-1").encode("unicode_escape").decode("ascii")


def _read(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def _number(text: str) -> int:
    number = int(text)
    if not -LARGEST_STATE - 1 <= number <= LARGEST_STATE:
        raise StoreError(f"{text} is no state number")
    return number


def _private(text: str) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != PRIVATE:
        raise StoreError(f"{len(data)} bytes of private data")
    return data


class Beginning(Enum):
    """What the past was like."""

    FRESH = "fresh"
    """Nobody was monitored: nobody can have lost anything."""
    KEPT = "kept"
    """All locks are still there: nobody needs to know we were away."""
    LOST = "lost"
    """Somebody was monitored and the locks are gone: notify, and allow reclaims (grace)."""


@dataclass(slots=True)
class Start:
    """The outcome of `begin`."""

    beginning: Beginning
    state: int
    """Our state number from now on; odd."""
    monitored: dict[str, Host]
    untold: dict[str, Host]
    """Hosts to be notified."""
    effects: list[Effect]
    """What must be written, and said, before anything else."""

    @property
    def needs_grace(self) -> bool:
        """Whether somebody may have locks to reclaim."""
        return self.beginning is Beginning.LOST


def begin(files: Mapping[str, bytes], *, locks_kept: bool, we_notify: bool = True, first: int = 1) -> Start:
    """Decide what `files` (all of the state folder, by name) mean. `locks_kept`: the locks survived.
    `we_notify`: no other program on this host monitors and notifies for us. `first`: our state number when
    there was none. Clients take no notice of a number they know, so it had better be none that rpc.statd,
    which counts from 1, or a life whose state folder is gone may have told them."""
    effects: list[Effect] = []
    damaged = 0

    def set_aside(name: str, why: object, then: str) -> None:
        nonlocal damaged
        damaged += 1
        effects.append(Persist(f"{DAMAGED}/{name.replace('/', '-')}", files[name]))
        effects.append(Persist(name, None))
        text = f"state file {name} cannot be read ({why}); it is kept as {DAMAGED}/; {then}"
        effects.append(Log(Level.WARNING, text, {"STATE_FILE": name}, DAMAGED_ID))

    def hosts_of(folder: str) -> dict[str, Host]:
        found = {}
        for name, data in files.items():
            above, _, base = name.partition("/")
            if above != folder or not base:
                continue
            try:
                host = Host.parse(data)
                if host.address != base:
                    raise StoreError(f"it is about {host.address}")
            except StoreError as error:
                try:
                    host = Host(canonical(base))
                except ValueError:
                    set_aside(name, error, "whoever it was is not notified")
                    continue
                set_aside(name, error, f"{host.address} is taken to be monitored")
                effects.append(Persist(f"{folder}/{host.address}", host.format()))
            found[host.address] = host
        return found

    monitored, untold = hosts_of(MONITORED), hosts_of(UNTOLD)
    known = None
    if STATE_FILE in files:
        try:
            number = _number(files[STATE_FILE].decode("ascii").strip())
            if number < 0:
                raise StoreError(f"{number} is no state number")
            known = number
        except ValueError as error:
            set_aside(STATE_FILE, error, "the number goes on from what monitored hosts were told")
    # what clients were told counts too: after a change of [nsm] mode it is another monitor's number
    told = [host.told for host in (*monitored.values(), *untold.values())]
    state = (max([known or 0, *told]) or first) | 1
    lost = bool(monitored or untold or damaged)
    if locks_kept and known is not None:
        beginning = Beginning.KEPT
    elif not lost:
        beginning = Beginning.FRESH
    else:
        beginning = Beginning.LOST
    if beginning is Beginning.LOST and we_notify:
        state = next_state(state)
        for host in monitored.values():
            effects.append(Persist(f"{UNTOLD}/{host.address}", host.format()))
            effects.append(Persist(f"{MONITORED}/{host.address}", None))
        untold |= monitored
        monitored = {}
    if state != known:
        effects.append(persist_state(state))
    return Start(beginning, state, monitored, untold, effects)


def next_state(state: int) -> int:
    """The state number of the next life: odd, and another than any of late."""
    following = (state | 1) + 2
    return following if following <= LARGEST_STATE else 1


def persist_state(state: int) -> Persist:
    """Keep our state number."""
    return Persist(STATE_FILE, b"%d\n" % state)
