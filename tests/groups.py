# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the groups of tests side by side, with a line for each, and sums them up. Called by tests/run.

A group is a folder of tests/ with test files in it: house, one per package of lib/, and e2e, where each file
is a job of its own (its hosts are namespaces nobody else sees). Every job is a pytest of its own with a time
limit, so that one hanging test cannot take the others along. Most of e2e's time is spent waiting, so there
are more jobs at once than processors; the longest of the last run begin first. `--jobs 1` runs one after the
other.

A busy machine can be too slow for a peer's own patience. What failed in e2e beside other jobs is therefore
tried once more with the machine to itself, and said to be unsteady when it passes then; not with `--once`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parent
E2E = "e2e"
"""The group whose files are jobs, and may be tried again."""
JOB_LIMIT, TOTAL_LIMIT = 900.0, 1800.0
"""Seconds. All of it takes some minutes on two cores. The limits are for what hangs, which is a failure with
a stack dump; slow machines exist."""

USAGE = "tests/run [--jobs N] [--once] [GROUP...] [-- PYTEST-ARGUMENT...]"


@dataclass
class Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Result) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reasons += other.reasons

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Job:
    """One pytest: a group, or one file of e2e."""

    name: str
    path: Path


def all_groups() -> list[str]:
    """house first, e2e last, as they are written down and asked for."""
    found = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py") if path.parent != TESTS}
    return sorted(found, key=lambda group: (group != "house", group == E2E, group))


def jobs_of(groups: list[str]) -> Iterator[Job]:
    for group in groups:
        if group == E2E:
            for path in sorted((TESTS / group).glob("test_*.py")):
                yield Job(f"{group}/{path.stem.removeprefix('test_')}", path)
        else:
            yield Job(group, TESTS / group)


class Durations:
    """How long each job took last time, in seconds by name; a file in the cache of tests/run, if there is
    one."""

    def __init__(self) -> None:
        cache = os.environ.get("PYDAEMONS_TESTS_CACHE")
        self._path = Path(cache, "durations.json") if cache else None
        self._known: dict[str, float] = {}
        if self._path is not None and self._path.exists():
            try:
                self._known = {str(k): float(v) for k, v in json.loads(self._path.read_text()).items()}
            except (ValueError, AttributeError, TypeError, OSError):
                pass  # a guess is all it is for

    def longest_first(self, jobs: list[Job]) -> list[Job]:
        """A job never run is taken for a long one, a large file for longer than a small one."""

        def weight(job: Job) -> tuple[float, int]:
            return self._known.get(job.name, 60.0), job.path.stat().st_size

        return sorted(jobs, key=weight, reverse=True)

    def keep(self, name: str, seconds: float) -> None:
        self._known[name] = round(seconds, 1)

    def save(self) -> None:
        if self._path is not None:
            fresh = self._path.with_suffix(f".{os.getpid()}")
            try:
                fresh.write_text(json.dumps(self._known, indent=1))
                fresh.replace(self._path)
            except OSError:
                pass


def read_report(report: Path) -> Result:
    """The counts of pytest's junit file; an error in a fixture is a failure, as for pytest's exit code."""
    result = Result()
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif (skip := case.find("skipped")) is not None:
            result.skipped += 1
            result.reasons[skip.get("message") or "no reason given"] += 1
        else:
            result.passed += 1
    return result


