# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks between programs: a file that only one of them can hold at a time."""

from __future__ import annotations

import fcntl
import os
import time

_PAUSE_SECONDS = 0.05


def acquire(path: str, seconds: float = 0.0) -> int:
    """The descriptor with which the lock is held until it is closed, or its process ends.

    The file is made when it is missing, never through a link. Raises BlockingIOError when somebody else has
    held it for so many seconds, and OSError.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    end = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise
            time.sleep(_PAUSE_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
