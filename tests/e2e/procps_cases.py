# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E501 -- a table
"""Invocations by which pysysctl is held against procps' sysctl, and where it answers otherwise, and why.

A case without `differs` must give the same output, messages and status (names of program and root apart;
listings are compared as sets of lines, sysctl's being in the order of the directory). A case with one
must differ as its deviation says.
"""

from dataclasses import dataclass, field

DEVIATIONS = {
    "status": "sysctl's status is the number of operands it could not read; ours is 1, as for every failure",
    "read-only": "sysctl says 'Invalid argument' for a read-only key or a folder and ends with 0; we end with 1",
    "lenient": "-key = value forgives everything, as sysctl.d(5) says; sysctl forgives a lack of permission only",
    "eio": "sysctl ends with 1 and no word when a key cannot be read; we say which and why, and in a listing go on",
    "option": "sysctl ends with 0 after an unknown option, its usage on stdout; we say so on stderr and end with 1",
    "usage": "our own options are listed",
    "version": "our own version",
    "glob": "sysctl expands globs in files only; we do on the command line too",
    "blank": "a blank between the dash and the key is no part of the key",
    "dots": "sysctl follows .. within the tree; we refuse it",
    "separators": "sysctl repeats the warning about repeated separators, and warns about those it added itself",
    "hidden": "sysctl takes hidden files for keys it cannot spell; we leave them out",
    "link": "sysctl follows symbolic links; we do not, since folders of the tree belong to other users",
    "empty": "sysctl ends with 255, or without a word, for a key without a name; we say so and end with 1",
    "pattern": "sysctl matches nothing with a pattern that is none; we say so",
    "system": "sysctl heeds only the options before --system; we heed all",
    "filtered": "sysctl fails when a pattern leaves out a setting of the command line; we do as we were told",
}


@dataclass(frozen=True)
class Case:
    args: list[str]
    stdin: str = ""
    nobody: bool = False
    full: bool = False
    links: bool = False
    unordered: bool = False
    files: dict[str, str] = field(default_factory=dict)
    differs: str = ""
    out: str | None = None
    """what we print where it differs"""
    err: str | None = None
    status: int | None = None


def c(line: str, **more: object) -> Case:
    return Case(line.split(" ") if line else [], **more)  # type: ignore[arg-type]


def p(text: str, line: str = "-p -", **more: object) -> Case:
    return Case(line.split(" "), stdin=text, **more)  # type: ignore[arg-type]


