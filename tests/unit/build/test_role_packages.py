# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that roles install, read from their tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import role_packages

ROOT = Path(__file__).resolve().parents[3]
TASKS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("clamav", "main"): [
        {"ansible.builtin.import_tasks": "source.yml", "when": "method == 'source'"},
        {"ansible.builtin.import_tasks": "package.yml", "when": "method == 'package'"},
        {"ansible.builtin.debug": {"msg": "x"}, "when": "what only a run knows"},
    ],
    ("clamav", "source"): [{"mailgate.qmail.source_build": {"recipe": "{{ _clamav_recipe }}"}}],
    ("clamav", "package"): [
        {"block": [{"mailgate.qmail.deb_packages": {"name": "{{ _clamav_packages }}"}}], "always": []},
    ],
}


def test_conditions_choose_and_those_of_other_tasks_are_not_asked() -> None:
    asked = []

    def holds(when: Any) -> bool:
        asked.append(when)
        return when in ([], "method == 'package'")

    found = role_packages.packages("clamav", "main", lambda role, file: TASKS[role, file], holds)
    assert list(found) == ["{{ _clamav_packages }}"]
    assert "what only a run knows" not in asked


def test_every_role_of_the_playbook_can_be_read() -> None:
    def load(role: str, file: str) -> Any:
        return yaml.safe_load((ROOT / "roles" / role / "tasks" / f"{file}.yml").read_text()) or []

    plays = yaml.safe_load((ROOT / "playbooks/gateway.yml").read_text())
    roots = [one for play in plays for one in role_packages.roles_of(play)]
    assert ("netqmail", "send", []) in roots and len(roots) > 20
    found = [
        one for role, file, _ in roots for one in role_packages.packages(role, file, load, lambda _: True)
    ]
    assert ["python3-dnspython"] in found and "{{ _clamav_recipe }}" in found


def test_a_bundle_knows_every_role_of_the_gateway() -> None:
    """Their variables say what there is to fetch."""

    def roles(playbook: str) -> set[str]:
        text = (ROOT / "playbooks" / playbook).read_text()
        return {
            line.split("mailgate.qmail.")[1].split(",")[0]
            for line in text.splitlines()
            if " mailgate.qmail." in line and "name:" in line
        }

    assert roles("gateway.yml") <= roles("sources.yml")
