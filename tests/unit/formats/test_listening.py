# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses to listen at."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import listening

ONE = "expected one such as '192.0.2.25', '2001:db8::25', '0.0.0.0' or '::'"


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("0:0::0", "::"),
        ("192.0.2.25", "192.0.2.25"),
        ("2001:DB8::25", "2001:db8::25"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::1", "::1"),
    ],
)
def test_an_address_in_its_usual_form(text: str, usual: str) -> None:
    assert listening.parse_address(text, "x") == usual


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (25, f"x: 25 is not a string; {ONE}"),
        ("", f"x: '' is not an address; {ONE}"),
        ("*", f"x: '*' is not an address; {ONE}"),
        ("mx1.example.com", f"x: 'mx1.example.com' is not an address; {ONE}"),
        ("192.0.2.0/24", f"x: '192.0.2.0/24' is not an address; {ONE}"),
        ("[2001:db8::25]", f"x: '[2001:db8::25]' is not an address; {ONE}"),
        (
            "::ffff:192.0.2.25",
            "x: '::ffff:192.0.2.25' is an IPv4 address that is written as IPv6; expected '192.0.2.25'",
        ),
        ("ff02::1", "x: 'ff02::1' is for many receivers; expected an address of the host"),
        ("224.0.0.1", "x: '224.0.0.1' is for many receivers; expected an address of the host"),
        ("fe80::1", "x: 'fe80::1' is link-local; expected it with its interface, 'fe80::1%eth0'"),
        ("fe80::1%", "x: 'fe80::1%' is link-local; expected it with its interface, 'fe80::1%eth0'"),
        ("fe80::1%a b", "x: 'fe80::1%a b' is link-local; expected it with its interface, 'fe80::1%eth0'"),
        (
            "2001:db8::1%eth0",
            "x: '2001:db8::1%eth0' has an interface behind it; expected '2001:db8::1'; only a link-local "
            "address needs one",
        ),
    ],
)
def test_an_address_that_is_refused(text: object, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        listening.parse_address(text, "x")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "texts",
    [["0.0.0.0", "::"], ["192.0.2.25", "::"], ["192.0.2.25", "2001:db8::25", "fe80::1%eth0"], ["::1"]],
)
def test_good_lists(texts: list[str]) -> None:
    assert listening.addresses_faults(texts, "gateway_listen") == []


@pytest.mark.parametrize(
    ("texts", "faults"),
    [
        ([], ["l: [] is not a list of addresses; expected one such as ['0.0.0.0', '::']"]),
        ("::", ["l: '::' is not a list of addresses; expected one such as ['0.0.0.0', '::']"]),
        (None, ["l: None is not a list of addresses; expected one such as ['0.0.0.0', '::']"]),
        (["::", "0::0"], ["l item 2: '0::0' is item 1, too; expected it once"]),
        (
            ["x", "::", "y"],
            [f"l item 1: 'x' is not an address; {ONE}", f"l item 3: 'y' is not an address; {ONE}"],
        ),
        (
            ["192.0.2.25", "0.0.0.0", "::"],
            ["l item 1: '192.0.2.25' is part of item 2, '0.0.0.0'; expected one of the two"],
        ),
        (["::", "::1", "0.0.0.0"], ["l item 2: '::1' is part of item 1, '::'; expected one of the two"]),
        ([f"192.0.2.{n}" for n in range(9)], ["l: 9 addresses are too many; expected at most 8"]),
    ],
)
def test_lists_that_are_refused(texts: object, faults: list[str]) -> None:
    assert listening.addresses_faults(texts, "l") == faults


def test_where_nobody_listens() -> None:
    assert listening.missing(["0.0.0.0", "::", "fe80::1%eth0"], ["0.0.0.0", "fe80::1"]) == ["::"]
