# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate workdir`: remove what killed scanners left in the work directory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from ..core.exits import TEMPORARY
from ..host.work_directory import AGE_SECONDS, EPILOG, PROGRAM, clean
from .parser import Parser


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
    given = parser.parse_args(argv)
    try:
        removed, troubles = clean(given.directory, now(), given.age)
    except OSError as error:
        sys.stderr.write(f"mailgate workdir: directory {given.directory}: {error.strerror}\n")
        return TEMPORARY
    for name in removed:
        sys.stdout.write(f"mailgate workdir: removed {name}, its {PROGRAM} no longer runs\n")
    for trouble in troubles:
        sys.stderr.write(f"mailgate workdir: {trouble}\n")
    return TEMPORARY if troubles else 0
