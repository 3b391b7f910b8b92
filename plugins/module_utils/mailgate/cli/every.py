# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate every`: run a command on a schedule, under supervise."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Sequence

from ..core.errors import BadInput
from ..core.exits import PERMANENT, TEMPORARY
from ..host.scheduler import SIGNALS, Schedule, Terminated, parse_time_of_day, run_on_schedule
from .parser import Parser

EPILOG = """\
Logs to standard error. svc -a runs the command now; svc -d and svc -t end it.

exit status:
  0 after TERM, 100 wrong usage, 111 a problem of this program itself; the command's own status is in the
  state, and a state that cannot be written is tried again each retry time

example:
  mailgate every 86400 --at 01:00 --jitter 600 --state /var/lib/x/job.json -- job --nightly"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mailgate every SECONDS [options] -- COMMAND ARGUMENTS`; return the exit status."""
    parser = Parser(
        prog="mailgate every",
        description="Run a command on a schedule; intended to run under supervise.",
        epilog=EPILOG,
    )
    parser.add_argument("seconds", type=float, metavar="SECONDS", help="time from a success to the next run")
    parser.add_argument("--at", metavar="HH:MM", help="run daily at this local time instead")
    parser.add_argument(
        "--jitter",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="maximum random delay added (daily: 23 hours)",
    )
    parser.add_argument("--retry", type=float, default=900.0, metavar="SECONDS", help="wait after a failure")
    parser.add_argument("--limit", type=float, default=3600.0, metavar="SECONDS", help="longest run allowed")
    parser.add_argument("--lock", metavar="FILE", help="file to hold a lock on during a run")
    parser.add_argument("--state", metavar="FILE", help="where the times and the last status are stored")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="the command to run, after --")
    given = parser.parse_args(argv)
    for name in ("seconds", "retry", "limit"):
        if not 0 < getattr(given, name) < math.inf:
            parser.error(f"{name}: {getattr(given, name)!r} is not a time; expected seconds above 0")
    if not 0 <= given.jitter < math.inf:
        parser.error(f"jitter: {given.jitter!r} is not a time; expected seconds, 0 or more")
    try:
        at = parse_time_of_day(given.at) if given.at else None
    except BadInput as error:
        sys.stderr.write(f"mailgate every: {error}\n")
        return PERMANENT
    schedule = Schedule(given.seconds, at, given.jitter, given.retry)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        run_on_schedule(given.command, schedule, given.limit, given.lock, given.state)
    except Terminated:
        return 0
    except OSError as error:
        sys.stderr.write(f"mailgate every: {error}\n")
        return TEMPORARY
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 0
