# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway.yml changes one gateway after the other, and proves each before the next one has its turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
PLAY: dict[str, Any] = yaml.safe_load((ROOT / "playbooks/gateway.yml").read_text())[-1]


def place(role: str, tasks_from: str = "main") -> int:
    """Return the number of the task that imports an entry point of a role."""
    for number, task in enumerate(PLAY["tasks"]):
        given = task.get("ansible.builtin.import_role", {})
        if given.get("name") == f"mailgate.qmail.{role}" and given.get("tasks_from", "main") == tasks_from:
            return number
    raise AssertionError(f"gateway.yml does not import {role}, {tasks_from}")


def test_one_gateway_has_its_turn_unless_the_caller_wants_more() -> None:
    assert PLAY["serial"] == "{{ gateway_serial | default(1) }}"
    assert "else 0" in PLAY["max_fail_percentage"]


def test_the_doctor_is_asked_before_anything_and_after_everything() -> None:
    assert place("doctor", "before") == 1 < place("base")  # after the name of the first step
    flushes = [
        n for n, task in enumerate(PLAY["tasks"]) if task.get("ansible.builtin.meta") == "flush_handlers"
    ]
    last = place("doctor", "canary")
    assert last > max(*flushes, place("doctor"), place("netqmail", "listen"), place("doctor", "report"))
    # A failed export of the recipients, which the last task reports, must not hide that.
    assert place("recipients", "verdict") == last + 1 == len(PLAY["tasks"]) - 1
    when = {PLAY["tasks"][place("doctor", name)]["when"] for name in ("before", "canary")}
    assert when == {"_gateway_others"}