READ = [
    *(c(line) for line in (
        "kernel.ostype", "kernel/ostype", "-n kernel.ostype", "-N kernel.ostype", "-e kernel.ostype",
        "-b kernel.ostype", "-q kernel.ostype", "-nb kernel.ostype", "-Nb kernel.ostype",
        "-nN kernel.ostype", "-Nn kernel.ostype", "kernel.tabs", "-n kernel.empty", "kernel.empty",
        "-N kernel.empty", "-b kernel.empty", "kernel.nonl", "-n kernel.nonl", "-b kernel.nonl",
        "kernel.multi", "-n kernel.multi", "-N kernel.multi", "-b kernel.multi", "-bn kernel.multi",
        "kernel.blank", "-n kernel.blank", "-b kernel.blank", "kernel.wo", "-N kernel.wo", "kernel.utf",
        "kernel.eq", "kernel.private", "kernel.missing", "-e kernel.missing", "-n kernel.missing",
        "-q kernel.missing", "kernel.missing kernel.ostype", "-e kernel.missing kernel.ostype",
        "missing/key.x", "a.missing/key", "emptydir", "rodir", "a", "a.b", "a.b.c.d", "a/b/c", "/a/b/c/d",
        ".a.b.c.d", "net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding",
        "net.ipv4.conf.eth0.100.forwarding", "kernel.hostname -n", "kernel.hostname -n kernel.ostype",
        "-- kernel.hostname", "-- -n kernel.hostname", "-", "-n kernel.hostname kernel.missing kernel.ostype",
        "net.ipv4.neigh.default.base_reachable_time", "live.ttl", "live.range", "-b live.range",
        "-N live.eio", "-o kernel.ostype", "-x kernel.ostype", "-ox kernel.ostype", "-ne kernel.missing",
        "-en kernel.ostype", "--values kernel.ostype", "--val kernel.ostype", "--va kernel.ostype",
        "--nam kernel.ostype", "--names kernel.ostype", "--ignore kernel.missing", "--binary kernel.ostype",
        "--bin kernel.ostype", "--quiet kernel.ostype", "-r swap kernel.ostype", "-r swap vm.swappiness",
        "-r ost kernel.ostype kernel.hostname", "-r host -r vm kernel.hostname vm.swappiness",
        "-n", "-w", "-q", "-e", "-r swap", "--dry-run", "--",
    )),
    *(c(line, nobody=True) for line in (
        "kernel.wo", "kernel.private", "-n kernel.private", "-e kernel.private", "-N kernel.private",
        "-N kernel.wo", "secretdir", "secretdir.x", "kernel.hostname",
    )),
    *(c(line, unordered=True) for line in (
        "kernel", "-n rodir", "-N kernel", "fs", "fs.nfs", "fs/nfs", "net.ipv4.conf", "net/ipv4/conf",
        "net.ipv4.neigh.default", "--deprecated net.ipv4.neigh.default", "-r nlm fs",
    )),
    *(c(line, full=True) for line in ("kernel.ostype", "-N kernel.ostype", "kernel", "-V", "-h")),
    Case([" kernel.ostype"]),
    Case(["kernel.ostype "]),
    c("kernel.missing kernel.missing2 kernel.missing3", differs="status", status=1),
    c("live.eio", differs="eio", err='X: reading key "live.eio": Input/output error\n'),
    c("-n live.eio", differs="eio", err='X: reading key "live.eio": Input/output error\n'),
    c("live", differs="eio", status=0, unordered=True),
    Case([""], differs="empty", status=1),
    c(".", differs="empty", status=1),
    c("/", differs="empty", status=1),
    c("..", differs="empty", status=1),
    c("a..b.c.d"),
    c("a//b/c/d", differs="separators", err="X: separators should not be repeated: //b/c/d\n"),
    c("kernel.", differs="separators", err="", unordered=True,
      out="kernel.blank = \nkernel.eq = a=b\nkernel.hostname = box\nkernel.multi = a\nkernel.multi = b\n"
      "kernel.multi = c\nkernel.nonl = no newline\nkernel.ostype = Linux\nkernel.private = p\n"
      "kernel.tabs = 1\t2\t3\nkernel.utf = Ã©\n"),
    c("fs/../kernel/ostype", differs="dots", status=1, out="",
      err="X: Path is not under ROOT/: ROOT/fs/../kernel/ostype\n"),
    c("fs.nfs.nlm_*", differs="glob", status=0, err="",
      out="fs.nfs.nlm_grace_period = 0\nfs.nfs.nlm_timeout = 10\nfs.nfs.nlm_udpport = 0\n"),
    c("*/nfs/nlm_[tu]*", differs="glob", status=0, err="",
      out="fs.nfs.nlm_timeout = 10\nfs.nfs.nlm_udpport = 0\n"),
    c("fs.nfs.zz*"),
    c("link", links=True, differs="link", status=1, out="",
      err="X: cannot stat ROOT/link: Too many levels of symbolic links\n"),
    c("kernel -r dot", links=True, differs="hidden", out="", err="", status=0),
]  # fmt: skip

ALL = [
    *(c(line, unordered=True) for line in (
        "-r nlm -a", "-a -r swap", "-a --pattern swap", "--pattern=nlm -a", "--pattern ^fs -aN", "-A -r fs",
        "-X -r fs", "--all -r fs", "-an -r fs", "-a -n -r ^net", "-a -r eth0[./]100", "-a -r reach",
        "-a --deprecated -r reach", "-a kernel.ostype -r fs", "-w -a -r fs", "-ab -r swap", "-a -r ^kernel.*m",
        "-a -r ^(vm|fs)", "-a -r [[:digit:]]{3}", "-aN -r e$",
    )),
    *(c(line, unordered=True, nobody=True) for line in ("-a -r live",)),
    c("-a", unordered=True),
    c("-aN", unordered=True),
    c("-a -r [", differs="pattern", status=1),
]  # fmt: skip

