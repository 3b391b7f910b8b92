# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merged acts: the same on every host, in any order, heard any number of times."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import merge
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.merge import (
    KEPT_SECONDS,
    LOST,
    NEWS,
    OLD,
    Acts,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import (
    COUNTER_MAX,
    Version,
)
from hypothesis import given
from hypothesis import strategies as st

AT = 1_795_000_000
TIMES = st.sampled_from([AT, AT + 50, AT + KEPT_SECONDS + 50, AT + KEPT_SECONDS + 200])
VALUES = ("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")


def act(
    counter: int,
    host: str = "mx1",
    action: str = "deny",
    value: str = VALUES[0],
    over: Version | None = None,
    until: int | None = None,
    at: int = AT,
    note: str = "why",
) -> Act:
    return Act("client", value, action, f"alice@{host}", note, until, at, Version(counter, host), over)


@st.composite
def histories(draw: st.DrawFn) -> list[Act]:
    """Return acts of three hosts, each with its own version; of each host in the order that it acted."""
    made: list[Act] = []
    counters = {"mx1": 0, "mx2": 0, "mx3": 0}
    for _number in range(draw(st.integers(0, 12))):
        host = draw(st.sampled_from(sorted(counters)))
        counters[host] += draw(st.integers(1, 4))
        action = draw(st.sampled_from(["allow", "deny", "remove"]))
        until = None if action == "remove" else draw(st.one_of(st.none(), st.integers(AT, AT + 100)))
        value = draw(st.sampled_from(VALUES))
        made.append(act(counters[host], host, action, value, None, until, AT + draw(st.integers(0, 100))))
    return made


def merged(acts: list[Act], host: str = "mx1") -> Acts:
    state = Acts(host)
    for one in acts:
        state.take(one)
    return state


def seen(state: Acts) -> object:
    return sorted(state, key=lambda one: one.key), state.state()


@given(histories(), st.randoms(use_true_random=False), TIMES)
def test_any_order_and_duplicates_give_the_same_state(acts: list[Act], random: object, now: int) -> None:
    again = acts + acts[: len(acts) // 2]
    random.shuffle(again)  # type: ignore[attr-defined]
    one, two = merged(acts), merged(again, "mx2")
    assert seen(one) == seen(two)
    one.expire(now)
    two.expire(now)
    assert seen(one) == seen(two)


@given(histories(), TIMES)
def test_the_facts_of_yesterday_change_nothing_even_after_they_were_dropped(
    acts: list[Act], now: int
) -> None:
    state = merged(acts)
    state.expire(now)
    before = seen(state)
    assert [state.take(one).what for one in acts if state.get(one.key) != one] == [
        OLD for one in acts if state.get(one.key) != one
    ]
    assert seen(state) == before


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[Act], list[Act]]:
    """Return a history, and the same with each host's acts in order but the hosts in another one."""
    acts = draw(histories())
    queues = {host: [one for one in acts if one.version.host == host] for host in ("mx1", "mx2", "mx3")}
    other: list[Act] = []
    while any(queues.values()):
        host = draw(st.sampled_from([host for host, queue in queues.items() if queue]))
        other.append(queues[host].pop(0))
        if draw(st.booleans()):
            other.append(draw(st.sampled_from(other)))
    return acts, other


@given(interleavings())
def test_every_interleaving_of_streams_gives_the_same_acts_in_force(
    pair: tuple[list[Act], list[Act]],
) -> None:
    acts, other = pair
    one, two = merged(acts), Acts("mx2")
    for each in other:
        two.take(each)
    assert seen(one) == seen(two)


@given(histories())
def test_the_act_with_the_highest_version_stands(acts: list[Act]) -> None:
    state = merged(acts)
    for value in VALUES:
        versions = [one.version for one in acts if one.value == value]
        standing = state.get(("client", value))
        assert (standing.version if standing else None) == max(versions, default=None)


def test_a_state_survives_its_file() -> None:
    state = merged([act(1), act(2, "mx2", "remove"), act(3, value=VALUES[1])])
    state.expire(AT + KEPT_SECONDS)
    other = Acts("mx1")
    other.restore(state.state(), list(state), "state")
    assert seen(other) == seen(state)
    assert other.take(act(1)).what == OLD  # it was removed, and that is still known


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"counters": {}, "forgotten": {}},
        {"counters": [], "forgotten": {}, "replaced": []},
        {"counters": {}, "forgotten": {}, "replaced": {}},
        {"counters": {}, "forgotten": {}, "replaced": [[["client"], "192.0.2.9/32", {"mx1": 1}]]},
    ],
)
def test_a_damaged_state_is_refused_and_nothing_replaced(state: object) -> None:
    known = merged([act(1)])
    with pytest.raises(BadInput, match=r"^state.*expected"):
        known.restore(state, [], "state")
    assert len(known) == 1


