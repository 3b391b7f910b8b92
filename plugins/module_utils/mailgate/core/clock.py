# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the wall clock can be trusted enough to delete what has ended by it.

A wall clock can be set; the time since boot cannot. A clock that jumped against that, ahead or back, is
doubted until it is as before, or until it has kept the new time for a day: then the time before was the wrong
one. At a start it is compared with the time that was seen last, as a clock may have lost the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

TOLERANCE_SECONDS = 3600.0  # what is ended earlier by so much does no harm
STEADY_SECONDS = 86_400.0
ABSENT_SECONDS = 7 * 86_400.0  # a service that was not running for longer cannot tell


def since_boot() -> float:
    """Return the seconds since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockTrust:
    """The clock as it was seen so far; saved is an earlier to_json(), if there is one."""

    def __init__(
        self, wall: Callable[[], float], steady: Callable[[], float] = since_boot, saved: object = None
    ) -> None:
        self._wall, self._steady = wall, steady
        now, since = wall(), steady()
        self._offset: float | None = now - since  # of the time that is trusted; None: not known
        self._doubted: tuple[float, float] | None = None  # since when, and the offset that is doubted
        self._seen = now
        if not isinstance(saved, Mapping):
            return
        seen, doubted = saved.get("seen"), saved.get("doubted")
        if isinstance(seen, (int, float)) and not -TOLERANCE_SECONDS <= now - seen <= ABSENT_SECONDS:
            self._offset, self._doubted = None, (since, now - since)
        elif isinstance(doubted, (int, float)):
            self._offset, self._doubted = None, (since - max(0.0, float(doubted)), now - since)

    def trusted(self) -> bool:
        """Look at both clocks, and return whether the wall clock is trusted now."""
        now, since = self._wall(), self._steady()
        offset = now - since
        self._seen = now
        if self._doubted is None:
            if self._offset is None or abs(offset - self._offset) <= TOLERANCE_SECONDS:
                self._offset = offset
            else:
                self._doubted = (since, offset)
        else:
            begun, doubted = self._doubted
            back = self._offset is not None and abs(offset - self._offset) <= TOLERANCE_SECONDS
            if back or (abs(offset - doubted) <= TOLERANCE_SECONDS and since - begun >= STEADY_SECONDS):
                self._offset, self._doubted = offset, None
            elif abs(offset - doubted) > TOLERANCE_SECONDS:
                self._doubted = (since, offset)
        return self._doubted is None

    def to_json(self) -> dict[str, float | None]:
        """Return what a later run of the service must know."""
        doubted = None if self._doubted is None else self._steady() - self._doubted[0]
        return {"seen": self._seen, "doubted": doubted}
