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
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import restarts
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


def test_a_start_that_a_playbook_ordered_is_not_flapping(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    record = f"{paths.START_RECORDS}/clamd"
    seen = {"clamd": NOW - 20.0, "spamd": NOW - 20.0}
    assert services.unordered(context(tmp_path), seen) == seen
    restarts.note_order(f"{tmp_path}{record}", NOW - 25, NOW - 15)
    assert services.unordered(context(tmp_path), seen) == {"spamd": NOW - 20.0}
    late = {"clamd": NOW - 14.0}
    assert services.unordered(context(tmp_path), late) == late
    (tmp_path / f"{record[1:]}{restarts.ORDERED_SUFFIX}").write_text("garbage")
    assert services.unordered(context(tmp_path), seen) == seen
