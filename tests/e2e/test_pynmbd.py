# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd on a network of namespaces with Samba's tools and nmbd for neighbours."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bench.names import load_generator
from fakes.claims import claim, query, wire
from hosts.lab import Host, Lab
from hosts.netbios import CHECKOUT, RUN, STATE, TREE, ask, ctl, start_nmbd, start_pynmbd
from hosts.waiting import wait_for
from hosts.wire import MALFORMED, frames
from pydaemons.netbios import nspacket

pytestmark = pytest.mark.needs("nmblookup", "nmbd", "nbtscan", "smbtorture")

PLAIN = "[global]\nnetbios name = SUT\nworkgroup = TESTGRP\n"
WINS = PLAIN + "wins support = yes\ndns proxy = no\n"


def lookup(host: Host, *words: str) -> tuple[int, list[str]]:
    done = host.run("nmblookup", "-s", "/dev/null", *words, timeout=30)
    return done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("querying")]


def answer(host: Host, data: bytes, to: Host) -> nspacket.Packet | None:
    found = ask(host, data, to.address)
    return None if found is None else nspacket.unpack(found)


def addresses(packet: nspacket.Packet | None) -> list[str] | int | None:
    if packet is None or packet.rcode:
        return None if packet is None else packet.rcode
    return [str(IPv4Address(nb.address)) for nb in nspacket.unpack_nb(packet.answers[0].data)]


def wins_names(host: Host, pattern: str = "*") -> dict[str, list[str]]:
    listed = json.loads(ctl(host, "--json", "wins", "list", pattern, "--state", "active"))
    return {entry["name"]: entry["addresses"] for entry in listed}


def own_states(host: Host) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in json.loads(ctl(host, "--json", "names"))}


def test_samba_tools_find_it_and_show_its_names(lab: Lab) -> None:
    start_pynmbd(lab.h1, PLAIN + "netbios aliases = OTHER\n")
    for text, shown in (
        ("SUT", "SUT<00>"),
        ("OTHER#20", "OTHER<20>"),
        ("testgrp", "testgrp<00>"),
        ("*", "*<00>"),
    ):
        assert lookup(lab.h2, text) == (0, [f"10.97.0.1 {shown}"])
    assert lookup(lab.h2, "NOBODY") == (1, ["name_query failed to find name NOBODY"])
    status = lookup(lab.h2, "-A", lab.h1.address)[1]
    assert [line.split()[0:2] for line in status[1:9]] == [
        *(["SUT", "<00>"], ["SUT", "<03>"], ["SUT", "<20>"], ["OTHER", "<00>"], ["OTHER", "<03>"]),
        *(["OTHER", "<20>"], ["TESTGRP", "<00>"], ["TESTGRP", "<1e>"]),
    ]
    scanned = lab.h2.run("nbtscan", "-q", lab.h1.address, timeout=30).stdout.split()
    assert scanned[:3] == ["10.97.0.1", "SUT", "<server>"]


@pytest.mark.parametrize(
    "words",
    [
        ["SUT"],
        ["SUT#20"],
        ["TESTGRP"],
        ["NOBODY"],
        ["NOBODY#1b"],
        ["*"],
        ["SUT", "NOBODY"],
        ["-S", "SUT"],
        ["-A", "10.97.0.1"],
        ["-U", "10.97.0.1", "--recursion", "SUT"],
        ["-B", "10.97.0.255", "SUT"],
        ["-M", "TESTGRP"],
    ],
    ids=" ".join,
)
def test_pynmblookup_says_what_nmblookup_says(nameserver: Lab, words: list[str]) -> None:
    ours = nameserver.h2.run(str(CHECKOUT / "bin/pynmblookup"), *words, timeout=30)
    samba = nameserver.h2.run("nmblookup", "-s", "/dev/null", *words, timeout=30)
    assert (ours.returncode, ours.stdout) == (samba.returncode, samba.stdout)


@pytest.fixture(scope="module")
def nameserver() -> Lab:
    with Lab(2) as lab:
        start_pynmbd(lab.h1, PLAIN)
        yield lab


