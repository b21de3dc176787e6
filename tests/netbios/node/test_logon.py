# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest

from fakes import controller
from fakes.claims import wire
from fakes.datagrams import datagram, write_in
from fakes.ether import Ether, Host, Station
from pydaemons.engine.protocol import Address
from pydaemons.netbios import logon
from pydaemons.netbios.dgram import Kind
from pydaemons.netbios.logon import (
    Answer,
    LogonAnswer,
    LogonRequest,
    NtVersion,
    Opcode,
    PrimaryAnswer,
    PrimaryQuery,
    Request,
    SamAnswer,
    SamAnswer5,
    SamAnswerEx,
    SamRequest,
)
from pydaemons.netbios.mailslot import NETLOGON, NTLOGON
from pydaemons.netbios.node.events import AccountFound, FindAccount, Reconfigured, Resolve, Resolved
from pydaemons.netbios.node.logon import CONTROLLER, PING_INTERVAL, WAITING
from pydaemons.netbios.node.settings import Logon, Settings

SLOT = rb"\MAILSLOT\NET\GETDC123"
NEWEST = NtVersion.V1 | NtVersion.V5 | NtVersion.V5EX | NtVersion.V5EX_WITH_IP


def station(ether: Ether, settings: Logon | None = None, address: str = "10.0.0.1") -> Station:
    made = ether.add(Settings("SUT", workgroup="TESTGRP", logon=settings), address)
    ether.run(2)
    return made


@pytest.fixture
def ether() -> Ether:
    return Ether()


@pytest.fixture
def host(ether) -> Host:
    return ether.host("10.0.0.9", 138)


def sam(user: str = "", version: int = NtVersion.V1, **how) -> SamRequest:
    return SamRequest(0, "CLIENT", user, SLOT, version=version, **how)


def ask(
    ether: Ether, host: Host, request: Request, *, slot: bytes = NETLOGON, seconds: float = 0.05
) -> list[Answer]:
    data = datagram(
        slot, request.pack(), source="CLIENT#00", destination="TESTGRP#1c", address=host.address.host
    )
    host.got.clear()
    host.send(data, "10.0.0.255" if host.address.host.startswith("10.0.0.") else "10.0.0.1", 138)
    ether.run(seconds)
    return answers(host)


def answers(host: Host) -> list[Answer]:
    found = []
    for _, data in host.got:
        packet, write = write_in(data)
        if packet.destination != wire("CLIENT#00"):
            continue
        assert (packet.kind, packet.source) == (Kind.DIRECT_UNIQUE, wire("SUT#00"))
        assert write.mailslot == SLOT
        found.append(logon.unpack_answer(write.data))
    return found


def test_who_is_no_controller_claims_nothing_and_says_nothing(ether, host):
    plain = station(ether)
    assert ask(ether, host, sam()) == []
    assert wire("TESTGRP#1c") not in {holding.own.wire for holding in plain.node.names}
    ether.tell(plain, Reconfigured(Settings("SUT", workgroup="TESTGRP", logon=Logon())))
    ether.run(2)
    assert len(ask(ether, host, sam())) == 1
    ether.tell(plain, Reconfigured(Settings("SUT", workgroup="TESTGRP")))
    assert ask(ether, host, sam()) == []


@pytest.mark.parametrize("slot", [NETLOGON, NTLOGON])
@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (LogonRequest(b"CLIENT", b"JOE", SLOT), LogonAnswer(rb"\\SUT")),
        (PrimaryQuery(b"CLIENT", SLOT, "CLIENT"), PrimaryAnswer(b"SUT", "SUT", "TESTGRP")),
        (PrimaryQuery(b"CLIENT", SLOT, version=None), PrimaryAnswer(b"SUT", version=None)),
        (sam(), SamAnswer(Opcode.SAM_LOGON_RESPONSE, r"\\SUT", "", "TESTGRP")),
        (sam(version=NEWEST), SamAnswer(Opcode.SAM_LOGON_RESPONSE, r"\\SUT", "", "TESTGRP")),
        (sam("joe"), SamAnswer(Opcode.SAM_USER_UNKNOWN, r"\\SUT", "joe", "TESTGRP")),
    ],
    ids=["lan manager", "primary", "primary, short", "nt4", "newest without a realm", "a person"],
)
def test_each_generation_is_answered_in_its_own_form(ether, host, slot, request_, answer):
    made = station(ether, Logon())
    assert ask(ether, host, request_, slot=slot) == [answer]
    assert made.node.logons.counts.answered == 1


