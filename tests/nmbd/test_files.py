# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import os
import re
import stat

import pytest

from fakes.claims import claim, query, wire
from fakes.ether import EPOCH, Ether
from fakes.shell import until
from pydaemons.kit.log import Log
from pydaemons.netbios.node.events import WriteBrowseList
from pydaemons.netbios.node.lmhosts import Host
from pydaemons.netbios.node.settings import Settings
from pydaemons.nmbd import files


def site() -> Ether:
    ether = Ether()
    ether.add(Settings("WINS", aliases=("OTHER",), wins_support=True), "10.0.0.1")
    ether.run(2)
    ether.host("10.0.0.9").ask(claim("CLIENT#20", "10.0.0.9"), "10.0.0.1")
    return ether


def test_the_name_list_shows_every_network_and_the_wins_names():
    ether = site()
    text = "".join(files.namelist(ether.stations[0].node, ether.now.wall))
    # the shape of nmbd 4.17.12's
    assert text.startswith(
        f"Subnet 10.0.0.1\n{'-' * 22}\n\tName = WINS<00>\tSource = SELF_NAME\nb_flags = 66\t"
    )
    head = r"death_time = PERMANENT\trefresh_time = \w{3} \w{3} .* \d{4}\n\n"
    entry = head + r"\t\tnumber of IPS = 1\t10\.0\.0\.1\n\n"
    assert len(re.findall(entry, text)) == 8 + 4
    assert "\tName = *<20>\tSource = PERMANENT_NAME\nb_flags = 64\t" in text
    assert "Subnet WINS_SERVER_SUBNET\n" in text
    assert re.search(
        r"\tName = CLIENT<20>\tSource = REGISTER_NAME\nb_flags = 64\tdeath_time = .* \d{4}\n\trefresh", text
    )


def test_a_wins_dat_is_written_at_once_or_in_pieces_with_the_same_content(tmp_path):
    ether = site()
    node = ether.stations[0].node
    wall = EPOCH + ether.mono
    files.write(str(tmp_path / "one"), files.wins_lines(node, wall))
    asyncio.run(files.write_slowly(str(tmp_path / "two"), files.wins_lines(node, wall)))
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    assert '"CLIENT#20"' in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def make(tmp_path, ether: Ether) -> files.Files:
    return files.Files(
        ether.stations[0].node, log=Log("test"), run_dir=str(tmp_path), state_dir=str(tmp_path)
    )


def test_an_empty_store_takes_over_a_wins_dat_and_a_full_one_does_not(tmp_path, capfd):
    ether = Ether()
    station = ether.add(Settings("WINS", wins_support=True), "10.0.0.1")
    ether.run(2)
    (tmp_path / "wins.dat").write_text('VERSION 1 0\n"OLD#20" 1795537718 10.0.0.4 64R\nrubbish\n')
    make(tmp_path, ether).import_old_wins()
    assert wire("OLD#20") in station.node.db.records
    said = capfd.readouterr().err
    assert "1 names taken over" in said
    assert "wins.dat:3" in said
    (tmp_path / "wins.dat").write_text('VERSION 1 0\n"LATER#20" 1795537718 10.0.0.4 64R\n')
    make(tmp_path, ether).import_old_wins()
    assert wire("LATER#20") not in station.node.db.records


def test_names_by_hand_are_read_and_what_is_wrong_is_said(tmp_path, capfd):
    ether = site()
    (tmp_path / "lmhosts").write_text("10.0.0.5 BYHAND\nnonsense\n")
    make(tmp_path, ether).load_lmhosts(str(tmp_path / "lmhosts"))
    assert [host.name for host in ether.stations[0].node.hosts] == ["BYHAND"]
    make(tmp_path, ether).load_lmhosts(str(tmp_path / "missing"))
    said = capfd.readouterr().err
    assert "lmhosts:2" in said
    assert "missing: No such file" in said


def test_a_pid_file_comes_and_goes(tmp_path):
    written = make(tmp_path, site())
    file = tmp_path / "pid"
    written.write_pid_file(str(file))
    assert int(file.read_text()) > 0
    written.remove_pid_file(str(file))
    written.remove_pid_file(str(file))
    written.write_pid_file(None)
    assert not file.exists()


def test_a_folder_that_cannot_be_written_is_said_and_no_more(tmp_path, capfd):
    ether = site()
    nowhere = files.Files(
        ether.stations[0].node, log=Log("test"), run_dir="/nonexistent", state_dir="/nonexistent"
    )
    nowhere.dump_namelist()
    nowhere.export()
    assert capfd.readouterr().err.count("/nonexistent") == 2


def test_wins_dat_is_written_from_time_to_time(tmp_path, monkeypatch):
    ether = site()
    monkeypatch.setattr(files, "now", lambda: ether.now)

    async def body() -> str:
        ether.stations[0].node.tunables.wins_dump_interval = 0.01
        make(tmp_path, ether).begin_to_dump(asyncio.get_running_loop())
        for _ in range(500):
            if (tmp_path / "wins.dat").exists():
                return (tmp_path / "wins.dat").read_text()
            await asyncio.sleep(0.01)
        return ""

    assert "CLIENT#20" in asyncio.run(body())


