# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 tests/bench NAME [ARGUMENTS]`: one benchmark; README.md says what each measures."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
IN_CONTAINERS = ("converge", "front", "greylist", "recipients", "scan", "services")
NAMES = ("blacklist", "converge", "front", "greylist", "recipients", "rules", "scan", "services", "trace")

if not __package__:  # run as `python3 tests/bench`: Python looks for modules there, not in tests
    sys.path[:1] = [str(HERE.parent), str(HERE.parents[1] / "plugins" / "module_utils")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the benchmark; --help shows them")
    given = parser.parse_args()
    if given.name in IN_CONTAINERS and not {"-h", "--help"} & set(given.arguments):
        importlib.import_module("bed.engine").command_docker()
    return int(importlib.import_module(f"bench.{given.name}").main(given.arguments))


if __name__ == "__main__":
    sys.exit(main())
