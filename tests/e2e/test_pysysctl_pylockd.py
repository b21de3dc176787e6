# SPDX-License-Identifier: GPL-3.0-or-later
"""pysysctl on a running pylockd: what it shows, what it changes, what outlives whom."""

from __future__ import annotations

import json

import pytest

from hosts import peers
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("ip")

PYSYSCTL = str(peers.CHECKOUT / "bin/pysysctl")
CONFIGURATION = """
    [fs.nfs]
    nlm_timeout = 12
    [rpcbind]
    mode = off
    [nsm]
    mode = off
"""


class Served:
    """A host with pylockd, and its pysysctl."""

    def __init__(self, host):
        self.host = host
        self.daemon = peers.start_pylockd(host, CONFIGURATION)

    def sysctl(self, *arguments, check=True):
        done = self.host.run(PYSYSCTL, *arguments)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        assert self.daemon.process.stop() == 0

    def start(self):
        self.daemon = peers.start_pylockd(self.host, CONFIGURATION)

    def logged(self, text):
        return text in self.daemon.process.log


@pytest.fixture
def served(make_lab):
    return Served(make_lab(1).h1)


def test_all_keys_are_listed_with_what_is_in_force(served):
    values = dict(line.split(" = ", 1) for line in served.sysctl("-a").splitlines())
    assert values["fs.nfs.nlm_timeout"] == "12"
    assert values["fs.nfs.nlm_max_connections"] == "1024"
    assert values["fs.nfs.nlm_locks"] == "0"
    assert values["fs.nfs.nlm_end_grace"] == "Y"
    assert "" not in values.values()


def test_the_table_tells_range_unit_and_the_line_a_value_comes_from(served):
    rows = {line.split()[0]: line.split() for line in served.sysctl("-L").splitlines()}
    assert rows["fs.nfs.nlm_timeout"][1:6] == ["12", "10", "3", "20", "seconds"]
    assert rows["fs.nfs.nlm_timeout"][6].endswith("pylockd.conf:3")
    assert rows["fs.nfs.nlm_tcpport"][6] == "default"


def test_a_key_describes_itself_and_its_daemon(served):
    text = served.sysctl("--describe", "fs.nfs.nlm_timeout")
    for part in ("12 seconds", "3..20", "next call", "read and write", "pylockd (running, process "):
        assert part in text


def test_a_change_is_obeyed_logged_and_shown_as_differing(served):
    served.sysctl("fs.nfs.nlm_timeout=5")
    wait_for(lambda: served.logged("fs.nfs.nlm_timeout: 12 -> 5"))
    (found,) = json.loads(served.sysctl("--diff", "--json"))
    assert (found["key"], found["running"], found["saved"]) == ("fs.nfs.nlm_timeout", 5, 12)
    wait_for(lambda: "runtime" in served.sysctl("-L", "fs.nfs.nlm_timeout"))


def test_a_value_out_of_range_is_refused_by_the_command_and_by_the_daemon(served):
    assert served.host.run(PYSYSCTL, "fs.nfs.nlm_timeout=99").returncode == 1
    served.host.run("sh", "-c", "echo 99 > /run/pysysctl/fs/nfs/nlm_timeout", check=True)
    wait_for(lambda: served.sysctl("-n", "fs.nfs.nlm_timeout") == "12\n")
    assert served.logged("fs.nfs.nlm_timeout: 99 is out of range")


def test_a_port_moves_while_the_daemon_runs(served):
    served.sysctl("fs.nfs.nlm_tcpport=4045")
    wait_for(lambda: ":4045 " in served.host.run("ss", "-ltnH").stdout)


def test_a_key_set_while_the_daemon_is_down_counts_when_it_starts(served):
    served.stop()
    assert served.sysctl("fs.nfs.nlm_timeout=6") == "fs.nfs.nlm_timeout = 6\n"
    assert "not running" in served.sysctl("--describe", "fs.nfs.nlm_timeout")
    served.start()
    assert served.sysctl("-n", "fs.nfs.nlm_timeout") == "6\n"
    assert "runtime" in served.sysctl("-L", "fs.nfs.nlm_timeout")


def test_a_runtime_value_does_not_outlive_the_daemon_unless_saved(served):
    served.sysctl("fs.nfs.nlm_timeout=6")
    wait_for(lambda: served.logged("12 -> 6"))
    served.stop()
    served.start()
    assert served.sysctl("-n", "fs.nfs.nlm_timeout") == "12\n"


def test_a_key_of_sysctl_d_counts_over_the_configuration(served):
    served.stop()
    text = "-fs.nfs.nlm_timeout = 7\nfs.nfs.nlm_grace_period = 500\n"
    served.host.run("mkdir", "-p", "/run/sysctl.d", check=True)
    served.host.write("/run/sysctl.d/50-nfs.conf", text)
    served.start()
    assert served.sysctl("-n", "fs.nfs.nlm_timeout", "fs.nfs.nlm_grace_period") == "7\n0\n"
    assert "/run/sysctl.d/50-nfs.conf:1" in served.sysctl("-L", "fs.nfs.nlm_timeout")
    assert served.logged("50-nfs.conf:2: fs.nfs.nlm_grace_period: 500 is out of range")


def test_a_watcher_sees_a_change(served):
    watcher = served.host.start(PYSYSCTL, "--watch", "fs.nfs.nlm_timeout", name="watcher")
    values = iter(n for _ in range(100) for n in (5, 6))

    def seen():
        served.sysctl("-q", f"fs.nfs.nlm_timeout={next(values)}")
        return "fs.nfs.nlm_timeout = " in watcher.log

    wait_for(seen, every=0.3)
    watcher.stop()