def test_with_a_realm_the_newest_form_asked_for_is_given(ether, host):
    station(ether, Logon(realm="example.org"))
    (found,) = ask(ether, host, sam(version=NEWEST))
    assert isinstance(found, SamAnswerEx)
    assert (found.opcode, found.domain, found.server) == (23, "TESTGRP", "SUT")
    assert (found.dns_domain, found.dns_host) == ("example.org", "sut.example.org")
    assert found.address == bytes((10, 0, 0, 1))
    assert found.version == 0xD
    (found,) = ask(ether, host, sam(version=NtVersion.V5EX))
    assert (found.address, found.version) == (None, 5)
    (found,) = ask(ether, host, sam(version=NtVersion.V1 | NtVersion.V5))
    assert isinstance(found, SamAnswer5)
    assert (found.server, found.address, found.version) == (r"\\SUT", bytes((10, 0, 0, 1)), 3)
    (found,) = ask(ether, host, sam(version=NtVersion.V1))
    assert isinstance(found, SamAnswer)


def test_only_the_primary_controller_says_that_it_is_the_one(ether, host):
    station(ether, Logon(primary=False, realm="example.org"))
    assert ask(ether, host, PrimaryQuery(b"CLIENT", SLOT, "CLIENT")) == []
    (found,) = ask(ether, host, sam(version=NEWEST))
    assert not found.flags & logon.DcFlag.PDC


@pytest.mark.parametrize(
    ("known", "opcode"), [(True, Opcode.SAM_LOGON_RESPONSE), (False, Opcode.SAM_USER_UNKNOWN)]
)
def test_a_hosts_own_account_is_looked_up_once_for_all_who_ask(ether, host, known, opcode):
    made = station(ether, Logon())
    request = sam("CLIENT$", account_control=0x80)
    assert ask(ether, host, request) == []
    assert ask(ether, host, request) == []
    assert made.other == [FindAccount("client$")]
    host.got.clear()
    ether.tell(made, AccountFound("client$", known))
    ether.run(0.1)
    assert answers(host) == 2 * [SamAnswer(opcode, r"\\SUT", "CLIENT$", "TESTGRP")]


@pytest.mark.parametrize("user", ["CLIENT", "CLI ENT$", "$", "../x$", "x" * 40 + "$"])
def test_accounts_of_people_and_nonsense_are_unknown_without_a_look(ether, host, user):
    made = station(ether, Logon())
    (found,) = ask(ether, host, sam(user, account_control=0x80))
    assert found.opcode == Opcode.SAM_USER_UNKNOWN
    assert made.other == []


def test_accounts_under_way_are_bounded(ether, host):
    made = station(ether, Logon())
    for i in range(WAITING + 50):
        ask(ether, host, sam(f"C{i}$", account_control=0x80), seconds=0.002)
    assert len(made.other) == WAITING


@pytest.mark.parametrize(
    ("pattern", "delayed"),
    [
        ("client", True),
        ("CLI*", True),
        ("10.0.0.0/24", True),
        ("10.0.0.9", True),
        ("10.0.", True),
        ("other", False),
        ("10.1.0.0/16", False),
    ],
)
def test_hosts_that_are_to_find_others_first_wait_for_their_first_answer(ether, host, pattern, delayed):
    station(ether, Logon(delay=0.5, delayed_hosts=(pattern,)))
    assert len(ask(ether, host, sam())) == (0 if delayed else 1)
    ether.run(0.5)
    assert len(answers(host)) == 1
    assert len(ask(ether, host, sam("joe"))) == 1


def test_delayed_answers_are_bounded(ether, host):
    station(ether, Logon(delay=5, delayed_hosts=("*",)))
    for _ in range(WAITING + 50):
        ask(ether, host, sam(), seconds=0.002)
    host.got.clear()
    ether.run(6)
    assert len(answers(host)) == WAITING


