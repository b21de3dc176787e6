# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

from pyfakefs.fake_filesystem import FakeFilesystem

from pydaemons.kit.conffile import load
from pydaemons.tunables.conf import Severity
from pydaemons.tunables.declare import Configuration, Tunables, tunable
from pydaemons.tunables.kinds import Int
from pydaemons.tunables.layers import adopt


class Keys(Tunables, prefix="fs.sample"):
    a = tunable(Int(0, 99), 0, doc="A.")
    b = tunable(Int(0, 99), 0, doc="B.")
    c = tunable(Int(0, 99), 0, doc="C.")


class SampleConfiguration(Configuration):
    daemon = "sampled"
    tunables: Keys

    def __init__(self) -> None:
        self.tunables = Keys()


def write(root: Path, name: str, text: str) -> str:
    file = root / name.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(file)


def test_the_layers_stand_above_each_other_and_every_value_names_its_line(tmp_path: Path) -> None:
    main = write(tmp_path, "etc/sampled.conf", "[fs.sample]\na = 1\nb = 1\nc = 1\n")
    write(tmp_path, "etc/sampled.conf.d/20.conf", "[fs.sample]\nb = 3\nc = 3\n")
    write(tmp_path, "etc/sampled.conf.d/10.conf", "[fs.sample]\nb = 2\n")
    write(tmp_path, "etc/sampled.conf.d/README", "not read")
    sysctl = write(tmp_path, "usr/lib/sysctl.d/50-x.conf", "\nfs.sample.c = 4\n")
    configuration = SampleConfiguration()
    resolved = load(configuration, main, sysroot=str(tmp_path))
    adopt(configuration, resolved)
    keys = configuration.tunables
    assert [(keys.value(n), keys.origin(n)) for n in "abc"] == [
        (1, f"{main}:2"),
        (3, f"{main}.d/20.conf:2"),
        (4, f"{sysctl}:2"),
    ]
    adopt(configuration, load(configuration, main, sysroot=str(tmp_path), sets=["fs/sample/a=9", "c=8"]))
    assert (keys.a, keys.c, keys.origin("c")) == (9, 8, "--set")


def test_etc_masks_a_vendors_file_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/sysctl.d/50-x.conf", "fs.sample.a = 4\n")
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "etc/sysctl.d/50-x.conf").symlink_to("/dev/null")
    resolved = load(SampleConfiguration(), str(tmp_path / "none.conf"), sysroot=str(tmp_path))
    assert resolved.values["fs.sample", "a"] == (0, "default")
    assert list(resolved.problems) == []


def test_the_standard_folders_are_read_and_the_administrators_come_first(fs: FakeFilesystem) -> None:
    fs.create_file("/etc/sampled.conf", contents="[fs.sample]\na = 1\nb = 1\nc = 1\n")
    fs.create_file("/usr/lib/sysctl.d/50-x.conf", contents="fs.sample.a = 2\n")
    fs.create_file("/run/sysctl.d/50-x.conf", contents="fs.sample.a = 3\n")
    fs.create_file("/usr/local/lib/sysctl.d/60-y.conf", contents="fs/sample/b = 4\n")
    fs.create_file("/etc/sysctl.conf", contents="fs.sample.c = 5\n")
    fs.create_dir("/etc/sysctl.d/70-z.conf")
    configuration = SampleConfiguration()
    resolved = load(configuration, "/etc/sampled.conf")
    assert list(resolved.problems) == []
    adopt(configuration, resolved)
    keys = configuration.tunables
    assert (keys.a, keys.b, keys.c) == (3, 4, 5)
    assert keys.origin("a") == "/run/sysctl.d/50-x.conf:1"


def test_a_missing_file_matters_only_when_somebody_named_it(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.conf")
    assert not load(SampleConfiguration(), missing, sysroot=str(tmp_path)).problems
    resolved = load(SampleConfiguration(), missing, sysroot=str(tmp_path), required=True)
    assert [str(p) for p in resolved.problems] == [f"{missing}: cannot be read: No such file or directory"]
    assert resolved.fatal
    resolved = load(SampleConfiguration(), str(tmp_path), sysroot=str(tmp_path), required=True)
    assert [str(p) for p in resolved.problems] == [f"{tmp_path}: cannot be read: Is a directory"]
    assert resolved.fatal


def test_problems_of_all_files_and_options_are_told_together(tmp_path: Path) -> None:
    main = write(tmp_path, "etc/sampled.conf", "[fs.sample]\na = x\nwhat\n")
    write(tmp_path, "etc/sampled.conf.d/10.conf", "[fs.sample]\nd = 2\n")
    write(tmp_path, "etc/sysctl.d/1.conf", "fs.sample.b = 100\n")
    resolved = load(SampleConfiguration(), main, sysroot=str(tmp_path), sets=["nonsense", "c=-1"])
    assert len(resolved.problems) == 6
    assert [p.severity for p in resolved.problems].count(Severity.WARNING) == 1


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    main = tmp_path / "sampled.conf"
    main.write_bytes(b"[fs.sample]\na = \xff1\n")
    (problem,) = load(SampleConfiguration(), str(main), sysroot=str(tmp_path)).problems
    assert str(problem).startswith(f"{main}:2: fs.sample.a: '\\xdcff1' is not a whole number")
