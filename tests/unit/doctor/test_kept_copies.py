# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor sees of the kept copies of refused mail."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import kept_copies
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    OK,
    WARNING,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.kept_copies import Kept
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Settings

PLACE = "/var/lib/mailgate/refused"
GOOD = Kept(PLACE, 0o700, "simscan:simscan", 5, 3 << 20, 100, 100 << 20)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, OK, "5 copies of refused mail, 3 MiB"),
        ({"mode": 0o750}, CRITICAL, f"{PLACE} is 0750 simscan:simscan: others can read refused mail"),
        ({"mode": 0o500}, WARNING, f"{PLACE} is 0500 simscan:simscan: simscan keeps no copy"),
        ({"owner": "root:root"}, WARNING, f"{PLACE} is 0700 root:root: simscan keeps no copy"),
        ({"files": 97}, OK, "97 copies"),
        ({"files": 98}, WARNING, f"{PLACE} has 98 of 100 files: spam is refused without a copy"),
        ({"bytes": 99 << 20}, WARNING, "bytes: spam is refused without a copy"),
        ({"trouble": "no such file"}, WARNING, f"{PLACE}: no such file; no copy of refused spam is kept"),
    ],
)
def test_the_directory_is_judged(change: dict[str, object], status: int, words: str) -> None:
    (found,) = kept_copies.judge(dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert found.status == status and words in found.text
    assert bool(found.advice) == (status != OK)


def host(tmp_path: Path, settings: str) -> Context:
    path = tmp_path / "var/qmail/control/simscan"
    path.parent.mkdir(parents=True)
    path.write_text(settings)
    return Context(Settings("mx.example", "postmaster@example"), 0.0, True, str(tmp_path))


def test_without_a_directory_in_the_settings_nothing_is_kept(tmp_path: Path) -> None:
    (found,) = kept_copies.copies(host(tmp_path, "reject_score 10\n"))
    assert (found.status, found.text) == (
        OK,
        "no copies of refused mail are kept (gateway_keep_refused_days)",
    )


def test_a_directory_that_is_missing_and_one_with_copies(tmp_path: Path) -> None:
    context = host(tmp_path, f"keep_directory {PLACE}\nkeep_files 1\n")
    (found,) = kept_copies.copies(context)
    assert (found.status, found.text.partition(";")[0]) == (WARNING, f"{PLACE}: no such file or directory")
    place = tmp_path / PLACE.lstrip("/")
    place.mkdir(parents=True, mode=0o700)
    (place / ("a" * 16)).write_text("x")
    (place / "notes").write_text("x")
    words = [one.text for one in kept_copies.copies(context)]
    assert f"{PLACE} has 1 of 1 files: spam is refused without a copy" in words
