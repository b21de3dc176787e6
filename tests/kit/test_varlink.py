# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.kit.varlink import Caller, ControlError, Interface, Method, fits, parse_struct, service

ROOT = Caller(pid=1, uid=0, gid=0, own_uid=7)


def nothing(parameters, caller):
    return {}


def interface():
    methods = [
        Method(
            "Locks", nothing, takes="(client: ?string, first: int)", gives="(locks: []object)", doc="Held."
        ),
        Method("Drop", nothing, trusted=True),
    ]
    return Interface("org.pydaemons.lockd", methods, doc="The lock manager.\nTwo lines.")


def test_an_interface_describes_itself_in_varlinks_language():
    assert interface().describe() == (
        "# The lock manager.\n# Two lines.\ninterface org.pydaemons.lockd\n\n"
        "# Held.\nmethod Locks(client: ?string, first: int) -> (locks: []object)\n\n"
        "method Drop() -> ()\n"
    )


@pytest.mark.parametrize(
    "parameters", [{"first": 1}, {"first": 0, "client": "a"}, {"first": 2, "client": None}]
)
def test_parameters_that_fit_pass(parameters):
    interface().check("Locks", parameters)


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [({}, "first"), ({"first": "1"}, "first"), ({"first": True}, "first"), ({"first": 1, "all": 1}, "all")],
)
def test_the_parameter_that_does_not_fit_is_named(parameters, wrong):
    with pytest.raises(ControlError) as caught:
        interface().check("Locks", parameters)
    assert caught.value.name == "org.varlink.service.InvalidParameter"
    assert caught.value.parameters == {"parameter": wrong}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("bool", [True, False], [0, 1, "true", None]),
        ("int", [0, -5], [True, 1.5, "1", None]),
        ("float", [1.5, 2], [True, "1", None]),
        ("string", ["", "x"], [b"x", 1, None]),
        ("object", [{}, [], 1, True, "x"], [None]),
        ("?int", [None, 1], ["x"]),
        ("[]string", [[], ["a", "b"]], [["a", 1], "ab", None]),
        ("[string]int", [{}, {"a": 1}], [{"a": "b"}, []]),
        ("[]?int", [[1, None]], [[1, "x"]]),
        (
            "(a: int, b: ?(c: bool))",
            [{"a": 1}, {"a": 1, "b": {"c": True}}],
            [{}, {"a": 1, "x": 1}, {"a": 1, "b": {}}],
        ),
    ],
)
def test_values_are_judged_by_their_type(kind, good, bad):
    parsed = parse_struct(f"(x: {kind})")["x"]
    assert all(fits(parsed, value) for value in good)
    assert not any(fits(parsed, value) for value in bad)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "int",
        "(",
        "(a)",
        "(a: )",
        "(a: int",
        "(a: int b: int)",
        "(a: word)",
        "(a: int, a: int)",
        "() ()",
        "(a: []) ",
    ],
)
def test_what_is_not_varlink_is_refused_when_it_is_declared(text):
    with pytest.raises(ValueError):
        Interface("a.b", [Method("M", nothing, takes=text)])


def test_a_method_has_a_varlink_name():
    with pytest.raises(ValueError, match="drop_all"):
        Interface("a.b", [Method("drop_all", nothing)])


@given(st.text(alphabet="()[]?:, aint", max_size=20))
def test_any_text_parses_or_is_a_value_error(text):
    try:
        parsed = parse_struct(text)
    except ValueError:
        return
    assert isinstance(parsed, dict)


def test_every_service_tells_what_it_offers():
    own = service("pydaemons", "pylockd", "1.2", [interface()])
    assert own.methods["GetInfo"].call({}, ROOT) == {
        "vendor": "pydaemons",
        "product": "pylockd",
        "version": "1.2",
        "url": "",
        "interfaces": ["org.pydaemons.lockd", "org.varlink.service"],
    }
    describe = own.methods["GetInterfaceDescription"].call
    assert describe({"interface": "org.pydaemons.lockd"}, ROOT) == {"description": interface().describe()}
    assert "method GetInfo()" in describe({"interface": "org.varlink.service"}, ROOT)["description"]
    with pytest.raises(ControlError, match="InterfaceNotFound"):
        describe({"interface": "org.example"}, ROOT)


def test_root_and_the_daemons_own_user_are_trusted():
    assert ROOT.trusted
    assert Caller(1, 7, 7, own_uid=7).trusted
    with pytest.raises(ControlError, match="PermissionDenied"):
        Caller(1, 1000, 1000, own_uid=7).require_trust()
