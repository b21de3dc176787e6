# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import re

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
