# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor remembers of the starts of services."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import paths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    services,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise
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


@pytest.mark.parametrize(("ordered", "words"), [(False, "clamd is flapping"), (True, "clamd started")])
def test_a_restart_between_two_looks_is_flapping_unless_it_was_ordered(
    ordered: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "proc").mkdir()
    now = time.time()
    pids = iter((7, 8))

    def look(place: str) -> supervise.Service:
        since = int(now * 10**9)
        return supervise.Service(True, supervise.Status(since, next(pids), False, "up"))

    monkeypatch.setattr(services.supervise, "look", look)
    monkeypatch.setattr(services.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(services, "_owed", lambda _context, _name: ("", ""))
    if ordered:
        restarts.note_order(f"{tmp_path}{paths.START_RECORDS}/clamd", now - 1, now + 1)
    found = services.services(context(tmp_path, services=("clamd",)))
    assert found[0].text.startswith(words)
