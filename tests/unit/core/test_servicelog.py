# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines of services: one line at a time, and the same trouble is not repeated at once."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import servicelog


def test_a_message_is_one_ascii_line(capsys: pytest.CaptureFixture[str]) -> None:
    servicelog.say("stats", "log é\nforged: line")
    assert capsys.readouterr().err == "stats: log \\xe9\\nforged: line\n"


def test_the_same_complaint_is_said_again_only_after_its_pause() -> None:
    now, said = [0.0], []
    complaints = servicelog.Complaints(lambda: now[0], said.append)
    for seconds in (0.0, 1.0, 59.9, 60.0, 61.0):
        now[0] = seconds
        complaints.add("disk full")
    complaints.add("another")
    assert said == ["disk full", "disk full", "another"]


def test_a_clock_that_jumps_back_silences_nothing() -> None:
    now, said = [1000.0], []
    complaints = servicelog.Complaints(lambda: now[0], said.append)
    complaints.add("disk full")
    now[0] = 10.0
    complaints.add("disk full")
    assert said == ["disk full", "disk full"]


def test_the_memory_of_complaints_is_bounded() -> None:
    said: list[str] = []
    complaints = servicelog.Complaints(lambda: 0.0, said.append)
    for number in range(1000):
        complaints.add(f"trouble {number}")
    assert len(said) == 1000
    assert len(complaints._said) <= servicelog._TROUBLES_MAX + 1
