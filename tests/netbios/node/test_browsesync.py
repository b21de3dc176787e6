# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.browsing import Net, station
from fakes.ether import Station
from pydaemons.netbios.node.announce import GROUP_TYPE
from pydaemons.netbios.node.browsesync import (
    AT_ONCE,
    LOST_AFTER,
    MOST_WAITING,
    FetchList,
    ListFetched,
    Wanted,
)
from pydaemons.netbios.node.serverlist import Told


def asker() -> tuple[Net, Station]:
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", local_master=False)
    net.run(1)
    alpha.other.clear()
    return net, alpha


def ask(net: Net, alpha: Station, host: str, wanted: Wanted = Wanted.ALL) -> list[FetchList]:
    alpha.node.browser.fetches.ask(host, "THERE", "GRP", wanted, net.now)
    net.tell(alpha, None)
    found = [each for each in alpha.other if isinstance(each, FetchList)]
    alpha.other.clear()
    return found


def listed(alpha: Station) -> set[str]:
    return {line.name for line in alpha.node.browser.lines()}


def test_a_domain_masters_own_group_is_listed_with_its_master_whatever_its_list_says():
    net, alpha = asker()
    fetches = alpha.node.browser.fetches
    fetches.introduce("10.0.5.5", Told("OTHER", GROUP_TYPE, "ODM"), net.now)

    def shown() -> dict[str, str]:
        return {line.name: line.comment for line in alpha.node.browser.lines() if line.type & 0x80000000}

    assert shown() == {"GRP": "", "OTHER": "ODM"}
    third = Told("THIRD", GROUP_TYPE, "T")
    for groups, master in (
        ((third,), "ODM"),
        ((third, Told("OTHER", GROUP_TYPE, "")), "ODM"),
        ((third, Told("OTHER", GROUP_TYPE, "LMB")), "LMB"),
    ):
        ask(net, alpha, "10.0.5.5", Wanted.GROUPS)
        net.tell(alpha, ListFetched("10.0.5.5", "OTHER", groups=groups))
        assert shown() == {"GRP": "", "OTHER": master, "THIRD": "T"}
    fetches.stay([], net.now)
    ask(net, alpha, "10.0.5.5", Wanted.GROUPS)
    net.tell(alpha, ListFetched("10.0.5.5", "OTHER", groups=(third,)))
    assert shown() == {"GRP": "", "THIRD": "T"}, "no domain master any more"


def test_a_list_is_asked_for_and_what_comes_is_listed():
    net, alpha = asker()
    (fetch,) = ask(net, alpha, "10.0.5.5", Wanted.LOCAL)
    assert fetch == FetchList("10.0.5.5", "THERE", "GRP", 0x40000000, 0xC0000000)
    net.tell(alpha, ListFetched("10.0.5.5", "GRP", (Told("FAR", 3, "x"), Told("ALPHA", 3, "us")), ()))
    assert listed(alpha) == {"GRP", "ALPHA", "FAR"}
    assert [line.comment for line in alpha.node.browser.lines() if line.name == "ALPHA"] == [""]


def test_so_many_hosts_at_once_and_each_once():
    net, alpha = asker()
    begun = [host for number in range(10) for host in ask(net, alpha, f"10.0.5.{number}")]
    assert len(begun) == AT_ONCE
    assert ask(net, alpha, "10.0.5.9") == []
    net.tell(alpha, ListFetched("10.0.5.0", "GRP"))
    assert [each.host for each in alpha.other] == ["10.0.5.2"]
    for number in range(2 * MOST_WAITING):
        ask(net, alpha, f"10.1.{number // 256}.{number % 256}")
    assert len(alpha.node.browser.fetches._waiting) == MOST_WAITING


def test_a_failure_is_said_once_and_what_was_known_stays():
    net, alpha = asker()
    net.tell(alpha, ListFetched("10.0.5.5", "GRP", (Told("FAR", 3, "x"),), ()))
    for _ in range(3):
        ask(net, alpha, "10.0.5.5")
        net.tell(alpha, ListFetched("10.0.5.5", "GRP", error="impacket is not installed"))
    assert [line for line in alpha.logs if "does not give its list: impacket" in line] != []
    assert len([line for line in alpha.logs if "does not give" in line]) == 1
    assert "FAR" in listed(alpha)
    net.run(3 * 900 + 10)
    assert "FAR" not in listed(alpha)
    net.tell(alpha, ListFetched("10.0.5.5", "GRP"))
    ask(net, alpha, "10.0.5.5")
    net.tell(alpha, ListFetched("10.0.5.5", "GRP", error="again"))
    assert "again" in alpha.logs[-1]


def test_a_fetch_that_never_ends_does_not_hold_up_the_others():
    net, alpha = asker()
    for number in range(3):
        ask(net, alpha, f"10.0.5.{number}")
    net.run(LOST_AFTER + 10)
    assert [each.host for each in alpha.other] == ["10.0.5.2"]


def test_the_failures_of_ever_new_hosts_are_said_for_ever():
    net, alpha = asker()
    for number in range(MOST_WAITING + 5):
        net.tell(alpha, ListFetched(f"10.1.{number // 250}.{number % 250}", "GRP", error="no"))
    assert len([line for line in alpha.logs if "does not give its list" in line]) == MOST_WAITING + 5