WRITE = [
    *(c(line) for line in (
        "kernel.hostname=new", "-w kernel.hostname=new", "-w kernel.hostname", "-w kernel.hostname new",
        "-n kernel.hostname=new", "-N kernel.hostname=new", "-b kernel.hostname=new", "-q kernel.hostname=new",
        "-e kernel.hostname=new", "-w kernel.missing=1", "kernel.missing=1", "-e kernel.missing=1",
        "-q kernel.missing=1", "kernel.missing=1 kernel.hostname=y", "kernel.hostname=",
        "kernel.hostname=a=b", "kernel.hostname==", "=15", "-- -kernel.hostname=5", "kernel/hostname=5",
        "live.ttl=33", "live.ttl=0", "live.ttl=abc vm.swappiness=3", "-e live.ttl=0", "-q live.ttl=0",
        "live.ttl=0x21", "live.ttl=010", "live.ttl=", "-q kernel.hostname=1", "-wq kernel.hostname=1",
        "--quiet kernel.hostname=1", "--write kernel.hostname=1", "--wri kernel.hostname=1",
        "-w -n kernel.hostname=1", "kernel.hostname=1 kernel.hostname", "-n kernel.hostname=1 kernel.ostype",
        "--dry-run kernel.hostname=7", "--dry-run -w kernel.hostname=7", "--dry-run kernel.missing=7",
        "--dry kernel.hostname=7", "kernel.wo=5",
        "net.ipv4.neigh.default.base_reachable_time=5", "net.ipv4.conf.eth0/100.forwarding=0",
        "net/ipv4/conf/eth0.100/forwarding=0", "kernel.utf=xyz", "--dry-run live.ttl=0",
    )),
    *(c(line, nobody=True) for line in ("kernel.private=5", "kernel.hostname=x", "secretdir.x=5", "live.ttl=5",
                                        "-- -kernel.hostname=5")),
    Case(["kernel.hostname=a b  c "]),
    Case(["kernel.hostname = 5"]),
    Case([" kernel.hostname=5"]),
    Case(["kernel.hostname=a\nb"]),
    Case(["kernel.hostname=\udcff\udcfe"]),
    Case(["live.range=1024\t60000"]),
    Case(["live.ttl=33 44"]),
    Case(["live.ttl= 33 "]),
    c("kernel.hostname=" + "x" * 5000),
    c("kernel.hostname=5", full=True),
    c("kernel.hostname = new", differs="status", status=1),
    c("-r hostn kernel.hostname=2 vm.swappiness=2", differs="filtered", status=0, out="kernel.hostname = 2\n"),
    c("kernel.hostname= new"),
    c("kernel.hostname =new"),
    c("kernel.ostype=1", differs="read-only", status=1),
    c("-e kernel.ostype=1", differs="read-only", status=1),
    c("kernel.ostype=1 kernel.hostname=y", differs="read-only", status=1),
    c("kernel=1", differs="read-only", status=1),
    c("rodir.x=2", differs="read-only", status=1),
    c("--dry-run kernel.ostype=7", differs="read-only", status=1),
    c("-- -kernel.missing=5", differs="lenient", status=0, out="", err=""),
    c("fs.nfs.nlm_*=5", differs="glob", status=0, err="",
      out="fs.nfs.nlm_grace_period = 5\nfs.nfs.nlm_timeout = 5\nfs.nfs.nlm_udpport = 5\n"),
    c("fs/../kernel/hostname=2", differs="dots", status=1, out="",
      err="X: Path is not under ROOT/: ROOT/fs/../kernel/hostname\n"),
    c("link=5", links=True, differs="link", status=1, out="",
      err="X: cannot stat ROOT/link: Too many levels of symbolic links\n"),
]  # fmt: skip

OPTIONS = [
    *(c(line, differs="option", status=1, out="") for line in (
        "--bogus", "-z", "-Z kernel.ostype", "-r", "-a -r", "--values=1 kernel.ostype", "--v", "--pattern",
        "-f-", "-=15", "-kernel.hostname=5", "--de=3", "-nz kernel.ostype",
    )),
    *(c(line, differs="usage", status=0, err="") for line in ("-h", "-d", "--help", "--hel", "--h", "kernel.ostype -h")),
    *(c(line, differs="version", status=0, err="", out="pysysctl from pydaemons 0.1.0\n")
      for line in ("-V", "--version", "--ver", "--vers")),
    c("", differs="usage", status=1, out=""),
]  # fmt: skip

