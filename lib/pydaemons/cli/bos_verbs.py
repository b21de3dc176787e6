# SPDX-License-Identifier: GPL-3.0-or-later
"""What each operation of pybos does: one function per row of VERBS, in the peer's order of its help.

Texts and exit codes are those of bos 1.8.9 as seen, with these differences: a name nobody knows gives exit
status 1 in status, startup, shutdown and restart too, and refusals never exit 0; a reason follows the
peer's text where there is one; exec exits with the command's own status.
"""

from __future__ import annotations

import os
import time

from pydaemons.bnode import views
from pydaemons.cli.bos_link import Link, Refused
from pydaemons.cli.bos_syntax import Verb, flag, one, some

TYPE_CHECKING = False
if TYPE_CHECKING:  # what only some operations need is imported there: starting is most of what this costs
    from collections.abc import Mapping
    from typing import Any, TextIO

    Values = Mapping[str, Any]

PIECE = 96 << 10
POLL = 0.2
"""Seconds between looks at a running salvage."""
SALVAGE_INSTANCE = "salvage-tmp"


class Session:
    """One run of the command. `server` is the machine's name, for texts."""

    def __init__(
        self, program: str, link: Link, server: str, *, json: bool, out: TextIO, err: TextIO
    ) -> None:
        self.program = program
        self.link = link
        self.server = server
        self.json = json
        self.out = out
        self.err = err

    def say(self, text: str) -> None:
        self.out.write(text + "\n")

    def show(self, result: Any) -> int:
        """The result as JSON."""
        import json  # noqa: PLC0415

        json.dump(result, self.out, indent=2)
        self.out.write("\n")
        return 0

    def complain(self, text: str) -> None:
        self.out.flush()
        self.err.write(f"{self.program}: {text}\n")

    def attempt(self, what: str, verb: str, **arguments: Any) -> int:
        """Call; when refused, say that `what` failed. The exit status."""
        try:
            self.link.call(verb, **arguments)
        except Refused as refused:
            self.complain(f"{what} {refused}")
            return refused.status
        return 0


def _each(results: list[int]) -> int:
    """The last one that failed."""
    return next((status for status in reversed(results) if status), 0)


def create(session: Session, values: Values) -> int:
    name, kind = values["instance"], values["type"]
    return session.attempt(
        f"failed to create new server instance {name} of type '{kind}'",
        "Create",
        instance=name,
        type=kind,
        commands=values["cmd"],
        notifier=values["notifier"],
    )


def delete(session: Session, values: Values) -> int:
    return _each([_delete_one(session, name) for name in values["instance"]])


def _delete_one(session: Session, name: str) -> int:
    try:
        session.link.call("Delete", instance=name)
    except Refused as refused:
        if refused.code == 39426:
            session.complain(f"can't delete running instance '{name}'")
        else:
            session.complain(f"failed to delete instance '{name}' {refused}")
        return refused.status
    return 0


def start(session: Session, values: Values) -> int:
    return _each(
        [
            session.attempt(f"failed to start instance '{name}'", "SetStatus", instance=name, goal=1)
            for name in values["instance"]
        ]
    )


def stop(session: Session, values: Values) -> int:
    results = [
        session.attempt(f"failed to stop instance '{name}'", "SetStatus", instance=name, goal=0)
        for name in values["instance"]
    ]
    if values["wait"]:
        results.append(_wait(session))
    return _each(results)


def _wait(session: Session) -> int:
    return session.attempt("can't wait for processes to shutdown", "WaitAll")


def startup(session: Session, values: Values) -> int:
    if not values["instance"]:
        return session.attempt("failed to startup servers", "StartupAll")
    return _each(
        [
            session.attempt(f"failed to start instance {name}", "SetTemporaryStatus", instance=name, goal=1)
            for name in values["instance"]
        ]
    )


def shutdown(session: Session, values: Values) -> int:
    if values["instance"]:
        results = [
            session.attempt(
                f"failed to shutdown instance {name}", "SetTemporaryStatus", instance=name, goal=0
            )
            for name in values["instance"]
        ]
    else:
        results = [session.attempt("failed to shutdown servers", "ShutdownAll")]
    if values["wait"]:
        results.append(_wait(session))
    return _each(results)


