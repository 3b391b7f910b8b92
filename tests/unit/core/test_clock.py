# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a clock that was set is trusted again."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.clock import ClockTrust

YEARS = 10 * 365 * 86_400.0
HOUR = 3600.0


class Clocks:
    """A wall clock and the time since boot; restart() is a new process, after a boot if it is said."""

    def __init__(self) -> None:
        self.wall, self.boot = 1_795_000_000.0, 5000.0
        self.trust = self.made(None)

    def made(self, saved: object) -> ClockTrust:
        return ClockTrust(lambda: self.wall, lambda: self.boot, saved)

    def passes(self, seconds: float, step: float = 600.0) -> bool:
        """Let time pass, looked at now and then; return whether the clock is trusted at the end."""
        trusted = self.trust.trusted()
        while seconds > 0:
            self.wall += min(step, seconds)
            self.boot += min(step, seconds)
            seconds -= step
            trusted = self.trust.trusted()
        return trusted

    def restart(self, boot: bool = False, down: float = 0.0) -> None:
        saved = json.loads(json.dumps(self.trust.to_json()))
        self.wall += down
        self.boot = 10.0 if boot else self.boot + down
        self.trust = self.made(saved)


def test_a_steady_clock_is_trusted() -> None:
    clocks = Clocks()
    assert clocks.passes(0) and clocks.passes(3 * 86_400)
    clocks.wall += 600  # as a time server sets it
    assert clocks.passes(HOUR)


@pytest.mark.parametrize("jump", [2 * HOUR, 86_400.0, YEARS, -2 * HOUR, -86_400.0, -YEARS])
@pytest.mark.parametrize("wrong", [60.0, 20 * HOUR])
@pytest.mark.parametrize("restart", ["", "process", "boot"])
def test_a_jump_and_back(jump: float, wrong: float, restart: str) -> None:
    clocks = Clocks()
    clocks.passes(HOUR)
    clocks.wall += jump
    assert not clocks.passes(wrong)
    if restart:
        clocks.restart(boot=restart == "boot", down=30.0)
        assert not clocks.passes(60)
    clocks.wall -= jump
    if not restart:
        assert clocks.passes(60)
    assert clocks.passes(25 * HOUR)


@pytest.mark.parametrize("jump", [YEARS, -YEARS])
def test_a_jump_that_lasts_is_the_time(jump: float) -> None:
    clocks = Clocks()
    clocks.wall += jump
    assert not clocks.passes(23 * HOUR)
    assert clocks.passes(2 * HOUR)
    clocks.wall += jump
    assert not clocks.passes(23 * HOUR)
    clocks.wall += jump
    assert not clocks.passes(23 * HOUR)  # a day from the last jump on
    assert clocks.passes(2 * HOUR)


@pytest.mark.parametrize("restart", [False, True])
def test_a_boot_with_a_clock_that_lost_the_time(restart: bool) -> None:
    """It begins in 1970, is set by a time server, and each of them is doubted."""
    clocks = Clocks()
    clocks.passes(HOUR)
    right = clocks.wall
    clocks.wall = 0.0
    clocks.restart(boot=True)
    assert not clocks.passes(60)
    if restart:
        clocks.restart()
        assert not clocks.passes(60)
    clocks.wall = right + 300
    assert not clocks.passes(23 * HOUR)
    assert clocks.passes(2 * HOUR)


@pytest.mark.parametrize("jump", [YEARS, -YEARS])
def test_another_jump_at_a_restart_is_doubted_for_a_day_of_its_own(jump: float) -> None:
    clocks = Clocks()
    clocks.wall += YEARS
    assert not clocks.passes(23 * HOUR)
    clocks.wall += jump
    clocks.restart(boot=True)
    assert not clocks.passes(23 * HOUR)
    assert clocks.passes(2 * HOUR)


@pytest.mark.parametrize(
    ("down", "trusted"), [(30.0, True), (6 * 86_400.0, True), (8 * 86_400.0, False), (YEARS, False)]
)
@pytest.mark.parametrize("boot", [False, True])
def test_a_service_that_did_not_run_for_long_cannot_tell(down: float, trusted: bool, boot: bool) -> None:
    clocks = Clocks()
    clocks.passes(HOUR)
    clocks.restart(boot=boot, down=down)
    assert clocks.passes(60) is trusted
    assert clocks.passes(25 * HOUR)


@pytest.mark.parametrize(
    "saved", [None, {}, [], "x", {"seen": "x"}, {"doubted": []}, {"seen": None, "doubted": None}]
)
def test_without_a_good_record_the_clock_is_trusted(saved: object) -> None:
    assert Clocks().made(saved).trusted()