LOAD = [
    *(p(text) for text in (
        "", "\n", "kernel.hostname = foo\n# c\n; d\n\n  vm.swappiness=5  \nx\nbad line\nnope.key = 1\n",
        "kernel.hostname = foo\nkernel.hostname = bar\n", "fs.nfs.* = 7\nfs.nfs.nlm_timeout = 8\n",
        "fs.nfs.* = 7\n-fs.nfs.nlm_timeout\n", "fs.nfs.nlm_timeout = 8\nfs.nfs.* = 7\n-fs.nfs.nlm_timeout\n",
        "fs.nfs.zz* = 7\n", "fs/nfs/nlm_timeout = 8 # comment\r\n", "kernel.hostname =\n", "= 5\n", "a\n",
        "ab\n", "-a\n", "-\n", "kernel.missing = 4\nkernel.hostname=2\n", "kernel.hostname=3",
        "kernel.hostname=3\0x\nvm.swappiness=4\n", "kernel.hostname=\xff\n",
        "\xef\xbb\xbfkernel.hostname=2\n", "kernel hostname=2\n", '"kernel.hostname"=2\n',
        "kernel.hostname=2\\\n3\n", "vm.*=4\n-vm.swappiness=9\n", "-vm.*=4\nkernel.priv*=7\n",
        "v*/swap*=4\nvm.swappines[rs]=6\n", "vm/swap*=4\n-vm/swappiness\n", "*.swappiness=4\n",
        "live.ttl=0\nvm.swappiness=4\n", "vm.swappiness\t=\t4\t\n", "  ;x=1\n\t#y=1\nvm.swappiness=4;5#6\n",
        "net/ipv4/conf/eth0.100/forwarding=0\nnet.ipv4.conf.eth0/100.forwarding=1\n",
        "{vm,fs}.swappiness=5\n", "kernel.hostname='a b'\n", "kernel.hostname = a  b\tc\n",
        "vm.swappiness=1\n#vm.swappiness=2\n ;vm.swappiness=3\n", "vm/swappiness=3\nvm.swappiness=4\n",
    )),
    p("-kernel.missing = foo\n-kernel.ostype = 3\nkernel.hostname=bar\n", differs="lenient", status=0,
      out="kernel.hostname = bar\n", err=""),
    p("-live.ttl=0\nvm.swappiness=4\n", differs="lenient", status=0, out="vm.swappiness = 4\n", err=""),
    p("-vm.swappiness=4\nkernel.hostname=3\n", nobody=True),
    p("kernel.ostype = 4\nkernel.hostname=2\n", differs="read-only", status=1),
    p("kernel=2\n", differs="read-only", status=1),
    p("kernel.*=4\n", differs="read-only", status=1),
    p("kernel.*=4\n", "-q -p -", differs="read-only", status=1),
    p("vm.swap*=4\n-vm.swap*\n"),
    p("fs/../kernel/hostname=2\n", differs="dots", status=1, out="",
      err="X: Path is not under ROOT/: ROOT/fs/../kernel/hostname\n"),
    *(p("kernel.hostname=2\nvm.swappiness=3\n", line) for line in (
        "-e -p -", "-q -p -", "-n -p -", "-N -p -", "-b -p -", "-r host -p -", "-p-", "-f -", "--load=-",
        "--load -", "--load", "-p - -", "-wp -", "-p - -q", "--dry-run -p -", "-p - one.conf",
    )),
    p("kernel.missing = 4\nkernel.hostname=2\n", "-e -p -"),
    p("fs.nfs.nlm_* = 3\n", "-r host -p -"),
    *(c(line) for line in (
        "-p /nonexistent", "-e -p /nonexistent", "-p /nonexistent one.conf", "-p one.conf two.conf", "-pone.conf",
        "-pone.conf two.conf", "-p *.conf", "-p nope*", "-p .", "-p one.conf kernel.hostname=3", "-f one.conf",
        "--load=one.conf", "--load=one.conf two.conf", "-p one.conf -q", "-p -n one.conf", "-pn one.conf",
        "-f -n one.conf",
    )),
    c("-p /etc/shadow", nobody=True),
]  # fmt: skip

