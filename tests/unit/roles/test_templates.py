# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates that are texts with every ansible-core; tests/cores compares what two of them write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = sorted((ROOT / "roles").glob("*/templates/**/*.j2"))
SECTION = r"\[[A-Z][a-z]+\]\n"  # of a unit of systemd: no value for Python


@pytest.mark.parametrize("path", TEMPLATES, ids=[str(path.relative_to(ROOT / "roles")) for path in TEMPLATES])
def test_no_template_begins_like_a_value(path: Path) -> None:
    """An ansible-core before 2.19 evaluates such a text, and the file would get its repr."""
    text = path.read_text(encoding="utf-8")
    assert re.match(r"\{(?![{%#])|\[", text) is None or re.match(SECTION, text) is not None
