# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions are expressions, not templates: ansible-core 2.19 warns of '{{' in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CONDITIONS = ("when", "that", "failed_when", "changed_when", "until", "break_when")
FILES = sorted(
    path
    for top in ("roles", "playbooks", "molecule")
    for path in (ROOT / top).rglob("*.yml")
    if not {"defaults", "vars", "meta"} & set(path.parts)
)


def conditions(value: Any) -> Iterator[str]:
    """Yield the text of each condition below a value."""
    if isinstance(value, dict):
        for name, below in value.items():
            if name in CONDITIONS:
                yield from (str(one) for one in (below if isinstance(below, list) else [below]))
            else:
                yield from conditions(below)
    elif isinstance(value, list):
        for one in value:
            yield from conditions(one)


class Loader(yaml.SafeLoader):
    """Reads the tags of Ansible as plain values."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_no_condition_is_a_template(path: Path) -> None:
    for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader):
        assert [text for text in conditions(document) if "{{" in text or "{%" in text] == []
