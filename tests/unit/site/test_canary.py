# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run ends at a gateway that is worse than before, or that does not prove what it scans and delivers."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import findings
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import canary

PROVEN = {"virus": 0, "spam": 0, "clean": 0}


def said(**checks: int) -> str:
    found = [{"check": name, "status": status, "text": f"text of {name}"} for name, status in checks.items()]
    return json.dumps({"findings": found, "status": 0})


def test_the_states_are_the_doctors() -> None:
    assert (canary.OK, canary.WARNING, canary.CRITICAL) == (findings.OK, findings.WARNING, findings.CRITICAL)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", said(**PROVEN)),
        (said(disk=2, virus=2), said(**PROVEN, disk=2)),  # it was so before
        (said(disk=2), said(**PROVEN, disk=0)),
        ("", said(**PROVEN, disk=1, clock=3)),
        ("", said(**{**PROVEN, "virus": 1})),  # slow, but proven
    ],
)
def test_it_goes_on(before: str, after: str) -> None:
    assert canary.faults(before, [after]) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("", said(**PROVEN, disk=2), "critical, and was not before: disk: text of disk"),
        (said(disk=1), said(**PROVEN, disk=2), "critical, and was not before: disk: text of disk"),
        (said(queue=2), said(**PROVEN, disk=2), "critical, and was not before: disk: text of disk"),
        ("", said(**{**PROVEN, "virus": 2}), "EICAR is not proven: text of virus"),
        (said(virus=2), said(**{**PROVEN, "virus": 2}), "EICAR is not proven: text of virus"),
        ("", said(**{**PROVEN, "spam": 3}), "GTUBE is not proven: text of spam"),
        ("", said(virus=0, spam=0), "a clean message is not proven: the doctor was not asked"),
    ],
)
def test_it_ends_here(before: str, after: str, fault: str) -> None:
    assert canary.faults(before, [after]) == [fault]


def test_another_critical_of_a_check_that_was_critical_before_ends_the_run() -> None:
    def services(*texts: str) -> str:
        found = [{"check": "services", "status": 2, "text": text} for text in texts]
        return json.dumps({"findings": [*found, *json.loads(said(**PROVEN))["findings"]]})

    before, after = services("freshclam is down"), services("freshclam is down", "smtptls is down")
    assert canary.faults(before, [before]) == []
    assert canary.faults(before, [after]) == ["critical, and was not before: services: smtptls is down"]
    assert canary.faults(after, [before]) == []


def test_answers_are_taken_together() -> None:
    assert canary.faults("", [said(virus=0, spam=0), said(clean=0)]) == []


@pytest.mark.parametrize(
    "text", ["", "garbage", "{}", '{"findings": 7}', '{"findings": [{}]}', "[" * 100_000]
)
def test_what_is_not_an_answer_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not its answer"):
        canary.faults("", [text])
