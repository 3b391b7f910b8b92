# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SMTP sessions that are open now, as tcpserver's lines tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class OpenSessions(Generic[T]):
    """What its user keeps of each open session, by the pid that serves it; most_sessions of them at most.

    left() is called with what was kept of a session that is no longer open, however that came: its end, a new
    session with its pid, a tcpserver that began anew, or too many others.
    """

    def __init__(self, most_sessions: int, left: Callable[[T], None] = lambda kept: None) -> None:
        self._most_sessions = most_sessions
        self._left = left
        self._kept: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, pid: int, kept: T) -> None:
        """Open a session; one with the same pid is over, for its end was never told."""
        self.end(pid)
        self._kept[pid] = kept
        if len(self._kept) > self._most_sessions:
            self.end(next(iter(self._kept)))

    def get(self, pid: int) -> T | None:
        """Return what is kept of the open session with this pid."""
        return self._kept.get(pid)

    def end(self, pid: int) -> T | None:
        """Close a session, and return what was kept of it, or None if none was open."""
        kept = self._kept.pop(pid, None)
        if kept is not None:
            self._left(kept)
        return kept

    def count(self, sessions: int) -> None:
        """Take tcpserver's own count: with none open, what an earlier tcpserver left open never ends."""
        if sessions == 0:
            for pid in list(self._kept):
                self.end(pid)

    def items(self) -> Iterable[tuple[int, T]]:
        """Return the pids and what is kept, the oldest session first."""
        return self._kept.items()
