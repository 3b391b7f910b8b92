# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-services`: how much the services can take, by the benchmarks of each, in one table."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .figures import Figure, Section, publish, told
from .measuring import OTHERS_MOST_PERCENT, Window, machine

HERE = Path(__file__).resolve().parent
# name: arguments for tiny counts
BENCHMARKS = {
    "blacklist": ["--sessions", "2000"],
    "trace": ["--sessions", "3000"],
    "rules": ["--rules", "2000"],
    "recipients": ["2000"],
}
AIMS = (
    ("export of 100,000 entries beside ldapsearch", "ratio", 1.2),
    ("compile of 100,000 operator's rules, first", "cpu_seconds", 1.0),
    ("compile of 100,000 operator's rules, one more", "cpu_seconds", 1.0),
    ("compile of 100,000 blacklist entries, one more", "cpu_seconds", 1.0),
)
ABOUT = """\
Lines a second and compilations are by the CPU time of one core, which other work on the machine changes
little; a trace and an export by the clock. Memory is the most that the process had, or what the addresses add
to it.
"""


def rows_of(name: str, arguments: Sequence[str]) -> tuple[list[Figure], bool]:
    """Return a benchmark's figures, and whether its own aim was met; show its table while reading it."""
    argv = [sys.executable, str(HERE), name, *arguments]
    window = Window()
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    _cpu, others = window.close()
    lines = done.stdout.splitlines()
    print("\n".join(line for line in lines if not line.startswith("FIGURES ")), flush=True)
    found = [line[len("FIGURES ") :] for line in lines if line.startswith("FIGURES ")]
    if not found:
        raise SystemExit(f"bench-services: {name} ended with {done.returncode} and no figures")
    figures = []
    for row in json.loads(found[0]):
        figure = Figure(row.pop("row"), "", disturbed=others > OTHERS_MOST_PERCENT)
        for metric, values in row.items():
            for value in values if isinstance(values, list) else [values]:
                figure.add(**{metric: value})
        figures.append(figure)
    return figures, done.returncode == 0


def aims(figures: Sequence[Figure]) -> list[str]:
    known = {figure.row: figure for figure in figures}
    said = []
    for row, metric, most in AIMS:
        if row in known:
            best = min(known[row].runs[metric])
            met = "met" if best <= most else "not met"
            said.append(f"{row}: {metric.replace('_', ' ')} {most} at most, {best:.2f} measured: {met}")
    return said


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny counts, to try it; writes nothing")
    parser.add_argument(
        "--only", choices=BENCHMARKS, nargs="+", default=list(BENCHMARKS), help="some of them"
    )
    given = parser.parse_args(argv)
    figures: list[Figure] = []
    for name in given.only:
        figures += rows_of(name, BENCHMARKS[name] if given.small else [])[0]
    for figure in figures:
        numbers = ", ".join(f"{metric} {told(metric, runs)}" for metric, runs in figure.runs.items())
        print(f"{figure.row:52} {numbers}")
    if not given.small and len(given.only) == len(BENCHMARKS):
        section = Section(
            "services",
            "What the services take",
            "make bench-services",
            time.strftime("%Y-%m-%d"),
            machine(),
            {"Python": platform.python_version()},
            ABOUT,
            figures,
            aims=aims(figures),
        )
        for line in publish(section):
            print(f"worse than before: {line}")
    return 0
