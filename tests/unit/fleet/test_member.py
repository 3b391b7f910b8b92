# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three gateways in memory: what happens to one reaches the others, and after every trouble all are equal."""

from __future__ import annotations

import contextlib
import json

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.times import utc
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import (
    apply,
    links,
    member,
    status,
    stream,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act, Grey
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.stream import (
    SNAPSHOT,
    STREAM,
    Batch,
    Head,
    Position,
    render_batch,
    render_head,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import Version
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from support.fleet_hosts import AT, Host, settle, site

BAD = "203.0.113.9"
NETWORK = "198.51.100.0/24"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "WAIT_SECONDS", 0)


def three() -> tuple[Host, Host, Host]:
    hosts = Host("mx1"), Host("mx2"), Host("mx3")
    site(*hosts)
    settle(*hosts, turns=5)
    return hosts


def equal(*hosts: Host) -> None:
    first = hosts[0]
    for other in hosts[1:]:
        assert other.state() == first.state()


def listed(host: Host, address: str = BAD, seconds: int = 14_400) -> None:
    until = int(host.clock()) + seconds
    host.files.adaptive[address] = until
    host.happens(
        host.blacklist, f"adaptive-blacklist: listed {address} until {utc(until)}: 5 of 6 attempts bad"
    )


def released(host: Host, address: str = BAD) -> None:
    host.files.adaptive.pop(address, None)
    host.happens(
        host.blacklist, f"adaptive-blacklist: released {address} by operator: it was refused until then, x"
    )


def greylisted(host: Host, what: str = "new", text: str = "wait 60") -> None:
    now = int(host.clock())
    known = Grey("192.0.2.0/24", what != "new", now)
    host.files.greys([known])
    host.happens(host.smtp, f"smtpfront[6kz3rt9qm4]: {what} 192.0.2.9 192.0.2.0/24 {text}")


def test_a_network_that_was_greylisted_here_is_pending_there_and_passes() -> None:
    one, two, three_ = three()
    greylisted(one)
    settle(one, two, three_, turns=3)
    assert two.files.networks == {"192.0.2.0/24": Grey("192.0.2.0/24", False, AT)}
    for host in (one, two, three_):
        host.clock.now += 70
    greylisted(two, "passed", "after 70")
    settle(one, two, three_, turns=3)
    equal(one, two, three_)
    assert one.files.networks["192.0.2.0/24"].passed


def test_an_address_that_was_listed_and_released_is_so_everywhere() -> None:
    hosts = three()
    listed(hosts[0])
    settle(*hosts, turns=3)
    assert [one.files.adaptive for one in hosts] == [{BAD: AT + 14_400}] * 3
    released(hosts[1])
    settle(*hosts, turns=3)
    assert [one.files.adaptive for one in hosts] == [{}] * 3
    equal(*hosts)


def test_an_operators_entry_stands_everywhere_with_author_note_and_end_and_is_told_once() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes", AT + 600)
    hosts[1].files.edit("sender", "@bad.example", "block", "bob", "unwanted")
    hosts[2].files.edit("score", "news@good.example", "trust", "carol", "wanted")
    settle(*hosts, turns=10)
    equal(*hosts)
    assert '"by": "alice@mx1", "note": "phishes", "until": 1795000600' in hosts[2].files.texts["clients"]
    told = [one.fleet.outgoing.number for one in hosts]
    settle(*hosts, turns=10)
    assert [one.fleet.outgoing.number for one in hosts] == told == [1, 1, 1]  # no echo
    hosts[2].files.edit("client", NETWORK, "remove", "carol", "")
    settle(*hosts, turns=5)
    equal(*hosts)
    assert NETWORK[:-4] not in hosts[0].files.texts["clients"]


@pytest.mark.parametrize("instead", ["remove", "allow"])
@pytest.mark.parametrize("where", [1, 2])
def test_what_took_the_place_of_a_peers_entry_is_undone_everywhere(instead: str, where: int) -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(*hosts, turns=5)
    hosts[1].files.edit("client", NETWORK, instead, "bob", "a customer")
    settle(*hosts, turns=5)
    equal(*hosts)
    hosts[where].files.edit("client", NETWORK, "deny", "alice@mx1", "phishes")  # undo brings back the entry
    settle(*hosts, turns=5)
    equal(*hosts)
    assert hosts[0]._lists() == {("client", NETWORK): ("deny", "phishes", None)}
    assert {one.by for one in hosts[0].fleet.acts} == {f"operator@mx{where + 1}"}


def test_two_operators_who_contradict_each_other_end_with_one_truth_and_the_loser_is_known() -> None:
    hosts = three()
    hosts[0].files.edit("score", "x@y.example", "trust", "alice", "wanted")
    hosts[1].files.edit("score", "x@y.example", "distrust", "bob", "spam")
    settle(*hosts)
    equal(*hosts)
    assert hosts[0]._lists() == {("score", "x@y.example"): ("distrust", "spam", None)}
    assert all(("alice@mx1", "bob@mx2") in [(a.by, b.by) for a, b in one.files.losers] for one in hosts[:2])


def test_an_engine_that_is_dead_delays_nothing_and_afterwards_all_are_equal() -> None:
    hosts = three()
    hosts[0].engine.down = True
    listed(hosts[0])
    hosts[1].files.edit("client", NETWORK, "deny", "bob", "phishes")
    settle(*hosts, turns=5)
    assert NETWORK[:-4] in hosts[0].files.texts["clients"]  # it goes on reading its peers
    assert hosts[1].files.adaptive == {}
    hosts[0].engine.down = False
    settle(*hosts, turns=5)
    equal(*hosts)
    assert hosts[1].files.adaptive == {BAD: AT + 14_400}


def test_a_host_that_was_cut_off_hears_all_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STREAM_BATCHES_MAX", 4)
    monkeypatch.setattr(stream, "SNAPSHOT_BATCHES", 2)
    hosts = three()
    hosts[2].cut = {"mx1", "mx2"}
    for number in range(12):  # more than the stream keeps
        listed(hosts[0], f"203.0.113.{number}")
        settle(*hosts, turns=2)
    hosts[2].files.edit("client", NETWORK, "deny", "carol", "phishes")
    settle(*hosts, turns=2)
    assert len(hosts[1].files.adaptive) == 12
    assert hosts[2].files.adaptive == {}
    hosts[2].cut = set()
    settle(*hosts)
    equal(*hosts)


def test_a_host_that_joins_late_takes_the_snapshot() -> None:
    one, two = Host("mx1"), Host("mx2")
    site(one, two)
    listed(one)
    greylisted(two)
    one.files.edit("sender", "@bad.example", "block", "alice", "unwanted")
    settle(one, two)
    late = Host("mx3")
    late.files.edit("client", NETWORK, "deny", "carol", "phishes")
    site(one, two, late)
    settle(one, two, late)
    equal(one, two, late)
    assert NETWORK[:-4] in one.files.texts["clients"]


def test_an_engine_that_lost_its_data_begins_an_epoch() -> None:
    hosts = three()
    listed(hosts[0])
    settle(*hosts)
    hosts[0].engine.lose_everything()
    hosts[0].publisher._resumed = False  # the connection ended, too
    listed(hosts[0], "203.0.113.77")
    settle(*hosts)
    equal(*hosts)
    assert "203.0.113.77" in hosts[2].files.adaptive


def test_a_service_that_was_killed_goes_on_from_its_last_state() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(*hosts)
    hosts[0].save()
    hosts[0].files.edit("sender", "@bad.example", "block", "alice", "unwanted")
    listed(hosts[1])
    settle(*hosts)
    hosts[0].start()  # without a save
    settle(*hosts)
    equal(*hosts)


def test_a_service_that_lost_its_state_learns_all_again() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    listed(hosts[1])
    settle(*hosts)
    for one in hosts:
        one.clock.now += 3600
    hosts[0].saved = None
    hosts[0].start()
    settle(*hosts)
    equal(*hosts)
    assert [one[1][b"e"] for one in hosts[0].engine.streams.get(STREAM, [])] == []  # of the epoch before
    released(hosts[0])
    settle(*hosts, turns=5)
    equal(*hosts)
    assert hosts[2].files.adaptive == {}


def test_a_host_that_was_installed_again_hears_its_own_acts_from_the_others() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(*hosts)
    for one in hosts:
        one.clock.now += 3600
    hosts[0].engine.lose_everything()
    hosts[0].files.texts = dict.fromkeys(hosts[0].files.texts, "")
    hosts[0].smtp.lines.clear()
    hosts[0].saved = None
    hosts[0].start()
    settle(*hosts)
    equal(*hosts)
    assert NETWORK[:-4] in hosts[0].files.texts["clients"]
    hosts[0].files.edit("client", NETWORK, "remove", "alice", "")
    settle(*hosts)
    equal(*hosts)
    assert NETWORK[:-4] not in hosts[1].files.texts["clients"]


@pytest.mark.parametrize("started_again", [False, True])
def test_a_list_whose_file_was_lost_is_removed_nowhere_and_written_again(started_again: bool) -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    hosts[1].files.edit("client", "192.0.2.7/32", "allow", "bob", "a partner", AT + 600)
    hosts[1].files.edit("sender", "@bad.example", "block", "bob", "unwanted")
    settle(*hosts, turns=5)
    there = hosts[0]._lists()
    hosts[1].files.lose("clients")
    if started_again:
        hosts[1].save()
        hosts[1].start()
    settle(*hosts, turns=5)
    equal(*hosts)
    assert hosts[1]._lists() == there
    assert "2 entries were lost" in hosts[1].said[-1]
    hosts[1].files.texts["clients"] = ""  # emptied: an act on each entry
    settle(*hosts, turns=5)
    equal(*hosts)
    assert list(hosts[0]._lists()) == [("sender", "@bad.example")]


@pytest.mark.parametrize("who", [0, 1])
def test_a_restored_host_brings_back_nothing_that_was_removed_since(
    who: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "ACTS_AT_ONCE", 2)  # it takes a while
    hosts = three()
    networks = [f"198.51.{number}.0/24" for number in range(60)]
    for one in networks:
        hosts[0].files.edit("client", one, "deny", "alice", "phishes")
    settle(*hosts)
    archive = dict(hosts[0].files.texts)
    for one in networks:
        hosts[who].files.edit("client", one, "remove", "bob", "")
    settle(*hosts)
    hosts[0].files.texts, hosts[0].saved = archive, None
    hosts[0].engine.lose_everything()  # mailgate restore ends it
    hosts[0].start()
    settle(*hosts, turns=60)
    equal(*hosts)
    assert hosts[2]._lists() == {}


def test_what_was_removed_while_the_service_was_down_is_removed_everywhere() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(*hosts)
    for one in hosts:
        one.clock.now += 3600
    hosts[0].saved = None  # its own stream still tells that the entry was there
    hosts[0].files.edit("client", NETWORK, "remove", "", "")
    hosts[0].start()
    settle(*hosts)
    equal(*hosts)
    assert hosts[1]._lists() == {}


def test_a_counter_is_not_used_twice_after_a_crash() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    saved = hosts[0].saved
    settle(*hosts)
    hosts[0].saved = saved
    hosts[0].engine.lose_everything()
    hosts[0].files.edit("client", NETWORK, "allow", "alice", "a customer")
    hosts[0].start()
    settle(*hosts)
    equal(*hosts)
    assert hosts[1]._lists() == {("client", NETWORK): ("allow", "a customer", None)}


def test_what_a_peer_said_is_not_this_hosts_after_a_crash_with_the_peers_cut_off() -> None:
    hosts = three()
    saved = hosts[0].saved
    hosts[1].files.edit("client", NETWORK, "deny", "bob", "phishes")
    settle(*hosts)
    hosts[0].saved, hosts[0].cut = saved, {"mx2", "mx3"}
    hosts[0].start()
    for _number in range(3):
        hosts[0].clock.now += 61
        hosts[0].turn()
    assert list(hosts[0].fleet.acts) == []
    hosts[0].cut = set()
    settle(*hosts)
    equal(*hosts)


def test_a_listing_that_was_told_is_not_told_again_over_a_peers_release_after_a_crash() -> None:
    hosts = three()
    listed(hosts[0])
    settle(*hosts)
    hosts[0].start()  # from the state before
    released(hosts[1])
    settle(*hosts)
    equal(*hosts)
    assert hosts[0].files.adaptive == {}
    listed(hosts[0])  # in the same second
    settle(*hosts)
    equal(*hosts)
    assert BAD in hosts[1].files.adaptive


@pytest.mark.parametrize("ends_listed", [True, False])
def test_a_line_of_the_log_is_brought_into_force_after_what_a_peer_had_said_before(ends_listed: bool) -> None:
    hosts = three()
    listed(hosts[0])
    if ends_listed:
        released(hosts[0])
        listed(hosts[1])
    else:
        hosts[1].files.adaptive[BAD] = AT
        released(hosts[1])
    hosts[0].turn()
    for _number in range(2):
        hosts[1]._reading("mx1")()  # the peer is heard, and only then the log is read
    settle(*hosts)
    equal(*hosts)
    assert (BAD in hosts[2].files.adaptive) == ends_listed


@pytest.mark.parametrize("last", ["trust", "untrust"])
def test_an_own_engine_that_answers_late_is_heard_all_the_same(last: str) -> None:
    hosts = three()
    saved = hosts[0].saved
    for what in ("trust", last):
        happen(hosts, hosts[0], what, 1)
    settle(*hosts)
    hosts[0].saved, hosts[0].engine.down = saved, True
    hosts[0].start()
    for _number in range(3):
        hosts[0].clock.now += 61
        hosts[0].turn()
    assert "not heard yet: mx1" in hosts[0].said[-1]
    hosts[0].engine.down = False
    settle(*hosts)
    equal(*hosts)
    assert len(hosts[0]._lists()) == (last == "trust")


def test_a_service_and_its_engine_that_died_before_the_state_was_saved_are_heard_again() -> None:
    hosts = three()
    for what in ("deny", "crash", "cut", "deny", "lose", "join"):
        happen(hosts, hosts[0], what, 1)
    settle(*hosts)
    equal(*hosts)
    assert list(hosts[2]._lists()) == [("client", "198.51.1.0/24")]


def test_an_own_engine_that_holds_garbage_is_written_again() -> None:
    hosts = three()
    hosts[0].engine.values[SNAPSHOT] = b"garbage"
    hosts[0].start()
    listed(hosts[0])
    settle(*hosts)
    equal(*hosts)
    assert BAD in hosts[2].files.adaptive


def test_an_entry_ends_everywhere_without_anybody_removing_it() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes", AT + 600)
    settle(*hosts)
    for one in hosts:
        one.clock.now += 601
        one.files.edit("client", NETWORK, "remove", "", "")  # as the service operator does
    settle(*hosts)
    assert all(act.action == "deny" for one in hosts for act in one.fleet.acts)
    equal(*hosts)


def test_an_entry_that_began_and_ended_while_a_host_was_cut_off_leaves_nothing_there() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(*hosts, turns=5)
    hosts[2].cut = {"mx1", "mx2"}
    hosts[1].files.edit("client", NETWORK, "allow", "bob", "for ten minutes", AT + 600)
    settle(*hosts, turns=5)
    for one in hosts:
        one.clock.now += 3600
    for one in hosts[:2]:
        one.files.edit("client", NETWORK, "remove", "", "")  # as the service operator does at its end
    settle(*hosts, turns=5)
    hosts[2].cut = set()
    settle(*hosts, turns=10)
    equal(*hosts)
    assert hosts[2]._lists() == {}


def test_clocks_five_minutes_apart_change_no_delay() -> None:
    one, two, late = Host("mx1"), Host("mx2", wrong_seconds=300), Host("mx3", wrong_seconds=-300)
    site(one, two, late)
    settle(one, two, late)
    greylisted(one)
    settle(one, two, late, turns=3)
    assert two.files.networks["192.0.2.0/24"].at == AT + 300  # the same moment by its own clock
    assert late.files.networks["192.0.2.0/24"].at == AT - 300


def test_a_time_ahead_of_this_hosts_clock_is_of_now() -> None:
    hosts = three()
    hosts[0].fleet.hear(links.Heard("mx2", (Grey("192.0.2.0/24", True, AT + 9999),), None, 0.0))
    hosts[0].fleet.step()
    assert hosts[0].files.networks["192.0.2.0/24"].at == AT


def test_a_snapshot_has_no_more_networks_than_the_engine_has_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(member, "NETWORKS_MAX", 4)
    host = Host("mx1")
    pending = [[Grey(f"198.51.{number}.0/24", False, AT)] for number in range(5)]
    passed = [[Grey(f"203.0.{number}.0/24", True, AT)] for number in range(3)]
    monkeypatch.setattr(host.files, "greylist", lambda: iter([*pending, *passed]))
    told = [group for group in host.fleet.everything() if group]
    assert told == [*pending[:2], *passed[:2]]


def test_the_status_is_readable_whatever_peers_say_that_is_refused() -> None:
    host = Host("mx1")
    long = "\U0001f600" * 900
    for number in range(1000):
        host.fleet.applier.refused["sender", f"{number}{long}"] = long
    data = json.dumps(host.fleet.status().values()).encode("ascii")
    assert len(data) <= status.BYTES_MAX


def test_what_a_host_protects_is_not_touched_there() -> None:
    one, two = Host("mx1"), Host("mx2", protected=frozenset({NETWORK}))
    site(one, two)
    one.files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(one, two)
    assert two.files.texts["clients"] == ""
    assert two.fleet.status().refused == {f"client {NETWORK}": "it is protected here"}
    settle(one, two)
    assert NETWORK[:-4] in one.files.texts["clients"]  # nobody removed it


GARBAGE = [
    {b"x": b"y"},
    {b"e": b"0" * 16, b"n": b"1", b"f": b""},
    {b"e": b"%016x" % 1, b"n": b"1", b"f": b'{"kind":"relay","value":"0.0.0.0/0"}'},
    {b"e": b"%016x" % 1, b"n": b"1", b"f": b"\xff" * 70_000},
    render_batch(
        Batch(
            f"{1:016x}", 1, (Act("client", NETWORK, "allow", "root@mx3", "x", None, AT, Version(9, "mx3")),)
        )
    ),
    render_batch(
        Batch(
            f"{1:016x}", 1, (Act("client", NETWORK, "allow", "x@mx2", "x", None, AT, Version(2**50, "mx2")),)
        )
    ),
]


@pytest.mark.parametrize("fields", GARBAGE, ids=lambda one: repr(one)[:60])
def test_a_peer_that_sends_garbage_or_forges_changes_nothing_and_the_others_go_on(
    fields: dict[bytes, bytes],
) -> None:
    hosts = three()
    hosts[1].engine.append(STREAM, fields, 0)
    hosts[2].files.edit("sender", "@bad.example", "block", "carol", "unwanted")
    for _number in range(5):
        hosts[0].fleet.step()
        hosts[2].turn()
        for name in ("mx2", "mx3"):
            with contextlib.suppress(ValueError):
                hosts[0].readers[name].step()
        hosts[0].fleet.step()
    assert [act.version.host for act in hosts[0].fleet.acts] == ["mx3"]
    assert hosts[0].files.texts["clients"] == ""
    assert "@bad.example" in hosts[0].files.texts["senders"]


def snapshot_of(host: Host, *acts: Act) -> None:
    """Put a snapshot of forged acts into a host's engine."""
    head = Head(host.name, "f" * 16, 1, 0, 1)
    host.engine.lose_everything()
    host.engine.append(head.key, render_batch(Batch(head.epoch, 1, acts)), 0)
    host.engine.put(SNAPSHOT, render_head(head))


def test_a_peer_tells_nothing_of_a_host_that_is_heard_itself() -> None:
    hosts = three()
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(*hosts)
    counter = hosts[2].fleet.acts.counters.highest + 1000
    # Hardly heard, the second one would be forgotten, and with it all acts of mx1 up to that counter.
    forged = [
        Act("client", NETWORK, "remove", "alice@mx1", "", None, AT, Version(counter, "mx1")),
        Act("sender", "@x.example", "remove", "alice@mx1", "", None, 0, Version(counter + 1, "mx1")),
        Act("sender", "@y.example", "block", "carol@mx3", "", None, AT, Version(counter + 2, "mx3")),
    ]
    snapshot_of(hosts[1], *forged)
    for _number in range(9):
        hosts[2].turn()
    assert hosts[2].readers["mx2"].position == Position("f" * 16, 0)
    assert NETWORK[:-4] in hosts[2].files.texts["clients"]
    assert hosts[2].fleet.acts.counters.of("mx1") < counter
    assert hosts[2].files.texts["senders"] == ""


def test_of_a_host_that_is_gone_a_peer_tells() -> None:
    hosts = three()
    block = Act("sender", "@y.example", "block", "dave@mx9", "", None, AT, Version(7, "mx9"))
    snapshot_of(hosts[1], block)
    for _number in range(9):
        hosts[2].turn()
    assert hosts[2].files.texts["senders"] != ""


def test_a_peer_that_fills_the_memory_keeps_this_host_from_nothing() -> None:
    hosts = three()
    hosts[0].fleet.acts._most = 4
    for number in range(2):
        forged = Act("sender", f"@{number}.example", "remove", "x@mx2", "", None, 0, Version(10**9, "mx2"))
        hosts[0].fleet.acts.take(forged)
    hosts[0].files.edit("client", NETWORK, "deny", "alice", "phishes")
    settle(*hosts, turns=5)
    assert NETWORK[:-4] in hosts[2].files.texts["clients"]


def test_the_outbox_is_bounded_and_a_snapshot_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = three()
    hosts[0].fleet.outbox._most = 5
    hosts[0].engine.down = True
    for number in range(20):
        listed(hosts[0], f"203.0.113.{number}")
        hosts[0].turn()
    assert len(hosts[0].fleet.outbox) <= 5
    hosts[0].engine.down = False
    settle(*hosts)
    equal(*hosts)
    assert len(hosts[1].files.adaptive) == 20


LISTS = ["deny", "allow", "remove", "block", "unblock", "trust", "distrust", "untrust"]
OTHERS = [
    "list",
    "release",
    "grey",
    "pass",
    "down",
    "up",
    "cut",
    "join",
    "kill",
    "crash",
    "save",
    "lose",
    "wait",
]
STEPS = st.tuples(st.integers(0, 2), st.sampled_from(LISTS + OTHERS), st.integers(1, 2))
ENTRIES = {
    "deny": ("client", "198.51.{}.0/24", "deny"),
    "allow": ("client", "198.51.{}.0/24", "allow"),
    "remove": ("client", "198.51.{}.0/24", "remove"),
    "block": ("sender", "@{}.example", "block"),
    "unblock": ("sender", "@{}.example", "remove"),
    "trust": ("score", "@{}.example", "trust"),
    "distrust": ("score", "@{}.example", "distrust"),
    "untrust": ("score", "@{}.example", "remove"),
}


def happen(hosts: tuple[Host, Host, Host], host: Host, what: str, value: int) -> None:
    """Let one thing happen to a host."""
    address = f"203.0.113.{value}"
    if what in ENTRIES:
        kind, form, action = ENTRIES[what]
        if action != "remove" or (kind, form.format(value)) in host._lists():
            host.files.edit(kind, form.format(value), action, "op", f"{host.name} {what}")
    elif what == "list" and address not in host.files.adaptive:
        listed(host, address, 14_400)
    elif what == "release" and address in host.files.adaptive:
        released(host, address)
    elif what in ("grey", "pass"):
        greylisted(host, *(("new", "wait 60") if what == "grey" else ("passed", "after 70")))
    elif what in ("down", "up"):
        host.engine.down = what == "down"
    elif what in ("cut", "join"):
        host.cut = {one.name for one in hosts} if what == "cut" else set()
    elif what == "save":
        host.save()
    elif what == "kill":
        host.save()
        host.start()
    elif what == "crash":
        host.start()  # from what was saved last
    elif what == "lose":
        host.engine.lose_everything()
        host.publisher._resumed = False
    elif what == "wait":
        for one in hosts:
            one.clock.now += 10
    host.turn()


def lost_both(steps: list[tuple[int, str, int]], host: int) -> bool:
    """Return whether a host lost its service's last seconds and its engine: nothing has its last acts."""
    lost: set[str] = set()
    for who, what, _value in steps:
        if who == host and what in ("save", "kill"):
            lost.clear()
        elif who == host and what in ("crash", "lose"):
            lost.add(what)
        if len(lost) == 2:
            return True
    return False


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=16))
@example([(0, "list", 1), (0, "crash", 1), (1, "deny", 1), (1, "deny", 1), (1, "release", 1)])
@example([(0, "deny", 1)] * 2 + [(1, "list", 1), (0, "deny", 1), (0, "crash", 1), (0, "release", 1)])
@example([(0, "list", 1), (0, "release", 1), (0, "crash", 1), (0, "list", 1)])
@example([(0, "list", 1), (0, "release", 1), (1, "kill", 1), (1, "list", 1)])
@example([(0, "trust", 1), (0, "untrust", 1), (0, "crash", 1), (0, "wait", 1)])
@example(
    [(0, "list", 1), (1, "wait", 1), (2, "list", 1)]
    + [(0, "deny", 1)] * 2
    + [(0, "crash", 1), (0, "wait", 1)]
)
def test_whatever_happens_in_whatever_order_all_are_equal_afterwards(
    steps: list[tuple[int, str, int]],
) -> None:
    assume(not any(lost_both(steps, who) for who in range(3)))
    hosts = three()
    for who, what, value in steps:
        happen(hosts, hosts[who], what, value)
    for host in hosts:
        host.engine.down, host.cut = False, set()
    settle(*hosts, turns=30)
    equal(*hosts)
    for host in hosts:
        assert host._lists() == {
            act.key: (act.action, act.note, act.until)
            for act in host.fleet.acts
            if act.kind != "adaptive" and not act.gone
        }
