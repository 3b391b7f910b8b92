# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines a second that the adaptive blacklist reads and counts, beside a plain read of the same lines.

Both run in this one process, one after the other, over a log as multilog leaves it; the best of some rounds
counts. Then the memory that 100,000 addresses take, each with one refused recipient, and a flood of a
million. Exit status 1 when it is slower than --least lines a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailgate.blacklist.exemptions import Exemptions
from mailgate.blacklist.reputation import Reputation
from mailgate.blacklist.settings import Settings
from mailgate.formats import multilog, tai64n
from mailgate.formats import smtpd_log as smtplog
from mailgate.formats.networks import parse_network

ROOT = Path(__file__).resolve().parents[2]
BEGIN = 1_795_000_000
FILE_BYTES = 10_000_000
ROUNDS = 3


def sessions(count: int, seed: int) -> Iterator[list[str]]:
    """Lines of sessions: of ten four are greylisted, three try unknown recipients, three bring a message."""
    chance = random.Random(seed)
    for number in range(count):
        pid = 1000 + number % 60_000
        # Few clients come often, many once.
        ip = (
            f"198.18.{chance.randrange(256)}.{chance.randrange(256)}"
            if number % 3
            else f"198.51.100.{number % 250}"
        )
        lines = [
            f"tcpserver: status: {number % 120}/120",
            f"tcpserver: pid {pid} from {ip}",
            f"tcpserver: ok {pid} mx1.example.test:198.18.0.1:25 :{ip}::{20_000 + number % 40_000}",
        ]
        what = number % 10
        if what < 4:
            lines.append(f"cqgreylist[{pid}]: new {ip} {ip.rpartition('.')[0]}.0/24 wait 60")
        elif what < 7:
            for wrong in range(2):
                who = f"nobody{wrong}@example.test from a{number}@b.example"
                lines.append(f"qmail-smtpd: not in validrcptto: {who} at {ip}")
        else:
            state = "SPAM REJECT (14.20/5.00/10.00)" if what == 7 else "CLEAN (0.30/5.00/10.00)"
            envelope = f"a{number}@b.example:alice@example.test"
            lines.append(f"simscan:[{pid}]:{state}:1.4213s:Re_ your order {number}:{ip}:{envelope}")
        lines += [f"tcpserver: end {pid} status 0", f"tcpserver: status: {number % 120}/120"]
        yield lines


def write_log(directory: Path, count: int) -> int:
    """Write a directory as multilog would, in files of 10 MB; return the number of its lines."""
    at, total = BEGIN * tai64n.NANOSECONDS, 0
    current = directory / "current"
    texts: list[str] = []
    size = 0
    for lines in sessions(count, 1):
        for line in lines:
            at += 300_000
            texts.append(f"{tai64n.render(at)} {line}\n")
            size += len(texts[-1])
        total += len(lines)
        if size > FILE_BYTES:
            current.write_text("".join(texts))
            current.rename(directory / f"{tai64n.render(at)}.s")
            texts, size = [], 0
    current.write_text("".join(texts))
    return total


def plain(directory: Path) -> int:
    """Only reads the lines, in the same manner."""
    follower = multilog.Follower(str(directory))
    total = 0
    while True:
        lines = follower.read()
        if not lines:
            follower.close()
            return total
        for _line in lines:
            total += 1


def reputation() -> Reputation:
    never = Exemptions()
    never.take_site(
        {
            "it may relay": [parse_network("10.0.0.0/8")],
            "it is protected": [parse_network("192.0.2.0/24")],
        }
    )
    never.take_settings(Settings())
    return Reputation(Settings(), never)


def counted(directory: Path) -> tuple[int, Reputation]:
    """Count the log as the service does; return the number of lines and the reputation."""
    follower, known = multilog.Follower(str(directory)), reputation()
    total = 0
    while True:
        lines = follower.read()
        if not lines:
            follower.close()
            return total, known
        for line in lines:
            known.observe(smtplog.parse(line))
        known.entries(BEGIN)
        total += len(lines)


def resident() -> int:
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def flood(known: Reputation, count: int) -> None:
    """One session with one refused recipient from each of so many new addresses."""
    for number in range(count):
        ip = f"{20 + number // 2**24}.{number // 2**16 % 256}.{number // 256 % 256}.{number % 256}"
        at = (BEGIN + number // 2000) * tai64n.NANOSECONDS
        known.observe(smtplog.Connected(at, 4711, ip))
        known.observe(
            smtplog.RecipientRefused(
                at, "validrcptto", f"user{number}@example.test", f"x{number}@y.example", ip
            )
        )
        known.observe(smtplog.Ended(at, 4711, 0))


def measure_memory(count: int) -> tuple[int, Reputation]:
    before = resident()
    known = reputation()
    flood(known, count)
    return resident() - before, known


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100_000, help="(%(default)s)")
    parser.add_argument("--least", type=int, default=100_000, help="lines a second (%(default)s)")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.memory:
        size, known = measure_memory(given.memory)
        print(size, known.counts()["addresses"])
        return 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        total = write_log(directory, given.sessions)
        plains: list[float] = []
        counts: list[float] = []
        for _round in range(ROUNDS):
            begin = time.process_time()
            seen = plain(directory)
            plains.append(time.process_time() - begin)
            begin = time.process_time()
            read, known = counted(directory)
            counts.append(time.process_time() - begin)
            if not seen == read == total:
                print(f"{seen} and {read} lines were read; expected {total}")
                return 1
    best_plain, best_counted = min(plains), min(counts)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows: list[dict[str, object]] = [
        {
            "row": "blacklist reads and counts",
            "lines_per_second": [total / seconds for seconds in counts],
            "memory_mb": megabytes,
        }
    ]
    speed = total / best_counted
    listed = known.counts()["entries"]
    print(f"{total:,} lines, {listed} addresses listed, best of {ROUNDS}, CPU time of one core")
    print(f"  plain read       {total / best_plain:12,.0f} lines/s")
    times = best_counted / best_plain
    print(f"  read and counted {speed:12,.0f} lines/s   {times:.1f} times the plain read's time")
    for count in (100_000, 1_000_000):
        argv = [sys.executable, str(Path(__file__).parent), "blacklist", "--memory", str(count)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        size, kept = (int(word) for word in done.stdout.split())
        print(f"  {count:9,} new addresses: {size / 1e6:5.0f} MB, {kept:,} of them kept")
        rows.append({"row": f"blacklist knows {count:,} new addresses", "memory_mb": size / 1e6})
    print(f"FIGURES {json.dumps(rows)}")
    if speed < given.least:
        print(f"slower than {given.least:,} lines/s")
        return 1
    return 0
