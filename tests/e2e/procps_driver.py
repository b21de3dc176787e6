# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in namespaces of its own (`unshare -mn`): every case of the table by procps' sysctl, over a sample
tree bound to /proc/sys, and by pysysctl over the same tree. Cases as JSON on stdin, results on stdout.

The tree is a tmpfs, of which sysctl needs that a folder lists `.` and `..` first.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

BASE = Path("/mnt")  # of our own mount namespace
CHECKOUT = Path(__file__).resolve().parents[2]
PYSYSCTL = str(BASE / "bin/pysysctl")
TREE = BASE / "tree"
CONF = BASE / "conf"
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
FILES = {
    "kernel/ostype": ("Linux\n", 0o444),
    "kernel/hostname": ("box\n", 0o644),
    "kernel/tabs": ("1\t2\t3\n", 0o644),
    "kernel/empty": ("", 0o644),
    "kernel/nonl": ("no newline", 0o644),
    "kernel/multi": ("a\nb\nc\n", 0o644),
    "kernel/blank": ("\n", 0o644),
    "kernel/wo": ("secret\n", 0o200),
    "kernel/utf": ("é\n", 0o644),
    "kernel/eq": ("a=b\n", 0o644),
    "kernel/private": ("p\n", 0o600),
    "fs/nfs/nlm_timeout": ("10\n", 0o644),
    "fs/nfs/nlm_grace_period": ("0\n", 0o644),
    "fs/nfs/nlm_udpport": ("0\n", 0o644),
    "net/ipv4/conf/eth0.100/forwarding": ("1\n", 0o644),
    "net/ipv4/conf/all/forwarding": ("0\n", 0o644),
    "net/ipv4/neigh/default/base_reachable_time": ("30\n", 0o644),
    "net/ipv4/neigh/default/base_reachable_time_ms": ("30000\n", 0o644),
    "vm/swappiness": ("60\n", 0o644),
    "a/b/c/d": ("deep\n", 0o644),
    "rodir/x": ("1\n", 0o444),
    "secretdir/x": ("1\n", 0o644),
}
LIVE = {
    "ttl": "/proc/sys/net/ipv4/ip_default_ttl",
    "range": "/proc/sys/net/ipv4/ip_local_port_range",
    "eio": "/proc/sys/net/ipv6/conf/lo/stable_secret",
    "congestion": "/proc/sys/net/ipv4/tcp_congestion_control",
}


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def prepare() -> None:
    """The mounts, once."""
    mount("-t", "tmpfs", "tmpfs", str(BASE))
    BASE.chmod(0o755)
    (TREE / "live").mkdir(parents=True)
    CONF.mkdir()
    for name, file in LIVE.items():
        (TREE / "live" / name).touch()
        mount("--bind", file, str(TREE / "live" / name))
    for folder in FOLDERS:
        if os.path.isdir(folder):
            mount("-t", "tmpfs", "tmpfs", folder)
    mount("--rbind", str(TREE), "/proc/sys")
    for part in ("bin", "lib"):  # where everybody may read them, whatever the checkout allows
        shutil.copytree(CHECKOUT / part, BASE / part)


def build(case: dict) -> None:
    """The tree and the configuration as they are before every case."""
    for entry in TREE.iterdir():
        if entry.name != "live":
            entry.unlink() if entry.is_symlink() else shutil.rmtree(entry)
    (TREE / "live/ttl").write_text("64\n")
    (TREE / "live/range").write_text("32768 60999\n")
    for name, (text, mode) in FILES.items():
        file = TREE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
    (TREE / "secretdir").chmod(0o700)
    (TREE / "emptydir").mkdir()
    if case.get("links"):
        (TREE / "link").symlink_to("kernel/hostname")
        (TREE / "kernel/.dot").write_text("d\n")
    shutil.rmtree(CONF)
    CONF.mkdir()
    (CONF / "one.conf").write_text("vm.swappiness = 11\n")
    (CONF / "two.conf").write_text("vm.swappiness = 22\n")
    for folder in FOLDERS:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            file = Path(folder, name)
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    for name, text in case.get("files", {}).items():
        if text == "DIR":
            Path(name).mkdir()
        elif text == "NULL":
            Path(name).symlink_to("/dev/null")
        else:
            Path(name).write_text(text)


def run(program: list[str], case: dict) -> dict:
    build(case)
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if case.get("nobody") else {}
    out = open("/dev/full", "wb") if case.get("full") else subprocess.PIPE  # noqa: SIM115
    done = subprocess.run(
        [*program, *(os.fsencode(a) for a in case["args"])],
        input=case.get("stdin", "").encode("latin-1"),
        stdout=out,
        stderr=subprocess.PIPE,
        timeout=20,
        check=False,
        cwd=str(CONF),
        **nobody,
    )
    kept = ("kernel/hostname", "vm/swappiness", "live/ttl", "fs/nfs/nlm_timeout")
    after = {name: (TREE / name).read_text("latin-1") for name in kept}
    return {
        "out": (done.stdout or b"").decode("latin-1"),
        "err": done.stderr.decode("latin-1"),
        "status": done.returncode,
        "after": after,
    }


prepare()
results = []
for one in json.load(sys.stdin):
    results.append(
        {
            "sysctl": run(["/usr/sbin/sysctl"], one),
            "pysysctl": run([PYSYSCTL, "--root", str(TREE)], one),
            "root": str(TREE),
        }
    )
json.dump(results, sys.stdout)
