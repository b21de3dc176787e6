# SPDX-License-Identifier: GPL-3.0-or-later
import re
import subprocess

from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.tunables import conf, sysctld
from pydaemons.tunables.layers import adopt, from_sysctld, resolve
from pydaemons.tunables.render import man_entries, roff, sample_conf, sysctl_d


def uncommented(text: str, mark: str) -> str:
    return "\n".join(line[1:] if line.startswith(mark) else line for line in text.split("\n"))


def test_the_sample_file_as_it_is_says_nothing() -> None:
    assert conf.parse(sample_conf(PylockdConfiguration()), "f") == ([], [])


def test_the_sample_file_with_its_lines_in_force_sets_every_default() -> None:
    configuration = PylockdConfiguration()
    lines = [
        line[1:] if line[:1] == "#" and line[1:2] not in (" ", "") else line
        for line in sample_conf(configuration).split("\n")
    ]
    assignments, problems = conf.parse("\n".join(lines), "f")
    resolved = resolve(configuration, conf=assignments)
    assert problems == [] and list(resolved.problems) == []
    assert len(assignments) > 10
    assert adopt(configuration, resolved) == []


def test_the_sysctl_d_file_with_its_lines_in_force_sets_defaults_leniently() -> None:
    tunables = PylockdConfiguration().tunables
    text = uncommented(sysctl_d("pylockd", tunables), "#-")
    assert sysctld.parse(sysctl_d("pylockd", tunables)) == ([], [])
    assignments, problems = from_sysctld(tunables, [("f", text.replace("\nfs.", "\n-fs."))])
    assert problems == []
    assert assignments and all(a.lenient for a in assignments)
    assert all(tunables.text(a.name) == a.text for a in assignments)


def test_every_key_has_its_man_page_entry_and_man_has_nothing_to_complain() -> None:
    tunables = PylockdConfiguration().tunables
    text = man_entries(tunables)
    for name in tunables.entries:
        assert f".B fs.nfs.{name}\n" in text
    page = ".TH X 7\n.SH TUNABLES\n" + text
    man = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-"]
    done = subprocess.run(man, input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "fs.nfs.nlm_timeout" in re.sub(".\x08", "", done.stdout)


def test_text_is_never_taken_for_a_request() -> None:
    assert roff(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert roff("a\\b-c") == "a\\eb\\-c"