_D = "/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"
_ORDER = {
    f"{_D[0]}/10-a.conf": "vm.swappiness=1\n", f"{_D[3]}/10-a.conf": "vm.swappiness=2\n",
    f"{_D[3]}/20-b.conf": "vm.swappiness=3\n", f"{_D[3]}/05-c.conf": "vm.swappiness=4\n",
    f"{_D[3]}/30.conf": "kernel.missing=4\n", f"{_D[3]}/40": "vm.swappiness=5\n",
    f"{_D[3]}/.conf": "vm.swappiness=6\n", f"{_D[3]}/.hid.conf": "vm.swappiness=7\n",
    f"{_D[0]}/50-d.conf": "DIR", f"{_D[0]}/60-n.conf": "NULL", f"{_D[3]}/60-n.conf": "vm.swappiness=8\n",
    f"{_D[3]}/70-e.conf": "vm.swappiness=8\n", f"{_D[0]}/70-e.conf": "",
}  # fmt: skip
_BAD = {
    f"{_D[0]}/10-a.conf": "bad line\n", f"{_D[0]}/11.conf": "live.ttl=0\n", f"{_D[3]}/12.conf": "vm.*=7\n",
    f"{_D[3]}/13.conf": "vm.swappiness=5\n",
}  # fmt: skip
SYSTEM = [
    *(c(line, files=_ORDER) for line in (
        "--system", "-q --system", "-e --system", "--system one.conf", "--system kernel.hostname", "-n --system",
        "-N --system", "-b --system", "--system -p one.conf", "-p one.conf --system", "-a --system",
        "-r swap --system", "-r ^fs --system", "--dry-run --system", "--sys",
    )),
    *(c(line, files=_BAD) for line in ("--system", "-q --system", "-e --system")),
    c("--system", files=_BAD, nobody=True),
    c("--system", files={f"{_D[0]}/1.conf": "kernel.ostype=4\nvm.swappiness=1\n"}, differs="read-only", status=1),
    c("--system -q", files=_ORDER, differs="system", out=""),
    c("--system --dry-run", files=_ORDER, differs="system"),
]  # fmt: skip

