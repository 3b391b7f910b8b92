# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cqgreylist role: a sender that comes back has time to pass, or the playbook stops."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from support.role_cases import run_cases

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text is a template

    def trust_as_template(text: str) -> str:
        return text


ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "cqgreylist"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: mailgate.qmail.cqgreylist, tasks_from: limits}
"""
CASES = [
    ({}, ""),
    ({"cqgreylist_delay_seconds": 0}, ""),
    ({"cqgreylist_delay_seconds": 86400}, ""),
    ({"cqgreylist_delay_seconds": 57600, "cqgreylist_pending_days": 1}, ""),
    (
        {"cqgreylist_delay_seconds": 57601, "cqgreylist_pending_days": 1},
        "cqgreylist_delay_seconds: 57601 leaves a new sender 28799 seconds to pass before"
        " cqgreylist_pending_days, 86400 seconds, are over and it begins again; expected at least 28800,"
        " for queues are run every few hours: a delay of at most 57600 seconds, or more days",
    ),
    ({"cqgreylist_delay_seconds": 86399, "cqgreylist_pending_days": 1}, "leaves a new sender 1 seconds"),
    ({"cqgreylist_delay_seconds": 86400, "cqgreylist_pending_days": 1}, "leaves a new sender 0 seconds"),
    (
        {"cqgreylist_delay_seconds": 86401},
        "cqgreylist_delay_seconds: 86401 is out of bounds; expected 0 to 86400",
    ),
    ({"cqgreylist_delay_seconds": -1}, "cqgreylist_delay_seconds: -1 is out of bounds; expected 0 to 86400"),
    ({"cqgreylist_pending_days": 0}, "cqgreylist_pending_days: 0 is out of bounds; expected 1 to 365"),
    (
        {"cqgreylist_pass_days": 1},
        "cqgreylist_pass_days: 1 is out of bounds; expected cqgreylist_pending_days, which is 2, to 3650",
    ),
]


@pytest.mark.slow
def test_who_comes_back_has_time_to_pass(tmp_path: Path) -> None:
    run_cases(tmp_path, PLAY, CASES)


def test_the_program_wants_the_same_margin() -> None:
    wanted = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))[
        "_cqgreylist_left_seconds"
    ]
    source = (ROOT / "src" / "cqgreylist" / "cqgreylist.c").read_text(encoding="utf-8")
    found = re.search(r"^#define LEFT_SECONDS ([0-9]+)L", source, re.MULTILINE)
    assert found and int(found[1]) == wanted


@pytest.mark.parametrize(
    ("preflight", "seen"),
    [
        ({"base_preflight": {"seen": {"play": "Restore"}}}, "before"),
        ({"base_preflight": {"seen": {"play": "Install"}}}, "now"),  # another play of the same run
        ({"base_preflight": {"skipped": True}}, "now"),
        ({}, "now"),
    ],
)
def test_the_owner_is_the_one_of_this_play(preflight: dict[str, object], seen: str) -> None:
    """A restore brings the directory with the owner that it had elsewhere."""
    values = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    values |= yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text(encoding="utf-8"))
    names = ("cqgreylist_looked", "_cqgreylist_is_seen", "_cqgreylist_seen")
    known = {
        "ansible_play_name": "Restore",
        "cqgreylist_directory": {"stat": {"pw_name": "before"}},
        "cqgreylist_remembered": {"stat": {"pw_name": "now"}},
        **{name: trust_as_template(values[name]) for name in names if name in values},
        **preflight,
    }
    templar = Templar(loader=DataLoader(), variables=known)
    assert templar.template(trust_as_template("{{ _cqgreylist_seen.pw_name }}")) == seen
