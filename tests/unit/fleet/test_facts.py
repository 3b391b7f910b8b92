# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts: what travels, in exactly one form; relay, protection, recipients and settings have none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import facts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import (
    Act,
    Grey,
    join,
    parse,
    render,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import Version
from hypothesis import given
from hypothesis import strategies as st

AT = 1_795_000_000
GREY = Grey("192.0.2.0/24", False, AT)
DENY = Act(
    "client",
    "198.51.100.0/24",
    "deny",
    "alice@mx1",
    "phishes",
    AT + 60,
    AT,
    Version(7, "mx1"),
    Version(3, "mx2"),
)
FACTS = [
    GREY,
    Grey("2001:db8::/64", True, AT),
    DENY,
    Act("client", "192.0.2.7/32", "allow", "alice@mx1", "a customer", None, AT, Version(1, "mx1")),
    Act("client", "192.0.2.7/32", "remove", "alice@mx1", "", None, AT, Version(2, "mx1"), Version(1, "mx1")),
    Act("sender", "@bad.example", "block", "bob@mx2", "unwanted", None, AT, Version(2, "mx2")),
    Act("score", "news@good.example", "trust", "bob@mx2", "wanted \u00e9", None, AT, Version(2, "mx2")),
    Act("score", "news@good.example", "distrust", "bob@mx2", "spam", None, AT, Version(2, "mx2")),
    Act("adaptive", "203.0.113.9", "list", "rule@mx1", "5 of 6 attempts bad", AT + 99, AT, Version(4, "mx1")),
    Act("adaptive", "2001:db8::/48", "release", "operator@mx1", "", None, AT, Version(5, "mx1")),
]  # fmt: skip


@pytest.mark.parametrize("fact", FACTS, ids=lambda one: render(one)[:40].decode())
def test_a_fact_survives_its_line(fact: facts.Fact) -> None:
    line = render(fact)
    assert parse(line) == fact
    assert b"\n" not in line
    assert line.isascii()


def test_the_largest_fact_fits_into_a_line() -> None:
    sender = "a" * 900 + "@example.com"
    by = f"{'b' * 46}@{'m' * 253}"
    one = Act("sender", "@" + "a" * 50 + ".example", "block", by, "\U0001f600" * 200, AT, AT,
              Version(2**53 - 1, "m" * 253), Version(1, "m" * 253))  # fmt: skip
    assert len(sender) < 1000
    assert len(render(one)) <= facts.LINE_BYTES_MAX


def changed(fact: facts.Fact, **values: Any) -> bytes:
    made = {**json.loads(render(fact)), **values}
    return json.dumps(made, separators=(",", ":")).encode("ascii")


@pytest.mark.parametrize(
    "kind", ["relay", "protected", "recipient", "settings", "", None, 7, ["grey"], {}, "Grey"]
)
def test_nothing_else_travels(kind: Any) -> None:
    with pytest.raises(
        BadInput, match="does not travel; expected one of grey, adaptive, client, sender, score"
    ):
        parse(changed(DENY, kind=kind), "mx2 fact 3")