def test_an_answer_is_wanted_in_a_mailslot_or_not_at_all(ether, host):
    made = station(ether, Logon())
    for slot in (b"", rb"\PIPE\x", b"\\MAILSLOT\\" + b"x" * 200, NTLOGON, rb"\mailslot\Browse"):
        assert ask(ether, host, SamRequest(0, "CLIENT", "", slot)) == []
    assert made.node.mailslots.counts.bad == 5


def test_beyond_our_networks_the_old_form_is_given_as_it_is_short(ether):
    far = ether.host("10.9.9.9", 138)
    made = station(ether, Logon(realm="a-long-realm-name.with-many.labels.example.org"))
    old = SamAnswer(Opcode.SAM_LOGON_RESPONSE, r"\\SUT", "", "TESTGRP")
    assert ask(ether, far, sam(version=NtVersion.V1)) == [old]
    assert ask(ether, far, sam(version=NEWEST)) == [old]
    assert ask(ether, far, sam(version=NtVersion.V1 | NtVersion.V5)) == [old]
    assert made.node.mailslots.counts.too_long == 2
    assert made.node.logons.counts.answered == 3


# ---- in front of an Active Directory


@pytest.fixture
def dc(ether) -> Host:
    return ether.host("10.0.0.5", 389)


def pong(ether: Ether, dc: Host, netlogon: bytes | None = None) -> dict[str, bytes]:
    """Have the controller answer the last ping; what it was asked."""
    source, data = dc.got[-1]
    id_, terms = controller.asked(data)
    ether.carry(controller.answer(id_, netlogon), dc.address, source)
    ether.run(0.1)
    return terms


@pytest.mark.parametrize(
    ("version", "form", "opcode"),
    [(NtVersion.V1, SamAnswer, 19), (NtVersion.V1 | NtVersion.V5, SamAnswer5, 19), (NEWEST, SamAnswerEx, 23)],
    ids=["nt4", "nt5", "newest"],
)
def test_what_the_controller_says_is_told_in_the_askers_form(ether, host, dc, version, form, opcode):
    station(ether, Logon(controller="10.0.0.5"))
    assert ask(ether, host, sam("CLIENT$", version, account_control=0x80)) == []
    terms = pong(ether, dc, controller.FOUND._replace(user="CLIENT$").pack())
    assert terms["Host"] == b"CLIENT"
    assert (terms["User"], terms["AAC"]) == (b"CLIENT$", b"\x80\0\0\0")
    (found,) = answers(host)
    assert isinstance(found, form)
    assert (found.opcode, found.user, found.domain) == (opcode, "CLIENT$", "TESTGRP")
    assert found.server.strip("\\") == "DC1"
    if version != NtVersion.V1:
        assert found.address == bytes((10, 0, 0, 5))
        assert found.guid == controller.GUID


def test_the_primary_controller_is_named_only_if_it_is_the_one(ether, host, dc):
    station(ether, Logon(controller="10.0.0.5"))
    ask(ether, host, PrimaryQuery(b"CLIENT", SLOT, "CLIENT"))
    pong(ether, dc, controller.FOUND.pack())
    assert answers(host) == [PrimaryAnswer(b"DC1", "DC1", "TESTGRP")]
    ask(ether, host, PrimaryQuery(b"CLIENT", SLOT, version=None))
    pong(ether, dc, controller.FOUND.pack())
    assert answers(host) == [PrimaryAnswer(b"DC1", version=None)]
    ask(ether, host, PrimaryQuery(b"CLIENT", SLOT, "CLIENT"))
    pong(ether, dc, controller.FOUND._replace(flags=0x100).pack())
    assert answers(host) == []


def test_a_controller_that_is_silent_is_asked_twice_and_named_in_the_log(ether, host, dc):
    made = station(ether, Logon(controller="10.0.0.5"))
    ask(ether, host, sam())
    ether.run(3 * PING_INTERVAL)
    assert len(dc.got) == 2
    assert answers(host) == []
    assert any("10.0.0.5 does not answer" in line for line in made.logs)
    pong(ether, dc, controller.FOUND.pack())  # too late
    assert answers(host) == []
    ask(ether, host, sam())
    pong(ether, dc, controller.FOUND.pack())
    assert len(answers(host)) == 1


