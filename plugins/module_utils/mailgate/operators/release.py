# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release of a kept copy: recorded before it is queued, and given to simscan as a mail session does.

simscan gets RELAYCLIENT, by which it leaves SpamAssassin out and nothing else: clamd is asked with its
signatures of today, under every rule that holds for new mail, and only then is qmail-queue started. So a
release cannot deliver a virus, and what breaks the scanner defers the release.

The record (formats/refused_copy.py) makes it once: it says 'begun' on the disk before simscan is started.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.files import atomic_write, fsync_directory, read_regular
from ..core.times import utc
from ..formats.refused_copy import NAME, Head, check_name

BEGUN, DONE, FAILED, UNKNOWN = STAGES = ("begun", "done", "failed", "unknown")
RECORD_BYTES_MAX = 4096
MARK = "X-Mailgate-Released"
SECONDS = 40.0  # for clamd; with the next one twice less than a caller waits
ENDING_SECONDS = 8.0  # for qmail-queue, which a signal does not end
TEXT_FD = 4  # where simscan says why it refuses (scan.h)
REFUSED, REFUSED_WITH_TEXT = 31, 82
TEXT_BYTES_MAX = 65_536  # of a pipe
QUEUE = "qmail-queue"  # in simscan's line: it was started, or was to be
NOT_QUEUED = (f"{QUEUE} exited with status", f"{QUEUE} cannot be started")  # scanchild_words() of simscan


@dataclass(frozen=True)
class Record:
    """What is known of a release: its stage, when it began, by whom, and more words."""

    stage: str
    at: int
    by: str
    why: str = ""

    def words(self) -> str:
        """Describe the release for people; '' when nothing was delivered."""
        if self.stage == DONE:
            return f"released {utc(self.at)} by {self.by}"
        if self.stage == FAILED:
            return ""
        return f"a release of {utc(self.at)} by {self.by} was interrupted: it may have been delivered"


def fault(record: Record | None, *, again: bool) -> str:
    """Return why a copy must not be released (once more), or ''."""
    if record is None or record.stage == FAILED:
        return ""
    if record.stage == DONE:
        return f"was {record.words()}; expected one that was not: a copy is delivered once"
    if again:
        return ""
    return f"{record.words()}; look for it with 'mailgate trace', and release it with --again if it was not"


