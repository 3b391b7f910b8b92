# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long phase of source_build says that it goes on."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from ansible_collections.mailgate.qmail.plugins.action import source_build


def test_a_long_phase_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_build, "ALIVE_SECONDS", 0.01)
    monkeypatch.setattr(source_build, "time", SimpleNamespace(monotonic=lambda: 100.0))
    action = source_build.ActionModule.__new__(source_build.ActionModule)
    said: list[str] = []
    twice = threading.Event()

    def say(what: str) -> None:
        said.append(what)
        if len(said) == 2:
            twice.set()

    monkeypatch.setattr(action, "_say", say)
    threads = set(threading.enumerate())
    with action._living("compiling"):
        assert twice.wait(30)
    assert said[0] == "still compiling, 0 min 00 s"
    assert set(threading.enumerate()) <= threads  # one of another test may have ended
