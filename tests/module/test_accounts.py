# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts module with programs of the test: a lock that another program holds is waited for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import busy
from support.module_runner import run_module

GROUPADD = """#!/bin/sh
echo "$*" >>{calls}
[ "$(wc -l <{calls})" -gt {failures} ] && exit 0
echo "{text}" >&2
exit 10
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(busy, "PAUSE_SECONDS", 0.1)
    for name in ("bin", "etc"):
        (tmp_path / name).mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("")
    return tmp_path


def make(world: Path, text: str, failures: int, **more: Any) -> dict[str, Any]:
    (world / "calls").write_text("")
    program = world / "bin/groupadd"
    program.write_text(GROUPADD.format(calls=world / "calls", failures=failures, text=text))
    program.chmod(0o755)
    return run_module(
        "accounts",
        {"groups": ["stats"], "prefix": str(world), **more},
        environment={"PATH": f"{world / 'bin'}:{os.environ['PATH']}"},
    )


@pytest.mark.parametrize(
    "text",
    [
        "groupadd: cannot lock /etc/group; try again later.",
        "groupadd: existing lock file /etc/group.lock with PID 4711",
    ],
)
def test_a_lock_that_another_program_holds_is_waited_for(world: Path, text: str) -> None:
    done = make(world, text, 3)
    assert (done["failed"], done["changed"]) == (False, True)
    assert len((world / "calls").read_text().splitlines()) == 4
    (said,) = map(str, done["warnings"])
    assert "accounts: waited" in said and "lock" in said


def test_a_lock_is_not_waited_for_without_end(world: Path) -> None:
    done = make(world, "groupadd: cannot lock /etc/group; try again later.", 10_000, lock_seconds=1)
    assert done["failed"] and "cannot lock /etc/group" in done["msg"]


def test_another_failure_is_told_at_once(world: Path) -> None:
    done = make(world, "groupadd: group 'stats' already exists", 1)
    assert done["failed"] and "already exists" in done["msg"] and not done.get("warnings")
