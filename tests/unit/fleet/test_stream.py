# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stream and the snapshot: nothing is missed without notice, and what else a peer sends is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import stream
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act, Grey, render
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.stream import (
    BATCH_BYTES_MAX,
    BATCH_FACTS_MAX,
    Batch,
    Head,
    Outgoing,
    Position,
    batches,
    follow,
    must_take_snapshot,
    parse_batch,
    parse_head,
    parse_outgoing,
    parse_position,
    render_batch,
    render_head,
    snapshot_batches,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import Version
from hypothesis import given
from hypothesis import strategies as st

AT = 1_795_000_000
EPOCH, OTHER = "0123456789abcdef", "fedcba9876543210"
GREY = Grey("192.0.2.0/24", True, AT)
BY = f"{'b' * 46}@{'m' * 253}"
NOTED = Act("sender", "@bad.example", "block", BY, "\U0001f600" * 200, None, AT, Version(1, "m" * 253))


def entry(number: int, epoch: str = EPOCH, place: int | None = None) -> stream.Entry:
    return f"{AT + (number if place is None else place)}-0", render_batch(Batch(epoch, number, (GREY,)))


def test_a_batch_survives_its_fields() -> None:
    one = Batch(EPOCH, 7, (GREY, NOTED))
    assert parse_batch(render_batch(one), "mx2", []) == one


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"e": b"x", b"n": b"1"},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"more": b""},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"e": b"0123456789ABCDEF"},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"e": b"\xff"},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"n": b"0"},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"n": b"-1"},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"n": b"+1"},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"n": b"9" * 16},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"n": b"1" * 5000},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"f": b"\n".join([render(GREY)] * (BATCH_FACTS_MAX + 1))},
        {**render_batch(Batch(EPOCH, 1, (GREY,))), b"f": b"x" * (BATCH_BYTES_MAX + 1)},
    ],
    ids=lambda one: repr(one)[-40:],
)
def test_a_malformed_batch_is_refused_as_a_whole(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(BadInput, match=r"^mx2.*expected"):
        parse_batch(fields, "mx2", [])


@pytest.mark.parametrize(
    "garbage", [b"", b"relay 0.0.0.0/0", b'{"kind":"relay","network":"0.0.0.0/0"}', b"\xff"]
)
def test_a_malformed_fact_is_left_out_and_its_reason_kept(garbage: bytes) -> None:
    refused: list[str] = []
    fields = {**render_batch(Batch(EPOCH, 1, (GREY,))), b"f": garbage + b"\n" + render(GREY)}
    assert parse_batch(fields, "mx2", refused).facts == (GREY,)
    assert [one.startswith("mx2 fact 1: ") and "expected" in one for one in refused] == [True]


def test_an_act_of_another_host_is_refused_in_a_stream() -> None:
    forged = Act("sender", "@bad.example", "block", "bob@mx3", "x", None, AT, Version(1, "mx3"))
    read = follow(Position(EPOCH, 4), [("1-0", render_batch(Batch(EPOCH, 5, (forged, GREY))))], "mx2")
    assert [one.facts for one in read.batches] == [(GREY,)]
    assert read.refused == ("mx2: an act of 'mx3'; expected its own in its stream",)


def test_facts_are_grouped_so_that_each_group_fits() -> None:
    found = [*[GREY] * 200, *[NOTED] * 100]
    groups, refused = list(batches(found)), []
    assert [one for group in groups for one in group] == found
    for number, group in enumerate(groups, 1):
        parse_batch(render_batch(Batch(EPOCH, number, group)), "mx1", refused)
    assert refused == []
    assert list(batches([])) == []


HEAD = Head("mx2", EPOCH, 3, 90, 4)


def test_a_head_survives_its_value() -> None:
    assert parse_head(render_head(HEAD), "mx2", "mx2") == HEAD
    assert HEAD.key == "mailgate:snapshot:0123456789abcdef:3"


@pytest.mark.parametrize(
    "values",
    [{"format": 2}, {"format": None}, {"host": "mx3"}, {"host": 7}, {"epoch": ""}, {"number": 0},
     {"number": "3"}, {"after": -1}, {"batches": 1.5}, {"more": 1}],
    ids=str,
)  # fmt: skip
def test_a_malformed_head_is_refused(values: dict[str, Any]) -> None:
    data = json.dumps({**json.loads(render_head(HEAD)), **values}).encode()
    with pytest.raises(BadInput, match=r"^mx2 head.*expected"):
        parse_head(data, "mx2", "mx2 head")


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{", b"[" * 4000, b" " * 5000])
def test_bytes_that_are_not_a_head_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="expected an object"):
        parse_head(data, "mx2", "mx2 head")


def test_what_follows_is_read_and_the_position_moves() -> None:
    read = follow(Position(EPOCH, 4), [entry(5), entry(6)], "mx2")
    assert [one.number for one in read.batches] == [5, 6]
    assert (read.position, read.gap) == (Position(EPOCH, 6, f"{AT + 6}-0"), False)


def test_what_was_read_before_is_left_out() -> None:
    read = follow(Position(EPOCH, 6), [entry(5), entry(6), entry(7)], "mx2")
    assert [one.number for one in read.batches] == [7]


@pytest.mark.parametrize(
    ("entries", "read_before"),
    [([entry(6)], 0), ([entry(5), entry(7)], 1), ([entry(5), entry(6, OTHER)], 1), ([entry(1, OTHER)], 0)],
)
def test_a_gap_ends_the_reading(entries: list[stream.Entry], read_before: int) -> None:
    read = follow(Position(EPOCH, 4), entries, "mx2")
    assert (len(read.batches), read.position.number, read.gap) == (read_before, 4 + read_before, True)


@given(st.lists(st.integers(1, 12), max_size=20))
def test_no_batch_is_read_twice_or_out_of_order(numbers: list[int]) -> None:
    read = follow(Position(EPOCH, 0), [entry(one, place=i) for i, one in enumerate(numbers)], "mx2")
    assert [one.number for one in read.batches] == list(range(1, read.position.number + 1))
    if not read.gap:
        assert max(numbers, default=0) == read.position.number


def test_an_id_that_is_not_the_engines_is_refused() -> None:
    with pytest.raises(BadInput, match="is not an id"):
        follow(Position(EPOCH, 4), [("+", entry(5)[1])], "mx2")


def test_the_batches_of_a_snapshot_come_all_and_in_order() -> None:
    assert [one.number for one in snapshot_batches(HEAD, 2, [entry(3), entry(4)], [])] == [3, 4]


@pytest.mark.parametrize(
    "found", [[entry(4)], [entry(3), entry(3)], [entry(3, OTHER)], [entry(3), entry(4), entry(5)]]
)
def test_a_snapshot_with_a_batch_missing_or_too_many_is_refused(found: list[stream.Entry]) -> None:
    with pytest.raises(BadInput, match=r"^mx2.*expected"):
        snapshot_batches(HEAD, 2, found, [])


def test_a_host_that_joins_or_finds_another_epoch_takes_the_snapshot() -> None:
    assert must_take_snapshot(None, HEAD)
    assert must_take_snapshot(Position(OTHER, 90), HEAD)
    assert not must_take_snapshot(Position(EPOCH, 3), HEAD)


def test_a_position_survives_its_file() -> None:
    one = Position(EPOCH, 6, "1795000006-0")
    assert parse_position(one.to_json(), "state") == one


@pytest.mark.parametrize(
    "value", [None, [], [EPOCH, 1], [EPOCH, -1, "0-0"], ["", 1, "0-0"], [EPOCH, 1, "$"], [EPOCH, "1", "0-0"]]
)
def test_a_damaged_position_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^state.*expected"):
        parse_position(value, "state")


def test_an_epoch_begins_with_a_snapshot() -> None:
    out = Outgoing(EPOCH)
    assert out.due
    head = out.snapshot("mx1")
    out.published(head, more=0)
    assert (head.number, head.after, out.due) == (1, 0, False)
    assert out.next((GREY,)) == Batch(EPOCH, 1, (GREY,))
    out.appended()
    assert out.snapshot("mx1").after == 1


def test_a_new_snapshot_is_due_before_the_stream_is_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SNAPSHOT_BATCHES", 3)
    out = Outgoing(EPOCH, due=False)
    for number in (1, 2, 3):
        assert not out.due
        out.appended()
        assert out.number == number
    assert out.due
    out.published(out.snapshot("mx1"), more=1)
    assert (out.due, out.since) == (False, 1)
    assert stream.SNAPSHOT_BATCHES <= stream.STREAM_BATCHES_MAX // 2


@pytest.mark.parametrize(
    ("last", "epoch", "number"),
    [
        (None, OTHER, 0),  # the engine lost all
        (Batch(EPOCH, 8, ()), OTHER, 0),  # it came back with an older file
        (Batch("0" * 16, 9, ()), OTHER, 0),  # somebody restored another host's
        (Batch(EPOCH, 9, ()), EPOCH, 9),
        (Batch(EPOCH, 11, ()), EPOCH, 11),  # the service was killed before it saved
    ],
)
def test_an_engine_that_lost_batches_begins_an_epoch(last: Batch | None, epoch: str, number: int) -> None:
    out = Outgoing(EPOCH, 9, due=False)
    assert out.resume(last, OTHER) == (epoch == OTHER)
    assert (out.epoch, out.number, out.due) == (epoch, number, epoch == OTHER)


def test_an_empty_engine_begins_an_epoch_as_batches_may_have_followed_the_saved_state() -> None:
    assert Outgoing(EPOCH, due=False).resume(None, OTHER)


def test_facts_that_were_lost_before_they_were_published_leave_a_gap() -> None:
    out = Outgoing(EPOCH, 9, due=False)
    out.skip()
    assert out.due
    assert follow(Position(EPOCH, 9), [("1-0", render_batch(out.next((GREY,))))], "mx1").gap


def test_what_was_published_survives_its_file() -> None:
    out = Outgoing(EPOCH, 9, 2, 3, False)
    assert parse_outgoing(out.to_json(), "state") == out


@pytest.mark.parametrize(
    "value", [None, [], [EPOCH, 1, 1, 1], [EPOCH, 1, 1, 1, 1], ["", 1, 1, 1, True], [EPOCH, -1, 1, 1, True]]
)
def test_damaged_bookkeeping_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^state.*expected"):
        parse_outgoing(value, "state")
