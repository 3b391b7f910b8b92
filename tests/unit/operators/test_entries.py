# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators' lists as texts: an edit changes only its own entry, and no other text of a person."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tcprules
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import parse_networks
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.notes import Note
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import (
    entries as operator_entries,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.entries import (
    Entry,
    edit,
    entries,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import fragments, safety
from hypothesis import given
from hypothesis import strategies as st

NOTE = Note("alice", "a reason", 1795000000)
SAID = '# {"by": "alice", "note": "a reason", "until": 1795000000}\n'
HAND = (
    "# my own rules\n"
    "=.dsl.example:allow,RBLSMTPD=\"-no\"\n"
    "10.0.0-3.:deny\n"
    "\n"
    "# about the next one\n"
    "10.9.9.9:deny"
)  # fmt: skip

VALUES = [
    ("relay", "10.0.0.0/24", "10.0.0.0/24"),
    ("clients", "192.0.2.7", "192.0.2.7/32"),
    ("clients", "2001:DB8::7", "2001:db8::7/128"),
    ("clients", "2001:0db8:0:0::/64", "2001:db8::/64"),
    ("clients", "::ffff:192.0.2.7", "192.0.2.7/32"),
    ("relay", "::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ("relay", "2001:db8:1::/48", "2001:db8:1::/48"),
    ("senders", "Spam@Bad.Example", "spam@bad.example"),
    ("senders", "@Bad.Example", "@bad.example"),
    ("trusted", "A.b+c@d.example", "a.b+c@d.example"),
    ("recipients", "Fax@Example.COM", "fax@example.com"),
    ("recipients", '"John\\ Doe"@example.com', '"john doe"@example.com'),
    ("recipients", '"fax"@example.com', "fax@example.com"),
    ("recipients", '"a,b"@B\u00dccher.example', '"a,b"@xn--bcher-kva.example'),
    ("recipients", "#1@example.com", '"#1"@example.com'),
    ("senders", '"John Doe"@B\u00dccher.example', '"john doe"@xn--bcher-kva.example'),
    ("senders", "@b\u00fccher.example", "@xn--bcher-kva.example"),
    ("trusted", "A@b\u00fccher.example", "a@xn--bcher-kva.example"),
]
BAD_VALUES = [
    ("relay", "0.0.0.0/0", "network: '0.0.0.0/0' is wider than /8; expected a prefix length from 8 to 32"),
    ("clients", "10.0.0.1/24", "network: '10.0.0.1/24' has host bits set; expected '10.0.0.0/24', or '10.0.0.1/32' for this one host"),
    ("clients", "2001:db8::1/64", "network: '2001:db8::1/64' has host bits set; expected '2001:db8::/64', or '2001:db8::1/128' for this one host"),
    ("clients", "2001:db8::/31", "network: '2001:db8::/31' is wider than /32; expected a prefix length from 32 to 128"),
    ("relay", "::/0", "network: '::/0' is wider than /32; expected a prefix length from 32 to 128"),
    ("clients", "fe80::1%eth0", "network: 'fe80::1%eth0' has a zone; expected the network without '%eth0'"),
    ("clients", "[2001:db8::]/64", "network: '[2001:db8::]/64' has brackets; expected it without them, '2001:db8::/64'"),
    ("clients", "", "network: '' is not a network; expected one such as '10.0.0.0/24'"),
    ("clients", ':allow,RELAYCLIENT=""', "network: ':allow,RELAYCLIENT=\"\"' is not a network; expected one such as '10.0.0.0/24'"),
    ("senders", "*@bad.example", "sender: '*@bad.example' has a '*', which stands for itself only; expected 'user@host' or '@host'"),
    ("senders", "a@b.example\n:allow", "sender: 'a@b.example\\n:allow' has a domain that is not a domain name; expected a name such as 'mail.example.com': letters, digits and '-' between dots"),
    ("senders", '"#"@b.example', "sender: '\"#\"@b.example' begins with '#', which qmail-smtpd takes for a comment; expected 'user@host' or '@host'"),
    ("trusted", "a?b@c.example", "sender: 'a?b@c.example' has a character with another meaning in SpamAssassin; expected letters, digits and ._+=~-"),
    ("blocked", "a#b@c.example", "sender: 'a#b@c.example' has a character with another meaning in SpamAssassin; expected letters, digits and ._+=~-"),
    ("recipients", "@example.com", "recipient: '@example.com' has an empty local part; expected 'user@domain'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), VALUES)
def test_a_value_has_one_form(name: str, text: str, expected: str) -> None:
    assert operator_entries.canonical(name, text) == expected
    assert operator_entries.canonical(name, expected) == expected


@pytest.mark.parametrize(("name", "text", "message"), BAD_VALUES)
def test_a_value_that_cannot_stand_there(name: str, text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        operator_entries.canonical(name, text)
    assert str(caught.value) == message


ADDED = [
    ("clients", "192.0.2.7/32", "deny", "192.0.2.7:deny"),
    ("clients", "192.0.2.0/23", "allow", '192.0.2-3.:allow,WHITELISTED=""'),
    ("relay", "192.0.2.0/24", "", '192.0.2.:allow,RELAYCLIENT=""'),
    ("senders", "a@b.example", "", "a@b.example"),
    ("senders", "@b.example", "", "@b.example"),
    ("trusted", "@b.example", "", "welcomelist_from *@b.example"),
    ("blocked", "a@b.example", "", "blocklist_from a@b.example"),
    ("recipients", "a@b.example", "", "a@b.example"),
    ("recipients", '"a b"@b.example', "", '"a b"@b.example'),
    ("recipients", '"a,b"@b.example', "", '"a,b"@b.example'),
    ("recipients", '"#1"@b.example', "", '"#1"@b.example'),
    ("senders", '"a b"@b.example', "", '"a b"@b.example'),
]


@pytest.mark.parametrize(("name", "value", "action", "line"), ADDED)
def test_an_entry_is_a_note_and_a_line_and_goes_again(name: str, value: str, action: str, line: str) -> None:
    wanted = Entry(value, action, NOTE)
    made = edit(name, "", "file", value, wanted)
    assert made.endswith(f"{SAID}{line}\n")
    (found,) = entries(name, made, "file")
    assert found.same(wanted)
    renewed = edit(name, made, "file", value, Entry(value, action, Note("bob", "longer")))
    assert made.replace(SAID, '# {"by": "bob", "note": "longer"}\n') == renewed
    assert entries(name, edit(name, renewed, "file", value, None), "file") == []


def test_what_a_person_wrote_stays_as_it_is() -> None:
    made = edit("clients", HAND, "file", "192.0.2.7/32", Entry("192.0.2.7/32", "deny", NOTE))
    assert made == f"{HAND}\n{SAID}192.0.2.7:deny\n"
    assert edit("clients", made, "file", "192.0.2.7/32", None) == f"{HAND}\n"
    assert edit("clients", f"{HAND}\n", "file", "10.9.9.9/32", None) == HAND[: -len("10.9.9.9:deny")]


def test_what_has_a_form_of_its_own_is_shown_and_fixed() -> None:
    found = {one.value: one.fixed for one in entries("clients", HAND, "file")}
    assert found == {
        "=.dsl.example": "file line 2 was written by hand; change it there",
        "10.0.0.0/22": "",
        "10.9.9.9/32": "",
    }
    assert edit("clients", HAND, "file", "=.dsl.example", None) == HAND


def test_the_head_names_every_network_that_may_relay() -> None:
    text = HAND
    for value in ("10.0.0.0/24", "10.0.0.128/25", "10.0.1.0/24"):
        text = edit("relay", text, "file", value, Entry(value, "", NOTE))
    rules = tcprules.parse(text, "file")
    assert text.startswith(
        f'{fragments.FACTS}{{"relay_networks": ["10.0.0.0/24", "10.0.0.128/25", "10.0.1.0/24"]}}\n'
    )
    text = edit("relay", text, "file", "10.0.0.0/24", None)
    rules = tcprules.parse(text, "file")
    relay = fragments.operator_relay_networks(rules)
    assert [str(one) for one in relay] == ["10.0.0.128/25", "10.0.1.0/24"]
    safety.assert_safe(rules, relay)
    for value in ("10.0.1.0/24", "10.0.0.128/25"):
        text = edit("relay", text, "file", value, None)
    assert text == f"{HAND}\n"


def test_an_entry_twice_goes_twice() -> None:
    text = f"{SAID}10.9.9.9:deny\n10.9.8.8:deny\n10.9.9.9:deny\n"
    assert edit("clients", text, "file", "10.9.9.9/32", None) == "10.9.8.8:deny\n"
    assert edit("clients", text, "file", "10.9.9.9/32", Entry("10.9.9.9/32", "allow")) == (
        '10.9.9.9:allow,WHITELISTED=""\n10.9.8.8:deny\n'
    )


NOTES = [
    ("a reason", ""),
    ("ein Grund, schön", ""),
    (" ", "note: is empty; expected who asked for it and why"),
    ("two\nlines", "note: 'two\\nlines' is too long or not printable; expected at most 200 characters in a line"),
    ("\ud800", "note: '\\ud800' is too long or not printable; expected at most 200 characters in a line"),
]  # fmt: skip


@pytest.mark.parametrize(("note", "fault"), NOTES)
def test_a_note_is_one_line(note: str, fault: str) -> None:
    assert operator_entries.note_fault(note) == fault


@given(st.text(min_size=1, max_size=200).filter(lambda text: not operator_entries.note_fault(text)))
def test_no_note_breaks_out_of_its_line(note: str) -> None:
    wanted = Entry("192.0.2.7/32", "deny", Note(note, note))
    made = edit("clients", HAND, "file", wanted.value, wanted)
    assert made.count("\n") == HAND.count("\n") + 3
    assert entries("clients", made, "file")[-1].same(wanted)


OVERLAPS = [
    ("10.0.0.0/24", ["10.0.0.7/32"], "10.0.0.7/32"),
    ("10.0.0.7/32", ["192.0.2.0/24", "10.0.0.0/8"], "10.0.0.0/8"),
    ("10.0.0.0/24", ["10.0.1.0/24"], ""),
]


@pytest.mark.parametrize(("network", "protected", "expected"), OVERLAPS)
def test_a_network_that_holds_a_protected_one(network: str, protected: list[str], expected: str) -> None:
    assert operator_entries.overlapping(network, parse_networks(protected)) == expected
