# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SMTP sessions that are open now, by the lines of tcpserver, or of smtpfront and its launcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ..formats import session_id
from ..formats.smtpd_log import Connected

T = TypeVar("T")


class OpenSessions(Generic[T]):
    """A user's value for each open session, by its pid; at most most_sessions of them.

    left() is called with the value of a session that is no longer open, whatever the reason: its end, a new
    session with its pid, a restart of tcpserver, or too many others.
    """

    def __init__(self, most_sessions: int, left: Callable[[T], None] = lambda kept: None) -> None:
        self._most_sessions = most_sessions
        self._left = left
        self._kept: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, pid: int, kept: T) -> None:
        """Open a session; an open one with the same pid is closed, because its end was not logged."""
        self.end(pid)
        self._kept[pid] = kept
        if len(self._kept) > self._most_sessions:
            self.end(next(iter(self._kept)))

    def get(self, pid: int) -> T | None:
        """Return the value of the open session with this pid, or None."""
        return self._kept.get(pid)

    def end(self, pid: int) -> T | None:
        """Close a session; return its value, or None if it was not open."""
        kept = self._kept.pop(pid, None)
        if kept is not None:
            self._left(kept)
        return kept

    def continued(self, record: Connected) -> T | None:
        """Close the session of smtpfront that this one continues; return its value, or None."""
        number = session_id.number_of(record.id) if record.id else record.pid
        return self.end(number) if number != record.pid else None

    def count(self, sessions: int) -> None:
        """Use tcpserver's own count: at 0, close the sessions that an earlier tcpserver left open."""
        if sessions == 0:
            for pid in list(self._kept):
                self.end(pid)

    def items(self) -> Iterable[tuple[int, T]]:
        """Return the pids and values, oldest session first."""
        return self._kept.items()
