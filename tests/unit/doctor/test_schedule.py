# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor says of the state files of scheduled jobs."""

# ruff: noqa: E501 - findings stand in one line, as they are told

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    schedule,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Job
from support.doctor_host import NOW, context, put, told

STATE = {"command": ["x"], "started": 1, "finished": NOW - 5, "status": 0, "last_success": NOW - 5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(STATE), (0, "a succeeded in time")),
        (json.dumps({**STATE, "last_success": NOW - 121}), (1, "a succeeded 2 minutes ago, expected every 60 seconds")),
        (json.dumps({**STATE, "last_success": None, "status": 111}), (1, "a has never succeeded, its last run ended with status 111")),
        ("garbage", (1, "a: /a.json is damaged")),
        (b"\xff\xfe", (1, "a: /a.json is damaged")),
        ('{"last_success": "yesterday"}', (1, "a: /a.json is damaged")),
        (None, (1, "a: /a.json: has never run")),
    ],
)  # fmt: skip
def test_state_files_of_jobs(text: str | bytes | None, expected: tuple[int, str], tmp_path: Path) -> None:
    if text is not None:
        put(tmp_path, "/a.json", text)
    assert told(schedule.jobs(context(tmp_path, jobs=(Job("a", "/a.json", 60),)))) == [expected]
