# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate every: run a command on a schedule, under supervise, and record its last success.

Signals: ALRM (svc -a) runs the command now; TERM (svc -d, svc -t) ends it and then this program. Exit status:
0 after TERM; 100 wrong usage. The command's own exit status is logged and stored in the state, never
returned. A state that cannot be read counts as none, and one that cannot be written is kept in memory and
tried again, so the schedule holds all the same. A program of our own: neither cron nor a systemd timer obeys
svc, or records the last success, which the doctor reads.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from ..core.errors import BadInput
from ..core.exits import TEMPORARY
from ..core.files import atomic_write, read_regular

# The wall clock may be set, so it is read again at least this often.
LOOK_SECONDS = 60.0
# How long a command may take to end after SIGTERM before it is killed.
GRACE_SECONDS = 10.0
CLOCK_TOLERANCE_SECONDS = 300.0
_STATE_BYTES = 1 << 20
_JITTER_MAX_SECONDS = 23 * 3600.0  # of a daily run, which the next one must not overtake
SIGNALS = (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True)
class Schedule:
    """The times when a command is due: every interval after its last success, or daily at a local time."""

    interval_seconds: float
    at: tuple[int, int] | None = None  # hour, minute
    jitter_seconds: float = 0.0
    retry_seconds: float = 900.0


@dataclass(frozen=True)
class State:
    """The recorded runs of the command; times in unix seconds, None for never."""

    command: tuple[str, ...] = ()
    started: float | None = None
    finished: float | None = None
    status: int | None = None
    last_success: float | None = None


def next_start(schedule: Schedule, state: State, now: float, spread: float) -> float:
    """Return when the command is due, in unix seconds; a time that is not later than now means at once.

    spread, 0 to 1, is the part of the jitter that is added. A command that never succeeded and was not tried
    yet is due at once; so is one whose time passed while this program did not run. After a failure it is
    tried again after retry_seconds, or earlier when its schedule says so. Times in the future, from a clock
    that was set back, count as never.
    """

    def past(moment: float | None) -> float | None:
        return moment if moment is not None and moment <= now + CLOCK_TOLERANCE_SECONDS else None

    success, finished = past(state.last_success), past(state.finished)
    jitter = (
        min(schedule.jitter_seconds, _JITTER_MAX_SECONDS if schedule.at else schedule.jitter_seconds) * spread
    )
    if success is None:
        due = now
    elif schedule.at is None:
        due = success + schedule.interval_seconds + jitter
    else:
        latest, following = _daily(schedule.at, now)
        due = max(now, latest + jitter) if success < latest else following + jitter
    if finished is not None and (success is None or finished > success):
        due = max(due, finished + min(schedule.retry_seconds, schedule.interval_seconds))
    return due


def _daily(at: tuple[int, int], now: float) -> tuple[float, float]:
    """Return the last time that this local time of day passed, and the next one.

    Each day has one: the first where clocks are set back and it comes twice, and as much later as clocks are
    set ahead where it is left out.
    """
    day = datetime.fromtimestamp(now).replace(hour=at[0], minute=at[1], second=0, microsecond=0, fold=0)
    times = [(day + timedelta(days=days)).timestamp() for days in (-2, -1, 0, 1, 2)]
    return max(one for one in times if one <= now), min(one for one in times if one > now)


def parse_time_of_day(text: str) -> tuple[int, int]:
    """Parse 'HH:MM' to hour and minute; raises BadInput."""
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text)
    if not found:
        raise BadInput(f"time of day: {text!r} is not a time of day; expected HH:MM, 00:00 to 23:59")
    return int(found.group(1)), int(found.group(2))


def parse_state(text: str) -> State:
    """Parse a state file; a damaged one counts as empty, since one run too many does no harm."""
    try:
        kept = json.loads(text)
        times = {name: kept.get(name) for name in ("started", "finished", "last_success")}
        if not all(value is None or isinstance(value, (int, float)) for value in times.values()):
            return State()
        status = kept.get("status")
        return State(tuple(kept.get("command", ())), status=status, **times)
    except (ValueError, TypeError, AttributeError):
        return State()