def test_names_by_hand_are_in_the_name_list_as_nmbd_shows_them():
    ether = site()
    node = ether.stations[0].node
    node.hosts = (Host("10.9.9.9", "FARHOST", None), Host("10.9.9.8", "ONLYDC", 0x1B))
    text = "".join(files.namelist(node, ether.now.wall))
    part = text.split("Subnet REMOTE_BROADCAST_SUBNET")[1].split("Subnet")[0]
    assert re.findall(r"Name = (\S+)\tSource = LMHOSTS_NAME\nb_flags = 4\t", part) == [
        "FARHOST<00>", "FARHOST<20>", "ONLYDC<1b>"
    ]  # fmt: skip


def test_the_servers_own_names_are_marked_in_wins_dat_as_nmbd_marks_them():
    ether = site()
    lines = list(files.wins_lines(ether.stations[0].node, ether.now.wall))
    flags = {line.split('"')[1]: line.split()[-1] for line in lines[1:]}
    assert (flags["WINS#20"], flags["WORKGROUP#00"], flags["CLIENT#20"]) == ("66R", "e4R", "64R")


def test_what_is_told_to_the_next_process_is_read_once(tmp_path, capfd):
    ether = site()
    told = ether.stations[0].node.hand_over(ether.now)
    make(tmp_path, ether).hand_over(told)
    assert files.take_handover(str(tmp_path), Log("test")) == told
    assert files.take_handover(str(tmp_path), Log("test")) is None
    (tmp_path / files.HANDOVER).write_text("rubbish")
    assert files.take_handover(str(tmp_path), Log("test")) is None
    assert "claimed anew" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_browse_list_that_cannot_be_written_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "WRITE_AGAIN", 0.02)
    folder = tmp_path / "cache"
    made = make(tmp_path, site())

    async def body() -> None:
        made.write_browse_list(WriteBrowseList("old\n"), str(folder))
        made.write_browse_list(WriteBrowseList("new\n"), str(folder))
        await asyncio.sleep(0.1)
        folder.mkdir()
        while not (folder / "browse.dat").exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(body(), 30))
    assert (folder / "browse.dat").read_text() == "new\n"


def test_a_browse_list_can_be_read_by_whomever_smbd_serves(tmp_path):
    before = os.umask(0o077)
    try:
        make(tmp_path, site()).write_browse_list(WriteBrowseList("list\n"), str(tmp_path))
    finally:
        os.umask(before)
    file = tmp_path / "browse.dat"
    assert file.read_text() == "list\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_wins_dat_written_at_once_while_one_is_written_slowly_is_whole(tmp_path, monkeypatch):
    ether = site()
    monkeypatch.setattr(files, "now", lambda: ether.now)
    monkeypatch.setattr(files, "PIECE", 1)
    made = make(tmp_path, ether)

    async def body() -> str:
        ether.stations[0].node.tunables.wins_dump_interval = 0.001
        made.begin_to_dump(asyncio.get_running_loop())
        while not list(tmp_path.iterdir()):
            await asyncio.sleep(0)
        ether.stations[0].node.tunables.wins_dump_interval = 3600
        assert ether.stations[0].node.wins.delete(wire("OTHER#00"), ether.now)
        made.export()
        text = (tmp_path / "wins.dat").read_text()
        await asyncio.sleep(0.3)
        assert [path.name for path in tmp_path.iterdir()] == ["wins.dat"]
        return text

    text = asyncio.run(body())
    assert (tmp_path / "wins.dat").read_text() == text
    assert text == "".join(files.wins_lines(ether.stations[0].node, ether.now.wall))


def test_wins_dat_is_written_anew_when_a_name_changed_and_not_because_one_was_asked_for(
    tmp_path, monkeypatch
):
    ether = site()
    monkeypatch.setattr(files, "now", lambda: ether.now)
    host, file = ether.host("10.9.9.9"), tmp_path / "wins.dat"
    made = make(tmp_path, ether)

    async def written() -> bool:
        for _ in range(20):
            if file.exists():
                file.unlink()
                return True
            await asyncio.sleep(0.01)
        return False

    async def body() -> list[bool]:
        ether.stations[0].node.tunables.wins_dump_interval = 0.02
        made.begin_to_dump(asyncio.get_running_loop())
        found = [await written()]
        host.ask(query("CLIENT#20"), "10.0.0.1")
        found.append(await written())
        ether.run(4 * 86400)  # it expires: neither an answer nor another number of names
        found.append(await written())
        return found

    assert asyncio.run(body()) == [True, False, True]


def test_another_interval_counts_from_now_on(tmp_path, monkeypatch):
    ether = site()
    monkeypatch.setattr(files, "now", lambda: ether.now)
    made = make(tmp_path, ether)

    async def body() -> None:
        tunables = ether.stations[0].node.tunables
        tunables.wins_dump_interval = 86400
        made.begin_to_dump(asyncio.get_running_loop())
        tunables.wins_dump_interval = 0.01
        made.begin_to_dump(asyncio.get_running_loop())
        await until((tmp_path / "wins.dat").exists)

    asyncio.run(body())


def test_what_could_not_be_written_to_its_end_is_not_left_behind(tmp_path):
    def lines():
        yield "one\n"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        files.write(str(tmp_path / "file"), lines())
    with pytest.raises(OSError, match="No space"):
        asyncio.run(files.write_slowly(str(tmp_path / "file"), lines()))
    assert list(tmp_path.iterdir()) == []
