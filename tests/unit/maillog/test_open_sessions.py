# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sessions are open: by their lines, by tcpserver's own count, and never too many."""

from __future__ import annotations

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog.open_sessions import (
    OpenSessions,
)


def test_a_session_is_open_until_its_end() -> None:
    left: list[str] = []
    sessions = OpenSessions(10, left.append)
    sessions.begin(7, "a")
    assert sessions.get(7) == "a"
    assert sessions.end(7) == "a"
    assert sessions.end(7) is None
    assert left == ["a"]


def test_a_pid_that_comes_again_is_a_new_session() -> None:
    left: list[str] = []
    sessions = OpenSessions(10, left.append)
    sessions.begin(7, "a")
    sessions.begin(7, "b")
    assert (left, list(sessions.items())) == (["a"], [(7, "b")])


def test_a_tcpserver_with_nobody_leaves_no_session_open() -> None:
    left: list[str] = []
    sessions = OpenSessions(10, left.append)
    for pid in range(3):
        sessions.begin(pid, str(pid))
    sessions.count(1)
    assert len(sessions) == 3
    sessions.count(0)
    assert (len(sessions), left) == (0, ["0", "1", "2"])


def test_the_oldest_goes_when_there_are_too_many() -> None:
    left: list[str] = []
    sessions = OpenSessions(2, left.append)
    for pid in range(4):
        sessions.begin(pid, str(pid))
    assert (left, [pid for pid, _kept in sessions.items()]) == (["0", "1"], [2, 3])
