# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An hour of sessions in a minute: long-running processes neither grow nor leave anything behind."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.conversations import BARE_LF, NOBODY, NOT_OURS, OFFICE, SENDER, STRANGER, A, B, message
from support.gateway import GATEWAY_ADDRESS, Bed, submit
from support.smtp_client import CLOSED, Session

SESSIONS = 4000
FIRST_QUARTER = SESSIONS // 4
CLIENTS = 6
PHASE_SECONDS = 900.0  # a bound for a hang, not for speed
QUIET_SECONDS = 60.0
# 32 bytes lost in each session would be 94 KiB over the last three quarters.
GROWTH_KIB = 64
WATCHED = ("qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-clean", "multilog", "supervise")
FRONTS = {"smtpfront": ("smtpfront", "smtplaunch"), "tcpserver": ("tcpserver",)}
GOOD, REFUSED, FOREIGN = "alice@example.test", "bob@example.test", "carol@example.org"
NAME = "leak"
SLOW = "451 qq timeout "  # scanners have a short deadline here, and this machine may have other work


@pytest.fixture(autouse=True)
def normal(bed: Bed) -> Iterator[None]:
    reason = bed.only_real("the stand-in has none of the programs that could grow")
    if reason:
        pytest.skip(reason)
    bed.wait_until_greeted(30)
    bed.backends[A].refuse_recipients = {REFUSED: "550 5.1.1 no such mailbox"}
    yield
    bed.backends[A].refuse_recipients = {}
    bed.mailroom.take(lambda one: True)


def opened() -> Session:
    session = Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=60)
    got = session.reply()
    assert got.startswith("220 "), got
    return session


def delivered(chance: random.Random) -> None:
    got = submit(message(NAME, b"x" * chance.choice((1, 5000)) + b"\r\n"), GOOD, FOREIGN, who=STRANGER)
    assert got.startswith(("250 ok ", SLOW)), got


def bounced(chance: random.Random) -> None:
    assert submit(message(NAME), REFUSED, sender=SENDER, who=OFFICE).startswith("250 ok ")


def relayed(chance: random.Random) -> None:
    assert submit(message(NAME), "victim@else.where", who=OFFICE).startswith("250 ok ")


def unknown(chance: random.Random) -> None:
    assert submit(message(NAME), f"nobody{chance.getrandbits(30)}@example.test", who=STRANGER) == NOBODY


def not_ours(chance: random.Random) -> None:
    assert submit(message(NAME), "victim@else.where", who=STRANGER) == NOT_OURS


def bare_lf(chance: random.Random) -> None:
    with in_data() as session:
        session.send(b"a\nb\r\n.\r\n")
        assert (session.reply(), session.reply()) == (BARE_LF, CLOSED)


def cut_off(chance: random.Random) -> None:
    with in_data() as session:
        session.send(message(NAME))


def hung_up(chance: random.Random) -> None:
    with opened():
        pass


def left(chance: random.Random) -> None:
    with opened() as session:
        session.send(b"QUIT\r\n")
        assert session.reply().startswith("221 ")


def nonsense(chance: random.Random) -> None:
    with opened() as session:
        session.send(b"\0\xff" + b"x" * 20_000 + b"\r\nEHLO x\r\nRSET\r\nVRFY root\r\nDATA\r\nQUIT\r\n")
        while session.reply() != CLOSED:
            pass


KINDS: tuple[Callable[[random.Random], None], ...] = (
    delivered,
    bounced,
    relayed,
    unknown,
    not_ours,
    bare_lf,
    cut_off,
    hung_up,
    left,
    nonsense,
)


def in_data() -> Session:
    session = opened()
    for line in ("HELO client.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{GOOD}>", "DATA"):
        session.send(f"{line}\r\n".encode("ascii"))
        assert session.reply()[:1] in "23"
    return session


