# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test messages for the scanners: how they are sent, and what the gateway answers.

EICAR is sent over SMTP, as mail is. 127.0.0.1 is a relay client, whose mail is scanned only for viruses, so
GTUBE is sent in a session of its own: qmail-smtpd is started as tcpserver starts it, with the environment of
the running service, but as for a client without a rule.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate

from ..core.paths import QMAIL_SMTPD

# The scanners


@dataclass(frozen=True)
class Proof:
    """The result of a test message: the last command answered, the answer, and the time it took."""

    command: str  # "connection", "MAIL", "RCPT", "DATA" or "message"
    answer: str  # '' for none
    seconds: float
    reason: str = ""  # the scanner's log line about it


ANSWER_SECONDS = 35.0
_SHOWN = 200
_REPLY_BYTES = 65536
# In pieces that are joined when they are sent, so that scanners do not find them in this file.
_EICAR = ("X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!", "$H+H*")
_GTUBE = ("XJS*C4JDBQADN1.NSBN3*2IDNEN*", "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL", "*C.34X")
TESTS = {"virus": ("EICAR", _EICAR), "spam": ("GTUBE", _GTUBE)}


def message(check: str, hostname: str, recipient: str, now: float) -> bytes:
    """Return the test message of a check, 'virus' or 'spam', as DATA sends it."""
    name, pieces = TESTS[check]
    lines = [
        f"From: mailgate doctor <mailgate-doctor@{hostname}>",
        f"To: <{recipient}>",
        f"Subject: {name} was not refused: the gateway does not scan, run 'mailgate doctor'",
        f"Date: {formatdate(now)}",
        f"Message-ID: <doctor-{name.lower()}-{now:.3f}@{hostname}>",
        "",
        "".join(pieces),
        ".",
        "",
    ]
    return "\r\n".join(lines).encode("ascii", "replace")


class Dialogue:
    """Lines of SMTP over a socket, with one time limit for all of them, and a limit of bytes for each reply.

    Not smtplib: its time limit is for each piece that arrives, its replies have as many lines as the peer
    sends, and a reply before the peer closed the connection is lost when the next command cannot be sent.
    """

    def __init__(self, connection: socket.socket, within_seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + within_seconds
        self._buffer = b""

    def say(self, data: bytes) -> None:
        self._patience()
        # A peer that has closed the connection is noticed at the next reply.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, socket.timeout):
            self._connection.sendall(data)

    def reply(self) -> str:
        """Return a whole reply, its lines joined by blanks; '' when there is none."""
        lines = []
        taken_bytes = 0
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                lines.append(line.decode("ascii", "backslashreplace").strip())
                if lines[-1][3:4] != "-":
                    return " ".join(lines)[:_SHOWN]
                continue
            self._patience()
            try:
                block = self._connection.recv(4096)
            except (socket.timeout, ConnectionResetError):
                return ""
            taken_bytes += len(block)
            if not block or taken_bytes > _REPLY_BYTES:
                return ""
            self._buffer += block

    def _patience(self) -> None:
        self._connection.settimeout(max(0.001, self._end - time.monotonic()))


def converse(
    connection: socket.socket, content: bytes, hostname: str, recipient: str, within_seconds: float
) -> Proof:
    """Send a message; return the first command that is refused, or the answer to the message itself."""
    began = time.monotonic()
    talk = Dialogue(connection, within_seconds)
    reached, answer = "connection", ""
    steps = (
        ("connection", b"", "2"),
        ("HELO", f"HELO {hostname}\r\n".encode("ascii", "replace"), "2"),
        ("MAIL", f"MAIL FROM:<mailgate-doctor@{hostname}>\r\n".encode("ascii", "replace"), "2"),
        ("RCPT", f"RCPT TO:<{recipient}>\r\n".encode("ascii", "replace"), "2"),
        ("DATA", b"DATA\r\n", "3"),
        ("message", content, ""),
    )
    for command, said, expected in steps:
        reached = command
        talk.say(said)
        answer = talk.reply()
        if not answer or not answer.startswith(expected):
            break
    seconds = time.monotonic() - began
    if answer:
        talk.say(b"QUIT\r\n")
    return Proof(reached, answer, seconds)


def over_smtp(
    address: tuple[str, int], content: bytes, hostname: str, recipient: str, within_seconds: float
) -> Proof:
    """Send a message over TCP; return as converse(); raises OSError when nobody listens."""
    with socket.create_connection(address, min(10.0, within_seconds)) as connection:
        return converse(connection, content, hostname, recipient, within_seconds)


def stranger(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a session with a client without a rule, made from the service's."""
    kept = {name: value for name, value in environment.items() if name not in ("RELAYCLIENT", "WHITELISTED")}
    return {
        **kept,
        "PROTO": "TCP",
        "TCPLOCALIP": "127.0.0.1",
        "TCPLOCALPORT": "25",
        "TCPREMOTEIP": "127.0.0.1",
        "TCPREMOTEPORT": "25",
        "TCPREMOTEHOST": "mailgate-doctor.invalid",
        "SIMSCAN_KEEP": "no",  # no copy of a sample
    }


def memory_limit(limits: str) -> str:
    """Return the memory limit in bytes in the text of /proc/PID/limits; '' for no limit."""
    found = re.search(r"^Max address space +([0-9]+) ", limits, re.MULTILINE)
    return found[1] if found else ""


def session_command(limit_bytes: str, path: str, program: str = QMAIL_SMTPD) -> list[str]:
    """Return the command that starts a session with the service's memory limit."""
    softlimit = shutil.which("softlimit", path=f"{path}:/usr/local/bin:/command:/usr/bin")
    return [softlimit, "-m", limit_bytes, program] if softlimit and limit_bytes else [program]


def reason(said: str) -> str:
    """Return the scanner's last message, without its name and pid."""
    lines = [line for line in said.splitlines() if "simscan" in line]
    return re.sub(r"^simscan:(\[[0-9]*\]:?)? *", "", lines[-1])[:_SHOWN].strip() if lines else ""


def in_session(
    argv: Sequence[str],
    environment: Mapping[str, str],
    content: bytes,
    hostname: str,
    recipient: str,
    within_seconds: float,
    user: tuple[str, str] | None = ("qmaild", "nofiles"),
) -> Proof:
    """Send a message in a qmail-smtpd of its own; return as converse(), with the scanner's message."""
    ours, theirs = socket.socketpair()
    who: dict[str, object] = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
    with ours, tempfile.TemporaryFile() as log:
        with theirs:
            process = subprocess.Popen(
                argv,
                stdin=theirs,
                stdout=theirs,
                stderr=log,
                env=dict(environment),
                cwd="/",
                start_new_session=True,
                **who,  # type: ignore[call-overload]
            )
        try:
            got = converse(ours, content, hostname, recipient, within_seconds)
        finally:
            ours.close()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(2)
        log.seek(0)
        said = log.read(65536).decode("ascii", "backslashreplace")
    return Proof(got.command, got.answer, got.seconds, reason(said))