class Records:
    """The records of releases, a file each in a directory of root's."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def _path(self, name: str) -> str:
        check_name(name)
        return os.path.join(self._directory, name)

    def read(self, name: str) -> Record | None:
        """Return the record of a release, 'unknown' if it makes no sense, or None; raises OSError."""
        path = self._path(name)
        try:
            values = json.loads(read_regular(path, RECORD_BYTES_MAX))
            stage, at, by = values["stage"], values["at"], values["by"]
            if stage in STAGES and isinstance(at, int) and isinstance(by, str):
                return Record(stage, at, by, str(values.get("why", "")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            pass
        return Record(UNKNOWN, 0, "somebody")

    def write(self, name: str, record: Record) -> None:
        """Write a record; it is on the disk when this returns. Raises OSError."""
        if not os.path.isdir(self._directory):
            os.mkdir(self._directory, 0o700)
            fsync_directory(os.path.dirname(self._directory))
        values = {"stage": record.stage, "at": record.at, "by": record.by, "why": record.why}
        with atomic_write(self._path(name), 0o600) as stream:
            stream.write(json.dumps(values).encode("ascii"))

    def forget_others(self, names: Sequence[str]) -> None:
        """Remove the records of copies that are no longer there; raises OSError."""
        if os.path.isdir(self._directory):
            for name in sorted(set(os.listdir(self._directory)) - set(names)):
                if NAME.fullmatch(name):
                    os.unlink(self._path(name))


def mark(name: str, head: Head, now: float) -> bytes:
    """Return the header field that a released message gets on top: not a proof, for anybody can write one."""
    score = f", score {head.score:g}" if head.score is not None else ""
    verdict = f"{head.verdict.lower()}{score}"
    return f"{MARK}: {name}; refused {utc(head.at)} as {verdict}; released {utc(now)}\n".encode("ascii")


def served(recipient: bytes, accepted: frozenset[str]) -> bool:
    """Return whether a recipient is in a domain that is served here, or has none: <postmaster>."""
    dummy, at, domain = recipient.decode("latin-1").lower().rpartition("@")
    above = (domain[place:] for place, char in enumerate(domain) if char == ".")
    if not at:
        return bool(recipient)
    return domain in accepted or any(part in accepted for part in above)


@dataclass(frozen=True)
class Said:
    """How simscan ended: its exit status (negative: the signal), its text for qmail-smtpd, its last line."""

    status: int
    text: str
    line: str


@dataclass(frozen=True)
class Outcome:
    """The stage of a release, and words about it; temporary: it may work later."""

    stage: str
    words: str
    temporary: bool = False


def outcome(said: Said) -> Outcome:
    """Judge how simscan ended.

    It exits 0 only when qmail-queue did, and before qmail-queue runs, SIGTERM ends it (scanqueue.c). What is
    not sure is 'unknown': qmail-queue was started, and did not say that it failed.
    """
    if said.status == 0:
        return Outcome(DONE, f"queued ({said.text[1:].strip()})" if said.text.startswith("K") else "queued")
    if said.status in (REFUSED, REFUSED_WITH_TEXT):
        words = said.text[1:].strip() if said.text[:1] in ("D", "Z") else ""
        return Outcome(FAILED, words or said.line or "simscan refuses it", said.text.startswith("Z"))
    words = said.line or f"simscan ended with {said.status}"
    before_the_queue = said.status == -signal.SIGTERM or (said.status > 0 and QUEUE not in said.line)
    certain = said.status > 0 and any(one in said.line for one in NOT_QUEUED)
    return Outcome(FAILED if before_the_queue or certain else UNKNOWN, words, temporary=True)


@dataclass(frozen=True)
class Scanner:
    """The program that gets the message, and the user as whom a mail session runs it ('': the caller's)."""

    path: str
    user: str = "qmaild"
    seconds: float = SECONDS

    def run(self, message: bytes, envelope: bytes) -> Said:
        """Give it a message and an envelope; raises TryAgain when it was not started, and nothing else."""
        reading = writing = -1
        try:
            reading, writing = os.pipe()
            with _memory(message) as one, _memory(envelope) as other:
                process = self._start(one, other, writing)
        except (OSError, KeyError, subprocess.SubprocessError) as error:
            if reading != -1:
                os.close(reading)
            raise TryAgain(f"{self.path}: {error}; nothing was released") from error
        finally:
            if writing != -1:
                os.close(writing)
        # From here on it may be queued, so no error may say that it was not.
        status = _ended(process, self.seconds)
        text = b""
        with contextlib.suppress(OSError), os.fdopen(reading, "rb", buffering=0) as pipe:
            os.set_blocking(reading, False)  # a child of simscan's may have the pipe still
            text = pipe.read(TEXT_BYTES_MAX) or b""
        return _said(status, text.decode("ascii", "replace"))

    def _start(self, message: IO[bytes], envelope: IO[bytes], log: int) -> subprocess.Popen[bytes]:
        options: dict[str, Any] = {}
        if self.user:
            user = pwd.getpwnam(self.user)
            options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        return subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$0" {TEXT_FD}>&2', self.path],
            stdin=message,
            stdout=envelope,  # which is read, as from qmail-smtpd
            stderr=log,
            env={"RELAYCLIENT": "", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            cwd="/",
            **options,
        )


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Return the exit status, -SIGKILL also for a process that does not end."""
    for number, patience in (
        (None, seconds),
        (signal.SIGTERM, ENDING_SECONDS),
        (signal.SIGKILL, ENDING_SECONDS),
    ):
        if number is not None:
            with contextlib.suppress(OSError):
                process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(patience)
    return -signal.SIGKILL


def _said(status: int, text: str) -> Said:
    """Return what simscan said; its text for qmail-smtpd, 'K…', 'D…' or 'Z…', comes behind its log."""
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines.pop() if lines and lines[-1][0] in "KDZ" else ""
    return Said(status, last, lines[-1] if lines else "")


def _memory(data: bytes) -> IO[bytes]:
    """Return an open file without a name that has these bytes."""
    stream = os.fdopen(os.memfd_create("release", os.MFD_CLOEXEC), "w+b")
    stream.write(data)
    stream.flush()
    stream.seek(0)
    return stream


def refuse(found: Outcome, what: str) -> MailgateError:
    """Return the error for a release that was not done, or not certainly."""
    words = f"{what}: not released: {found.words}"
    if found.stage == UNKNOWN:
        words = f"{what}: it is unknown whether it was released: {found.words}; see 'mailgate trace'"
    return TryAgain(words) if found.temporary else BadInput(words)