def hold_sessions(first: int, last: int) -> Counter[str]:
    """Return what went wrong in sessions `first` to `last`, some at once, of the kind their number says."""
    numbers = iter(range(first, last))
    taking = threading.Lock()
    wrong: Counter[str] = Counter()
    deadline = time.monotonic() + PHASE_SECONDS

    def work() -> None:
        while True:
            with taking:
                number = next(numbers, None)
            if number is None:
                return
            if time.monotonic() > deadline:
                wrong["not begun in time"] += 1
                return
            kind = KINDS[number % len(KINDS)]
            try:
                kind(random.Random(number))
            except (AssertionError, OSError) as error:
                wrong[f"{kind.__name__}: {error}"] += 1

    threads = [threading.Thread(target=work, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PHASE_SECONDS + 60)
    return wrong


@dataclass(frozen=True)
class Process:
    program: str
    anonymous_kib: int  # without what it shares with files
    descriptors: int


def processes(bed: Bed) -> dict[int, Process]:
    """Return what runs in the container, by its number on this machine."""
    found = {}
    for pid, program in bed.processes().items():
        if program == "spamd child":
            continue  # spamd replaces them as it likes
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue  # it has ended meanwhile
        kib = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
        found[pid] = Process(program, int(kib.group(1)) if kib else 0, descriptors)
    return found


def waiting(bed: Bed) -> list[str]:
    """Return the queue's files, except those that an earlier kill -9 has left there."""
    queue = bed.root / "var/qmail/queue"
    kinds = ("mess", "info", "local", "remote", "todo", "intd", "bounce", "pid")
    return sorted(
        str(path.relative_to(queue)) for kind in kinds for path in (queue / kind).rglob("*") if path.is_file()
    )


def at_rest(bed: Bed, waited: list[str], running: set[int]) -> dict[int, Process]:
    """Return the processes as soon as only those run and the queue is as it was."""
    deadline = time.monotonic() + QUIET_SECONDS
    while True:
        found = processes(bed)
        if set(found) == running and waiting(bed) == waited:
            return processes(bed)
        more = sorted(found[pid].program for pid in set(found) - running)
        assert running <= set(found), f"gone: {running - set(found)}"
        queue = sorted(set(waiting(bed)) - set(waited))
        assert time.monotonic() < deadline, f"left over: {more}, in the queue: {queue}"
        time.sleep(0.2)


def test_nothing_grows_and_nothing_is_left_over(
    bed: Bed, record_property: Callable[[str, object], None]
) -> None:
    """The first quarter is for what is allocated once and kept; from then on there is no reason to grow."""
    assert bed.inside("/var/qmail/bin/qmail-qread")[1] == ""
    time.sleep(1)
    waited = waiting(bed)
    running = set(processes(bed))
    first = at_rest(bed, waited, running)
    watched = {*WATCHED, *FRONTS[bed.front]}
    assert {process.program for process in first.values()} >= watched, "not all of qmail runs"

    begin = time.monotonic()
    assert hold_sessions(0, FIRST_QUARTER) == {}
    quarter = at_rest(bed, waited, running)
    assert hold_sessions(FIRST_QUARTER, SESSIONS) == {}
    end = at_rest(bed, waited, running)
    record_property("seconds", round(time.monotonic() - begin))

    growth = {
        f"{before.program} {pid}": (end[pid].anonymous_kib - before.anonymous_kib)
        for pid, before in quarter.items()
        if before.program in watched
    }
    record_property("growth in KiB", growth)
    assert {name: kib for name, kib in growth.items() if kib > GROWTH_KIB} == {}
    qmail = [pid for pid, process in first.items() if process.program in watched]
    assert {pid: end[pid].descriptors for pid in qmail} == {pid: first[pid].descriptors for pid in qmail}

    copies = Counter((one.backend, one.recipient) for one in bed.mailroom.take(lambda one: True))
    each = SESSIONS // len(KINDS)
    assert copies == {
        (A, GOOD): each,
        (B, FOREIGN): each,
        (B, "victim@else.where"): each,
        (B, SENDER): each,  # the bounces
    }