MORE = [
    *(c(line) for line in (
        "-r Y kernel.hostname=Y", "-r Y kernel.hostname", "-r kernel/host kernel.hostname", "-r kernel/host kernel/hostname",
        "-r kernel.hostname kernel/hostname=3", "-r kernel/hostname kernel/hostname=3", "-r / a.b.c.d", "-r ^vm -A -n",
        "-r net.*eth0/100 -a", "-r ^x kernel.ostype", "-N -r host kernel.hostname kernel.ostype",
        "live.congestion=nosuch", "-e live.congestion=nosuch", "kernel.hostname=5 -w", "-w kernel.hostname=5 --",
        "-n -N -b kernel.multi", "--load=", "-q kernel.hostname kernel.hostname=2", "-bN kernel.multi", "-b kernel.hostname=1 vm.swappiness=2",
        "-n --dry-run kernel.hostname=1", "kernel.hostname kernel.hostname", "kernel.hostname=x/y.z", "kernel/hostname.x",
        "kernel.hostname.x", "kernel.hostname.", "kernel.hostname/", "vm/swappiness vm.swappiness", "-e kernel.private kernel.missing vm",
        "-- -a", "-- --help", "-n vm.swappiness kernel.blank kernel.empty",
        "live.ttl=-1", "live.ttl=+33", "live.ttl=256", "live.ttl=99999999999999999999", "live.range=5", "live.range=60000 1024",
        "-p one.conf -r none", "-r swap -p one.conf", "-N -p one.conf", "-b -p one.conf two.conf", "-p one.conf one.conf",
        "-p /dev/null", "-p ./one.conf", "--load one.conf", "-w -p one.conf", "-p one.conf -e", "-q -p nope.conf one.conf",
        "-e -r nothing -a", "-r nlm_t -aw", "-r nlm_t -ao", "-r nlm_t -aN -n",
    )),
    *(p(text, line) for text, line in (
        ("kernel.hostname=2\n", "-r =2 -p -"), ("kernel.hostname = 2\n", "-r 2 -p -"), ("kernel/hostname=2\n", "-r kernel.host -p -"),
        ("kernel/hostname=2\n", "-r kernel/host -p -"), ("fs.nfs.* = 3\n", "-r time -p -"), ("-kernel.hostname=2\n", "-r ^kernel -p -"),
        ("-kernel.hostname=2\n", "-r ^-kernel -p -"), ("  kernel.hostname=2\n", "-r ^kernel -p -"),
        ("fs.nfs.* = 3\n", "-r fs -p -"), ("fs.nfs.* = 3\n", "-r nfs.* -p -"), ("fs.nfs.* = 3\nvm.swappiness=2\n", "-r vm -p -"),
        ("fs.nfs.* = 3\nfs.nfs.nlm_timeout=2\n", "-r grace -p -"),
        ("kernel.hostname=" + "y" * 9000 + "\n", "-p -"), ("#" + "y" * 9000 + "\nvm.swappiness=3\n", "-p -"),
        ("kernel.hostname=2\n", "-p one.conf -"), ("kernel.hostname=2\n", "-p one.conf - two.conf"),
        ("vm.swappiness 3\n", "-p -"), ("vm.swappiness\n", "-p -"), ("-vm.swappiness\n", "-p -"), ("vm.swappiness = = 3\n", "-p -"),
        ("vm.swappiness =3\r\nkernel.hostname=2\r\n", "-p -"), ("\r\n\r\n", "-p -"), ("vm.swappiness=\r\n", "-p -"),
        ("live.ttl=0x21\n", "-p -"), ("live.ttl=33 44\n", "-p -"), ("live.ttl=\n", "-p -"), ("*=4\n", "-r vm -p -"), ("vm/*=4\nvm.*=5\n", "-p -"),
        ("vm.*=4\nvm.swap*=5\n", "-p -"), ("vm.*=4\n-vm/swappiness\n", "-p -"), ("vm.[st]wappiness=4\n", "-p -"), ("vm.[!s]wappiness=4\n", "-p -"),
        ("vm.?wappiness=4\n", "-p -"), ("net.ipv4.conf.*.forwarding=0\n", "-p -"), ("net/ipv4/conf/*/forwarding=0\n", "-p -"),
        ("net.ipv4.*.*.forwarding=0\n", "-p -"), ("net.*.conf.eth*.forwarding=0\n", "-p -"),
        ("--kernel.hostname=4\n", "-p -"), ("-kernel.hostname\nkernel.host*=4\n", "-p -"),
    )),
    c("kernel.hostname=1 =", differs="empty", status=1, out="kernel.hostname = 1\n"),
    c("=", differs="empty", status=1, out="", err="X: Path is not under ROOT/: ROOT/\n"),
    c("vm=", differs="read-only", status=1, out=""),
    p(" - kernel.hostname=4\n", differs="blank", status=0, out="kernel.hostname = 4\n", err=""),
    p("kernel.missing*=4\n-kernel.missing2=3\n", differs="lenient", status=0, out="", err=""),
    *(c(line, unordered=True) for line in ("-r x$ -a", "-r nlm -a -q", "-r nlm -a -e")),
]  # fmt: skip

