# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages name the variables that the site file has, not those that the playbook makes of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def inner_names() -> set[str]:
    """Return the variables of roles that the playbook sets from a variable of the site file alone."""
    variables = yaml.safe_load((ROOT / "playbooks/vars/site.yml").read_text())
    return {
        name
        for name, value in variables.items()
        if not name.startswith(("_", "ansible_")) and re.search(r"\b_?gateway_", str(value))
    }


def test_no_message_names_a_variable_that_only_the_playbook_sets() -> None:
    names = inner_names()
    assert {"doctor_public_addresses", "recipients_domains"} <= names
    found = []
    for path in sorted((ROOT / "plugins/module_utils").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = set(re.findall(r"[a-z_]+", node.value)) & names
                found += [f"{path.name} line {node.lineno}: {word}" for word in sorted(words)]
    assert found == []
