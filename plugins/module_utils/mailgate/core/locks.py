# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lock files: only one process at a time can hold each of them."""

from __future__ import annotations

import fcntl
import os
import time

_PAUSE_SECONDS = 0.05
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def acquire(path: str, seconds: float = 0.0) -> int:
    """Return a descriptor that holds the lock until it is closed or its process ends.

    The file is created when it is missing, never through a link, and a FIFO is refused. Raises
    BlockingIOError when another process still holds the lock after so many seconds, and OSError.
    """
    descriptor = os.open(path, _FLAGS, 0o600)
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
