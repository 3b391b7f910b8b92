# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU seconds and memory that `mailgate rules compile` takes for many rules, in a process of its own.

Once with all of them in the operator's fragment, once in the adaptive blacklist's; each first into an empty
place and then again with one more entry, which is what happens all day. The best of some rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mailgate.rules import fragments as tcprules
from mailgate.rules import site_fragment as rules_compiler

ROOT = Path(__file__).resolve().parents[2]
COUNT, ROUNDS = 100_000, 3
UNTIL = 4_000_000_000
TIME = """
import resource, sys, time  # CPU time: the same on a machine that has other work
sys.path.insert(0, {package!r})
begin = time.process_time()
from mailgate.cli.rules import main
status = main(sys.argv[1:])
print("MEASURED", time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
sys.exit(status)
"""


def address(number: int) -> str:
    """Clients all over the world, each once; never one that is protected."""
    mixed = number * 2_654_435_761 % 2**24
    return f"{20 + number % 90}.{mixed // 65536}.{mixed // 256 % 256}.{mixed % 256}"


def fragment(kind: str, count: int) -> str:
    if kind == tcprules.OPERATOR:
        return "".join(f"{address(number)}:deny\n" for number in range(count))
    entries = (tcprules.AdaptiveEntry(address(number), UNTIL, "10 bad of 12") for number in range(count))
    return tcprules.render_adaptive(entries)


def compiled(place: Path) -> tuple[float, float]:
    """(seconds, peak memory in MB) of one compilation."""
    code = TIME.format(package=str(ROOT / "plugins" / "module_utils"))
    options = {
        "--directory": place / "tcp.d",
        "--compiled": place / "tcp.smtp.cdb",
        "--copy": place / "tcp.smtp",
        "--senders-directory": place / "badmailfrom.d",
        "--senders": place / "badmailfrom",
        "--state": place / "state",
        "--adaptive-user": pwd.getpwuid(os.getuid()).pw_name,
    }
    words = [str(word) for pair in options.items() for word in pair]
    argv = [sys.executable, "-B", "-c", code, "compile", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"compile: status {done.returncode} {done.stdout}{done.stderr}")
    seconds, megabytes = (float(word) for word in done.stdout.split("MEASURED ")[1].split())
    return seconds, megabytes


def measure(kind: str, count: int) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for directory in ("tcp.d", "badmailfrom.d", "state"):
            (place / directory).mkdir()
        site = rules_compiler.site_rules(["10.0.0.0/24"], protected_networks=["198.51.100.0/24"])
        (place / "tcp.d" / tcprules.SITE).write_text(site)
        (place / "tcp.d" / tcprules.DEFAULT).write_text(rules_compiler.default_rules())
        for more, what in enumerate(("first", "one more")):
            (place / "tcp.d" / kind).write_text(fragment(kind, count + more))
            found[what] = compiled(place)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rules", type=int, default=COUNT, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(%(default)s)")
    given = parser.parse_args(argv)
    table: list[dict[str, object]] = []
    for kind, name in ((tcprules.OPERATOR, "operator's rules"), (tcprules.ADAPTIVE, "blacklist entries")):
        rounds = [measure(kind, given.rules) for _round in range(given.rounds)]
        for what in rounds[0]:
            seconds = [one[what][0] for one in rounds]
            megabytes = max(one[what][1] for one in rounds)
            row = f"compile of {given.rules:,} {name}, {what}"
            print(f"  {row:50} {min(seconds):6.2f} s of CPU {megabytes:6.0f} MB, best of {given.rounds}")
            table.append({"row": row, "cpu_seconds": seconds, "memory_mb": megabytes})
    print(f"FIGURES {json.dumps(table)}")
    return 0