def restart(session: Session, values: Values) -> int:
    chosen = [bool(values["instance"]), values["all"], values["bosserver"]]
    if not any(chosen):
        session.complain("To restart all processes please specify '-all'")
        return 1
    if values["instance"] and (values["all"] or values["bosserver"]):
        session.complain("Can't specify both '-all' or '-bosserver' and instances")
        return 1
    if values["bosserver"]:
        return session.attempt("failed to restart bosserver", "RestartServer")
    if values["all"]:
        return session.attempt("failed to restart servers", "RestartAll")
    return _each(
        [
            session.attempt(f"failed to restart instance {name}", "Restart", instance=name)
            for name in values["instance"]
        ]
    )


def status(session: Session, values: Values) -> int:
    result = session.link.call(
        "Status", instances=values["instance"], long=bool(values["long"] or session.json)
    )
    if session.json:
        session.show(result)
        return 1 if result["unknown"] else 0
    if result["trouble"]:
        session.complain(f"systemd does not answer there: {result['trouble']}")
    form = views.format_long if values["long"] else views.format_status
    session.out.write("".join(form(view, time.ctime) for view in result["instances"]))
    for name in result["unknown"]:
        session.complain(f"failed to get instance info for '{name}' (no such entity)")
    return 1 if result["unknown"] else 0


def adduser(session: Session, values: Values) -> int:
    results = []
    for user in values["user"]:
        try:
            session.link.call("AddUser", user=user)
        except Refused as refused:
            text = "(File exists)" if refused.code == 39427 else str(refused)
            session.complain(f"failed to add user '{user}' {text}")
            results.append(refused.status if refused.code != 39427 else 1)
    return _each(results)


def removeuser(session: Session, values: Values) -> int:
    results = []
    for user in values["user"]:
        try:
            session.link.call("RemoveUser", user=user)
        except Refused as refused:
            text = "(no such user)" if refused.code == 39425 else str(refused)
            session.complain(f"failed to delete user '{user}', {text}")
            results.append(refused.status)
    return _each(results)


def listusers(session: Session, values: Values) -> int:
    result = session.link.call("ListUsers")
    if session.json:
        return session.show(result)
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
    return session.attempt(f"failed to set key {number}", "AddKey", kvno=number, key=key)


def removekey(session: Session, values: Values) -> int:
    results = []
    for word in values["kvno"]:
        if not word.isascii() or not word.isdigit():
            session.complain(f"'{word}' is no key version number")
            results.append(1)
            continue
        results.append(session.attempt(f"failed to delete key {word}", "RemoveKey", kvno=int(word)))
    return _each(results)


def listkeys(session: Session, values: Values) -> int:
    result = session.link.call("ListKeys")
    if session.json:
        rows = [key if values["showkey"] else {**key, "key": None} for key in result["keys"]]
        return session.show({"keys": rows})
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
    return _each(
        [
            session.attempt(
                f"failed to add host {host}", "AddHost", host=f"[{host}]" if values["clone"] else host
            )
            for host in values["host"]
        ]
    )


def removehost(session: Session, values: Values) -> int:
    return _each(
        [session.attempt(f"failed to delete host {host}", "RemoveHost", host=host) for host in values["host"]]
    )


def setauth(session: Session, values: Values) -> int:
    word = values["authrequired"]
    if word not in ("on", "off"):
        session.complain(f"illegal authentication specifier '{word}', must be 'off' or 'on'.")
        return 1
    return session.attempt("failed to set authentication flag", "SetAuth", required=word == "on")


def install(session: Session, values: Values) -> int:
    results = []
    for source in values["file"]:
        try:
            with open(source, "rb") as file:
                data = file.read()
                found = os.fstat(file.fileno())
        except OSError:
            session.complain(f"can't find file '{source}', quitting")
            return 1
        target = _binary(values["dir"], source)
        mode, mtime = found.st_mode & 0o7777, int(found.st_mtime)
        results.append(_install_one(session, source, target, (mode, mtime), data))
    return _each(results)


def _install_one(session: Session, source: str, target: str, stamp: tuple[int, int], data: bytes) -> int:
    import base64  # noqa: PLC0415

    offset = 0
    while True:
        piece = data[offset : offset + PIECE]
        status = session.attempt(
            f"failed to install {source}",
            "Install",
            file=target,
            mode=stamp[0],
            mtime=stamp[1],
            data=base64.b64encode(piece).decode(),
            offset=offset,
            size=len(data),
        )
        offset += len(piece)
        if status or offset >= len(data):
            break
    if not status:
        session.say(f"{session.program}: installed file {source}")
    return status


