# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program as its pages and windows see it, so that they need not import it."""

from __future__ import annotations

from typing import Protocol

from .client import Answer


class Host(Protocol):
    """The program that pages and windows lie in."""

    debounce_seconds: float  # how long somebody types before the service is asked

    def now(self) -> float:
        """Return the time, in seconds since 1970."""

    async def ask(self, request: Answer) -> Answer:
        """Return the service's answer; raise Trouble."""