@pytest.mark.parametrize(
    ("fact", "values", "place"),
    [
        (GREY, {"network": "192.0.2.1/24"}, "network"),
        (GREY, {"network": "0.0.0.0/0"}, "network"),
        (GREY, {"network": "10.0.0.0/7"}, "network"),
        (GREY, {"network": "::/0"}, "network"),
        (GREY, {"network": "2001:DB8::/64"}, "network"),
        (GREY, {"network": "192.0.2.0"}, "network"),
        (GREY, {"network": "../../etc/passwd"}, "network"),
        (GREY, {"network": "pool-example.com"}, "network"),
        (GREY, {"network": "1" * 2000}, "network"),
        (GREY, {"network": None}, "network"),
        (GREY, {"passed": 1}, "passed"),
        (GREY, {"at": -1}, "at"),
        (GREY, {"at": 1.5}, "at"),
        (GREY, {"at": True}, "at"),
        (GREY, {"at": 10**11}, "at"),
        (GREY, {"more": 1}, "field 'more' is not known"),
        (DENY, {"value": "0.0.0.0/0"}, "value"),
        (DENY, {"value": "10.0.0.0/7"}, "value"),
        (DENY, {"value": "198.51.100.7/24"}, "value"),
        (DENY, {"value": "198.51.100.7"}, "value"),
        (DENY, {"value": 'x:allow,RELAYCLIENT=""'}, "value"),
        (DENY, {"value": ""}, "value"),
        (DENY, {"value": ["198.51.100.0/24"]}, "value"),
        (DENY, {"action": "relay"}, "action"),
        (DENY, {"action": "block"}, "action"),
        (DENY, {"action": "list"}, "action"),
        (DENY, {"action": None}, "action"),
        (DENY, {"action": []}, "action"),
        (DENY, {"by": ""}, "by"),
        (DENY, {"by": "b" * 301}, "by"),
        (DENY, {"by": "alice"}, "is of another host"),
        (DENY, {"by": "alice@mx3"}, "is of another host"),
        (DENY, {"by": "alice@mx2@mx22"}, "is of another host"),
        (DENY, {"by": "alice\n# {"}, "by"),
        (DENY, {"note": "n" * 201}, "note"),
        (DENY, {"note": "two\nlines"}, "note"),
        (DENY, {"note": "\u202e"}, "note"),
        (DENY, {"note": None}, "note"),
        (DENY, {"until": "tomorrow"}, "until"),
        (DENY, {"until": -5}, "until"),
        (DENY, {"until": 10**30}, "until"),
        (DENY, {"action": "remove"}, "until"),
        (DENY, {"version": [7]}, "version"),
        (DENY, {"over": [7, "mx1"]}, "over"),
        (DENY, {"over": [9, "mx2"]}, "over"),
        (FACTS[5], {"value": "a b@c.example"}, "value"),
        (FACTS[5], {"value": "@BAD.example"}, "value"),
        (FACTS[6], {"value": "*@good.example"}, "value"),
        (FACTS[8], {"value": "203.0.113.0/24"}, "value"),
        (FACTS[8], {"value": "2001:db8::1"}, "value"),
        (FACTS[8], {"until": None}, "a listing"),
        (FACTS[8], {"note": "\u00e9"}, "a listing"),
        (FACTS[8], {"note": ""}, "a listing"),
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_fact_is_refused_with_its_place_and_what_was_expected(
    fact: facts.Fact, values: dict[str, Any], place: str
) -> None:
    with pytest.raises(BadInput, match=r"^mx2 fact 3.*expected") as caught:
        parse(changed(fact, **values), "mx2 fact 3")
    assert place in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["kind", "value", "action", "by", "note", "until", "at", "version", "over"])
def test_a_missing_field_is_refused(name: str) -> None:
    values = json.loads(render(DENY))
    del values[name]
    with pytest.raises(BadInput, match="expected"):
        parse(json.dumps(values, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[]", b"7", b"{", b"\xff", b"[" * 4000, b"{}", b" " + render(GREY), render(GREY) + b" ",
     render(GREY).replace(b":", b": ", 1), b"x" * 5000, render(GREY).replace(b"false", b"NaN"),
     b'{"kind":"grey",' + render(GREY)[1:], json.dumps(json.loads(render(GREY)), sort_keys=True).encode()],
)  # fmt: skip
def test_a_line_in_another_form_is_refused(line: bytes) -> None:
    with pytest.raises(BadInput, match=r"^fact.*expected"):
        parse(line)


@given(st.binary(max_size=300))
def test_no_bytes_are_anything_but_a_fact_or_refused(data: bytes) -> None:
    try:
        fact = parse(data)
    except BadInput:
        return
    assert render(fact) == data


@given(st.integers(0, len(render(DENY)) - 1), st.integers(0, 255))
def test_a_changed_byte_makes_another_fact_or_is_refused(place: int, byte: int) -> None:
    line = bytearray(render(DENY))
    line[place] = byte
    try:
        fact = parse(bytes(line))
    except BadInput:
        return
    assert render(fact) == line


greys = st.builds(Grey, st.just("192.0.2.0/24"), st.booleans(), st.integers(AT, AT + 50))


@given(greys, greys, greys)
def test_joining_is_commutative_associative_and_idempotent(one: Grey, two: Grey, three: Grey) -> None:
    assert join(one, two) == join(two, one)
    assert join(one, join(two, three)) == join(join(one, two), three)
    assert join(one, one) == one


def test_the_first_attempt_and_the_last_pass_stand() -> None:
    first, second = Grey("192.0.2.0/24", False, AT), Grey("192.0.2.0/24", False, AT + 9)
    passed, later = Grey("192.0.2.0/24", True, AT + 60), Grey("192.0.2.0/24", True, AT + 99)
    assert join(second, first) == first
    assert join(first, passed) == passed
    assert join(later, passed) == later


def test_every_act_has_its_list() -> None:
    acts = {(kind, action) for kind, actions in facts.ACTIONS.items() for action in actions[:-1]}
    assert acts - {("adaptive", "list")} == set(facts.LIST_OF)


def test_no_list_of_relay_or_recipients_is_reached() -> None:
    assert {name for name, _action in facts.LIST_OF.values()} == {"clients", "senders", "trusted", "blocked"}