def test_a_samba_host_that_has_the_name_keeps_it(lab: Lab) -> None:
    start_nmbd(lab.h2, PLAIN)
    time.sleep(5)  # nmbd defends a name only when its own claim is through, four seconds after its start
    ours = start_pynmbd(lab.h1, PLAIN + "netbios aliases = MINE\n")
    wait_for(lambda: own_states(lab.h1)["SUT#20"] == "conflict", what="the conflict to be seen")
    wait_for(lambda: own_states(lab.h1)["MINE#20"] == "owned", what="the other name")
    assert f"{lab.h2.address} has the name SUT<20> already" in ours.log
    assert "conflict" in ctl(lab.h1, "status")
    assert lookup(lab.h1, "-B", "10.97.0.255", "SUT#20") == (0, ["10.97.0.2 SUT<20>"])


def test_our_name_is_defended_against_a_samba_host(lab: Lab) -> None:
    ours = start_pynmbd(lab.h1, PLAIN)
    start_nmbd(lab.h2, PLAIN)
    wait_for(lambda: "claims our name SUT" in ours.log, what="nmbd's claim")
    wait_for(lambda: len(lookup(lab.h2, "-B", "10.97.0.255", "SUT#20")[1]) == 1, what="one owner to be left")
    assert lookup(lab.h2, "-B", "10.97.0.255", "SUT#20") == (0, ["10.97.0.1 SUT<20>"])
    wait_for(lambda: set(own_states(lab.h1).values()) == {"owned"}, what="the names to be ours")


@pytest.mark.needs("tshark", "tcpdump")
def test_a_samba_neighbour_and_we_get_along_and_no_frame_of_ours_is_malformed(
    lab: Lab, tmp_path: Path
) -> None:
    capture = lab.h2.capture(tmp_path / "names.pcap", "udp port 137", "net0")
    start_pynmbd(lab.h1, WINS)
    nmbd = start_nmbd(
        lab.h2, f"[global]\nnetbios name = PEER\nworkgroup = TESTGRP\nwins server = {lab.h1.address}\n"
    )
    wait_for(lambda: "PEER#20" in wins_names(lab.h1), what="nmbd to register with our WINS server")
    found = wins_names(lab.h1, "PEER*")
    assert found == {f"PEER#{suffix}": [lab.h2.address] for suffix in ("00", "03", "20")}
    wait_for(lambda: lookup(lab.h1, "PEER#20")[1] == ["10.97.0.2 PEER<20>"], what="nmbd to answer broadcasts")
    assert lookup(lab.h2, "SUT#20", "*")[0] == 0
    assert sorted(lookup(lab.h2, "TESTGRP")[1]) == ["10.97.0.1 TESTGRP<00>", "10.97.0.2 TESTGRP<00>"]
    nmbd.stop()
    wait_for(lambda: "PEER#20" not in wins_names(lab.h1), what="nmbd to release its names")
    path = capture.finish()
    ours = f"ip.src == {lab.h1.address} && nbns"
    assert frames(path, f"{ours} && {MALFORMED}") == []
    assert len(frames(path, ours)) > 30


def test_our_names_are_registered_with_a_samba_wins_server_and_released(lab: Lab) -> None:
    start_nmbd(
        lab.h2, "[global]\nnetbios name = WINSRV\nworkgroup = TESTGRP\nwins support = yes\ndns proxy = no\n"
    )
    ours = start_pynmbd(lab.h1, PLAIN + f"wins server = {lab.h2.address}\n")
    wait_for(lambda: addresses(answer(lab.h1, query("SUT#20"), lab.h2)) == ["10.97.0.1"], what="registration")
    ours.wait_for_log("registered")  # the server knew it before its answer came
    assert ours.stop() == 0
    wait_for(lambda: addresses(answer(lab.h1, query("SUT#20"), lab.h2)) == 3, what="the release")