def test_an_act_made_with_knowledge_of_the_other_has_no_loser() -> None:
    state = Acts("mx1")
    assert state.take(act(1)) == merge.Outcome(NEWS)
    later = act(2, "mx2", "allow", over=Version(1, "mx1"))
    assert state.take(later) == merge.Outcome(NEWS)
    assert state.take(later).what == OLD
    assert state.take(act(1)).what == OLD


def test_of_two_contradicting_acts_the_loser_is_told_once_on_each_host() -> None:
    alice, bob = act(5, "mx1", "deny"), act(5, "mx2", "allow")
    here, there = merged([alice]), merged([bob], "mx2")
    assert here.take(bob) == merge.Outcome(NEWS, alice, bob)
    assert there.take(alice) == merge.Outcome(LOST, alice, bob)
    assert here.take(bob).loser is None
    assert there.take(alice).loser is None
    assert here.get(alice.key) == there.get(alice.key) == bob


def test_two_who_say_the_same_do_not_contradict_each_other() -> None:
    state = merged([act(5, "mx1", "remove")])
    assert state.take(act(5, "mx2", "remove")) == merge.Outcome(NEWS)


def test_a_tombstone_and_what_ended_are_dropped_in_time() -> None:
    state = merged(
        [act(1, "mx1", "remove", at=AT), act(2, value=VALUES[1], until=AT + 9), act(3, value=VALUES[2])]
    )
    assert state.expire(AT + KEPT_SECONDS - 1) == []
    assert [one.value for one in state.expire(AT + KEPT_SECONDS + 9)] == [VALUES[0], VALUES[1]]
    assert [one.value for one in state] == [VALUES[2]]


def test_a_counter_far_ahead_changes_nothing() -> None:
    state = merged([act(1)])
    with pytest.raises(BadInput, match="too far ahead"):
        state.take(act(COUNTER_MAX, "mx2"))
    assert state.counters.highest == 1


def test_the_number_of_acts_is_bounded() -> None:
    state = Acts("mx3", most=2)
    state.take(act(1))
    with pytest.raises(BadInput, match="more than 1 of such acts"):
        state.take(act(2, value=VALUES[1]))
    assert state.take(act(3, "mx2")).what == NEWS
    assert state.counters.highest == 3
    assert state.take(act(4, "mx3", value=VALUES[1])).what == NEWS  # its own


def listing(counter: int, value: str, host: str = "mx2") -> Act:
    return Act("adaptive", value, "list", f"blacklist@{host}", "x", AT, AT - 60, Version(counter, host))


def test_listings_take_no_place_from_the_acts_of_people_and_are_dropped_a_day_after_their_end() -> None:
    state = Acts("mx3", most=2)
    state.take(listing(1, "203.0.113.1"))
    for host in ("mx2", "mx3"):
        with pytest.raises(BadInput, match="more than 1 of such acts"):
            state.take(listing(2, "203.0.113.2", host))
    assert state.take(listing(3, "203.0.113.1")).what == NEWS
    assert state.take(act(4, "mx2")).what == NEWS
    again = Acts("mx3", most=2)
    again.restore(state.state(), state, "state")
    for one in (state, again):
        assert [old.kind for old in one.expire(AT + 86_400)] == ["adaptive"]
        assert one.take(listing(3, "203.0.113.1")).what == OLD
        assert one.take(listing(5, "203.0.113.2")).what == NEWS


def test_two_acts_of_one_version_come_to_one_on_every_host() -> None:
    one, two = act(5, note="a"), act(5, note="b")
    assert list(merged([one, two])) == list(merged([two, one])) == [two]
