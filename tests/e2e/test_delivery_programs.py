# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A delivery program that cannot run: mail waits, and is delivered when the program is back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.conversations import HOSTNAME, POSTMASTER, SENDER, A
from support.gateway import Bed
from support.queue_access import SendLog
from support.queue_checks import GOOD, accepted, nothing_comes, qmailctl, whole
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("empty_queue")
PATCH = pytest.mark.patch("98-delivery-programs")
LOCAL = f"postmaster@{HOSTNAME}"  # an alias of the gateway, which qmail-local forwards
RESULT = r" delivery [0-9]+: (success|deferral|failure): "
FALSE_REPORT = "#!/bin/sh\necho DIED; exit 0\n"
LOST_LIBRARY = "#!/bin/sh\necho qmail: error while loading shared libraries >&2; exit 127\n"


@contextmanager
def broken(path: Path, how: str) -> Iterator[None]:
    """Remove the program, or give it another mode (0...), or another content."""
    before = path.stat()
    kept = path.with_name(f".{path.name}.kept")
    os.rename(path, kept)
    try:
        if how.startswith("0"):
            path.write_bytes(kept.read_bytes())
            path.chmod(int(how, 8))
        elif how == "directory":
            path.mkdir()
        elif how != "missing":
            path.write_text(how)
            path.chmod(0o755)
        yield
    finally:
        if how == "directory":
            path.rmdir()
        os.replace(kept, path)
        assert path.stat().st_mode == before.st_mode


def first_result(log: SendLog) -> str:
    """Return how the first delivery has ended: success, deferral or failure."""
    eventually(lambda: re.search(RESULT, log.text()) is not None, "a delivery has ended")
    found = re.search(RESULT, log.text())
    return found[1] if found else ""


REMOTE = {
    "missing": "missing",
    "no-execute-bit": "0600",
    "lost-library": LOST_LIBRARY,
    "exit-100": "#!/bin/sh\nexit 100\n",
    "empty": "",
    "a-text": "DIED\n",
    "no-report": FALSE_REPORT,
    "silent": "#!/bin/sh\nexit 0\n",
    "killed": "#!/bin/sh\nkill -9 $$\n",
    "cut-report": "#!/bin/sh\nprintf 'h'\n",
    "interpreter-lost": "#!/usr/lib/no-such-interpreter\n",
    "a-directory": "directory",
}


@PATCH
@pytest.mark.parametrize("how", REMOTE)
def test_without_qmail_remote_mail_waits(bed: Bed, how: str) -> None:
    log = SendLog(bed)
    with broken(bed.root / "var/qmail/bin/qmail-remote", REMOTE[how]):
        content = accepted(f"remote-{how}", GOOD)
        assert first_result(log) == "deferral"
        nothing_comes(bed)
    qmailctl(bed, "doqueue")
    whole(bed, A, GOOD, content)
    assert "bounce" not in log.text()


@PATCH
@pytest.mark.parametrize(
    "how", ["missing", "no-execute-bit", "lost-library", "empty", "a-text", "killed", "a-directory"]
)
@pytest.mark.parametrize("program", ["qmail-local", "qmail-getpw"])
def test_without_qmail_local_mail_waits(bed: Bed, program: str, how: str) -> None:
    """qmail-getpw tells qmail-lspawn which user the mail belongs to."""
    log = SendLog(bed)
    with broken(bed.root / "var/qmail/bin" / program, REMOTE[how]):
        content = accepted(f"{program}-{how}", LOCAL)
        assert first_result(log) == "deferral"
        nothing_comes(bed)
    qmailctl(bed, "doqueue")
    arrived = bed.mailroom.claim(lambda one: (one.recipient, one.sender) == (POSTMASTER, SENDER), 20)
    assert arrived is not None and arrived.content.endswith(content)
    assert "bounce" not in log.text()


@pytest.mark.parametrize(
    ("program", "how", "said"),
    [
        ("qmail-remote", "missing", "is missing"),
        ("qmail-remote", "0600", "has mode 0600 and cannot be executed"),
        ("qmail-local", "", "is not a program"),
    ],
    ids=["missing", "mode", "empty"],
)
def test_the_doctor_is_critical(bed: Bed, program: str, how: str, said: str) -> None:
    with broken(bed.root / "var/qmail/bin" / program, how):
        status, output, _ = bed.inside("mailgate", "doctor", "--json", "--only", "programs")
    assert (status, json.loads(output)["findings"][0]["text"]) == (
        2,
        f"/var/qmail/bin/{program} {said}: mail is deferred",
    )
    assert bed.inside("mailgate", "doctor", "--only", "programs")[0] == 0
