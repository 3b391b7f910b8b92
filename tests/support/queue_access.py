# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that are queued without qmail-smtpd, and the log lines of qmail-send about them."""

from __future__ import annotations

import time

from support.gateway import Bed

LOG = "var/log/qmail/send/current"
SOON_SECONDS = 20.0


def put_into_queue(bed: Bed, sender: bytes, *recipients: bytes, content: bytes) -> None:
    """Give qmail-queue an envelope and a message (LF lines), as a program of the host may."""
    envelope = b"F" + sender + b"\0" + b"".join(b"T" + one + b"\0" for one in recipients) + b"\0"
    place = bed.root / "var/tmp"
    (place / "put-message").write_bytes(content)
    (place / "put-envelope").write_bytes(envelope)
    script = "exec /var/qmail/bin/qmail-queue </var/tmp/put-message 1</var/tmp/put-envelope"
    assert bed.inside("sh", "-c", script) == (0, "", "")


class SendLog:
    """What qmail-send logs from now on."""

    def __init__(self, bed: Bed) -> None:
        self._path = bed.root / LOG
        self._seen = self._path.stat().st_size

    def text(self) -> str:
        with self._path.open("rb") as file:
            file.seek(self._seen)
            return file.read().decode("latin-1")

    def wait_for(self, words: str) -> str:
        """Return the line that has these words, without its stamp, once it is there."""
        deadline = time.monotonic() + SOON_SECONDS
        while True:
            for line in self.text().splitlines():
                if words in line:
                    return line.partition(" ")[2]
            assert time.monotonic() < deadline, f"qmail-send did not log {words!r}:\n{self.text()}"
            time.sleep(0.05)

    def wait_for_end(self, messages: int) -> None:
        """Wait until so many messages have left the queue."""
        deadline = time.monotonic() + SOON_SECONDS
        while self.text().count(" end msg ") < messages:
            assert time.monotonic() < deadline, f"{messages} messages did not end:\n{self.text()}"
            time.sleep(0.05)
