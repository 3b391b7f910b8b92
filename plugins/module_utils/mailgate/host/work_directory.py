# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate workdir: remove directories that a killed simscan has left in its work directory.

A simscan that is killed cannot remove its directory, and the file system is small. The directory's name is
SECONDS.MICROSECONDS.PID: when it was made and by which process (simscan 1.4.6.2, format_dir(); scanfile.c of
this collection).

Exit status: 0 done; 100 an argument is bad; 111 something could not be read or removed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass

PROGRAM = "simscan"
AGE_SECONDS = 60
_NAME = re.compile(r"([0-9]{1,12})\.[0-9]{1,6}\.([0-9]{1,10})")
_ROUNDING_SECONDS = 2  # between the kernel's clock since boot and the adjustable clock
_PROC = "/proc"


@dataclass(frozen=True)
class Made:
    """The parts of a directory's name: when it was made (unix seconds), and by which process."""

    seconds: int
    pid: int


@dataclass(frozen=True)
class Process:
    """A living process: the name of its program, and when it started (unix seconds)."""

    name: str
    began_seconds: float


def parse_name(name: str) -> Made | None:
    """Parse the name of a directory; return None when simscan does not make such names."""
    found = _NAME.fullmatch(name)
    return Made(int(found[1]), int(found[2])) if found else None


def abandoned(made: Made, process: Process | None, now_seconds: float, age_seconds: float) -> bool:
    """Return whether the process that made the directory is gone.

    A process of another program, or one that started after the directory was made, only reuses the number.
    """
    if now_seconds - made.seconds < age_seconds:
        return False
    if process is None or process.name != PROGRAM:
        return True
    return process.began_seconds > made.seconds + 1 + _ROUNDING_SECONDS


def parse_stat(text: str, boot_seconds: float, ticks_per_second: int) -> Process:
    """Parse the text of /proc/PID/stat; raises ValueError when it is not valid.

    proc(5): the program's name is in parentheses and may contain some itself; field 22 is when the process
    started, in ticks since the system did.
    """
    before, found, after = text.rpartition(")")
    words = after.split()
    if not found or "(" not in before or len(words) < 20:
        raise ValueError(f"process: {text[:80]!r} is not a line of /proc/PID/stat; expected 'PID (NAME) ...'")
    name = before.partition("(")[2]
    return Process(name, boot_seconds + int(words[19]) / ticks_per_second)


def boot_time(text: str) -> float:
    """Return when the system started, in unix seconds, from the text of /proc/stat; raises ValueError."""
    found = re.search(r"^btime ([0-9]+)$", text, re.MULTILINE)
    if not found:
        raise ValueError("file /proc/stat: has no line 'btime SECONDS'; expected one")
    return float(found[1])


def living(pid: int, proc: str = _PROC) -> Process | None:
    """Return the process of this number, or None; raises OSError when it lives but cannot be read."""
    try:
        with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            line = stream.read()
        with open(f"{proc}/stat", encoding="ascii", errors="replace") as stream:
            boot_seconds = boot_time(stream.read())
    except FileNotFoundError:
        # When /proc hides other users' processes, a signal still finds them.
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        return Process(PROGRAM, 0)
    except ProcessLookupError:
        return None
    return parse_stat(line, boot_seconds, os.sysconf("SC_CLK_TCK"))


def clean(
    directory: str,
    now_seconds: float,
    age_seconds: float,
    process_of: Callable[[int], Process | None] = living,
) -> tuple[list[str], list[str]]:
    """Remove abandoned directories; return (names removed, errors). Raises OSError for the work directory."""
    removed, troubles = [], []
    for name in sorted(os.listdir(directory)):
        made = parse_name(name)
        if made is None:
            continue
        path = os.path.join(directory, name)
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                continue
            if abandoned(made, process_of(made.pid), now_seconds, age_seconds):
                shutil.rmtree(path)
                removed.append(name)
        except FileNotFoundError:
            continue  # removed by its own simscan meanwhile
        except (OSError, ValueError) as error:
            troubles.append(f"directory {path}: {error}")
    return removed, troubles


EPILOG = """\
exit status:
  0, 100 bad argument, 111 something could not be read or removed

example:
  mailgate workdir clean /var/spool/simscan"""
