# SPDX-License-Identifier: GPL-3.0-or-later
"""All operations of pybos: name, help, switches, and what carries them out, one row each."""

from __future__ import annotations

from pydaemons.cli import bos_files, bos_salvage, bos_site, bos_top, bos_units, bos_verbs
from pydaemons.cli.bos_syntax import Verb, flag, one, some

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

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
            bos_site.addhost,
        ),
        Verb(
            "addkey",
            "add keys to key dbase",
            (one("key", "key"), one("kvno", "key version number", required=True)),
            bos_site.addkey,
        ),
        Verb(
            "adduser",
            "add users to super-user list",
            (some("user", "user name", required=True),),
            bos_site.adduser,
        ),
        Verb(
            "create",
            "create a new server instance",
            (
                one("instance", "server process name", required=True),
                one("type", "server type", required=True),
                some("cmd", "command lines", required=True),
                one("notifier", "Notifier program"),
            ),
            bos_verbs.create,
        ),
        Verb("delete", "delete a server instance", (_NAMED,), bos_verbs.delete),
        Verb(
            "exec",
            "execute shell command on server",
            (one("cmd", "command to execute", required=True),),
            bos_files.run_exec,
        ),
        Verb(
            "export",
            "write bnodes as unit files",
            (
                one("dir", "folder to write to", required=True),
                some("instance", "server process name"),
                one("bindir", "what relative commands are in"),
            ),
            bos_units.export,
            ours=True,
        ),
        Verb(
            "getdate",
            "get dates for programs",
            (some("file", "files to check", required=True), _DIR),
            bos_files.getdate,
        ),
        Verb(
            "getlog",
            "examine log file",
            (one("file", "log file to examine", required=True),),
            bos_files.getlog,
        ),
        Verb("getrestart", "get restart times", (), bos_verbs.getrestart, "getr"),
        Verb("getrestricted", "get restrict mode", (), bos_verbs.getrestricted),
        Verb(
            "import",
            "make bnodes of service files",
            (some("file", "service files", required=True),),
            bos_units.take,
            ours=True,
        ),
        Verb(
            "install",
            "install program",
            (some("file", "files to install", required=True), _DIR),
            bos_files.install,
        ),
        Verb("listhosts", "get cell host list", (), bos_site.listhosts, "getcell"),
        Verb(
            "listkeys",
            "list keys",
            (flag("showkey", "show the actual key rather than the checksum"),),
            bos_site.listkeys,
        ),
        Verb("listusers", "list super-users", (), bos_site.listusers),
        Verb(
            "prune",
            "prune server files",
            (
                flag("bak", "delete .BAK files"),
                flag("old", "delete .OLD files"),
                flag("core", "delete core files"),
                flag("all", "delete all junk files"),
            ),
            bos_files.prune,
        ),
        Verb(
            "reload", "read the server's configuration and BosConfig again", (), bos_verbs.reload, ours=True
        ),
        Verb(
            "removehost",
            "remove host from cell dbase",
            (some("host", "host name", required=True),),
            bos_site.removehost,
        ),
        Verb(
            "removekey",
            "remove keys from key dbase",
            (some("kvno", "key version number", required=True),),
            bos_site.removekey,
        ),
        Verb(
            "removeuser",
            "remove users from super-user list",
            (some("user", "user name", required=True),),
            bos_site.removeuser,
        ),
        Verb(
            "restart",
            "restart processes",
            (
                some("instance", "instances"),
                flag("bosserver", "restart bosserver"),
                flag("all", "restart all processes"),
            ),
            bos_verbs.restart,
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
                flag("salvagedirs", "force rebuild/salvage of all directories"),
            ),
            bos_salvage.salvage,
        ),
        Verb(
            "setauth",
            "set authentication required flag",
            (one("authrequired", "on or off: authentication required for admin requests", required=True),),
            bos_verbs.setauth,
        ),
        Verb(
            "setcellname", "set cell name", (one("name", "cell name", required=True),), bos_site.setcellname
        ),
        Verb(
            "setrestart",
            "set restart times",
            (
                one("time", "time to restart server", required=True),
                flag("general", "set general restart time"),
                flag("newbinary", "set new binary restart time"),
            ),
            bos_verbs.setrestart,
            "setr",
        ),
        Verb(
            "setrestricted",
            "set restrict mode",
            (one("mode", "mode to set", required=True),),
            bos_verbs.setrestricted,
        ),
        Verb(
            "shutdown",
            "shutdown all processes",
            (some("instance", "instances"), flag("wait", "wait for process to stop")),
            bos_verbs.shutdown,
        ),
        Verb("start", "start running a server", (_NAMED,), bos_verbs.start),
        Verb("startup", "start all processes", (some("instance", "instances"),), bos_verbs.startup),
        Verb(
            "statistics",
            "show figures of the server",
            (flag("prometheus", "for Prometheus, with those of each bnode"),),
            bos_verbs.statistics,
            ours=True,
        ),
        Verb(
            "status", "show server instance status", (_NAMES, flag("long", "long status")), bos_verbs.status
        ),
        Verb(
            "stop",
            "halt a server instance",
            (_NAMED, flag("wait", "wait for process to stop")),
            bos_verbs.stop,
        ),
        Verb(
            "top",
            "show all servers again and again",
            (one("delay", "seconds"), one("count", "how often")),
            bos_top.top,
            ours=True,
        ),
        Verb(
            "uninstall",
            "uninstall program",
            (some("file", "files to uninstall", required=True), _DIR),
            bos_files.uninstall,
        ),
    )
}
