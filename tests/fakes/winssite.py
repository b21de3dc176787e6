# SPDX-License-Identifier: GPL-3.0-or-later
"""A WINS server and clients on an Ether, for the tests of its parts. Read Site."""

from __future__ import annotations

from fakes.claims import addresses, query
from fakes.ether import Ether, Host, Station
from pydaemons.netbios import nspacket
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.nspacket import Packet

WINS = "10.0.0.1"


class Site:
    """A WINS server and two clients."""

    def __init__(self, **settings: object) -> None:
        self.ether = Ether()
        options = {"wins_support": True, "dns_proxy": False, **settings}
        self.server: Station = self.ether.add(Settings("WINS", **options), WINS)
        self.a = self.ether.host("10.0.0.8", 137)
        self.b = self.ether.host("10.0.0.9", 137)
        self.ether.run(2)

    def ask(self, host: Host, data: bytes, seconds: float = 0.1) -> Packet:
        (answer,) = host.ask(data, WINS, seconds)
        return nspacket.unpack(answer)

    def rcode(self, host: Host, data: bytes) -> int:
        return self.ask(host, data).rcode

    def found(self, text: str) -> list[str] | int:
        """Addresses, or the reason why there are none."""
        packet = self.ask(self.a, query(text))
        return packet.rcode or addresses(packet)
