# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands `mailgate drain` and `mailgate undrain`: take this gateway out, and back."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.exits import PERMANENT, TEMPORARY
from ..core.paths import DRAINED, QMAIL_QUEUE, QMAILCTL
from ..core.text import printable
from ..core.times import duration, span, utc
from ..host import drain
from ..rules.files import read_text
from .caller import caller
from .parser import Parser

LEFT_OVER = 1
WITHIN = "10m"
FLUSH_SECONDS = 60
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
DRAIN_EPILOG = f"""\
Other hosts that connect hear 421 from now on, also those that may relay, and
use another gateway or come back. Sessions that have begun go on. Connections
of this host itself are served, so that the gateway can be tried. All queued
messages are tried at once, and then each minute.

It stays so until 'mailgate undrain', also over a restart of the services or
of the host, and the doctor says so.

reads and writes:
  {DRAINED}   the mark

exit status:
  0 nothing is left, 1 something was left when the time was over (what is in
  the queue stays there and is tried on), 100 wrong usage, 111 the mark could
  not be set, or it is set and the deliveries could not be tried

examples:
  mailgate drain --note "kernel update"
  mailgate drain --within 1h
  mailgate undrain
"""
UNDRAIN_EPILOG = """\
exit status:
  0, 111 not done

example:
  mailgate undrain && mailgate doctor
"""


def main(argv: Sequence[str]) -> int:
    """Run `mailgate drain` or `mailgate undrain`; return 0, 1, 100 or 111."""
    command, *words = argv
    given = _parser(command).parse_args(words)
    try:
        if command == "undrain":
            done = drain.bring_back(given.mark)
            _say("new sessions are taken again" if done else "was not drained; nothing is changed")
            return 0
        return _drain(given)
    except TryAgain as error:
        return _complain(command, error, TEMPORARY)
    except MailgateError as error:
        return _complain(command, error, PERMANENT)
    except OSError as error:
        return _complain(command, error, TEMPORARY)


def _parser(command: str) -> Parser:
    if command == "undrain":
        parser = Parser(
            prog="mailgate undrain",
            description="Take new sessions again on a gateway that was drained.",
            epilog=UNDRAIN_EPILOG,
        )
    else:
        parser = Parser(
            prog="mailgate drain",
            description="Take this gateway out: no new sessions, and its queue is delivered.",
            epilog=DRAIN_EPILOG,
        )
        parser.add_argument(
            "--within",
            default=WITHIN,
            metavar="TIME",
            help="how long to wait for sessions and queue, such as 30m (%(default)s)",
        )
        parser.add_argument("--no-wait", action="store_true", help="do not wait for them")
        parser.add_argument("--note", default="", metavar="TEXT", help="why, for those who look later")
        parser.add_argument("--queue", default=QMAIL_QUEUE, help=argparse.SUPPRESS)
        parser.add_argument("--flush", default=QMAILCTL, help=argparse.SUPPRESS)
    parser.add_argument("--mark", default=DRAINED, help=argparse.SUPPRESS)
    return parser


def _drain(given: argparse.Namespace) -> int:
    seconds = 0 if given.no_wait else duration(given.within, "--within")
    note = given.note
    if len(note) > drain.NOTE_MAX or not note.isprintable():
        raise BadInput(
            f"--note: {note!r:.80} is wrong; expected a line of at most {drain.NOTE_MAX} characters"
        )
    mark = drain.Mark(int(time.time()), caller(), note)
    if drain.take_out(given.mark, mark):
        _say("new sessions of other hosts hear 421 from now on, until 'mailgate undrain'")
    elif (known := drain.read(given.mark)) is not None:
        _say(f"drained already, since {utc(known.since)} by {known.by}")

    def flush() -> None:
        _run([given.flush, "flush"])

    left = drain.wait_until_empty(
        lambda: drain.left(given.queue, [read_text(path) or "" for path in TABLES]),  # "" without IPv6
        flush,
        seconds,
        time.monotonic,
        time.sleep,
        _say,
    )
    if left and not given.no_wait:
        _say(f"after {span(seconds)} there is left: {left}; what is queued stays there and is tried on")
    return LEFT_OVER if left else 0


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, timeout=FLUSH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise TryAgain(f"{argv[0]} did not end within {FLUSH_SECONDS} s") from error
    if done.returncode != 0:
        raise TryAgain(f"{argv[0]} ended with status {done.returncode}; expected it to try all deliveries")


def _say(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


def _complain(command: str, error: Exception, exit_status: int) -> int:
    sys.stderr.write(f"mailgate {command}: {printable(str(error))}\n")
    return exit_status
