# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interface of the application for its pages and windows, so that they need not import it."""

from __future__ import annotations

from typing import Protocol

from .client import Answer


class Host(Protocol):
    """The application that pages and windows belong to."""

    debounce_seconds: float  # how long to wait for more input before asking the service

    def now(self) -> float:
        """Return the time, in seconds since 1970."""

    async def ask(self, request: Answer) -> Answer:
        """Return the service's answer; raise Trouble."""
