# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's qmail-smtpd alone: a client's bytes, settings of its own, a queue that keeps what it gets."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from support.conversations import STRANGER
from support.gateway import Bed

PLACE = "tmp/smtpdbed"
QUEUE = f"""#!/bin/sh
cat > /{PLACE}/$$.message
cat <&1 > /{PLACE}/$$.envelope
[ -s /{PLACE}/$$.envelope ] || exit 54
"""
HELLO = b"HELO client.example\r\n"
MAIL = b"MAIL FROM:<ann@sender.example>\r\n"
RCPT = b"RCPT TO:<joe@example.org>\r\n"
BEGIN = HELLO + MAIL + RCPT + b"DATA\r\n"


@dataclass
class Talk:
    """What was answered (the greeting first), logged, and queued: (content, envelope) of each message."""

    replies: list[str]
    lines: list[str]
    queued: list[tuple[bytes, bytes]] = field(default_factory=list)

    def codes(self) -> list[str]:
        return [reply[:3] for reply in self.replies]


def client_part(message: bytes) -> bytes:
    """Return a queued message without the Received field that qmail-smtpd puts in front."""
    found = re.match(rb"Received: [^\n]*\n  by [^\n]* -0000\n", message)
    assert found, message[:300]
    return message[found.end() :]


def without_ids(lines: Iterable[str]) -> list[str]:
    """Return qmail-smtpd's lines without what names their session, and without those of accepted messages."""
    kept = [line for line in lines if not line.startswith("qmail-smtpd: accepted: ")]
    return [re.sub(r" id [0-9a-z.]+( pid [0-9]+)?$", "", line) for line in kept]


def recipients_of(envelope: bytes) -> list[bytes]:
    sender, *recipients = envelope.rstrip(b"\0").split(b"\0")
    assert sender.startswith(b"F") and all(one.startswith(b"T") for one in recipients), envelope[:300]
    return [one[1:] for one in recipients]


class SmtpdBed:
    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self._place = bed.root / PLACE

    def __enter__(self) -> SmtpdBed:
        self._place.mkdir()
        (self._place / "queue").write_text(QUEUE)
        (self._place / "queue").chmod(0o755)
        return self

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self._place, ignore_errors=True)

    def talk(self, sent: bytes, after_seconds: float = 0, then: bytes = b"", **settings: str) -> Talk:
        """Run a session whose client says `sent` at once, waits, says `then`, and hangs up."""
        environment = {
            "QMAILQUEUE": f"/{PLACE}/queue",
            "TCPREMOTEIP": STRANGER,
            "TCPLOCALIP": "198.18.0.1",
            **settings,
        }
        words = [f"{name}={value}" for name, value in environment.items()]
        argv = ["docker", "exec", "-i", self.bed.name, "env", *words, "/var/qmail/bin/qmail-smtpd"]
        with subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=-1) as process:
            try:
                out, said = self._talk(process, sent, after_seconds, then)
            finally:
                process.kill()
        replies = out.decode("latin-1").split("\r\n")[:-1]
        return Talk(
            replies,
            without_ids(said.decode("latin-1").splitlines()),
            [self._queued(one) for one in replies if " qp " in one],
        )

    @staticmethod
    def _talk(
        process: subprocess.Popen[bytes], sent: bytes, after_seconds: float, then: bytes
    ) -> tuple[bytes, bytes]:
        if not after_seconds:
            return process.communicate(sent + then, timeout=60)
        assert process.stdin
        process.stdin.write(sent)
        process.stdin.flush()
        try:
            process.wait(after_seconds)
        except subprocess.TimeoutExpired:
            return process.communicate(then, timeout=60)
        return process.communicate(timeout=60)

    def _queued(self, reply: str) -> tuple[bytes, bytes]:
        name = self._place / reply.partition(" qp ")[2].partition(" ")[0]
        return Path(f"{name}.message").read_bytes(), Path(f"{name}.envelope").read_bytes()