class Terminated(Exception):
    """SIGTERM was received."""


def _read_state(path: str | None) -> State:
    if path is None:
        return State()
    try:
        return parse_state(read_regular(path, _STATE_BYTES).decode("utf-8", "replace"))
    except FileNotFoundError:
        return State()
    except OSError as error:
        _say(f"state {path}: {error.strerror or error}; it counts as none")
    except BadInput as error:
        _say(f"{error}; it counts as none")
    return State()


def _keep_state(path: str | None, state: State) -> bool:
    """Write the state; return whether that worked."""
    if path is None:
        return True
    try:
        with atomic_write(path, 0o644) as new:
            new.write((json.dumps(asdict(state)) + "\n").encode())
    except OSError as error:
        _say(f"state {path}: {error.strerror or error}; cannot write it, trying again")
        return False
    return True


def _wait(signals: Sequence[signal.Signals], seconds: float) -> int | None:
    """Return the signal that came within so many seconds, or None."""
    came = signal.sigtimedwait(signals, max(0.0, seconds))
    return came.si_signo if came else None


def run_once(command: Sequence[str], limit_seconds: float, lock: str | None) -> int:
    """Run a command in a process group of its own; return its exit status in the form of a shell.

    A command that takes longer than limit_seconds is ended. Raises Terminated on SIGTERM, after the command
    was ended. The signals in SIGNALS must be blocked.
    """
    with contextlib.ExitStack() as held:
        if lock is not None:
            try:
                handle = held.enter_context(open(lock, "ab"))
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say(f"{lock}: another run holds it")
                return TEMPORARY
            except OSError as error:
                _say(f"{lock}: {error.strerror or error}; cannot hold it")
                return TEMPORARY
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS) and None,
            )
        except OSError as error:
            _say(f"{command[0]!r} cannot be run: {error.strerror or error}")
            return 127
        deadline = time.monotonic() + limit_seconds
        while process.poll() is None:
            came = _wait(SIGNALS, min(LOOK_SECONDS, deadline - time.monotonic()))
            if came in (signal.SIGTERM, signal.SIGINT):
                _end(process)
                raise Terminated
            if time.monotonic() >= deadline and process.poll() is None:
                _say(f"{command[0]!r} did not end within {limit_seconds:g} s and is ended")
                _end(process)
                return 124
        return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            _wait((signal.SIGCHLD,), min(0.2, deadline - time.monotonic()))
        if process.returncode is not None:
            return


def _say(text: str) -> None:
    sys.stdout.write(f"every: {text}\n")
    sys.stdout.flush()


def run_on_schedule(
    command: Sequence[str], schedule: Schedule, limit_seconds: float, lock: str | None, path: str | None
) -> None:
    state = _read_state(path)
    spread = random.random()
    kept, tried = True, 0.0
    while True:
        now = time.time()
        due = next_start(schedule, state, now, spread)
        if due > now:
            pause = min(LOOK_SECONDS, due - now)
            if not kept:
                pause = min(pause, schedule.retry_seconds)
            came = _wait((signal.SIGALRM, signal.SIGTERM, signal.SIGINT), pause)
            if came in (signal.SIGTERM, signal.SIGINT):
                raise Terminated
            if came is None:
                if not kept and time.monotonic() - tried >= schedule.retry_seconds:
                    kept, tried = _keep_state(path, state), time.monotonic()
                continue
        started = time.time()
        status = run_once(command, limit_seconds, lock)
        finished = time.time()
        success = finished if status == 0 else state.last_success
        state = State(tuple(command), started, finished, status, success)
        kept, tried = _keep_state(path, state), time.monotonic()
        spread = random.random()
        wait = max(0.0, next_start(schedule, state, finished, spread) - finished)
        _say(f"{command[0]!r} ended with {status} after {finished - started:.1f} s; next in {wait:.0f} s")
