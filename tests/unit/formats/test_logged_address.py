# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's address has one form, the one of inet_ntop(), whatever form it was written in."""

from __future__ import annotations

import ipaddress
import re
import socket

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import logged_address
from hypothesis import given
from hypothesis import strategies as st

SIX = st.one_of(
    st.integers(0, 2**128 - 1),
    st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xABC]), min_size=8, max_size=8).map(
        lambda groups: sum(group << (16 * place) for place, group in enumerate(groups))
    ),
)


@given(SIX)
def test_each_form_of_an_ipv6_address_is_that_of_the_programs(number: int) -> None:
    one = ipaddress.IPv6Address(number)
    shown = socket.inet_ntop(socket.AF_INET6, one.packed)
    expected = str(one.ipv4_mapped) if one.ipv4_mapped is not None else shown
    for form in (shown, one.exploded, one.exploded.upper(), f"[{one}]", f"[IPv6:{one}]", f" {one} "):
        assert logged_address.canonical(form) == expected


@given(SIX)
def test_the_pattern_of_the_log_takes_what_the_programs_write(number: int) -> None:
    shown = socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))
    assert re.fullmatch(logged_address.IP, shown)
    assert re.fullmatch(logged_address.IP_FIELD, logged_address.in_field(shown))
    assert logged_address.without_brackets(logged_address.in_field(shown)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1.2.3",
        "1.2.3.256",
        "2001:db8:::1",
        "2001:db8::1/64",
        "::1%lo",
        "fe80::1%eth0",
        "1" * 200,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="expected one"):
        logged_address.canonical(text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("2001:DB8::7", "2001:db8::7/128"),
        ("2001:db8::7/64", "2001:db8::/64"),
        ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.7/128", "192.0.2.7/32"),
    ],
)
def test_a_network_in_any_form(text: str, network: str) -> None:
    assert str(logged_address.network_of(text)) == network


@pytest.mark.parametrize(
    "text", ["192.0.2.0/33", "2001:db8::/129", "2001:db8::/-1", "2001:db8::/x", "::ffff:1.2.3.4/95", "/64"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="expected one"):
        logged_address.network_of(text)
