# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an entry means for the site itself is said first: public relay clients, own domains, own addresses."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import networks, notes
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import consequences
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.entries import (
    BLOCKED,
    CLIENTS,
    RELAY,
    SENDERS,
    TRUSTED,
    Entry,
)

ENDS = notes.Note("alice", "why", 1_790_000_000)


@pytest.mark.parametrize(
    ("network", "count"),
    [
        ("10.0.0.0/8", 0),
        ("192.168.7.0/24", 0),
        ("100.64.3.0/24", 0),
        ("169.254.1.1/32", 0),
        ("203.0.113.7/32", 1),
        ("203.0.113.0/24", 256),
        ("172.0.0.0/8", 2**24 - 2**20),  # RFC 1918 has a part of it
        ("192.168.0.0/15", 2**16),
        ("fd00::/8", 0),
        ("fe80::1/128", 0),
        ("2001:db8::/48", 2**16),
        ("2001:db8::1/128", 1),
        ("64:ff9b::203.0.113.0/120", 256),  # each an address of IPv4, behind NAT64
        ("64:ff9b::203.0.0.0/112", 2**16),
    ],
)
def test_public_addresses_of_a_network_are_counted(network: str, count: int) -> None:
    assert consequences.public_addresses(networks.parse_network(network)) == count


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("10.9.0.0/24", []),
        (
            "203.0.113.7/32",
            [
                "1 public address may send anywhere through this gateway, "
                "as 203.0.113.7/32 is not a private network"
            ],
        ),
        (
            "203.0.113.0/24",
            [
                "256 public addresses may send anywhere through this gateway, "
                "as 203.0.113.0/24 is not a private network"
            ],
        ),
        (
            "64:ff9b::cb00:7100/120",
            [
                "256 public addresses may send anywhere through this gateway, "
                "as 64:ff9b::cb00:7100/120 is not a private network"
            ],
        ),
    ],
)
def test_a_public_network_that_relays_is_called_so(network: str, words: list[str]) -> None:
    assert consequences.words(RELAY, Entry(network), (), ()) == words


@pytest.mark.parametrize(
    ("network", "note", "is_root", "fault"),
    [
        ("10.0.0.0/8", notes.NONE, False, ""),
        ("203.0.113.7/32", ENDS, False, ""),
        ("203.0.113.7/32", notes.NONE, True, ""),
        ("203.0.113.7/32", notes.NONE, False, "expected an end"),
        ("203.0.112.0/23", ENDS, True, "has 512 public addresses"),
        ("2001:db8::/48", ENDS, True, "has 65536 public addresses"),
    ],
)
def test_a_public_network_relays_for_a_time_or_by_root(
    network: str, note: notes.Note, is_root: bool, fault: str
) -> None:
    found = consequences.relay_fault(Entry(network, note=note), [], is_root=is_root)
    assert fault in found if fault else found == ""


def test_many_small_public_networks_are_as_bad_as_a_wide_one() -> None:
    others = [f"203.0.{number}.0/24" for number in range(4)] + ["10.0.0.0/8"]
    assert consequences.relay_fault(Entry("203.0.9.0/24", note=ENDS), others[1:], is_root=True) == ""
    fault = consequences.relay_fault(Entry("203.0.9.0/24", note=ENDS), others, is_root=True)
    assert "1280 public addresses" in fault


@pytest.mark.parametrize(
    ("name", "entry", "words"),
    [
        (SENDERS, Entry("@example.com"), ["example.com is a domain of this site: "]),
        (SENDERS, Entry("joe@example.com"), ["joe@example.com is one of this site: "]),
        (BLOCKED, Entry("@example.com"), ["example.com is a domain of this site: "]),
        (SENDERS, Entry("@notexample.com"), []),
        (TRUSTED, Entry("@example.com"), []),
        (CLIENTS, Entry("192.0.2.0/24", "deny"), ["192.0.2.1 is this gateway itself"]),
        (CLIENTS, Entry("192.0.2.0/24", "allow"), []),
        (CLIENTS, Entry("198.51.100.0/24", "deny"), []),
        (SENDERS, None, []),
    ],
)
def test_what_hits_the_site_itself_is_said(name: str, entry: Entry | None, words: list[str]) -> None:
    found = consequences.words(name, entry, {"example.com"}, ["192.0.2.1", "2001:db8::1"])
    assert len(found) == len(words)
    assert all(one.startswith(begin) for one, begin in zip(found, words))