def test_names_are_released_on_the_wire_when_it_stops(lab: Lab, tmp_path: Path) -> None:
    ours = start_pynmbd(lab.h1, PLAIN)
    wait_for(lambda: set(own_states(lab.h1).values()) == {"owned"}, what="names")
    with lab.h2.network():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind(("10.97.0.255", 137))
    sock.settimeout(5)
    assert ours.stop() == 0
    released = set()
    while len(released) < 5:
        packet = nspacket.unpack(sock.recv(2000))
        if packet.opcode == 6:
            released.add(packet.questions[0].name)
    assert wire("SUT#20") in released
    sock.close()


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["nbt.register", "nbt.wins"])
def test_smbtorture_is_content(lab: Lab, suite: str) -> None:
    work = Path(lab.h1.work)  # seen by both hosts at the same place, as the suite's hook test wants it
    folder = work / "torture"
    folder.mkdir()
    hook = folder / "hook"
    hook.write_text(f'#!/bin/sh\nprintf %s "$2" > {folder}/wins_hook_writes_here\n')
    hook.chmod(0o755)
    start_pynmbd(lab.h1, WINS + f"wins hook = {hook}\n")
    lab.h2.run("mkdir", "-p", "/run/torture", check=True)
    own = "".join(
        f"{name} = /run/torture\n"
        for name in ("lock directory", "private dir", "state directory", "cache directory", "pid directory")
    )
    lab.h2.write("/run/torture.conf", f"[global]\nnetbios name = TORTURE\nname resolve order = bcast\n{own}")
    done = lab.h2.run(
        *("smbtorture", "-s", "/run/torture.conf", "-U%", "//SUT/IPC$", suite),
        env={"SELFTEST_TMPDIR": str(folder)},
        timeout=150,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "failure:" not in said
    assert said.count("success:") == 2, said[-3000:]


@pytest.mark.needs("gcc")
def test_what_was_acknowledged_is_there_after_kill_9(lab: Lab) -> None:
    ours = start_pynmbd(lab.h1, WINS)
    load = lab.h2.start(
        *(str(load_generator()), "register", "--names", "10000", "--window", "256", "--timeout", "50"),
        *("--server", lab.h1.address),
    )
    wait_for(lambda: len(wins_names(lab.h1)) > 2000, what="2000 registrations")
    ours.send_signal(9)
    ours.wait()
    load.wait(60)
    acknowledged = json.loads(load.log)["good"]
    assert 2000 < acknowledged <= 10000
    start_pynmbd(lab.h1, WINS, name="again")
    kept = [name for name in wins_names(lab.h1) if name.startswith("LOAD")]
    assert len(kept) >= acknowledged
    assert addresses(answer(lab.h2, query("LOAD0000000#20"), lab.h1)) == [lab.h2.address]


def test_a_reload_applies_everything(lab: Lab) -> None:
    ours = start_pynmbd(lab.h1, PLAIN)
    packet = answer(lab.h2, query("SUT#20"), lab.h1)
    assert packet is not None
    assert packet.answers[0].ttl == 259200
    lab.h1.write("/run/pynmbd.conf", WINS + "netbios aliases = NEWONE\nmax ttl = 4711\nworkgroup = OFFICE\n")
    ctl(lab.h1, "reload")
    packet = answer(lab.h2, query("SUT#20"), lab.h1)
    assert packet is not None
    assert lookup(lab.h2, "NEWONE") == (0, ["10.97.0.1 NEWONE<00>"])
    assert lookup(lab.h2, "TESTGRP")[0] == 1
    assert addresses(answer(lab.h2, claim("X#20", lab.h2.address), lab.h1)) == [lab.h2.address]
    assert lab.h1.read(f"{TREE}/net/netbios/max_ttl") == "4711\n"
    assert "Name = SUT<20>\tSource = SELF_NAME" in lab.h1.read(f"{RUN}/namelist.debug")
    lab.h1.write("/run/pynmbd.conf", "[global]\nwins support = perhaps\n")
    refused = lab.h1.run(str(CHECKOUT / "bin/pynmbctl"), "--socket", f"{RUN}/control", "reload")
    assert refused.returncode == 1
    assert "wins_support" in refused.stderr
    assert lookup(lab.h2, "NEWONE")[0] == 0, "a wrong configuration changes nothing"
    ours.send_signal(1)
    wait_for(lambda: "keeping the old one" in ours.log, what="SIGHUP to be heard")


def test_interfaces_come_and_go(lab: Lab) -> None:
    lab.h1.run("ip", "link", "set", "net0", "down", check=True)
    ours = start_pynmbd(lab.h1, PLAIN, wait=False)
    wait_for(
        lambda: ours.running and "waiting for one" in _status(lab.h1), what="the daemon without a network"
    )
    lab.h1.run("ip", "link", "set", "net0", "up", check=True)
    wait_for(lambda: lookup(lab.h2, "SUT")[0] == 0, what="the network to be used")
    lab.join(lab.h1, 1)
    lab.join(lab.h2, 1)
    wait_for(lambda: lookup(lab.h2, "-B", "10.97.1.255", "SUT")[0] == 0, what="the second network")
    found = lookup(lab.h2, "-B", "10.97.1.255", "SUT")[1]
    assert found == ["10.97.1.1 SUT<00>", "10.97.0.1 SUT<00>"]
    lab.h1.run("ip", "address", "del", "10.97.1.1/24", "dev", "net1", check=True)
    wait_for(
        lambda: lookup(lab.h2, "SUT")[1] == ["10.97.0.1 SUT<00>"], what="the second network to be forgotten"
    )


def _status(host: Host) -> str:
    done = host.run(str(CHECKOUT / "bin/pynmbctl"), "--socket", f"{RUN}/control", "status")
    return str(done.stdout)


def test_sockets_of_single_interfaces_serve_as_well(lab: Lab) -> None:
    start_pynmbd(lab.h1, PLAIN + "interfaces = net0\nbind interfaces only = yes\n")
    assert lookup(lab.h2, "SUT", "*")[0] == 0
    assert lookup(lab.h2, "-A", lab.h1.address)[0] == 0
    bound = lab.h1.run("ss", "-Hunl", "sport = 137").stdout.split()
    assert "10.97.0.1:137" in bound
    assert "0.0.0.0:137" not in bound


def test_a_reload_moves_the_sockets_too(lab: Lab) -> None:
    start_pynmbd(lab.h1, PLAIN)

    def bound() -> set[str]:
        return {word for word in lab.h1.run("ss", "-Hunl", "sport = 137").stdout.split() if ":137" in word}

    assert bound() == {"0.0.0.0:137"}
    lab.h1.write("/run/pynmbd.conf", PLAIN + "bind interfaces only = yes\n")
    ctl(lab.h1, "reload")
    assert bound() == {"10.97.0.1:137", "10.97.0.255:137"}
    assert lookup(lab.h2, "SUT", "*")[0] == 0
    lab.h1.write("/run/pynmbd.conf", PLAIN + "nbt client socket address = 10.97.0.1\n")
    ctl(lab.h1, "reload")
    assert bound() == {"10.97.0.1:137"}
    assert lookup(lab.h2, "-A", lab.h1.address)[0] == 0
    lab.h1.write("/run/pynmbd.conf", PLAIN + "nbt client socket address = fd00::1\n")
    refused = lab.h1.run(str(CHECKOUT / "bin/pynmbctl"), "--socket", f"{RUN}/control", "reload")
    assert refused.returncode == 1
    assert "IPv4 only" in refused.stderr
    assert bound() == {"10.97.0.1:137"}


def test_nobody_beyond_our_networks_gets_an_answer(lab: Lab) -> None:
    start_pynmbd(lab.h1, WINS)
    lab.h2.run("ip", "address", "add", "203.0.113.9/32", "dev", "lo", check=True)
    lab.h1.run("ip", "route", "add", "203.0.113.9", "via", lab.h2.address, check=True)

    def from_afar(data: bytes) -> bytes | None:
        with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("203.0.113.9", 0))
            sock.settimeout(0.3)
            sock.sendto(data, (lab.h1.address, 137))
            try:
                return sock.recv(2000)
            except TimeoutError:
                return None

    requests = (query("SUT#20"), nspacket.status_request(1), claim("X#20", "203.0.113.9"))
    assert [from_afar(data) for data in requests] == [None] * 3
    lab.h1.write(f"{TREE}/net/netbios/allow", "203.0.113.0/24\n")
    wait_for(lambda: from_afar(query("SUT#20")) is not None, what="the allowed network to be answered")


