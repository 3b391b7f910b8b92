# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold every row's conversation with a gateway and print the table; exit status 1 when any row differs."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence

from support.conversations import PEOPLE, selected
from support.gateway import Bed, NoGateway, Outcome

WIDTHS = (21, 54, 69)


def cell(text: str, width: int) -> str:
    line = text.replace("\n", " / ")
    return (line if len(line) <= width else line[: width - 1] + "…").ljust(width)


def line(outcome: Outcome) -> str:
    row = outcome.row
    who = f"{PEOPLE[row.who]} {row.who}" if row.who in PEOPLE else row.who
    answered = re.sub(r" \d+ qp \d+( id \S+)?$", "", outcome.answered)
    mark = "  " if not outcome.problems else "✗ "
    if outcome.not_run:
        return f"- {cell(who, WIDTHS[0])} {cell(row.tries, WIDTHS[1])} not run: {outcome.not_run}"
    cells = (cell(text, width) for text, width in zip((who, row.tries, answered), WIDTHS))
    return mark + " ".join(cells) + " " + outcome.arrived


def show(bed: Bed, *arguments: str) -> bool:
    """Print the output of a command of `mailgate` on the gateway; return whether it found no fault."""
    status, output, error = bed.inside("mailgate", *arguments)
    print(f"\n$ mailgate {' '.join(arguments)}\n{output}{error}", flush=True)
    return status == 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--gateway",
        default=os.environ.get("MAILGATE_GATEWAY", "mailgate-gateway"),
        help="the container's name",
    )
    parser.add_argument("--tag", default="", help="only rows with this tag (debian13, short)")
    parser.add_argument("--look", action="store_true", help="end with mailgate doctor and mailgate stats")
    options = parser.parse_args(argv)
    begin = time.monotonic()
    differ, played, not_run, well = 0, 0, 0, True
    try:
        with Bed(options.gateway) as bed:
            bed.wait_until_greeted(30)
            bed.introduce()
            titles = ("who", "what they tried", "what the gateway answered")
            print(
                "\n  "
                + " ".join(cell(title, width) for title, width in zip(titles, WIDTHS))
                + " what arrived at the back end"
            )
            print("  " + "-" * (sum(WIDTHS) + 31))
            for row in selected(options.tag):
                outcome = bed.play(row)
                played += 1
                differ += bool(outcome.problems)
                not_run += bool(outcome.not_run)
                print(line(outcome), flush=True)
                for problem in outcome.problems:
                    print(f"      {row.name}: {problem}", flush=True)
            for stray in bed.leftovers():
                differ += 1
                print(f"✗ {stray}")
            print(
                f"\n{played} rows: {played - differ - not_run} passed, {differ} failed, {not_run} not run, "
                f"{time.monotonic() - begin:.1f} s",
                flush=True,
            )
            # While the back ends listen, which the doctor greets, too.
            well = not options.look or all([show(bed, "doctor"), show(bed, "stats", "--last", "1h")])
    except NoGateway as error:
        print(f"e2e: {error}", file=sys.stderr)
        return 1
    return 1 if differ or not well else 0


if __name__ == "__main__":
    sys.exit(main())
