# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests about the site's small files: users, keys, cell and hosts, and authorization."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydaemons.bnode import sitefiles
from pydaemons.bnode.events import Asked
from pydaemons.bnode.folders import CELL, KEYS, NO_AUTH, USERS
from pydaemons.bnode.model import Code
from pydaemons.bnode.verb import Refusal
from pydaemons.engine.effects import Persist
from pydaemons.engine.protocol import Now

if TYPE_CHECKING:
    from pydaemons.bnode.commands import Desk


def add_user(desk: Desk, asked: Asked, now: Now) -> Any:
    user = asked.arguments["user"]
    if not user or any(letter.isspace() for letter in user):
        return Refusal(Code.SYNTAX, "a user name has no blanks")
    if user in desk.users:
        return Refusal(Code.EXISTS, f"{user} is there already")
    desk.users = (*desk.users, user)
    desk.supervisor.out.put(Persist(USERS, sitefiles.format_users(desk.users).encode()))
    return {}


def remove_user(desk: Desk, asked: Asked, now: Now) -> Any:
    user = asked.arguments["user"]
    if user not in desk.users:
        return Refusal(Code.NOENT, f"{user} is not there")
    desk.users = tuple(other for other in desk.users if other != user)
    desk.supervisor.out.put(Persist(USERS, sitefiles.format_users(desk.users).encode()))
    return {}


def list_users(desk: Desk, asked: Asked, now: Now) -> Any:
    return {"users": list(desk.users)}


def list_keys(desk: Desk, asked: Asked, now: Now) -> Any:
    keys = [
        {"kvno": number, "checksum": sitefiles.key_checksum(key), "key": key.hex()}
        for number, key in sorted(desk.keys.items())
    ]
    return {"keys": keys, "changed": desk.keys_changed}


def add_key(desk: Desk, asked: Asked, now: Now) -> Any:
    number, text = asked.arguments["kvno"], asked.arguments["key"]
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 8:
        return Refusal(Code.SYNTAX, "a key is 16 hexadecimal digits (passwords are not turned into DES keys)")
    if not 0 <= number <= 255:
        return Refusal(Code.DOM, "a key version number is 0 to 255")
    if number in desk.keys:
        return Refusal(Code.EXISTS, f"there is a key {number} already")
    if len(desk.keys) == sitefiles.MOST_KEYS:
        return Refusal(Code.DOM, f"the file holds {sitefiles.MOST_KEYS} keys")
    desk.keys[number] = key
    desk.keys_changed = int(now.wall)
    desk.supervisor.out.put(Persist(KEYS, sitefiles.pack_keys(desk.keys)))
    return {}


def remove_key(desk: Desk, asked: Asked, now: Now) -> Any:
    if asked.arguments["kvno"] not in desk.keys:
        return Refusal(Code.NOENT, f"there is no key {asked.arguments['kvno']}")
    del desk.keys[asked.arguments["kvno"]]
    desk.keys_changed = int(now.wall)
    desk.supervisor.out.put(Persist(KEYS, sitefiles.pack_keys(desk.keys)))
    return {}


def _persist_cell(desk: Desk) -> None:
    desk.supervisor.out.put(Persist(CELL[0], f"{desk.cell.name}\n".encode()))
    desk.supervisor.out.put(Persist(CELL[1], sitefiles.format_cell(desk.cell).encode()))


def set_cell(desk: Desk, asked: Asked, now: Now) -> Any:
    name = asked.arguments["name"]
    if not name or any(letter.isspace() or letter in "#>" for letter in name):
        return Refusal(Code.SYNTAX, "a cell name has no blanks")
    desk.cell = replace(desk.cell, name=name)
    _persist_cell(desk)
    return {}


def get_cell(desk: Desk, asked: Asked, now: Now) -> Any:
    return {"cell": desk.cell.name, "hosts": list(desk.cell.hosts)}


def add_host(desk: Desk, asked: Asked, now: Now) -> Any:
    host = asked.arguments["host"]
    if not host.strip("[]") or any(letter.isspace() or letter in "#>" for letter in host):
        return Refusal(Code.SYNTAX, "a host is a name or an address, in brackets for a clone")
    if host in desk.cell.hosts:
        return {}
    if host.strip("[]") in {other.strip("[]") for other in desk.cell.hosts}:
        return Refusal(Code.EXISTS, f"{host} is there already")
    desk.cell = replace(desk.cell, hosts=(*desk.cell.hosts, host))
    _persist_cell(desk)
    return {}


def remove_host(desk: Desk, asked: Asked, now: Now) -> Any:
    host = asked.arguments["host"].strip("[]")
    left = tuple(other for other in desk.cell.hosts if other.strip("[]") != host)
    if len(left) == len(desk.cell.hosts):
        return Refusal(Code.NOENT, f"{host} is not there")
    desk.cell = replace(desk.cell, hosts=left)
    _persist_cell(desk)
    return {}


def set_auth(desk: Desk, asked: Asked, now: Now) -> Any:
    desk.no_auth = not asked.arguments["required"]
    desk.supervisor.out.put(Persist(NO_AUTH, b"" if desk.no_auth else None))
    return {}