def test_tunables_are_applied_at_once(lab: Lab) -> None:
    start_pynmbd(lab.h1, WINS)
    lab.h1.write(f"{TREE}/net/netbios/min_wins_ttl", "100000\n")

    def granted() -> int:
        packet = answer(lab.h2, claim("X#20", lab.h2.address, ttl=60), lab.h1)
        assert packet is not None
        return packet.answers[0].ttl

    wait_for(lambda: granted() == 100000, what="the new lower bound")


def test_debugging_is_switched_by_its_key(lab: Lab) -> None:
    ours = start_pynmbd(lab.h1, PLAIN)
    wait_for(lambda: set(own_states(lab.h1).values()) == {"owned"}, what="names")
    lab.h1.write("/run/pynmbd.conf", PLAIN + "printing = bsd\n")
    ctl(lab.h1, "reload")
    assert "printing" not in ours.log
    lab.h1.write(f"{TREE}/net/netbios/debug", "1\n")
    wait_for(lambda: ctl(lab.h1, "reload") == "" and "printing" in ours.log, what="debug lines")


def test_an_nmbd_hands_its_wins_names_over_and_takes_them_back(lab: Lab) -> None:
    nmbd = start_nmbd(lab.h1, WINS)
    assert answer(lab.h2, claim("KEEPER#20", lab.h2.address), lab.h1) is not None
    assert nmbd.stop() == 0
    lab.h1.run("mkdir", "-p", STATE, check=True)
    lab.h1.run("cp", "/run/nmbd/state/wins.dat", f"{STATE}/wins.dat", check=True)
    ours = start_pynmbd(lab.h1, WINS)
    assert "names taken over" in ours.log
    assert addresses(answer(lab.h2, query("KEEPER#20"), lab.h1)) == [lab.h2.address]
    assert answer(lab.h2, claim("FRESH#20", lab.h2.address), lab.h1) is not None
    assert ours.stop() == 0
    assert '"KEEPER#20"' in lab.h1.read(f"{STATE}/wins.dat")
    lab.h1.run("cp", f"{STATE}/wins.dat", "/run/nmbd/state/wins.dat", check=True)
    start_nmbd(lab.h1, WINS)
    for text in ("KEEPER#20", "FRESH#20"):
        assert addresses(answer(lab.h2, query(text), lab.h1)) == [lab.h2.address]


