# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a gateway out: new sessions hear 421, those that have begun end, and the queue is delivered.

The front looks for the mark at each connection (src/common/drained.h), so nothing is restarted. The
mark outlives a restart of the services and of the host: who was taken out comes back by an order alone.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from ..core.errors import BadInput
from ..core.files import atomic_write, read_regular
from ..formats.qmail_queue import unfinished

SMTP_PORT = 25
BYTES_MAX = 65_536
NOTE_MAX = 200
POLL_SECONDS = 1.0
FLUSH_SECONDS = 60.0  # between two tries of all deliveries
_OPEN = ("01", "08")  # established; CLOSE_WAIT: the client is gone, and its message may be scanned still


@dataclass(frozen=True)
class Mark:
    """Since when, by whom and why a gateway is drained."""

    since: int
    by: str
    note: str = ""


@dataclass(frozen=True)
class Left:
    """What a drained gateway still has: sessions of other hosts, and messages in its queue."""

    sessions: int
    messages: int

    def __bool__(self) -> bool:
        return bool(self.sessions or self.messages)

    def __str__(self) -> str:
        return f"{_count(self.sessions, 'session')}, {_count(self.messages, 'message')} in the queue"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def read(path: str) -> Mark | None:
    """Return the mark, or None without one; one that cannot be parsed counts, too. Raises OSError."""
    try:
        data = read_regular(path, BYTES_MAX)
        values = json.loads(data)
        return Mark(int(values["since"]), str(values["by"]), str(values["note"]))
    except FileNotFoundError:
        return None
    except (BadInput, ValueError, KeyError, TypeError, RecursionError):
        return Mark(int(os.lstat(path).st_mtime), "unknown")


def take_out(path: str, mark: Mark) -> bool:
    """Set the mark; return False when the gateway is drained already, and stays so as it was."""
    if os.path.lexists(path):
        return False
    with atomic_write(path, 0o644) as stream:
        stream.write(json.dumps(asdict(mark)).encode("ascii") + b"\n")
    return True


def bring_back(path: str) -> bool:
    """Remove the mark; return whether there was one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        return True
    return False


def sessions(tables: Iterable[str]) -> int:
    """Return how many connections other hosts have to port 25, by the texts of /proc/net/tcp and tcp6."""
    found = 0
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] in _OPEN:
                address, _colon, port = fields[1].partition(":")
                found += int(port, 16) == SMTP_PORT and fields[2].partition(":")[0] != address
    return found


def left(queue: str, tables: Iterable[str]) -> Left:
    """Return what the gateway still has; a message that came while its queue was read may be missing."""
    begun = sessions(tables)
    return Left(begun, sum(1 for _one in unfinished(queue)))


def wait_until_empty(
    look: Callable[[], Left],
    flush: Callable[[], None],
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None] = lambda text: None,
) -> Left:
    """Wait until nothing is left, or for so long; return what is left.

    All deliveries are tried at once, when the last session has ended, and then each minute.
    """
    end = clock() + seconds
    flushed, busy, told = float("-inf"), True, ""
    while True:
        found = look()
        if str(found) != told:
            told = str(found)
            say(told)
        ended = busy and not found.sessions
        busy = found.sessions > 0
        if found.messages and (ended or clock() - flushed >= FLUSH_SECONDS):
            flush()
            flushed = clock()
        if not found or clock() >= end:
            return found
        sleep(min(POLL_SECONDS, max(0.0, end - clock())))