def _binary(folder: str | None, name: str) -> str:
    """Where a program belongs: the canonical folder unless another is given."""
    return f"{(folder or '/usr/afs/bin').rstrip('/')}/{os.path.basename(name)}"


def uninstall(session: Session, values: Values) -> int:
    results = []
    for name in values["file"]:
        target = _binary(values["dir"], name)
        status = session.attempt(f"failed to uninstall {name}", "Uninstall", file=target)
        if not status:
            session.say(f"{session.program}: uninstalled file {name}")
        results.append(status)
    return _each(results)


def getdate(session: Session, values: Values) -> int:
    rows = []
    for name in values["file"]:
        target = _binary(values["dir"], name)
        try:
            result = session.link.call("GetDate", file=target)
        except Refused as refused:
            session.complain(f"failed to check date on {name} {refused}")
            return refused.status
        rows.append({"file": target, **result})
        if session.json:
            continue
        new, bak, old = result["new"], result["bak"], result["old"]
        text = f"File {target} " + (f"dated {time.ctime(new)}" if new else "does not exist")
        text += f", .BAK file dated {time.ctime(bak)}" if bak else ", no .BAK file"
        text += f", .OLD file dated {time.ctime(old)}." if old else ", no .OLD file."
        session.say(text)
    return session.show(rows) if session.json else 0


def prune(session: Session, values: Values) -> int:
    everything = values["all"]
    chosen = {name: bool(values[name] or everything) for name in ("bak", "old", "core")}
    return session.attempt("failed to prune server files", "Prune", **chosen)


def setrestart(session: Session, values: Values) -> int:
    from pydaemons.bnode import ktime  # noqa: PLC0415

    if values["general"] and values["newbinary"]:
        session.complain("can't specify more than one restart time at a time")
        return 255
    try:
        at = ktime.parse(values["time"])
    except ValueError as error:
        session.complain(f"failed to parse '{values['time']}' as periodic restart time: {error}")
        return 255
    numbers = [at.mask, at.day, at.hour, at.minute, at.second]
    return session.attempt(
        "failed to set restart time", "SetRestart", binaries=bool(values["newbinary"]), time=numbers
    )


def getrestart(session: Session, values: Values) -> int:
    from pydaemons.bnode import ktime  # noqa: PLC0415

    result = session.link.call("GetRestart")
    if session.json:
        return session.show(result)
    session.say(f"Server {session.server} restarts {ktime.format(ktime.KTime(*result['general']))}")
    binaries = ktime.format(ktime.KTime(*result["binaries"]))
    session.say(f"Server {session.server} restarts for new binaries {binaries}")
    return 0


def run_exec(session: Session, values: Values) -> int:
    try:
        wait_status = session.link.call("Exec", command=values["cmd"])["status"]
    except Refused as refused:
        session.complain(f"failed to execute command {refused}")
        return refused.status
    code: int = os.waitstatus_to_exitcode(wait_status)
    if code < 0:
        session.complain(f"failed to execute command (killed by signal {-code})")
        return 128 - code
    if code:
        session.complain(f"failed to execute command (exit code {code})")
    return code


def getlog(session: Session, values: Values) -> int:
    session.say(f"Fetching log file '{values['file']}'...")
    return _copy_log(session, values["file"], session.out)


def _copy_log(session: Session, name: str, target: TextIO) -> int:
    import base64  # noqa: PLC0415

    offset = 0
    while True:
        try:
            result = session.link.call("GetLog", file=name, offset=offset)
        except Refused as refused:
            session.complain(f"{refused.text} (while reading log)")
            return refused.status
        data = base64.b64decode(result["data"])
        target.write(data.decode("utf-8", "replace"))
        offset += len(data)
        if result["end"]:
            return 0


def setrestricted(session: Session, values: Values) -> int:
    word = values["mode"]
    if word not in ("0", "1", "on", "off"):
        session.complain(f"illegal mode '{word}', must be 0 or 1")
        return 1
    return session.attempt("failed to set restricted mode", "SetRestricted", mode=word in ("1", "on"))


