# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a bare host each check of the doctor says what it misses."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import doctor as doctor_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import OK
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Job
from support.doctor_host import context


def test_on_a_host_with_nothing_each_check_says_what_it_misses(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    jobs = (Job("sa-update", "/s.json", 60),)
    names = [name for name in doctor_command.CHECKS if name not in ("clock", "dns", "disk")]
    found = doctor_command.examine(
        [name for name in names if doctor_command.CHECKS[name].quick_seconds],
        context(tmp_path, services=("clamd",), jobs=jobs, tls=True),
    )
    off = ("rules", "mta-sts", "drained", "fleet")
    seen = {one.check: one for one in found}
    assert all(one.status != OK for one in found if one.check not in off), found
    assert all(one.advice for one in found if one.status != OK)
    assert seen["jobs"].text == "sa-update: /s.json: has never run"
    safety = [one.text for one in found if one.check == "safety"]
    assert any(text.startswith("/var/qmail/bin/simscan is missing") for text in safety), safety
    assert "did not" not in str(found)
    assert "the check failed" not in str(found)
