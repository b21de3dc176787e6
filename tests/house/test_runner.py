# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/run counts right, ends what hangs, and lets no skip pass for a success in CI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import groups
from hosts.waiting import wait_for
from house.tree import LIB, ROOT, TESTS

SAMPLE = """
import pytest, time
def test_passes(): pass
def test_fails(): assert False
@pytest.fixture
def broken(): raise OSError
def test_with_a_broken_fixture(broken): pass
@pytest.mark.skip(reason="no such peer")
def test_skipped(): pass
@pytest.mark.xfail(strict=True)
def test_known_to_fail(): assert False
"""


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """A folder of tests with one group in it."""
    for name, text in {
        "alpha": SAMPLE,
        "e2e": "def test_one(): pass",
        "house": "def test_one(): pass",
    }.items():
        (tmp_path / "tests" / name).mkdir(parents=True)
        (tmp_path / "tests" / name / "test_sample.py").write_text(text)
    (tmp_path / "tests" / "hosts").mkdir()
    monkeypatch.setattr(groups, "TESTS", tmp_path / "tests")
    monkeypatch.setenv("PYDAEMONS_TESTS_CACHE", str(tmp_path))
    return tmp_path / "tests"


def run_alpha(sample, arguments, limit):
    run = groups.Run(arguments, sample.parent, time.monotonic() + limit)
    outcome = run.job(groups.Job("alpha", sample / "alpha"))
    assert outcome.seconds > 0
    return outcome.result, outcome.text


def test_the_house_comes_first_and_the_end_to_end_tests_last(sample):
    assert groups.all_groups() == ["house", "alpha", "e2e"]


def test_each_file_of_the_end_to_end_tests_is_a_job(sample):
    (sample / "e2e" / "test_other.py").write_text("def test_two(): pass")
    assert [job.name for job in groups.jobs_of(["house", "e2e"])] == ["house", "e2e/other", "e2e/sample"]


def test_what_took_longest_the_last_time_begins_first(sample):
    jobs = list(groups.jobs_of(["house", "alpha", "e2e"]))
    (sample.parent / "durations.json").write_text('{"house": 3, "e2e/sample": 100, "gone": 7}')
    assert [job.name for job in groups.Durations().longest_first(jobs)] == ["e2e/sample", "alpha", "house"]


@pytest.mark.parametrize("rubbish", ["", "[]", '{"house": []}', "{"])
def test_a_record_of_durations_that_cannot_be_read_is_done_without(sample, rubbish):
    (sample.parent / "durations.json").write_text(rubbish)
    assert groups.main(["--jobs", "1", "house"]) == 0
    assert json.loads((sample.parent / "durations.json").read_text())["house"] > 0


def test_a_group_is_counted_and_a_broken_fixture_is_a_failure(sample):
    result, text = run_alpha(sample, [], 60)
    assert str(result) == "1 passed, 2 failed, 2 skipped"
    assert result.reasons["no such peer"] == 1
    assert "test_fails" in text


def test_a_group_without_a_fault_says_nothing(sample):
    result, text = run_alpha(sample, ["-k", "passes or skipped"], 60)
    assert (str(result), text) == ("1 passed, 0 failed, 1 skipped", "")


def test_a_group_that_hangs_is_ended_and_is_a_failure(sample):
    (sample / "alpha" / "test_sample.py").write_text("import time\ndef test_hangs(): time.sleep(600)")
    result, text = run_alpha(sample, [], 2)
    assert result.failed == 1
    assert "not finished after 2 s, ended" in text


def test_a_group_that_cannot_be_read_is_a_failure(sample):
    (sample / "alpha" / "test_sample.py").write_text("import nowhere_to_be_found")
    result, text = run_alpha(sample, [], 60)
    assert result.failed == 1
    assert "nowhere_to_be_found" in text


def test_the_sum_is_the_last_line_and_decides_the_exit_code(sample, capsys):
    assert groups.main(["house", "alpha"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 2 failed, 2 skipped"
    assert groups.main(["house"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_an_interrupt_ends_the_jobs_under_way(sample):
    (sample / "alpha" / "test_sample.py").write_text(
        "import os, pathlib, time\ndef test_waits():\n"
        f"    pathlib.Path({str(sample / 'pid')!r}).write_text(str(os.getpid()))\n    time.sleep(600)"
    )
    runner = [sys.executable, "-c", "import groups, pathlib, sys; groups.TESTS = pathlib.Path(sys.argv[1]); "]
    runner[-1] += "sys.exit(groups.main(['alpha']))"
    process = subprocess.Popen(
        [*runner, sample], env={**os.environ, "PYTHONPATH": str(TESTS)}, stderr=subprocess.DEVNULL
    )
    wait_for((sample / "pid").exists, what="the test to be under way")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int((sample / "pid").read_text() or "0") or 1 << 30, 0)


def test_a_group_there_is_not_is_a_usage_error(sample, capsys):
    with pytest.raises(SystemExit) as left:
        groups.main(["beta"])
    assert left.value.code == 2
    assert "house alpha e2e" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--jobs"], ["--jobs", "0"], ["--jobs", "many"]])
def test_jobs_wants_a_number(sample, capsys, words):
    with pytest.raises(SystemExit) as left:
        groups.main(words)
    assert left.value.code == 2
    assert "--jobs" in capsys.readouterr().err


UNSTEADY = """
import os, pathlib, pytest
def once(name):
    path = pathlib.Path(__file__).with_name(name)
    met, _ = path.exists(), path.touch()
    return met
def test_steady(): pathlib.Path(__file__).with_name("steady").open("a").write("x")
def test_unsteady(): assert once("body")
@pytest.fixture
def slow(): assert once("fixture")
def test_with_an_unsteady_fixture(slow): pass
"""


def test_an_end_to_end_test_that_fails_beside_others_is_tried_again_alone(sample, capsys):
    (sample / "e2e" / "test_sample.py").write_text(UNSTEADY)
    assert groups.main(["--jobs", "2", "e2e"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "3 passed, 0 failed, 0 skipped"
    assert "unsteady: e2e/sample: 2 failed beside other jobs, and passed alone" in said
    assert (sample / "e2e" / "steady").read_text() == "x", "only what failed is run again"


def test_one_that_fails_alone_too_is_a_failure(sample, capsys):
    (sample / "e2e" / "test_sample.py").write_text("def test_wrong(): assert False\ndef test_right(): pass")
    assert groups.main(["--jobs", "2", "e2e"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize("words", [["--jobs", "1"], ["--jobs", "2", "--once"]])
def test_no_second_try_where_nothing_was_beside_it_or_none_is_wanted(sample, words):
    (sample / "e2e" / "test_sample.py").write_text(UNSTEADY)
    assert groups.main([*words, "e2e"]) == 1


def test_other_tests_get_no_second_try(sample):
    (sample / "alpha" / "test_sample.py").write_text(UNSTEADY)
    assert groups.main(["--jobs", "2", "alpha"]) == 1


@pytest.mark.parametrize(("ci", "code", "said"), [("true", 1, "a skip is an error"), ("", 0, "1 skipped")])
def test_a_skip_is_an_error_in_ci_only(tmp_path, ci, code, said):
    test = tmp_path / "test_sample.py"
    test.write_text("import pytest\n@pytest.mark.needs('no-such-program')\ndef test_peer(): pass\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-c", ROOT / "pyproject.toml", "-p", "conftest", test),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "CI": ci, "PYTHONPATH": f"{LIB}:{TESTS}"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
    assert "no-such-program is not installed" in done.stdout or not ci
