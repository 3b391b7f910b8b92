# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other gateways listed: judged by this host's exemptions and evidence."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist import peers
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.reputation import Reputation
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.blacklist.settings import Settings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

NOW = 1_795_000_000
ADDRESS = "203.0.113.9"


def reputation(never: str = "", **settings: Any) -> Reputation:
    return Reputation(Settings(**settings), lambda address: never)


def hear(
    one: Reputation, until: Any = NOW + 3600, why: Any = "5 of 6 attempts bad", peer: Any = "mx2"
) -> str:
    return peers.hear(one, ADDRESS, until, why, peer, NOW)


def test_a_listing_of_a_peer_is_in_force_with_its_host_and_no_news() -> None:
    one = reputation()
    assert hear(one) == ""
    entry = one.entries(NOW)[0]
    assert (entry.address, entry.until, entry.why) == (ADDRESS, NOW + 3600, "mx2: 5 of 6 attempts bad")
    assert one.listing(NOW)["entries"][0]["by"] == "peer"
    assert [note.split()[0] for note in one.notes] == ["heard"]


def test_it_is_released_by_a_peer_and_that_is_no_news_either() -> None:
    one = reputation()
    hear(one)
    assert one.release(ADDRESS, NOW, "peer")
    assert one.entries(NOW) == []
    assert one.notes[-1].startswith(f"released {ADDRESS} by peer: ")


def test_what_this_host_never_lists_is_spared() -> None:
    one = reputation("it is protected")
    assert hear(one) == "it is protected"
    assert one.entries(NOW) == []


def test_an_address_that_sent_clean_mail_here_is_spared() -> None:
    one = reputation(spare_ham=2)
    for at in (NOW - 2, NOW - 1):
        one._ham.remember(ADDRESS, at, 2, 10)
    assert hear(one) == "2 clean messages came from it"
    assert one.entries(NOW) == []


def test_a_listing_that_ends_later_stands() -> None:
    one = reputation()
    one.add(ADDRESS, NOW + 9999, "by hand", NOW)
    assert hear(one) == ""
    assert one.entries(NOW)[0].why == "by hand"
    assert hear(one, NOW + 20_000) == ""
    assert one.entries(NOW)[0].until == NOW + 20_000


def test_no_listing_of_a_peer_is_longer_than_an_operators() -> None:
    one = reputation()
    hear(one, NOW + 10**9)
    assert one.entries(NOW)[0].until == NOW + peers.ORDER_SECONDS_MAX
    ended = reputation()
    hear(ended, NOW)
    assert ended.entries(NOW) == []


def test_however_many_addresses_peers_list_this_hosts_own_entries_stay() -> None:
    one = reputation(entries_max=3)
    one.add("203.0.113.1", NOW + 60, "by hand", NOW)
    for number in range(20):
        assert peers.hear(one, f"198.51.100.{number}", NOW + 10**6 + number, "forged", "mx2", NOW) == ""
    assert [entry.address for entry in one.entries(NOW)] == ["198.51.100.18", "198.51.100.19", "203.0.113.1"]
    one.add("203.0.113.2", NOW + 60, "by hand", NOW)
    assert "203.0.113.1" in [entry.address for entry in one.entries(NOW)]


def test_a_long_reason_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    one = reputation()
    hear(one, why="x" * 200, peer="m" * 60)
    assert len(one.entries(NOW)[0].why) == 200


@pytest.mark.parametrize(
    "values",
    [
        *({"until": one} for one in (None, "1", True, -1, 10**12)),
        *({"why": one} for one in ("", None, "a\nb", "\u00e9")),
        {"peer": ""},
    ],
)
def test_a_malformed_listing_is_refused(values: dict[str, Any]) -> None:
    one = reputation()
    with pytest.raises(BadInput, match="expected"):
        hear(one, **values)
    assert one.entries(NOW) == []