def test_a_controller_that_knows_nothing_or_says_rubbish_leads_to_nothing(ether, host, dc):
    made = station(ether, Logon(controller="10.0.0.5"))
    for netlogon in (None, b"rubbish", SamAnswer(19, "S", "", "D").pack()):
        ask(ether, host, sam())
        pong(ether, dc, netlogon)
        assert answers(host) == []
    ask(ether, host, sam())
    source = dc.got[-1][0]
    ether.carry(b"rubbish", dc.address, source)
    ether.carry(controller.answer(12345, controller.FOUND.pack()), dc.address, source)
    ether.run(0.1)
    assert answers(host) == []
    assert made.node.logons.counts.silent == 3


def test_nobody_else_can_answer_for_the_controller(ether, host, dc):
    station(ether, Logon(controller="10.0.0.5"))
    ask(ether, host, sam())
    source, data = dc.got[-1]
    forged = controller.answer(controller.asked(data)[0], controller.FOUND.pack())
    ether.carry(forged, Address("10.0.0.66", 389), source)
    ether.run(0.1)
    assert answers(host) == []


def test_a_controllers_name_is_resolved_and_after_a_while_again(ether, host, dc):
    made = station(ether, Logon(controller="dc1.ad.example"))
    assert ask(ether, host, sam()) == []
    assert ask(ether, host, sam()) == []
    assert made.other == [Resolve(CONTROLLER, "dc1.ad.example")]
    ether.tell(made, Resolved(CONTROLLER, (bytes((10, 0, 0, 5)),)))
    ask(ether, host, sam())
    pong(ether, dc, controller.FOUND.pack())
    assert len(answers(host)) == 1
    ether.run(301)
    ask(ether, host, sam())
    assert made.other == 2 * [Resolve(CONTROLLER, "dc1.ad.example")]
    ether.tell(made, Resolved(CONTROLLER, ()))
    assert any("dc1.ad.example has no address" in line for line in made.logs)


def test_another_controller_is_asked_at_once_and_the_first_one_not_again(ether, host, dc):
    made = station(ether, Logon(controller="10.0.0.6"))
    first = ether.host("10.0.0.6", 389)
    assert ask(ether, host, sam()) == []
    ether.tell(made, Reconfigured(Settings("SUT", workgroup="TESTGRP", logon=Logon(controller="10.0.0.5"))))
    ether.run(3 * PING_INTERVAL)
    assert len(first.got) == 1
    ask(ether, host, sam())
    pong(ether, dc, controller.FOUND.pack())
    assert len(answers(host)) == 1


def test_in_front_of_a_directory_we_are_nobodys_logon_server_ourselves(ether, host, dc):
    station(ether, Logon(controller="10.0.0.5"))
    assert ask(ether, host, LogonRequest(b"CLIENT", b"JOE", SLOT)) == []


def test_questions_to_the_controller_are_bounded(ether, host, dc):
    made = station(ether, Logon(controller="10.0.0.5"))
    for _ in range(WAITING + 50):
        ask(ether, host, sam(), seconds=0.002)
    assert made.node.logons.counts.forwarded == WAITING


def test_mutants_of_all_requests_do_no_harm(ether, host, dc):
    dice = random.Random(18)
    for settings in (Logon(realm="example.org"), Logon(controller="10.0.0.5")):
        made = station(ether, settings)
        packed = [
            datagram(NETLOGON, request.pack(), source="CLIENT#00", destination="TESTGRP#1c")
            for request in (sam("C$", NEWEST, account_control=0x80), PrimaryQuery(b"C", SLOT, "C"))
        ]
        for _ in range(3000):
            mutant = bytearray(dice.choice(packed))
            for _ in range(dice.randrange(1, 4)):
                mutant[dice.randrange(160, len(mutant))] = dice.randrange(256)
            host.send(bytes(mutant[: dice.randrange(160, len(mutant) + 1)]), "10.0.0.1", 138)
            ether.run(0.002)
        assert made.node.mailslots.counts.bad > 100
        ether.remove(made)