ODD = [
    *(c(line, nobody=True, unordered=True) for line in (
        "kernel", "-N kernel", "-e kernel", "-a -r ^kernel", "-aN -r ^kernel", "-a -r ^vm", "-q kernel.private vm.swappiness",
        "kernel.private kernel.ostype", "kernel.private=1 vm.swappiness", "-e kernel.hostname=1", "-q kernel.hostname=1",
        "--dry-run kernel.hostname=1", "vm.swappiness=3 kernel.hostname=3", "kernel.wo=3", "-w kernel.private=3",
        "-e secretdir.x", "-e secretdir.x=3", "secretdir.y=2", "live.ttl", "rodir.x",
    )),
    *(c(line, full=True) for line in (
        "-p one.conf", "kernel.hostname=1 vm.swappiness=2", "-q kernel.hostname=1", "-a -r vm", "kernel.missing kernel.ostype",
        "-n kernel.multi", "-b kernel.multi", "kernel.empty", "-e kernel.missing", "kernel.wo",
    )),
    *(p(text, nobody=True) for text in (
        "vm.swappiness=3\n", "-vm.swappiness=3\n", "vm.*=3\n", "-vm.*=3\n", "kernel.missing=3\n", "secretdir.x=3\n",
    )),
    *(p(text) for text in (
        "\tvm.swappiness\t=\t7\n", "vm.swappiness=7 \n", "vm.swappiness=\t\n", "VM.SWAPPINESS=3\n",
        "vm.swappiness;=3\n", ";\n#\n", "vm.swappiness=3\n\n\n\n", "[vm]\nswappiness=3\n", "vm.swappiness:3\n", "vm.swappiness = 3 = 4\n",
        "vm.swappiness=3\nvm.swappiness=4\nvm.swappiness=3\n", "kernel.hostname=a\nkernel.ostypo=b\nvm.swappiness=c\n",
        "a.b.c.*=1\n", "a.*.c.d=1\n", "*.*.*.d=1\n", "a/b/c/?=1\n", "net.ipv4.conf.eth0/100.forward*=0\n",
        "net/ipv4/conf/eth0.1*/forwarding=0\n", "net.ipv4.conf.eth0.*.forwarding=0\n", "/vm/swappiness=5\n", ".vm.swappiness=5\n",
    )),
    *(c(line, files={f"{_D[0]}/1.conf": "vm.swappiness=1", f"{_D[0]}/2.conf": "a\n-\nkernel.missing=1\nfs.nfs.*=2\n",
                     f"{_D[3]}/3.conf": "-fs.nfs.nlm_timeout\r\n", f"{_D[3]}/UPPER.CONF": "vm.swappiness=9\n",
                     f"{_D[3]}/4.conf~": "vm.swappiness=8\n"})
      for line in ("--system", "-r nlm --system", "-q -r vm --system", "-n --system", "-e -q --system")),
    *(c(line) for line in (
        "VM.SWAPPINESS", "Vm.swappiness=3", "vm .swappiness", "vm..swappiness", "vm./swappiness",
        "-n -e vm.nosuch vm.swappiness", "-n -q vm.swappiness=4 vm.nosuch", "-qn vm.swappiness=4", "-bq vm.swappiness=4", "-Nq vm.swappiness=4",
        "-r . vm.swappiness", "-r .* vm.swappiness=6", "--pattern=swap vm.swappiness", "--pattern swap vm.swappiness", "-rswap vm.swappiness",
        "-nrswap vm.swappiness", "-r -n vm.swappiness", "--write vm.swappiness", "--names --values vm.swappiness", "--deprecated vm.swappiness",
        "vm.swappiness=0x10", "vm.swappiness='5'", "vm.swappiness=-5", "vm.swappiness=5;6", "vm.swappiness=a/b", "kernel.multi=x", "kernel.empty=x",
        "--load=one.conf --load=two.conf", "-pone.conf -ptwo.conf", "-p one.conf -p two.conf", "-f one.conf -p two.conf",
        "-qN vm.swappiness", "-aNq -r zzz", "-qN", "-N -q -p one.conf", "--names --quiet vm.swappiness=3", "-ponevm.conf one.conf", "--lo one.conf", "--q vm.swappiness=3", "--n vm.swappiness", "--i nope", "--b vm.swappiness", "--a -r vm",
    )),
]  # fmt: skip

SINGLE = [
    c("secretdir.x secretdir.y", nobody=True, differs="status", status=1),
    c("-a=3", differs="option", status=1, out=""),
    c("-fone.conf", differs="option", status=1, out=""),
    c("vm//swappiness", differs="separators", err="X: separators should not be repeated: //swappiness\n"),
    c("vm/.swappiness", differs="separators", status=1),
    c("vm..swappiness=3", differs="separators", status=0, out="vm..swappiness = 3\n",
      err="X: separators should not be repeated: ..swappiness\n"),
    p("vm..swappiness=3\n", differs="separators", status=0, out="vm..swappiness = 3\n",
      err="X: separators should not be repeated: ..swappiness\n"),
]  # fmt: skip

CASES = [*READ, *ALL, *WRITE, *OPTIONS, *LOAD, *SYSTEM, *MORE, *ODD, *SINGLE]
