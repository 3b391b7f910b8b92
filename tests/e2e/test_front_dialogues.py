# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Behind the gateway's own smtpfront nothing is accepted that its qmail-smtpd alone would refuse.

Random dialogues, cut into pieces in any place, are held twice: with smtpfront and its launcher, and with
tcpserver and qmail-smtpd, each on a port and with rules of its own. The same mail is accepted, byte by byte,
and the same is heard. FRONT_SEED repeats a run, FRONT_DIALOGUES says how many.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support.gateway import GATEWAY_ADDRESS, Bed
from support.smtp_dialogues import WORDS, dialogue, same, spoken
from support.smtpfront_programs import until, without_times

DIALOGUES = int(os.environ.get("FRONT_DIALOGUES", "200"))
SEED = os.environ.get("FRONT_SEED") or f"{random.SystemRandom().getrandbits(32):08x}"
PLACE = "/tmp/frontdialogues"
ALONE, BEHIND = 2601, 2602  # ports of qmail-smtpd alone, and of smtpfront
STRANGER, RELAY = "198.18.7.7", "198.18.7.8"
RULES = f"""\
{RELAY}:allow,RELAYCLIENT=""
:allow,WHITELISTED=""
"""
QUEUE = f"""#!/bin/sh
one={PLACE}/kept/$(date +%s%N).$$
cat > $one.message
cat <&1 > $one.part
[ -s $one.part ] && mv $one.part $one.envelope && exit 0
rm $one.message $one.part
exit 54
"""
# The tests of smtpfront alone have a site of their own.
OUR_NAMES = {
    b"ann@": b"alice@",
    b"ANN@": b"ALICE@",
    b'"ann"': b'"alice"',
    b"bob-x-y@": b"user-x-y@",
    b"example.com": b"example.test",
    b"Example.COM": b"Example.TEST",
    b"open.example": b"example.org",
    b"bad@sender.example": b"spammer@bad.example",
    b"@evil.example": b"@worse.example",
}


def our_words() -> list[bytes]:
    found = []
    for word in WORDS:
        for theirs, ours in OUR_NAMES.items():
            word = word.replace(theirs, ours)
        found.append(word)
    return found


class Doors:
    """The two ports, and what was queued behind them."""

    def __init__(self, bed: Bed) -> None:
        self._kept = bed.root / PLACE.lstrip("/") / "kept"

    def held(self, port: int, who: str, pieces: list[bytes]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return what a client heard, and the messages and envelopes that it left, in order."""
        client = socket.create_connection((GATEWAY_ADDRESS, port), 30, (who, 0))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard = spoken(client, pieces)
        return heard, self._taken()

    def _taken(self) -> list[tuple[bytes, bytes]]:
        found = []
        for path in sorted(self._kept.glob("*.envelope")):
            message = path.with_suffix(".message")
            found.append((without_times(message.read_bytes()), path.read_bytes()))
            message.unlink()
            path.unlink()
        return found


@contextmanager
def running(bed: Bed, *argv: str) -> Iterator[None]:
    """Run a program in the gateway's container until the end of the block."""
    with subprocess.Popen(
        [
            "docker",
            "exec",
            bed.name,
            "sh",
            "-c",
            'echo "pid $$"; exec "$@" 2>>' + f"{PLACE}/log",
            "sh",
            *argv,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        pid = process.stdout.readline().split()[1]
        try:
            yield
        finally:
            bed.inside("kill", pid)


def listens(port: int) -> bool:
    with socket.socket() as one:
        one.bind((STRANGER, 0))
        return one.connect_ex((GATEWAY_ADDRESS, port)) == 0


@pytest.fixture(scope="module")
def doors(bed: Bed) -> Iterator[Doors]:
    if bed.inside("test", "-x", "/var/qmail/bin/smtpfront")[0] != 0:
        pytest.skip("this gateway has no smtpfront: tcpserver is its front")
    bed.inside("rm", "-rf", PLACE)
    for name in ("", "/kept", "/run", "/places"):
        bed.inside("install", "-d", "-o", "qmaild", "-g", "nofiles", "-m", "0755", f"{PLACE}{name}")
    bed.inside("install", "-m", "0755", "/dev/stdin", f"{PLACE}/queue", text=QUEUE)
    bed.inside("tcprules", f"{PLACE}/rules.cdb", f"{PLACE}/rules.tmp", text=RULES)
    qmaild = bed.inside("sh", "-c", "id -u qmaild; id -g qmaild")[1].split()
    front = bed.inside("sh", "-c", "id -u smtpfront; id -g smtpfront")[1].split()
    settings = ("env", f"QMAILQUEUE={PLACE}/queue", "VALIDRCPTTO_LIMIT=10", "REFUSALS_LIMIT=100")
    rules, smtpd = ("-x", f"{PLACE}/rules.cdb"), "/var/qmail/bin/qmail-smtpd"
    host, link = ("-l", "mx1.example.test"), ("-s", f"{PLACE}/run/socket")
    with ExitStack() as stack:
        ids = ("-u", qmaild[0], "-g", qmaild[1])
        alone = ("tcpserver", "-R", "-H", *host, *rules, *ids, "0", str(ALONE), smtpd)
        stack.enter_context(running(bed, *settings, *alone))
        launcher = ("setuidgid", "qmaild", "/var/qmail/bin/smtplaunch", *link, "-d", f"{PLACE}/places")
        chain = ("-u", "smtpfront", *host, *rules, "--", smtpd)
        stack.enter_context(running(bed, *settings, *launcher, *chain))
        until((bed.root / PLACE.lstrip("/") / "run" / "socket").exists, 20)
        ids = ("-u", front[0], "-g", front[1])
        behind = (
            "/var/qmail/bin/smtpfront",
            *ids,
            *link,
            *rules,
            "-k",
            "",
            "-a",
            "0.0.0.0",
            "-p",
            str(BEHIND),
        )
        stack.enter_context(running(bed, *settings, *behind))
        until(lambda: listens(ALONE) and listens(BEHIND), 20)
        yield Doors(bed)
    bed.inside("rm", "-rf", PLACE)


def test_random_dialogues_are_answered_and_accepted_as_without_the_front(bed: Bed, doors: Doors) -> None:
    print(f"FRONT_SEED={SEED}")
    words, accepted = our_words(), 0
    for number in range(DIALOGUES):
        source = random.Random(f"{SEED} {number}")
        pieces, who = dialogue(source, words), RELAY if source.random() < 0.1 else STRANGER
        expected, left = doors.held(ALONE, who, pieces)
        heard, left_behind = doors.held(BEHIND, who, pieces)
        where = f"FRONT_SEED={SEED}, dialogue {number} of {who}: {pieces}"
        assert left_behind == left, where
        # The stand-in says some refusals in other words, and counts less.
        assert bed.kind != "source" or same(heard, expected), f"{where}: {heard!r}, expected {expected!r}"
        accepted += len(left)
    assert accepted > DIALOGUES / 10, f"FRONT_SEED={SEED}: too few of them are mail"
