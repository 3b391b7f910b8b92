# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is not enabled is ended, unless this run has seen that it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text is a template

    def trust_as_template(text: str) -> str:
        return text


ROOT = Path(__file__).resolve().parents[3]
SERVICES = {
    "dcc": "dccifd",
    "fleet": "fleet",
    "mta_sts": "mta-sts",
    "smtp_tls": "smtptls",
    "unbound": "unbound",
}
# What a cache of facts has kept of an earlier run.
EARLIER = {"ansible_facts": {"mailgate_services": []}}


@pytest.mark.parametrize("role", SERVICES)
@pytest.mark.parametrize(
    ("registered", "ends"),
    [
        ({}, True),
        ({"base_preflight": {"skipped": True}}, True),
        ({"base_preflight": {"services": ["clamd"]}}, False),
        ({"base_preflight": {"services": ["clamd", "SERVICE"]}}, True),
    ],
)
def test_only_what_this_run_has_not_seen_is_left(role: str, registered: dict[str, Any], ends: bool) -> None:
    values = yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text(encoding="utf-8"))
    known = yaml.safe_load(yaml.safe_dump(registered).replace("SERVICE", SERVICES[role]))
    templar = Templar(loader=DataLoader(), variables={**EARLIER, **known})
    assert templar.template(trust_as_template(values[f"{role}_is_there"])) is ends


@pytest.mark.parametrize("role", SERVICES)
def test_a_role_that_is_used_alone_ends_it(role: str) -> None:
    place = ROOT / "roles" / role
    defaults = yaml.safe_load((place / "defaults/main.yml").read_text(encoding="utf-8"))
    assert defaults[f"{role}_is_there"] is True
    tasks = yaml.safe_load((place / "tasks/main.yml").read_text(encoding="utf-8"))
    (end,) = [task for task in tasks if f"{role}_is_there" in str(task)]
    assert f"{role}_is_there | bool" in end["when"] and len(end["when"]) == 2
