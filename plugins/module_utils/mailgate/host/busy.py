# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that are run again while another program holds a lock that they need."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_SECONDS = 2.0
# The environment in which programs say what is below: gettext follows LANGUAGE in C.UTF-8, too.
ENGLISH = {"LC_ALL": "C.UTF-8", "LANGUAGE": "C"}

# apt waits for some of its locks by itself when it is told to, and for those of the lists and archives never.
# The last one is debconf's, at which the script of a package fails.
APT_LOCKED = re.compile(
    r"(?:Could not get lock|Unable to acquire the dpkg|Unable to lock|dpkg (?:frontend|database) lock"
    r"|[^\n]*is locked by another process)[^\n]*"
)
ACCOUNTS_LOCKED = re.compile(r"cannot lock [^\n]*|[^\n]*existing lock file [^\n]*")


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit status, and what it waited for, "" for nothing."""

    status: int
    out: str
    err: str
    held: str = ""
    waited_seconds: float = 0.0

    def warning(self, what: str) -> str:
        """Return a line about the wait, for a person."""
        return f"{what}: waited {self.waited_seconds:.0f} s for another program: {self.held}"


def run_when_free(run: Callable[[], tuple[int, str, str]], locked: re.Pattern[str], seconds: float) -> Done:
    """Run a command, again while it fails because of a lock, until the seconds are over."""
    begin, held = time.monotonic(), ""
    while True:
        status, out, err = run()
        found = locked.search(err + out) if status != 0 else None
        left = seconds - (time.monotonic() - begin)
        if found is None or left <= 0:
            return Done(status, out, err, held, time.monotonic() - begin)
        held = found[0].strip()
        time.sleep(min(PAUSE_SECONDS, left))
