# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor remembers of the starts of services."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import paths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    services,
)
from support.doctor_host import NOW, context, put


@pytest.mark.parametrize("text", [None, "garbage", "[]", '{"clamd": 5}', b"\xff"])
def test_starts_that_cannot_be_read_are_none(text: str | bytes | None, tmp_path: Path) -> None:
    if text is not None:
        put(tmp_path, paths.DOCTOR_STARTS, text)
    else:
        put(tmp_path, paths.DOCTOR_STARTS).unlink()
    for start in (NOW - 30, NOW - 20, NOW - 20):
        kept = services._starts(context(tmp_path), {"clamd": start})
    assert kept == {"clamd": [NOW - 30, NOW - 20]}
