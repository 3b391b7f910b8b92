# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long `mailgate trace` takes on the logs of a day, beside `grep -F` over the same files in the same run.

A day of 300,000 sessions as multilog leaves it, in files of 10 MB. An address, a client, a subject and any
text are looked for, each in a process of its own; the best of some rounds counts. grep only
counts the lines that match. Then the lines a second that the service stats counts. Exit status 1 when one
trace takes longer than --most seconds.
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mailgate.formats import send_log as sendlog
from mailgate.formats import smtpd_log as smtplog
from mailgate.formats import tai64n
from mailgate.formats.multilog import Follower
from mailgate.maillog.counters import Stats

ROOT = Path(__file__).resolve().parents[2]
BEGIN = 1_795_000_000
DAY_SECONDS = 86_400
FILE_BYTES = 10_000_000
ROUNDS = 3
PID_MAX = 4_194_304
WANTED = {
    "address": "customer7123@partner.example",
    "client": "198.18.77.201",
    "subject": "Re: your order 1234567",
    "text": "Win.Trojan.Agent-4711",
}


class Writer:
    """A directory of multilog's files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.lines, self.bytes = 0, 0
        self._texts: list[str] = []
        self._size = 0

    def say(self, at: int, text: str) -> None:
        line = f"{tai64n.render(at)} {text}\n"
        self._texts.append(line)
        self._size += len(line)
        self.lines += 1
        self.bytes += len(line)
        if self._size > FILE_BYTES:
            (self.directory / f"{tai64n.render(at)}.s").write_text("".join(self._texts))
            self._texts, self._size = [], 0

    def close(self) -> None:
        (self.directory / "current").write_text("".join(self._texts))


def session(number: int, count: int, chance: random.Random) -> tuple[str, list[str], str, str]:
    """(client, lines of the chain, sender, recipient) of a session; a sender when a message is accepted."""
    rare = count * 2 // 3
    if number == rare:
        client = WANTED["client"]
    elif number % 3:
        client = f"198.18.{chance.randrange(76)}.{chance.randrange(256)}"
    else:
        client = f"198.51.100.{number % 250}"
    network = client.rpartition(".")[0]
    sender, recipient = (
        f"sender{chance.randrange(90_000)}@partner.example",
        f"user{chance.randrange(3000)}@example.test",
    )
    subject = (
        f"Re_ your order {number}" if number % 10 else f"=?utf-8?B?QmVzdGVsbHVuZyBudW1tZXIg{number:08}?="
    )
    virus = "Eicar-Test-Signature"
    what = chance.random()
    if number == rare:
        what, sender, subject = 0.99, WANTED["address"], WANTED["subject"].replace(":", "_")
    if number == rare + 1:
        what, virus = 0.695, WANTED["text"]
    pid = "{pid}"
    known = f"cqgreylist[{pid}]: known {client} {network}.0/24"
    if what < 0.1:
        return client, [], "", ""  # refused by rule
    if what < 0.4:
        return client, [f"cqgreylist[{pid}]: new {client} {network}.0/24 wait 60"], "", ""
    if what < 0.6:
        refused = [
            f"qmail-smtpd: not in validrcptto: guess{guess}@example.test from {sender} at {client}"
            for guess in range(1 + chance.randrange(4))
        ]
        return client, [known, *refused], "", ""
    if what < 0.69:
        verdict = "SPAM REJECT (14.20/5.00/10.00)"
    elif what < 0.7:
        envelope = f"{client}:{sender}:{recipient}"
        return client, [known, f"simscan:[{pid}]:VIRUS:0.0823s:{virus}:{envelope}"], "", ""
    else:
        verdict = "SPAM PASS (6.10/5.00/10.00)" if what < 0.75 else "CLEAN (0.30/5.00/10.00)"
    line = f"simscan:[{pid}]:{verdict}:1.4213s:{subject}:{client}:{sender}:{recipient}"
    return client, [known, line], sender if what >= 0.7 else "", recipient


def write_day(directory: Path, count: int) -> tuple[Writer, Writer]:
    """Write the logs of `count` sessions of one day."""
    chance = random.Random(1)
    smtp, send = Writer(directory / "smtpd"), Writer(directory / "send")
    pid, delivery = 1000, 0
    for number in range(count):
        at = (BEGIN * 10 + number * DAY_SECONDS * 10 // count) * tai64n.NANOSECONDS // 10
        pid = pid % PID_MAX + 7
        client, lines, sender, recipient = session(number, count, chance)
        smtp.say(at, f"tcpserver: status: {number % 100}/120")
        smtp.say(at + 1, f"tcpserver: pid {pid} from {client}")
        local = "mx1.example.test:198.18.0.1:25"
        word = "ok" if lines else "deny"
        smtp.say(at + 2, f"tcpserver: {word} {pid} {local} :{client}::{20_000 + number % 40_000}")
        for place, line in enumerate(lines):
            smtp.say(at + 50_000_000 * (place + 1), line.replace("{pid}", str(pid)))
        smtp.say(at + 160_000_000, f"tcpserver: end {pid} status {0 if lines else 25_600}")
        smtp.say(at + 160_000_001, f"tcpserver: status: {number % 100}/120")
        if sender:
            delivery += 1
            message = 3_000_000 + number % 9
            queued = at + 99_000_000
            send.say(queued, f"new msg {message}")
            send.say(queued + 1, f"info msg {message}: bytes 20623 from <{sender}> qp {pid + 4} uid 997")
            send.say(queued + 2, f"starting delivery {delivery}: msg {message} to remote {recipient}")
            send.say(queued + 3, "status: local 0/10 remote 1/60")
            report = "198.18.0.10_accepted_message./Remote_host_said:_250_2.6.0_Queued_mail_for_delivery/"
            send.say(queued + 80_000_000, f"delivery {delivery}: success: {report}")
            send.say(queued + 80_000_001, "status: local 0/10 remote 0/60")
            send.say(queued + 80_000_002, f"end msg {message}")
    smtp.close()
    send.close()
    return smtp, send


def timed(run: Callable[[], object]) -> list[float]:
    """Return the seconds of some rounds."""
    found = []
    for _round in range(ROUNDS):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return found


def megabytes(who: int) -> float:
    """Return the most memory that this process, or one that it has waited for, has had."""
    return resource.getrusage(who).ru_maxrss / 1024


def trace(directory: Path, text: str) -> str:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'plugins' / 'module_utils')!r}); "
        "from mailgate.cli.main import main; sys.exit(main())"
    )
    argv = [sys.executable, "-I", "-B", "-c", code, "trace", text, "--logs", str(directory / "smtpd")]
    done = subprocess.run([*argv, str(directory / "send")], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"trace {text!r}: status {done.returncode} {done.stderr}")
    return done.stdout


def grep(directory: Path, text: str) -> None:
    names = [str(path) for path in sorted(directory.glob("*/*"))]
    environment = {**os.environ, "LC_ALL": "C"}
    subprocess.run(
        ["grep", "-F", "-c", text, *names], stdout=subprocess.DEVNULL, env=environment, check=False
    )


def blocks(directory: Path) -> Iterator[list[str]]:
    follower = Follower(str(directory))
    while True:
        lines = follower.read()
        if not lines:
            follower.close()
            return
        yield lines


def count(directory: Path) -> Stats:
    """Count the log as the service does; return the statistics."""
    stats = Stats()
    for lines in blocks(directory / "smtpd"):
        for line in lines:
            stats.observe_smtp(smtplog.parse(line))
    for lines in blocks(directory / "send"):
        for line in lines:
            stats.observe_send(sendlog.parse(line))
    return stats


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=300_000, help="(%(default)s)")
    parser.add_argument("--most", type=float, default=10.0, help="seconds of one trace (%(default)s)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        smtp, send = write_day(directory / "", given.sessions)
        lines, size = smtp.lines + send.lines, smtp.bytes + send.bytes
        print(f"{given.sessions:,} sessions, {lines:,} lines, {size / 1e6:,.0f} MB; best of {ROUNDS}")
        slowest = 0.0
        rows: list[dict[str, object]] = []
        for what, text in WANTED.items():
            told = trace(directory, text)
            if not told.rstrip().splitlines()[-1].startswith("  = "):
                print(f"{what}: {told!r}; expected a journey with its verdict")
                return 1
            all_ours = timed(lambda text=text: trace(directory, text))  # type: ignore[misc]
            ours = min(all_ours)
            searched = text.replace(":", "_") if what == "subject" else text
            theirs = min(timed(lambda text=searched: grep(directory, text)))  # type: ignore[misc]
            slowest = max(slowest, ours)
            row = {"row": f"trace over a day, by {what}", "seconds": all_ours}
            rows.append({**row, "memory_mb": megabytes(resource.RUSAGE_CHILDREN)})
            print(
                f"  {what:8} trace {ours:5.2f} s, grep -F {theirs:5.2f} s: {ours / theirs:4.1f} times as long"
            )
        many = min(timed(lambda: trace(directory, "198.51.100.7")))
        print(f"  a client of {given.sessions // 750:,} sessions, the newest 20 of them: {many:.2f} s")
        speeds = []
        for _round in range(ROUNDS):
            begin = time.process_time()
            stats = count(directory)
            speeds.append(lines / (time.process_time() - begin))
        speed = max(speeds)
        row = {"row": "stats reads and counts", "lines_per_second": speeds}
        rows.append({**row, "memory_mb": megabytes(resource.RUSAGE_SELF)})
        print(f"FIGURES {json.dumps(rows)}")
        print(f"  stats counts {speed:,.0f} lines/s, CPU time of one core")
        if stats.totals["connections"] != given.sessions:
            return 1
    if slowest > given.most:
        print(f"slower than {given.most} s")
        return 1
    return 0
