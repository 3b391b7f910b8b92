# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process holds the lock at a time, and the file is never created through a link."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import locks


def test_another_does_not_get_it_until_it_is_given_back(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    held = locks.acquire(path)
    with pytest.raises(BlockingIOError):
        locks.acquire(path)
    threading.Timer(0.3, os.close, [held]).start()
    begin = time.monotonic()
    os.close(locks.acquire(path, 20))
    assert time.monotonic() - begin > 0.2


def test_a_failure_leaves_nothing_open(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    held = locks.acquire(path)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(BlockingIOError):
        locks.acquire(path)
    assert os.listdir("/proc/self/fd") == before
    os.close(held)


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        locks.acquire(str(tmp_path / "lock"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_program_that_is_started_does_not_hold_it(tmp_path: Path) -> None:
    held = locks.acquire(str(tmp_path / "lock"))
    assert not os.get_inheritable(held)
    assert os.fstat(held).st_mode & 0o777 == 0o600
    os.close(held)
