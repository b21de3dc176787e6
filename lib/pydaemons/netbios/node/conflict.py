# SPDX-License-Identifier: GPL-3.0-or-later
"""A partner tells of a name that is known already: which of the two records counts. Read decide.

The outcome for each pair is Windows': Microsoft's articles 136571 and 272510 tell most of it, the rest is
what smbtorture's nbt.winsreplication expects of a Windows server. The guiding thoughts: a record's owner is
always right about it; groups win over single hosts; what is alive wins over what is not; and a host of ours
that a partner also has is asked itself.
"""

from __future__ import annotations

from enum import Enum, auto

from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State
from pydaemons.netbios.winsra import MOST_ADDRESSES, RecordKind


class Action(Enum):
    """What to do."""

    KEEP = auto()
    """The replica is not taken."""
    REPLACE = auto()
    DEMAND = auto()
    """Replace, and tell the old owner to give the name up."""
    CHALLENGE = auto()
    """Ask the old owner."""
    MERGE = auto()
    """Keep the members of both groups."""


HOSTS = frozenset((RecordKind.UNIQUE, RecordKind.MULTIHOMED))
GROUPS = frozenset((RecordKind.GROUP, RecordKind.SPECIAL_GROUP))


def decide(held: Record, replica: Record, owner: bytes) -> Action:
    """The record we hold against one that `owner` owns. Both have their kind; `held` is as it stands now (one
    whose time is up is released)."""
    if _is_emptied(replica):
        # not a group of nobody, but the owner's word that its members have left
        alive = held.kind == RecordKind.SPECIAL_GROUP and held.state == State.ACTIVE
        return Action.MERGE if alive and any(m.owner == owner for m in held.members) else Action.KEEP
    if held.owner == owner:
        return Action.REPLACE
    if held.static:
        return Action.KEEP
    if held.kind == RecordKind.SPECIAL_GROUP:
        return _special_group(held, replica)
    if held.owner == LOCAL:
        return _own_group(held, replica) if held.kind == RecordKind.GROUP else _own_host(held, replica)
    return _group(held, replica) if held.kind == RecordKind.GROUP else _host(held, replica)


def _host(held: Record, replica: Record) -> Action:
    """A host somebody else owns."""
    if held.state != State.ACTIVE:
        return Action.REPLACE
    taken = replica.state == State.ACTIVE and replica.kind != RecordKind.SPECIAL_GROUP
    return Action.REPLACE if taken else Action.KEEP


def _own_host(held: Record, replica: Record) -> Action:
    if held.state != State.ACTIVE:
        return Action.REPLACE
    if replica.state != State.ACTIVE:
        return Action.KEEP
    if replica.kind in GROUPS:
        return Action.DEMAND
    return Action.REPLACE if addresses(held) <= addresses(replica) else Action.CHALLENGE


def _group(held: Record, replica: Record) -> Action:
    """A group somebody else owns."""
    if held.state != State.ACTIVE and replica.kind == RecordKind.GROUP:
        return Action.REPLACE
    if held.state == State.TOMBSTONE and replica.kind != RecordKind.UNIQUE:
        return Action.REPLACE
    return Action.KEEP


def _own_group(held: Record, replica: Record) -> Action:
    if replica.kind != RecordKind.GROUP:
        return Action.KEEP
    taken = held.state != State.ACTIVE or replica.state == State.ACTIVE
    return Action.REPLACE if taken else Action.KEEP


def _special_group(held: Record, replica: Record) -> Action:
    if held.state != State.ACTIVE:
        return Action.REPLACE
    if replica.kind != RecordKind.SPECIAL_GROUP:
        return Action.KEEP
    if replica.state != State.ACTIVE:
        return Action.KEEP if held.owner == LOCAL else Action.REPLACE
    if not held.members:
        return Action.REPLACE  # there is nothing to merge with
    if owned(replica) <= owned(held):
        return Action.KEEP
    if held.owner != LOCAL and addresses(replica) == addresses(held):
        return Action.REPLACE
    return Action.MERGE


def _is_emptied(replica: Record) -> bool:
    special = replica.kind == RecordKind.SPECIAL_GROUP and replica.state == State.ACTIVE
    return special and not replica.members


def addresses(record: Record) -> set[bytes]:
    """Its addresses."""
    return {member.address for member in record.members}


def owned(record: Record) -> set[tuple[bytes, bytes]]:
    """Its addresses with the servers they were registered with."""
    return {(member.owner, member.address) for member in record.members}


def merge_groups(held: Record, replica: Record, owner: bytes) -> Record:
    """The members of both. What `owner` had told of earlier and tells of no more is left out. The result is
    the replica's owner's if that changes what a third one told; else it is ours: nobody else knows all of it
    (version 0)."""
    told = {member.address: member for member in replica.members}
    kept = [member for member in held.members if member.address not in told and member.owner != owner]
    changed = any(
        member.owner == owner if member.address not in told else member.owner != told[member.address].owner
        for member in held.members
    )
    members = (*kept, *replica.members)[-MOST_ADDRESSES:]
    merged = replica._replace(members=members)
    if held.owner in (LOCAL, owner) or not changed or not members:
        return merged._replace(owner=LOCAL, version=0)
    return merged


def merge_hosts(held: Record, replica: Record) -> Record:
    """One host with the addresses both servers know: it said itself that they are all its own."""
    told = addresses(replica)
    others: tuple[Member, ...] = tuple(member for member in held.members if member.address not in told)
    members = (*replica.members, *others)[:MOST_ADDRESSES]
    return replica._replace(kind=RecordKind.MULTIHOMED, members=members)
