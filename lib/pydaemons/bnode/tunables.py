# SPDX-License-Identifier: GPL-3.0-or-later
"""kernel.bos.*: what an administrator may set while pybosd runs."""

from __future__ import annotations

from pydaemons.tunables.declare import Effect, Tunables, state, tunable
from pydaemons.tunables.kinds import Bool, Choice, Int, Seconds


class BosTunables(Tunables, prefix="kernel.bos"):
    """Numbers in seconds are whole seconds."""

    error_stop_limit = tunable(
        Int(1, 10_000, unit="exits"),
        11,
        doc="""Exits within error_stop_window that are answered by a restart; the next one stops the
        bnode.""",
    )
    error_stop_window = tunable(
        Seconds(1, 86_400), 30, doc="Length of the window in which exits are counted. It opens at an exit."
    )
    error_stop_policy = tunable(
        Choice("stop", "backoff"),
        "stop",
        doc="""What follows an error stop: "stop", nothing until somebody starts the bnode; "backoff", retries
        after 1, 2, 4 ... backoff_max seconds, as OpenAFS 1.8 does.""",
    )
    backoff_max = tunable(Seconds(1, 86_400), 60, doc="Longest pause before a retry under backoff.")
    backoff_trips = tunable(
        Int(1, 10_000, unit="stops"), 16, doc="Error stops followed by a retry; the next one is final."
    )
    backoff_forget = tunable(
        Seconds(1, 86_400), 60, doc="Uptime after a retry that makes earlier error stops forgotten."
    )
    flapping_exits = tunable(
        Int(1, 10_000, unit="exits"),
        3,
        doc="Exits within error_stop_window from which on a bnode is shown as flapping.",
    )
    stop_timeout = tunable(
        Seconds(1, 86_400),
        60,
        effect=Effect.NEXT_CALL,
        doc="Time a process gets to stop before it is killed. Fixed when the process is first started.",
    )
    file_stop_timeout = tunable(
        Seconds(1, 86_400),
        1800,
        effect=Effect.NEXT_CALL,
        doc="The same for the file part of fs and dafs, which may have many volumes to detach.",
    )
    notify_on = tunable(
        Choice("exit", "errorstop", "all"),
        "exit",
        doc="""When notifiers are run: at every exit; only at an error stop and at the recovery from one;
        or at all three.""",
    )
    notify_interval = tunable(
        Seconds(0, 86_400), 60, doc="Least time between two errorstop or recovered notices of one bnode."
    )
    notify_signal = tunable(Bool(), False, doc="Write a lastSignal line to notifiers as well.")
    keep_cores = tunable(
        Bool(), True, doc="Look for a core file after a death by signal and name it after its bnode."
    )
    core_stamp = tunable(Bool(), False, doc="Add the time to the names of core files, and so keep them all.")
    quoting = tunable(
        Bool(),
        False,
        effect=Effect.NEXT_CALL,
        doc="""Understand quotes and backslashes in command lines. Off, words are what stands between blanks,
        as in the peer.""",
    )
    pid_files = tunable(
        Bool(), False, effect=Effect.NEXT_CALL, doc="Keep local/INSTANCE.pid for every process, as -pidfiles."
    )

    bnodes = state(Int(0, 2**31 - 1), doc="Bnodes there are.")
    running = state(Int(0, 2**31 - 1), doc="Processes running.")
    error_stopped = state(Int(0, 2**31 - 1), doc="Bnodes stopped for too many errors.")
    adopted = state(Int(0, 2**31 - 1), doc="Processes found running when pybosd started, and taken over.")
    unknown_units = state(Int(0, 2**31 - 1), doc="Reports about bos-* units that belong to no bnode.")
