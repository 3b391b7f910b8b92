# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site's gateways: names and addresses, each once, this host among them."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import peers
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.peers import Gateway

TWO = [{"name": "mx1.example.com", "address": "192.0.2.1"}, "MX2.example.com"]


def test_a_gateway_is_reached_by_its_address_or_by_its_name() -> None:
    found, faults = peers.parse(TWO)
    assert not faults
    assert found == [Gateway("mx1.example.com", "192.0.2.1"), Gateway("mx2.example.com", "mx2.example.com")]


def third(address: object) -> dict[str, object]:
    return {"name": "mx3.example.com", "address": address}


@pytest.mark.parametrize("nothing", [None, []])
def test_a_site_with_one_gateway_has_no_list(nothing: object) -> None:
    assert peers.faults(nothing, "mx1.example.com") == []


def test_a_list_with_this_host_has_no_fault() -> None:
    assert peers.faults(TWO, "mx1.example.com") == []


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ("mx1.example.com", "gateway_peers: 'mx1.example.com' is not a list"),
        ({"name": "mx1.example.com"}, "is not a list"),
        ([*TWO, 7], "gateway_peers item 3: 7 is not a mapping"),
        ([*TWO, {"name": "mx3.example.com", "adress": "192.0.2.3"}], "item 3: 'adress' is not known"),
        ([*TWO, {"address": "192.0.2.3"}], "item 3: its name None is not a text"),
        ([*TWO, third(5)], "item 3: its address 5 is not a text"),
        ([*TWO, "mx3"], "item 3: name 'mx3' has no dot"),
        ([*TWO, "192.0.2.3"], "item 3: name '192.0.2.3' is an IP address"),
        ([*TWO, third("192.0.2")], "item 3: address '192.0.2' ends in a number"),
        ([*TWO, third("127.0.0.1")], "address '127.0.0.1' does not lead"),
        ([*TWO, third("::")], "address '::' does not lead"),
        ([*TWO, third("fe80::1")], "address 'fe80::1' does not lead"),
        ([*TWO, "mx2.example.com"], "the name 'mx2.example.com' is there twice"),
        ([*TWO, third("192.0.2.1")], "the address '192.0.2.1' is there twice"),
        (["mx1.example.com"], "has one gateway; expected at least two"),
        ([f"mx{number}.example.com" for number in range(1, 35)], "has 34 gateways; expected at most 33"),
        (["mx2.example.com", "mx3.example.com"], "the gateway_hostname of this host, is not in it"),
    ],
)  # fmt: skip
def test_a_fault_of_the_list_is_told(values: object, fault: str) -> None:
    assert any(fault in one for one in peers.faults(values, "mx1.example.com"))