def getrestricted(session: Session, values: Values) -> int:
    result = session.link.call("GetRestricted")
    if session.json:
        return session.show(result)
    session.say(f"Restricted mode is {'on' if result['restricted'] else 'off'}")
    return 0


def salvage(session: Session, values: Values) -> int:
    """Run the salvager as a cron bnode while the file server is down."""
    if not values["partition"] and not values["all"]:
        session.complain("must specify -all switch to salvage all partitions.")
        return 255
    if values["volume"] and not values["partition"]:
        session.complain("must specify partition to salvage individual volume.")
        return 255
    if values["salvagedirs"] and not values["all"]:
        session.complain("-salvagedirs only possible with -all.")
        return 22
    found = {
        view["name"]: view
        for view in session.link.call("Status", instances=["fs", "dafs"], long=True)["instances"]
    }
    server = found.get("fs") or found.get("dafs")
    if server is None:
        session.complain("can't find server instance 'fs' or 'dafs'")
        return 1
    demand = server["type"] == "dafs"
    if demand and not values["forceDAFS"]:
        session.complain("this is a demand attach file server, which salvages by itself; -forceDAFS insists")
        return 255
    command = " ".join(_salvage_command(values, demand=demand))
    down = server["goal"] == 1 and not values["volume"]
    if down:
        session.say(f"{session.program}: shutting down '{server['name']}'.")
        failed = session.attempt(
            f"can't stop '{server['name']}'", "SetTemporaryStatus", instance=server["name"], goal=0
        ) or _wait(session)
        if failed:
            return failed
    try:
        return _run_salvager(session, values, command)
    finally:
        if down:
            session.say(f"{session.program}: restarting '{server['name']}'.")
            session.attempt(
                f"can't restart '{server['name']}'", "SetTemporaryStatus", instance=server["name"], goal=1
            )


def _salvage_command(values: Values, *, demand: bool) -> list[str]:
    words = ["/usr/afs/bin/dasalvager" if demand else "/usr/afs/bin/salvager"]
    words += ["-salvagedirs"] if values["salvagedirs"] else []
    for name in ("parallel", "tmpdir", "orphans"):
        words += [f"-{name}", values[name]] if values[name] else []
    words += ["-forceDAFS"] if demand else []
    words += [] if values["volume"] else ["-force"]
    words += [_partition(values["partition"])] if values["partition"] else []
    words += [values["volume"]] if values["volume"] else []
    return words


def _partition(word: str) -> str:
    """`a`, `vicepa` and `/vicepa` are one partition."""
    if word.startswith("/"):
        return word
    return f"/{word}" if word.startswith("vicep") else f"/vicep{word}"


def _run_salvager(session: Session, values: Values, command: str) -> int:
    session.say("Starting salvage.")
    failed = session.attempt(
        "failed to start 'salvager'",
        "Create",
        instance=SALVAGE_INSTANCE,
        type="cron",
        commands=[command, "now"],
    )
    if failed:
        return failed
    while session.link.call("Status", instances=[SALVAGE_INSTANCE], long=False)["instances"]:
        time.sleep(POLL)
    session.say(f"{session.program}: salvage completed")
    if values["file"]:
        with open(values["file"], "w", encoding="utf-8") as target:
            return _copy_log(session, "SalvageLog", target)
    if values["showlog"]:
        session.say("SalvageLog:")
        return _copy_log(session, "SalvageLog", session.out)
    return 0


def statistics(session: Session, values: Values) -> int:
    result = session.link.call("Statistics")
    if session.json:
        return session.show(result)
    session.out.write(views.format_table([[name, str(value)] for name, value in result.items()]))
    return 0


def reload(session: Session, values: Values) -> int:
    answer = session.link.call_common("Reload")
    for problem in answer["problems"]:
        session.complain(problem)
    return 0 if answer["usable"] else 1


_NAMES = some("instance", "server process name")
_NAMED = some("instance", "server process name", required=True)
_DIR = one("dir", "destination dir")

VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            "addhost",
            "add host to cell dbase",
            (some("host", "host name", required=True), flag("clone", "vote doesn't count")),
            addhost,
        ),
        Verb(
            "addkey",
            "add keys to key dbase",
            (one("key", "key"), one("kvno", "key version number", required=True)),
            addkey,
        ),
        Verb("adduser", "add users to super-user list", (some("user", "user name", required=True),), adduser),
        Verb(
            "create",
            "create a new server instance",
            (
                one("instance", "server process name", required=True),
                one("type", "server type", required=True),
                some("cmd", "command lines", required=True),
                one("notifier", "Notifier program"),
            ),
            create,
        ),
        Verb("delete", "delete a server instance", (_NAMED,), delete),
        Verb(
            "exec",
            "execute shell command on server",
            (one("cmd", "command to execute", required=True),),
            run_exec,
        ),
        Verb(
            "getdate",
            "get dates for programs",
            (some("file", "files to check", required=True), _DIR),
            getdate,
        ),
        Verb("getlog", "examine log file", (one("file", "log file to examine", required=True),), getlog),
        Verb("getrestart", "get restart times", (), getrestart, "getr"),
        Verb("getrestricted", "get restrict mode", (), getrestricted),
        Verb("install", "install program", (some("file", "files to install", required=True), _DIR), install),
        Verb("listhosts", "get cell host list", (), listhosts, "getcell"),
        Verb(
            "listkeys",
            "list keys",
            (flag("showkey", "show the actual key rather than the checksum"),),
            listkeys,
        ),
        Verb("listusers", "list super-users", (), listusers),
        Verb(
            "prune",
            "prune server files",
            (
                flag("bak", "delete .BAK files"),
                flag("old", "delete .OLD files"),
                flag("core", "delete core files"),
                flag("all", "delete all junk files"),
            ),
            prune,
        ),
        Verb("reload", "read the server's configuration and BosConfig again", (), reload),
        Verb(
            "removehost",
            "remove host from cell dbase",
            (some("host", "host name", required=True),),
            removehost,
        ),
        Verb(
            "removekey",
            "remove keys from key dbase",
            (some("kvno", "key version number", required=True),),
            removekey,
        ),
        Verb(
            "removeuser",
            "remove users from super-user list",
            (some("user", "user name", required=True),),
            removeuser,
        ),
        Verb(
            "restart",
            "restart processes",
            (
                some("instance", "instances"),
                flag("bosserver", "restart bosserver"),
                flag("all", "restart all processes"),
            ),
            restart,
        ),
        Verb(
            "salvage",
            "salvage partition or volumes",
            (
                one("partition", "salvage partition"),
                one("volume", "salvage volume number or volume name"),
                one("file", "salvage log output file"),
                flag("all", "salvage whole server"),
                flag("showlog", "display salvage log"),
                one("parallel", "# of max parallel partition salvaging"),
                one("tmpdir", "directory to place tmp files"),
                one("orphans", "ignore | remove | attach"),
                flag("forceDAFS", "(DAFS) force salvage of demand attach fileserver"),
                flag("salvagedirs", "Force rebuild/salvage of all directories"),
            ),
            salvage,
        ),
        Verb(
            "setauth",
            "set authentication required flag",
            (one("authrequired", "on or off: authentication required for admin requests", required=True),),
            setauth,
        ),
        Verb("setcellname", "set cell name", (one("name", "cell name", required=True),), setcellname),
        Verb(
            "setrestart",
            "set restart times",
            (
                one("time", "time to restart server", required=True),
                flag("general", "set general restart time"),
                flag("newbinary", "set new binary restart time"),
            ),
            setrestart,
            "setr",
        ),
        Verb(
            "setrestricted", "set restrict mode", (one("mode", "mode to set", required=True),), setrestricted
        ),
        Verb(
            "shutdown",
            "shutdown all processes",
            (some("instance", "instances"), flag("wait", "wait for process to stop")),
            shutdown,
        ),
        Verb("start", "start running a server", (_NAMED,), start),
        Verb("startup", "start all processes", (some("instance", "instances"),), startup),
        Verb("statistics", "show figures of the server", (), statistics),
        Verb("status", "show server instance status", (_NAMES, flag("long", "long status")), status),
        Verb("stop", "halt a server instance", (_NAMED, flag("wait", "wait for process to stop")), stop),
        Verb(
            "uninstall",
            "uninstall program",
            (some("file", "files to uninstall", required=True), _DIR),
            uninstall,
        ),
    )
}
