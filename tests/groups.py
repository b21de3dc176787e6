# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the groups of tests one after the other with a line for each, and sums them up. Called by tests/run.

A group is a folder of tests/ with test files in it: house first, then one per package of lib/, e2e last. Each
runs in a pytest of its own with a time limit, so that one hanging test cannot take the others along.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FIRST, LAST = ("house",), ("e2e",)
GROUP_LIMIT, TOTAL_LIMIT = 900.0, 1800.0
"""Seconds. All of it takes some five minutes on two idle cores. The limits are for what hangs, which is a
failure with a stack dump; slow machines exist."""


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


def all_groups() -> list[str]:
    found = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py") if path.parent != TESTS}
    middle = sorted(found.difference(FIRST, LAST))
    return [*(g for g in FIRST if g in found), *middle, *(g for g in LAST if g in found)]


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


def run_group(group: str, arguments: list[str], limit: float) -> tuple[Result, str]:
    """The counts, and what there is to read when something failed."""
    with tempfile.TemporaryDirectory(prefix="pydaemons-tests-") as folder:
        report, output = Path(folder, "report.xml"), Path(folder, "output")
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"),
            *("-o", "faulthandler_timeout=120", f"--junitxml={report}", *arguments, str(TESTS / group)),
        ]
        timed_out = False
        with open(output, "wb") as sink:
            process = subprocess.Popen(
                command, cwd=TESTS.parent, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                timed_out = True
                stop(process)
                code = process.returncode
            except BaseException:
                stop(process)
                raise
        text = output.read_text(errors="replace")
        result = read_report(report) if report.exists() else Result()
    if timed_out:
        result.failed += 1
        text += f"\n{group}: not finished after {limit:.0f} s, ended\n"
    elif code not in (0, 5) and not result.failed:  # 5: nothing collected, say by -k
        result.failed += 1
        text += f"\n{group}: pytest exited with {code}\n"
    return result, text if result.failed else ""


def main(words: list[str]) -> int:
    split = words.index("--") if "--" in words else len(words)
    wanted, arguments = words[:split], words[split + 1 :]
    known = all_groups()
    if unknown := sorted(set(wanted) - set(known)):
        print(f"tests/run: no group {', '.join(unknown)}; there are: {' '.join(known)}", file=sys.stderr)
        return 2
    total, begun = Result(), time.monotonic()
    for group in [g for g in known if g in wanted or not wanted]:
        print(f"{group:<12}", end="", flush=True)
        start = time.monotonic()
        left = TOTAL_LIMIT - (start - begun)
        result, text = run_group(group, arguments, min(GROUP_LIMIT, max(left, 1.0)))
        print(f"{result}  ({time.monotonic() - start:.1f} s)", flush=True)
        if text:
            print(text, flush=True)
        total.add(result)
    for reason, count in total.reasons.most_common():
        print(f"skipped {count}: {reason}")
    print(total)
    return 1 if total.failed or not (total.passed or total.skipped) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