def test_host_names_are_looked_up_behind_the_wins_server(lab: Lab) -> None:
    start_pynmbd(lab.h1, PLAIN + "wins support = yes\n")
    found = answer(lab.h2, query("H2#20"), lab.h1)  # by the hosts file: there is no DNS server here
    assert addresses(found) == [lab.h2.address]
    assert addresses(answer(lab.h2, query("NOSUCHHOST#20"), lab.h1)) == 3


def test_a_second_daemon_is_refused_and_says_who_is_there(lab: Lab) -> None:
    start_pynmbd(lab.h1, PLAIN)
    second = start_pynmbd(lab.h1, PLAIN, wait=False, name="second")
    assert second.wait() != 0
    assert second.log


def test_a_pid_file_is_there_while_it_runs(lab: Lab) -> None:
    ours = start_pynmbd(lab.h1, PLAIN, "--pidfile", "/run/nmb.pid")
    assert int(lab.h1.read("/run/nmb.pid")) == ours.inner_pid
    assert ours.stop() == 0
    assert lab.h1.run("test", "-e", "/run/nmb.pid").returncode == 1


def test_in_the_foreground_it_ends_with_the_pipe_it_was_started_by(lab: Lab) -> None:
    lab.h1.write("/run/pynmbd.conf", PLAIN)
    lab.h1.run("mkfifo", "/run/hold", check=True)
    program = f"{CHECKOUT}/bin/pynmbd -F -s /run/pynmbd.conf --run-dir {RUN} --state-dir {STATE}"
    ours = lab.h1.start("sh", "-c", f"PYSYSCTL_ROOT={TREE} exec {program} </run/hold", name="piped")
    holder = lab.h1.start("sh", "-c", "exec sleep 60 >/run/hold", name="holder")
    wait_for(lambda: "SUT in TESTGRP" in _status(lab.h1), what="the daemon to answer")
    holder.stop()
    assert ours.wait(20) == 0
    assert "standard input has ended" in ours.log


def test_pynmbctl_shuts_it_down(lab: Lab) -> None:
    ours = start_pynmbd(lab.h1, PLAIN)
    assert ctl(lab.h1, "ping").startswith("PONG from pid")
    ctl(lab.h1, "shutdown")
    assert ours.wait() == 0
    assert re.search("asked to by pynmbctl", ours.log)