def stop(process: subprocess.Popen[bytes]) -> None:
    """As ^C would (pytest then reports and tears fixtures down), then without mercy."""
    for number, patience in ((signal.SIGINT, 20.0), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


class Running:
    """The processes at work, so that an interrupt ends them all; after `end` no more are started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def run(self, command: list[str], output: Path, limit: float) -> int | None:
        """The exit code, or None when it was not finished in time."""
        with open(output, "wb") as sink, self._lock:
            if self._ended:
                return -signal.SIGINT
            process = subprocess.Popen(
                command, cwd=TESTS.parent, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
            self._processes.add(process)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            stop(process)
            return None
        finally:
            with self._lock:
                self._processes.discard(process)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            left = list(self._processes)
        for process in left:
            stop(process)


@dataclass
class Outcome:
    """What came of a job."""

    result: Result
    text: str
    """What there is to read when something failed."""
    seconds: float
    ended: bool = False
    """Not finished in time: what failed is not known test by test."""


@dataclass
class Run:
    """What the jobs of one call of tests/run share."""

    arguments: list[str]
    folder: Path
    """For reports, and for what pytest remembers of each job."""
    until: float
    running: Running = field(default_factory=Running)

    def job(self, job: Job, *, before: Outcome | None = None) -> Outcome:
        """Run it, or of what has been run before what failed then."""
        begun = time.monotonic()
        limit = min(JOB_LIMIT, max(self.until - begun, 1.0))
        folder = self.folder / job.name.replace("/", ".")
        folder.mkdir(exist_ok=True)
        report, output = folder / "report.xml", folder / "output"
        report.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-m", "pytest", "-q", "--color=no", "-o", f"cache_dir={folder / 'cache'}"),
            *("-o", "faulthandler_timeout=120", f"--junitxml={report}", *self.arguments),
            *(("--last-failed",) if before is not None and not before.ended else ()),
            str(job.path),
        ]
        code = self.running.run(command, output, limit)
        text = output.read_text(errors="replace")
        result = read_report(report) if report.exists() else Result()
        if code is None:
            result.failed += 1
            text += f"\n{job.name}: not finished after {limit:.0f} s, ended\n"
        elif code not in (0, 5) and not result.failed:  # 5: nothing collected, say by -k
            result.failed += 1
            text += f"\n{job.name}: pytest exited with {code}\n"
        return Outcome(result, text if result.failed else "", time.monotonic() - begun, ended=code is None)

    def jobs(self, jobs: list[Job], at_once: int) -> Iterator[tuple[Job, Outcome]]:
        """Each as it is done."""
        with ThreadPoolExecutor(at_once) as pool:
            futures = {pool.submit(self.job, job): job for job in jobs}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.running.end()
                raise


def run_all(jobs: list[Job], run: Run, at_once: int, *, once: bool) -> Result:
    total, durations = Result(), Durations()
    width = max((len(job.name) for job in jobs), default=0)

    def say(head: str, job: Job, outcome: Outcome) -> None:
        print(f"{head} {job.name:<{width}}  {outcome.result}  ({outcome.seconds:.1f} s)", flush=True)
        if outcome.text:
            print(outcome.text, flush=True)

    again: list[tuple[Job, Outcome]] = []
    for done, (job, outcome) in enumerate(run.jobs(durations.longest_first(jobs), at_once), start=1):
        say(f"[{done:>2}/{len(jobs)}]", job, outcome)
        durations.keep(job.name, outcome.seconds)
        if outcome.result.failed and job.name.startswith(E2E) and at_once > 1 and not once:
            again.append((job, outcome))
        else:
            total.add(outcome.result)
    for job, first in again:
        second = run.job(job, before=first)
        say("[again]", job, second)
        if not second.result.failed:
            print(f"unsteady: {job.name}: {first.result.failed} failed beside other jobs, and passed alone")
        if not first.ended:
            first.result.failed = 0
            total.add(first.result)
        total.add(second.result)
    if not run.arguments:  # a chosen few say nothing about the whole
        durations.save()
    return total


def main(words: list[str]) -> int:
    split = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="tests/run", usage=USAGE, add_help=False, allow_abbrev=False)
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("groups", nargs="*")
    wanted = parser.parse_args(words[:split])
    if wanted.jobs < 1:
        parser.error("--jobs wants a number from 1")
    known = all_groups()
    if unknown := sorted(set(wanted.groups) - set(known)):
        parser.error(f"no group {', '.join(unknown)}; there are: {' '.join(known)}")
    begun = time.monotonic()
    jobs = list(jobs_of([group for group in known if group in wanted.groups or not wanted.groups]))
    with tempfile.TemporaryDirectory(prefix="pydaemons-tests-") as folder:
        run = Run(words[split + 1 :], Path(folder), begun + TOTAL_LIMIT)
        total = run_all(jobs, run, wanted.jobs, once=wanted.once)
    for reason, count in total.reasons.most_common():
        print(f"skipped {count}: {reason}")
    print(f"{len(jobs)} jobs, {wanted.jobs} at once, in {time.monotonic() - begun:.0f} s")
    print(total)
    return 1 if total.failed or not (total.passed or total.skipped) else 0


def terminated(number: int, _frame: object) -> None:
    sys.exit(128 + number)  # on the way out the jobs under way are ended


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminated)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
