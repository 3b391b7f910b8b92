# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate workdir`: remove what killed scanners left, and kept copies whose time is over."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from ..core.errors import MailgateError
from ..core.exits import TEMPORARY
from ..host.refused_store import Limits, opened
from ..host.work_directory import AGE_SECONDS, EPILOG, PROGRAM, clean
from .parser import Parser

DAY_SECONDS = 86_400


def main(argv: Sequence[str] | None = None, now: Callable[[], float] = time.time) -> int:
    parser = Parser(
        prog="mailgate workdir",
        description="Remove what killed simscans left in their work directory.",
        epilog=EPILOG,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    cleaning = verbs.add_parser("clean", help="remove the directories whose simscan no longer runs")
    cleaning.add_argument("directory", metavar="DIRECTORY", help="the work directory")
    cleaning.add_argument(
        "--age",
        type=float,
        default=AGE_SECONDS,
        metavar="SECONDS",
        help=f"keep directories that are younger (default: {AGE_SECONDS})",
    )
    cleaning.add_argument("--kept", default="", metavar="DIRECTORY", help="of kept copies (default: none)")
    for name, number, words in (
        ("days", 7, "keep copies for so many days, 0: for none"),
        ("bytes", 1 << 30, "make room when all of them nearly take so many bytes"),
        ("files", 10_000, "make room when there are nearly so many of them"),
    ):
        words = f"{words} (default: %(default)s)"
        cleaning.add_argument(f"--kept-{name}", type=int, default=number, metavar=name.upper(), help=words)
    given = parser.parse_args(argv)
    status = _clean_kept(given, now()) if given.kept else 0
    try:
        removed, troubles = clean(given.directory, now(), given.age)
    except OSError as error:
        sys.stderr.write(f"mailgate workdir: directory {given.directory}: {error.strerror}\n")
        return TEMPORARY
    for name in removed:
        sys.stdout.write(f"mailgate workdir: removed {name}, its {PROGRAM} no longer runs\n")
    for trouble in troubles:
        sys.stderr.write(f"mailgate workdir: {trouble}\n")
    return TEMPORARY if troubles else status


def _clean_kept(given: argparse.Namespace, now: float) -> int:
    """Remove kept copies that are over, or must make room; return the exit status."""
    limits = Limits(given.kept_days * DAY_SECONDS, given.kept_bytes, given.kept_files)
    try:
        with opened(given.kept) as store:
            removed = store.clean(now, limits)
    except (MailgateError, OSError) as error:
        sys.stderr.write(f"mailgate workdir: {error}\n")
        return TEMPORARY
    if removed:
        sys.stdout.write(f"mailgate workdir: removed {len(removed)} kept copies\n")
    return 0
