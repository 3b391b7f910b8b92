# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log lines of a service, and a limit on how often the same complaint is written."""

from __future__ import annotations

import sys
from collections.abc import Callable

COMPLAIN_SECONDS = 60.0
_TROUBLES_MAX = 100


def say(program: str, text: str) -> None:
    """Write one line of ASCII to the service's log, whatever the text holds."""
    words = text.encode("ascii", "backslashreplace").decode("ascii").replace("\n", "\\n")
    sys.stderr.write(f"{program}: {words}\n")
    sys.stderr.flush()


class Complaints:
    """The complaints of a service; each is written at most once within COMPLAIN_SECONDS."""

    def __init__(self, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock, self._say = clock, say
        self._said: dict[str, float] = {}

    def add(self, text: str) -> None:
        now = self._clock()
        if not 0 <= now - self._said.get(text, float("-inf")) < COMPLAIN_SECONDS:
            if len(self._said) > _TROUBLES_MAX:
                self._said.clear()
            self._said[text] = now
            self._say(text)
