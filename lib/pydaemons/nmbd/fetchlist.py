# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches another master's list: python3 -m pydaemons.nmbd.fetchlist HOST NAME GROUP SERVERS GROUPS CHARSET.

A program of its own, started by listfetch for each fetch: SMB1 is spoken by impacket, which is big, blocks,
and meets hosts of all kinds; a process can be given up. It asks anonymously over port 445, or 139, and prints
one JSON object: servers and groups as lists of [name, type, comment, major, minor], or an error.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from pydaemons.netbios import rap
from pydaemons.wire.errors import WireError

PATIENCE = 10
"""Seconds a host has for each answer."""
MOST = 65536
"""Entries read of one list."""
NEEDED = "python3-impacket is not installed (it speaks SMB1 to other masters)"


class NoListError(Exception):
    """The list cannot be had; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """The program; its exit status."""
    host, name, group, servers, groups, charset = sys.argv[1:] if argv is None else argv
    try:
        told = fetch(host, name, group.encode(charset, "replace"), [servers, groups], charset)
        print(json.dumps({"servers": told[0], "groups": told[1]}))
    except NoListError as error:
        print(json.dumps({"error": str(error)}))
    return 0


def fetch(host: str, name: str, group: bytes, types: list[str], charset: str) -> list[list[list[Any]]]:
    """A list for each of `types` (decimal, or empty: not asked)."""
    try:
        smb: Any = importlib.import_module("impacket.smb")  # optional: a network without routers needs it not
    except ImportError as error:
        raise NoListError(NEEDED) from error
    # impacket raises whatever comes to its parsers, of its own classes and Python's
    try:
        session = _connect(smb, host, name)
        tree = session.tree_connect_andx(f"\\\\{host}\\IPC$", service=smb.SERVICE_ANY)
        flags = session.get_flags()[1]
        session.set_flags(flags2=flags & ~smb.SMB.FLAGS2_UNICODE)
        found = [
            [_shown(entry, charset) for entry in _enumerate(smb, session, tree, int(each), group)]
            if each
            else []
            for each in types
        ]
        session.close_session()
    except NoListError:
        raise
    except Exception as error:
        raise NoListError(f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]) from error
    return found


def _connect(smb: Any, host: str, name: str) -> Any:
    problem: Exception | None = None
    for port, called in ((445, host), (139, name), (139, "*SMBSERVER")):
        try:
            session = smb.SMB(called, host, sess_port=port, timeout=PATIENCE)
            session.login("", "")
        except Exception as error:
            problem = problem or error
            if isinstance(error, smb.SessionError):
                break
        else:
            return session
    assert problem is not None
    raise problem


def _enumerate(smb: Any, session: Any, tree: int, types: int, group: bytes) -> Iterator[rap.Entry]:
    after, count = b"", 0
    while True:
        answer = _ask(smb, session, tree, rap.request(types, group, after))
        if answer.status not in (0, rap.MORE_DATA):
            raise NoListError(f"NetServerEnum2 ended with status {answer.status}")
        # a page begins with the name the one before ended with
        fresh = [entry for entry in answer.entries if not after or entry.name.upper() != after.upper()]
        yield from fresh
        count += len(fresh)
        if not fresh or (count >= min(MOST, answer.available) and not answer.status):
            return
        if count >= MOST or len(answer.entries) >= answer.available:
            return
        after = fresh[-1].name


def _ask(smb: Any, session: Any, tree: int, parameters: bytes) -> rap.Answer:
    session.send_trans(tree, b"", rap.PIPE, parameters, b"")
    got = {"ParameterCount": b"", "DataCount": b""}
    while True:
        packet = session.recvSMB()
        if not packet.isValidAnswer(smb.SMB.SMB_COM_TRANSACTION):
            raise NoListError("no answer to NetServerEnum2")
        command = smb.SMBCommand(packet["Data"][0])
        words = smb.SMBTransactionResponse_Parameters(command["Parameters"])
        # offsets count from the SMB header; the bytes begin behind 32 of it, 1 + 20 of words, 2 of count
        start = 55 + 2 * words["SetupCount"]
        for size, offset in (("ParameterCount", "ParameterOffset"), ("DataCount", "DataOffset")):
            at = words[offset] - start
            if words[size]:
                got[size] += command["Data"][max(at, 0) : max(at, 0) + words[size]]
        if len(got["DataCount"]) >= words["TotalDataCount"] or not words["DataCount"]:
            break
    try:
        return rap.unpack_answer(got["ParameterCount"], got["DataCount"])
    except WireError as error:
        raise NoListError(str(error)) from error


def _shown(entry: rap.Entry, charset: str) -> list[Any]:
    return [
        entry.name.decode(charset, "replace"),
        entry.type,
        entry.comment.decode(charset, "replace"),
        entry.major,
        entry.minor,
    ]


if __name__ == "__main__":
    sys.exit(main())
