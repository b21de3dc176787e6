# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio

from fakes.claims import claim
from fakes.ether import EPOCH, Ether
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
    assert text.startswith("Subnet 10.0.0.1\n---------------\n\tName = WINS<00>\tSource = SELF_NAME\n")
    assert "\tb_flags = 64\tdeath_time = PERMANENT\n\tnumber of IPS = 1\t10.0.0.1\n" in text
    assert "Subnet WINS_SERVER_SUBNET\n" in text
    assert "\tName = CLIENT<20>\tSource = REGISTER_NAME\n" in text


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
