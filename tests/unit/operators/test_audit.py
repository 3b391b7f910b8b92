# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit log keeps in memory of acts and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import audit
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.audit import Audit


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    monkeypatch.setattr(audit, "KEPT", 5)
    monkeypatch.setattr(audit, "REFUSED_KEPT", 4)
    one = Audit(str(tmp_path / "audit.jsonl"))
    yield one
    one.close()


def act(log: Audit, at: int = 100) -> int:
    number = log.begin({"at": at, "do": "add", "value": "an act"})
    log.end(number)
    return number


def refuse(log: Audit, name: str, at: int = 100) -> None:
    log.refuse({"from": 1000, "at": at, "why": "it is protected", "do": "add", "value": name})


def shown(log: Audit, limit: int = 100) -> list[object]:
    return [one["number"] or one["value"] for one in log.shown(limit)]


def test_refusals_leave_every_act_in_memory(log: Audit) -> None:
    """Also at a start, which reads the whole file."""
    acts = [act(log) for _number in range(3)]
    for number in range(12):
        refuse(log, f"r{number}")
    assert [one["number"] for one in log.done()] == acts[::-1]
    acts.append(act(log))
    again = Audit(log.path)
    for one in (log, again):
        assert [act["number"] for act in one.done()] == acts[::-1]
        assert shown(one) == [4, "r11", "r10", "r9", "r8", 3, 2, 1]
    again.close()


def test_acts_and_refusals_are_bounded(log: Audit) -> None:
    for number in range(12):
        act(log)
        refuse(log, f"r{number}")
    again = Audit(log.path)
    for one in (log, again):
        assert shown(one) == ["r11", 12, "r10", 11, "r9", 10, "r8", 9, 8]
        assert shown(one, 3) == ["r11", 12, "r10"]
    again.close()


def test_refusals_are_shown_where_they_were_made(log: Audit) -> None:
    """Whatever the clock was then."""
    refuse(log, "first", at=900)
    act(log, at=500)
    refuse(log, "second", at=100)
    refuse(log, "third", at=90)
    act(log, at=800)
    assert shown(log) == [2, "third", "second", 1, "first"]
