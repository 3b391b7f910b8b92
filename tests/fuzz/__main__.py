# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tests/fuzz --directory DIRECTORY [--seconds SECONDS] [NAME...]: run those fuzz targets, or all of them.

Each runs under libFuzzer where clang and its runtime are, and under drive.c elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:  # run as `python3 tests/fuzz`: Python looks for modules there, not in tests
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from support import fuzz_targets as fuzzing


def one(target: fuzzing.Target, directory: Path, seconds: int, libfuzzer: bool) -> bool:
    directory.mkdir(parents=True, exist_ok=True)
    plain, guided, words = directory / "drive", directory / "libfuzzer", None
    status, said = fuzzing.compile_target(target, plain)
    if status == 0 and libfuzzer:
        words = directory / "words"
        words.write_text(fuzzing.run([str(plain), "words"])[1])
        status, said = fuzzing.compile_target(target, guided, libfuzzer=True)
    if status == 0:
        status, said = fuzzing.fuzz(target, guided if words else plain, directory, seconds, words)
    (directory / "log").write_text(said)
    lines = [line for line in said.splitlines() if "cov:" in line or line.endswith(" inputs")]
    print(f"{target.name}: {lines[-1] if lines and status == 0 else said[-3000:]}", flush=True)
    if status:
        print(f"{target.name}: failed with {status}; its input and its log are in {directory}", flush=True)
    return status == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/fuzz", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, required=True, help="for programs, inputs and logs; it is kept"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("names", nargs="*", metavar="NAME", help="fuzz_NAME.c")
    wanted = parser.parse_args()
    found = {target.name: target for target in fuzzing.targets()}
    unknown = sorted(set(wanted.names) - set(found))
    if unknown:
        parser.error(f"there is no target {unknown[0]}; expected some of {' '.join(sorted(found))}")
    libfuzzer = fuzzing.has_libfuzzer()
    print(
        "under libFuzzer" if libfuzzer else "under drive.c, since clang or its runtime is missing", flush=True
    )
    directory = wanted.directory.resolve()
    held = [
        one(found[name], directory / name, wanted.seconds, libfuzzer)
        for name in wanted.names or sorted(found)
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