@pytest.mark.parametrize("words", [["-U", "10.97.0.2", "OLDHOST"], ["-A", "10.97.0.2"]], ids=" ".join)
def test_samba_tools_beside_us_get_what_an_old_host_sends_to_port_137(lab: Lab, words: list[str]) -> None:
    start_pynmbd(lab.h1, PLAIN)
    lab.h1.run("mkdir", "-p", "/run/samba/nmbd", check=True)
    lab.h1.run("ln", "-s", f"{RUN}/unexpected", "/run/samba/nmbd/unexpected", check=True)
    with lab.h2.network():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", 137))
    sock.settimeout(0.1)
    tools = [lab.h1.start("nmblookup", "-s", "/dev/null", *words, name="nmblookup")]

    def answer_one() -> bool:
        """True when nmblookup has its answer. On a busy machine its patience may be at an end before."""
        try:
            data, (host, port) = sock.recvfrom(2000)
        except TimeoutError:
            if tools[-1].running or tools[-1].wait() == 0:
                return not tools[-1].running
            tools.append(lab.h1.start("nmblookup", "-s", "/dev/null", *words, name="nmblookup"))
            return False
        if port == 137:
            return False  # our own claims, which everybody hears; nmblookup asks from elsewhere
        asked = nspacket.unpack(data).questions[0]
        if asked.kind == 0x20:
            rdata = nspacket.pack_nb((nspacket.Nb(0, IPv4Address("10.97.0.2").packed),))
        else:
            rdata = nspacket.pack_status(nspacket.Status((nspacket.StatusName(b"OLDHOST".ljust(16), 0x400),)))
        record = nspacket.Resource(asked.name, asked.kind, 1, 60, rdata)
        answered = nspacket.Packet(int.from_bytes(data[:2], "big"), 0x8580, (), (record,))
        sock.sendto(nspacket.pack(answered), (host, 137))
        return False

    with sock:
        wait_for(answer_one, what="nmblookup to be content")
    assert "OLDHOST" in tools[-1].log
    assert "No reply" not in tools[-1].log


def test_a_packet_is_sent_from_port_137(lab: Lab) -> None:
    start_pynmbd(lab.h1, PLAIN)
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 1137))
        sock.settimeout(10)
        said = ctl(lab.h1, "send-packet", "nmb", lab.h2.address, query("X#20").hex(), "--port", "1137")
        assert sock.recvfrom(2000) == (query("X#20"), (lab.h1.address, 137))
    assert "source 10.97.0.1" in said


def test_a_living_samba_host_keeps_its_wins_name_and_a_dead_one_loses_it(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(3)
    server = start_pynmbd(lab.h1, WINS)
    peer = f"[global]\nnetbios name = PEER\nworkgroup = TESTGRP\nwins server = {lab.h1.address}\n"
    nmbd = start_nmbd(lab.h2, peer)
    wait_for(lambda: "PEER#20" in wins_names(lab.h1), what="nmbd to register")
    request = claim("PEER#20", lab.h3.address)

    def last_word() -> nspacket.Packet:
        with lab.h3.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.sendto(request, (lab.h1.address, 137))
            first = nspacket.unpack(sock.recv(2000))
            return nspacket.unpack(sock.recv(2000)) if first.opcode == 7 else first

    assert last_word().rcode == 6
    assert wins_names(lab.h1, "PEER#20") == {"PEER#20": [lab.h2.address]}
    nmbd.send_signal(9)
    nmbd.wait()
    assert last_word().rcode == 0
    assert wins_names(lab.h1, "PEER#20") == {"PEER#20": [lab.h3.address]}
    assert "which 10.97.0.2 defends" in server.log
    assert "PEER<20> goes to 10.97.0.3" in server.log


def test_a_wins_proxy_answers_samba_tools_for_hosts_of_another_network(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(2)
    start_pynmbd(lab.h1, WINS + "wins proxy = yes\n")
    far = claim("FAR#20", "10.200.0.9")
    assert addresses(answer(lab.h2, far, lab.h1)) == ["10.200.0.9"]
    assert lookup(lab.h2, "FAR#20") == (0, ["10.200.0.9 FAR<20>"])
    near = claim("NEAR#20", lab.h2.address)
    assert answer(lab.h2, near, lab.h1) is not None
    assert lookup(lab.h2, "NEAR#20")[0] == 1
