# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what will happen, up to a bound that finds what never does."""

from __future__ import annotations

import time
from collections.abc import Callable

SOON_SECONDS = 20.0


def eventually(holds: Callable[[], object], what: str, within_seconds: float = SOON_SECONDS) -> None:
    """Wait until it holds; fail, and say what it is, when that takes too long."""
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_seconds:g} s: {what}"
        time.sleep(0.1)
