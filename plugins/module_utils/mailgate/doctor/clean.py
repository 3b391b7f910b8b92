# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof that a clean message is taken, scanned, queued and delivered whole.

It goes to an address of the gateway itself, whose mail stays on the host in a maildir that nobody else reads.
Only who asks for it has it: it is a message in the logs and in the statistics.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from email.utils import formatdate

from ..core.errors import BadInput, MailgateError
from ..core.files import read_regular
from ..core.paths import CLEAN_PROOFS
from . import sample_mail, scanners
from .context import Context
from .findings import CRITICAL, OK, UNKNOWN, Finding

CHECK = "clean"
LOCAL_PART = "mailgate-proof"  # role netqmail writes its .qmail file
DELIVERY_SECONDS = 15.0
POLL_SECONDS = 0.1
BYTES_MAX = 1 << 20
_LINES = 200
_QUEUE = "see the end of /var/log/qmail/send/current and of /var/log/qmail/smtpd/current"


def body(token: str) -> bytes:
    """Return the lines that must come back as they are, with dots where SMTP doubles them."""
    return "".join(f"{'.' * (number % 3)}{token} line {number}\n" for number in range(_LINES)).encode("ascii")


def message(token: str, hostname: str, now: float) -> bytes:
    """Return the message as DATA sends it."""
    head = [
        f"From: mailgate doctor <mailgate-doctor@{hostname}>",
        f"To: <{LOCAL_PART}@{hostname}>",
        "Subject: a clean message of mailgate doctor",
        f"Date: {formatdate(now)}",
        f"Message-ID: <{token}@{hostname}>",
        "",
    ]
    lines = body(token).decode("ascii").splitlines()
    text = [*head, *(f".{line}" if line.startswith(".") else line for line in lines), ".", ""]
    return "\r\n".join(text).encode("ascii", "replace")


def take(directory: str, token: str) -> bytes | None:
    """Return the delivered message with the token, None without it; remove all that was delivered."""
    found: bytes | None = None
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError, BadInput):
                data = read_regular(path, BYTES_MAX)
                if token.encode("ascii") in data:
                    found = data
                os.unlink(path)
    return found


def clean(context: Context) -> list[Finding]:
    """Check that a clean message, sent over SMTP, is delivered whole."""
    directory = context.path(CLEAN_PROOFS)
    if not os.path.isdir(directory):
        return [Finding(CHECK, UNKNOWN, f"{directory} is not there", "run the playbook again")]
    token = f"doctor-{secrets.token_hex(16)}"
    began = time.monotonic()
    try:
        got = _send(context, token)
    except (OSError, MailgateError) as error:
        text = f"the message could not be sent: {error}"
        return [Finding(CHECK, CRITICAL, text, "svstat /service/qmail-smtpd /service/smtpfront")]
    if got.command != "message" or not got.answer.startswith("2"):
        text = f"the {got.command} was answered {got.answer!r}"
        return [Finding(CHECK, CRITICAL, text, _QUEUE)]
    end = time.monotonic() + DELIVERY_SECONDS
    while (arrived := take(directory, token)) is None and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    if arrived is None:
        text = f"the message was accepted, and not delivered within {DELIVERY_SECONDS:.0f} s"
        return [Finding(CHECK, CRITICAL, text, f"svstat /service/qmail-send; {_QUEUE}")]
    if arrived.partition(b"\n\n")[2] != body(token):
        return [Finding(CHECK, CRITICAL, "the message was delivered, and not as it was sent", _QUEUE)]
    return [Finding(CHECK, OK, f"a message is delivered whole, in {time.monotonic() - began:.1f} s")]


def _send(context: Context, token: str) -> sample_mail.Proof:
    settings = context.settings
    content = message(token, settings.hostname, context.now)
    recipient = f"{LOCAL_PART}@{settings.hostname}"
    if settings.proof is not None:
        return sample_mail.over_smtp(
            settings.proof, content, settings.hostname, recipient, sample_mail.ANSWER_SECONDS
        )
    return scanners.own_session(context, content, recipient, {"RELAYCLIENT": ""})
