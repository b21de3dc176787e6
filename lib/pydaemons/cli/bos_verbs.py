# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of pybos on bnodes and on the server itself. `bos_table` has the list of all.

Texts and exit codes are those of bos 1.8.9 as seen, with these differences: a name nobody knows gives exit
status 1 in status, startup, shutdown and restart too, and refusals never exit 0; a reason follows the
peer's text where there is one; exec exits with the command's own status.
"""

from __future__ import annotations

import time

from pydaemons.bnode import views
from pydaemons.cli.bos_link import Refused
from pydaemons.cli.bos_session import Session, worst

TYPE_CHECKING = False
if TYPE_CHECKING:  # what only some operations need is imported there: starting is most of what this costs
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Values = Mapping[str, Any]


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
    return worst([_delete_one(session, name) for name in values["instance"]])


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
    return worst(
        [
            session.attempt(f"failed to start instance '{name}'", "SetStatus", instance=name, goal=1)
            for name in values["instance"]
        ]
    )


def stop(session: Session, values: Values) -> int:
    results = [
        session.attempt(f"failed to change stop instance '{name}'", "SetStatus", instance=name, goal=0)
        for name in values["instance"]
    ]
    if values["wait"]:
        results.append(_wait(session))
    return worst(results)


def _wait(session: Session) -> int:
    return session.attempt("can't wait for processes to shutdown", "WaitAll")


def startup(session: Session, values: Values) -> int:
    if not values["instance"]:
        return session.attempt("failed to startup servers", "StartupAll")
    return worst(
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
    return worst(results)


def restart(session: Session, values: Values) -> int:
    chosen = [bool(values["instance"]), values["all"], values["bosserver"]]
    if not any(chosen):
        session.complain("To restart all processes please specify '-all'")
        return 1
    if values["instance"] and values["bosserver"]:
        session.complain("can't specify both '-bos' and specific servers to restart.")
        return 1
    if values["instance"] and values["all"]:
        session.complain("Can't use '-all' along with individual instances")
        return 1
    if values["bosserver"]:
        return session.attempt("failed to restart bosserver", "RestartServer")
    if values["all"]:
        return session.attempt("failed to restart servers", "RestartAll")
    return worst(
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
    for name, error in result.get("unwritten", {}).items():  # a server may be older than we
        session.complain(
            f"{name} cannot be written there: {error}; a restart would bring its last version back"
        )
    if values["long"] and result.get("tooOpen") and result["instances"]:
        session.say("Bosserver reports inappropriate access on server directories")
    form = views.format_long if values["long"] else views.format_status
    session.out.write("".join(form(view, time.ctime) for view in result["instances"]))
    for name in result["unknown"]:
        session.complain(f"failed to get instance info for '{name}' (no such entity)")
    return 1 if result["unknown"] else 0


def setauth(session: Session, values: Values) -> int:
    word = values["authrequired"]
    if word not in ("on", "off"):
        session.complain(f"illegal authentication specifier '{word}', must be 'off' or 'on'.")
        return 1
    return session.attempt_turned("failed to set authentication flag", "SetAuth", required=word == "on")


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
        "failed to set restart time at server", "SetRestart", binaries=bool(values["newbinary"]), time=numbers
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


def setrestricted(session: Session, values: Values) -> int:
    word = values["mode"]
    if word not in ("0", "1", "on", "off"):
        session.complain("failed to set restricted mode (index out of range)")
        return 5
    return session.attempt("failed to set restricted mode", "SetRestricted", mode=word in ("1", "on"))


def getrestricted(session: Session, values: Values) -> int:
    result = session.link.call("GetRestricted")
    if session.json:
        return session.show(result)
    session.say(f"Restricted mode is {'on' if result['restricted'] else 'off'}")
    return 0


def statistics(session: Session, values: Values) -> int:
    result = session.link.call("Statistics")
    if values["prometheus"]:
        bnodes = session.link.call("Status", instances=[], long=True)["instances"]
        session.out.write(prometheus(result, bnodes))
        return 0
    if session.json:
        return session.show(result)
    shown = {True: "yes", False: "no", "": "-"}  # as other commands' tables have it (cli.tables)
    rows = [[name, shown.get(value, str(value))] if isinstance(value, bool | str) else [name, str(value)]
            for name, value in result.items()]  # fmt: skip
    session.out.write(views.format_table(rows))
    return 0


def prometheus(figures: Mapping[str, Any], bnodes: Sequence[Mapping[str, Any]]) -> str:
    """The figures of the server and of each bnode for Prometheus."""
    from pydaemons.cli.metrics import Metrics  # noqa: PLC0415

    def each(value: Callable[[Mapping[str, Any]], Any]) -> list[tuple[Mapping[str, str], Any]]:
        return [({"bnode": view["name"]}, value(view)) for view in bnodes]

    page = Metrics("pybosd")
    for name in ("bnodes", "running", "error_stopped", "adopted", "unknown_units"):
        page.gauge(name, f"{name.replace('_', ' ').capitalize()}.", figures[name])
    page.gauge("manager_answers", "Whether systemd answers.", not figures["trouble"])
    page.family("bnode_goal", "gauge", "Whether it shall run.", each(lambda view: view["goal"]))
    page.family(
        "bnode_running",
        "gauge",
        "Processes that run.",
        each(lambda view: sum(process["state"] == "up" for process in view["processes"])),
    )
    page.family("bnode_starts_total", "counter", "Starts by anybody.", each(lambda view: view["starts"]))
    page.family(
        "bnode_manual_starts_total", "counter", "Starts by hand.", each(lambda view: view["manualStarts"])
    )
    page.family(
        "bnode_error_stop", "gauge", "Stopped for too many errors.", each(lambda view: view["errorStop"])
    )
    page.family("bnode_flapping", "gauge", "Ends again and again.", each(lambda view: view["flapping"]))
    page.family("bnode_exits_in_window", "gauge", "Exits counted.", each(lambda view: view["exitsInWindow"]))
    page.family(
        "bnode_start_time_seconds", "gauge", "Last start, since 1970.", each(lambda view: view["startTime"])
    )
    return page.text()


def reload(session: Session, values: Values) -> int:
    answer = session.link.call_common("Reload")
    for problem in answer["problems"]:
        session.complain(problem)
    return 0 if answer["usable"] else 1
