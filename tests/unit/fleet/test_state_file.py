# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state file: what was written is read again; what was cut off or damaged is not taken for a state."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act, Grey, render
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.merge import Acts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.state_file import (
    Saved,
    lines,
    parse,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.stream import Outgoing, Position
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.versions import Version
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.multilog import (
    Position as LogPosition,
)

AT = 1_795_000_000
EPOCH = "0123456789abcdef"


def saved() -> Saved:
    acts = Acts("mx1")
    for counter, value in enumerate(("@a.example", "@b.example"), 1):
        acts.take(Act("sender", value, "block", "alice@mx1", "x", None, AT, Version(counter, "mx1")))
    return Saved(
        acts.state(),
        list(acts),
        {("sender", "@a.example"): ("block", "alice@mx1", "x", None)},
        Outgoing(EPOCH, 9, 2, 3, False),
        {"mx2": Position(EPOCH, 6, "1795000006-0")},
        {"smtp": LogPosition(7, "40", 9, ""), "adaptive": None},
        [("sender", "@a.example")],
    )


def test_a_state_survives_its_file() -> None:
    assert parse(lines(saved()), "state") == saved()


def test_a_file_that_was_cut_off_anywhere_is_refused() -> None:
    whole = b"".join(lines(saved()))
    for size in range(len(whole)):
        with pytest.raises(BadInput, match=r"^state.*expected"):
            parse(whole[:size].splitlines(keepends=True), "state")


HEAD = json.loads(next(lines(saved())))
END = [b"0\n"]


@pytest.mark.parametrize(
    "head",
    [
        {**HEAD, "format": 2},
        {**HEAD, "more": 1},
        {**HEAD, "view": {}},
        {**HEAD, "outgoing": []},
        {**HEAD, "positions": {"mx2": []}},
        {**HEAD, "positions": []},
        {**HEAD, "logs": {"smtp": 7}},
        {**HEAD, "unsettled": [["sender"]]},
        {**HEAD, "unsettled": None},
        [],
    ],
    ids=lambda one: str(one)[-60:],
)
def test_a_damaged_head_is_refused(head: object) -> None:
    with pytest.raises(BadInput, match="expected"):
        parse([json.dumps(head).encode() + b"\n", *END], "state")


@pytest.mark.parametrize(
    "rest",
    [
        [],
        [b"1\n"],
        [b"0\n", b"0\n"],
        [b"x\n", b"1\n"],
        [render(Grey("192.0.2.0/24", True, AT)) + b"\n", b"1\n"],
    ],
)
def test_damaged_acts_are_refused(rest: list[bytes]) -> None:
    with pytest.raises(BadInput, match=r"^state.*expected"):
        parse([json.dumps(HEAD).encode() + b"\n", *rest], "state")
