# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions: one total order whatever the clocks say, and counters that no peer can use up."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import (
    AHEAD_MAX,
    COUNTER_MAX,
    COUNTERS_SINCE,
    EARLY_MAX,
    HOSTS_MAX,
    PER_SECOND,
    Counters,
    Version,
    check_host,
    parse_counters,
    parse_version,
)


def test_versions_are_ordered_by_counter_then_by_host() -> None:
    ordered = [Version(1, "mx2"), Version(2, "mx1"), Version(2, "mx2"), Version(10, "mx1")]
    assert sorted([ordered[2], ordered[0], ordered[3], ordered[1]]) == ordered


def test_the_next_version_is_above_all_that_was_seen() -> None:
    counters = Counters("mx1", {"mx1": 3, "mx2": 8})
    assert counters.next() == Version(9, "mx1")
    counters.see([Version(4, "mx3"), Version(20, "mx2"), Version(2, "mx2")])
    assert counters.next() == Version(21, "mx1")
    assert counters.to_json() == {"mx1": 21, "mx2": 20, "mx3": 4}


def test_counters_survive_their_file() -> None:
    known = {"mx1": 3, "mx2": 8}
    assert parse_counters(Counters("mx1", known).to_json(), "mx1", "state").to_json() == known


def test_a_counter_far_ahead_is_not_believed() -> None:
    counters = Counters("mx1", {"mx2": 5})
    assert counters.fault(Version(EARLY_MAX, "mx2"), 0) == ""
    assert "too far ahead" in counters.fault(Version(EARLY_MAX + 1, "mx2"), 0)
    now = COUNTERS_SINCE + 100.5
    assert counters.fault(Version(EARLY_MAX + 100 * PER_SECOND, "mx2"), now) == ""
    assert "too far ahead" in counters.fault(Version(EARLY_MAX + 100 * PER_SECOND + 1, "mx2"), now)


def test_counters_are_not_used_up_in_steps_nor_within_centuries() -> None:
    now = COUNTERS_SINCE + 500 * 365 * 86_400
    counters = Counters("mx1")
    counters.see([Version(EARLY_MAX + PER_SECOND * (now - COUNTERS_SINCE), "mx2")])
    assert "too far ahead" in counters.fault(Version(counters.highest + AHEAD_MAX + 1, "mx2"), now)
    assert counters.next().counter < COUNTER_MAX


def test_the_act_after_the_highest_is_believed_whatever_the_clock_says() -> None:
    counters = Counters("mx1", {"mx2": 10**14})
    assert counters.fault(counters.next(), 0) == ""


def test_a_peer_cannot_make_up_hosts_for_ever_and_the_real_ones_have_their_place() -> None:
    counters = Counters("mx1")
    counters.expect(["mx2", "mx3"])
    counters.see(Version(1, f"forged{number}") for number in range(HOSTS_MAX))
    assert "one too many" in counters.fault(Version(1, "forged"), 0)
    assert [counters.fault(Version(1, host), 0) for host in ("mx2", "mx3", "forged0")] == ["", "", ""]
    assert parse_counters(counters.to_json(), "mx1", "state").to_json() == counters.to_json()


def test_the_last_counter_is_refused_in_words() -> None:
    with pytest.raises(BadInput, match="is the last one"):
        Counters("mx1", {"mx2": COUNTER_MAX}).next()


@pytest.mark.parametrize(
    "value",
    [None, 7, "1", [], [1], [1, "mx1", 2], ["1", "mx1"], [True, "mx1"], [0, "mx1"], [-1, "mx1"],
     [2**53, "mx1"], [1.0, "mx1"], [1, ""], [1, "MX1"], [1, "mx 1"], [1, "-mx1"], [1, "mx1\n"],
     [1, "m" * 254],     [1, None]],
)  # fmt: skip
def test_a_malformed_version_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^fact version.*expected"):
        parse_version(value, "fact version")


@pytest.mark.parametrize("value", [None, [], {"mx1": "3"}, {"mx1": -1}, {"": 1}, {"mx1": True}])
def test_malformed_counters_are_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^state.*expected"):
        parse_counters(value, "mx1", "state")


def test_a_host_name_is_returned_as_it_is() -> None:
    assert check_host("mx1.example.com", "host") == "mx1.example.com"
