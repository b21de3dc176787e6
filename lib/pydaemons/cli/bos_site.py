# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of pybos on the site's small files: users, keys, cell and hosts."""

from __future__ import annotations

from pydaemons.cli.bos_link import Refused
from pydaemons.cli.bos_session import Session, worst

TYPE_CHECKING = False
if TYPE_CHECKING:  # what only some operations need is imported there: starting is most of what this costs
    from collections.abc import Mapping
    from typing import Any

    Values = Mapping[str, Any]


def adduser(session: Session, values: Values) -> int:
    results = []
    for user in values["user"]:
        try:
            session.link.call("AddUser", user=user)
        except Refused as refused:
            text = "(File exists)" if refused.code == 39427 else str(refused)
            session.complain(f"failed to add user '{user}' {text}")
            results.append(1)
    return worst(results)


def removeuser(session: Session, values: Values) -> int:
    results = []
    for user in values["user"]:
        try:
            session.link.call("RemoveUser", user=user)
        except Refused as refused:
            text = "(no such user)" if refused.code == 39425 else str(refused)
            session.complain(f"failed to delete user '{user}', {text}")
            results.append(1)
    return worst(results)


def listusers(session: Session, values: Values) -> int:
    result = session.link.call("ListUsers")
    if session.json:
        return session.show(result["users"])
    session.say("SUsers are: " + "".join(f"{user} " for user in result["users"]))
    return 0


def addkey(session: Session, values: Values) -> int:
    try:
        number = int(values["kvno"])
    except ValueError:
        session.complain(f"'{values['kvno']}' is no key version number")
        return 1
    key = values["key"]
    if key is None:
        import getpass  # noqa: PLC0415 -- for this one verb

        key = getpass.getpass("input key: ")
        if getpass.getpass("Retype input key: ") != key:
            session.complain("Input key mismatch")
            return 1
    return min(1, session.attempt(f"failed to set key {number}", "AddKey", kvno=number, key=key))


def removekey(session: Session, values: Values) -> int:
    results = []
    for word in values["kvno"]:
        if not word.isascii() or not word.isdigit():
            session.complain(f"'{word}' is no key version number")
            results.append(1)
            continue
        try:
            session.link.call("RemoveKey", kvno=int(word))
        except Refused as refused:
            text = "(could not find entry)" if refused.code == 39425 else str(refused)
            session.complain(f"failed to delete key {word} {text}")
            results.append(1)
    return worst(results)


def listkeys(session: Session, values: Values) -> int:
    try:
        result = session.link.call("ListKeys")
    except Refused as refused:
        session.complain(f"{refused.text} error encountered while listing keys")
        return refused.status
    if session.json:
        rows = [key if values["showkey"] else {**key, "key": None} for key in result["keys"]]
        return session.show(rows)
    for key in result["keys"]:
        shown = f"is '{key['key']}'" if values["showkey"] else f"has cksum {key['checksum']}"
        session.say(f"key {key['kvno']} {shown}")
    session.say("All done.")
    return 0


def setcellname(session: Session, values: Values) -> int:
    return session.attempt("failed to set cell", "SetCell", name=values["name"])


def listhosts(session: Session, values: Values) -> int:
    result = session.link.call("GetCell")
    if session.json:
        return session.show(result)
    session.say(f"Cell name is {result['cell']}")
    for number, host in enumerate(result["hosts"], 1):
        session.say(f"    Host {number} is {host}")
    return 0


def addhost(session: Session, values: Values) -> int:
    return worst(
        [
            session.attempt(
                f"failed to add host {host}", "AddHost", host=f"[{host}]" if values["clone"] else host
            )
            for host in values["host"]
        ]
    )


def removehost(session: Session, values: Values) -> int:
    return worst(
        [session.attempt(f"failed to delete host {host}", "RemoveHost", host=host) for host in values["host"]]
    )
