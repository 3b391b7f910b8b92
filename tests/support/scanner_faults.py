# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break the parts behind simscan in a gateway's container, and check the replies and the log."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.conversations import STRANGER
from support.gateway import Bed, gateway_pid, submit
from support.played_scanners import Act, PlayedClamd, PlayedSpamd
from support.waiting import eventually

WORK = "var/spool/simscan"
CONTROL = "var/qmail/control/simscan"
SUFFIXES = "var/qmail/control/ssattach"
CLAMD, SPAMD = "run/clamav/clamd.ctl", "run/spamd/spamd.sock"
RIPMIME, QMAIL_QUEUE = "usr/local/bin/ripmime", "var/qmail/bin/qmail-queue"
LOG = "var/log/qmail/smtpd/current"

DEADLINE_SECONDS = 5
ANSWER_SECONDS = 30.0
GRACE_SECONDS = 25.0  # a session, a kill and a log line beyond the deadline, on a busy machine
FLOWING_SECONDS = 90.0
LOG_SECONDS = 3.0
PROSE_BYTES = 10_000  # SpamAssassin reads text for seconds where it looks at an attachment for none
ARRIVAL_SECONDS = 30.0

_numbers = itertools.count(1)


def letter(
    body: bytes = b"Good morning.\r\n", *fields: bytes, subject: bytes = b"a letter"
) -> tuple[str, bytes]:
    """Return a unique message and its id; `fields` and `body` end their lines with CRLF."""
    name = f"scan-{os.getpid()}-{time.time_ns()}-{next(_numbers)}"
    head = (
        b"From: Ann <ann@sender.example>\r\nTo: alice@example.test\r\nSubject: "
        + subject
        + b"\r\nDate: "
        + time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()).encode()
        + f"\r\nMessage-ID: <{name}@sender.example>\r\nX-Row: {name}\r\n".encode()
    )
    if len(body) > PROSE_BYTES and not any(b"Content-Type" in one for one in fields):
        fields = (*fields, b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n")
    return name, head + b"".join(fields) + b"\r\n" + body


def padding(size: int) -> bytes:
    """`size` bytes of lines."""
    line = b"All work and no play makes Jack a dull boy, said the cat in the hat.\r\n"
    text = line * (size // len(line) + 1)
    return text[: size - 2] + b"\r\n"


class Log:
    """The lines of a log that come after this was made; the log is not turned over meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = path.stat().st_size

    def lines(self) -> list[str]:
        with open(self._path, "rb") as handle:
            handle.seek(self._begin)
            return handle.read().decode("latin-1").splitlines()

    def says(self, pattern: str) -> bool:
        """Return whether a line matches, or does so soon: a reply may be quicker than multilog."""
        deadline = time.monotonic() + LOG_SECONDS
        while not (found := any(re.search(pattern, line) for line in self.lines())):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return found


class ScanBed:
    """One gateway whose scanner has a short deadline."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.root = bed.root

    # --- mail ---

    def send(
        self,
        content: bytes,
        *recipients: str,
        who: str = STRANGER,
        within_seconds: float = ANSWER_SECONDS,
    ) -> str:
        return submit(
            content, *(recipients or ("alice@example.test",)), who=who, timeout_seconds=within_seconds
        )

    def arrived(self, name: str, within_seconds: float = ARRIVAL_SECONDS) -> bytes:
        """Return what the back end got of the message with this id; b"" when nothing comes."""
        mark = f"X-Row: {name}\r\n".encode()
        got = self.bed.mailroom.claim(lambda delivery: mark in delivery.content, within_seconds)
        return got.content if got else b""

    def wait_until_mail_flows(self) -> None:
        """Check that without any fault a clean message gets through unchanged."""
        deadline = time.monotonic() + FLOWING_SECONDS
        while True:
            name, content = letter()
            reply = self.send(content)
            if reply.startswith("250 "):
                break
            assert time.monotonic() < deadline, f"{FLOWING_SECONDS:.0f} s after the repair still {reply!r}"
            time.sleep(0.3)
        assert self.arrived(name).endswith(content.partition(b"\r\n\r\n")[2])

    # --- the log ---

    def log(self) -> Log:
        """Return a view of the log from now on."""
        return Log(self.root / LOG)

    # --- what can be broken ---

    @contextmanager
    def missing(self, place: str) -> Iterator[Path]:
        """Move the file, or link, away and back; meanwhile it lies at the path that the block gets."""
        path = self.root / place
        kept = path.with_name(f".{path.name}.{next(_numbers)}")
        os.rename(path, kept)
        try:
            yield kept
        finally:
            os.rename(kept, path)

    @contextmanager
    def written(self, place: str, text: str, mode: int = 0o644) -> Iterator[None]:
        """Replace this file meanwhile; REAL in the text is the path of the original."""
        with self.missing(place) as kept:
            path = self.root / place
            real = "/" + str(kept.relative_to(self.root))
            path.write_text(text.replace("REAL", real), encoding="latin-1")
            path.chmod(mode)
            yield

    @contextmanager
    def script(self, place: str, text: str) -> Iterator[None]:
        try:
            with self.written(place, f"#!/bin/sh\n{text}\n", 0o755):
                yield
        finally:
            # a scanner without a deadline leaves them, and an endless one takes a processor for itself
            for program in ("sleep", "cat", "head"):
                for pid in self.pids(program):
                    with suppress(FileNotFoundError, ProcessLookupError):
                        if os.stat(f"/proc/{pid}").st_uid != 0:  # root's sleep holds the container
                            os.kill(pid, signal.SIGKILL)

    @contextmanager
    def played(self, place: str, act: Act) -> Iterator[PlayedClamd | PlayedSpamd]:
        """Let a daemon of the test answer in the place of clamd's, or spamd's, socket."""
        # one that was started just now has none yet
        eventually((self.root / place).exists, f"/{place} is there", FLOWING_SECONDS)
        with self.missing(place):
            kind = PlayedClamd if place == CLAMD else PlayedSpamd
            daemon: PlayedClamd | PlayedSpamd = kind(self.root / place)
            daemon.act = act
            try:
                yield daemon
            finally:
                daemon.close()

    @contextmanager
    def settings(self, **values: object) -> Iterator[None]:
        """Set other values in control/simscan; programs without that file ignore them."""
        path = self.root / CONTROL
        lines = dict(
            line.split(" ", 1) for line in path.read_text().splitlines() if line[:1] not in ("#", "")
        )
        lines |= {name: str(value) for name, value in values.items()}
        with self.written(CONTROL, "".join(f"{name} {value}\n" for name, value in lines.items())):
            yield

    @contextmanager
    def stopped(self, service: str) -> Iterator[None]:
        self.bed.inside("svc", "-d", f"/service/{service}")
        self.wait_for_state(service, "down")
        try:
            yield
        finally:
            self.bed.inside("svc", "-u", f"/service/{service}")

    def wait_for_state(self, service: str, state: str) -> None:
        deadline = time.monotonic() + 30
        while f": {state} " not in (said := self.bed.inside("svstat", f"/service/{service}")[1]):
            assert time.monotonic() < deadline, f"{service} is not {state}: {said}"
            time.sleep(0.1)

    @contextmanager
    def wedged(self, program: str) -> Iterator[None]:
        """Stop its processes: connections are accepted, and no answer comes."""
        # One that was started just now has not its own name yet.
        deadline = time.monotonic() + 30
        while not (pids := self.pids(program)):
            assert time.monotonic() < deadline, f"no process {program}"
            time.sleep(0.2)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def pids(self, program: str) -> list[int]:
        return [pid for pid, name in self.bed.processes().items() if name.startswith(program)]

    @contextmanager
    def limited(self, limit: str, value: int) -> Iterator[None]:
        """Lower a limit for sessions that begin from now on."""
        status, said, trouble = self.bed.inside("svstat", "/service/qmail-smtpd")
        pid = re.search(r"\(pid ([0-9]+)\)", said)
        assert status == 0 and pid, said + trouble
        option = f"--{limit}"
        before = self._prlimit(pid[1], option, "--output=SOFT", "--noheadings")
        self._prlimit(pid[1], f"{option}={value}:")
        try:
            yield
        finally:
            self._prlimit(pid[1], f"{option}={before}:")

    def _prlimit(self, pid: str, *words: str) -> str:
        # only the user of a process may do this where root has not every capability
        argv = ["docker", "exec", "-u", "qmaild", self.bed.name, "prlimit", f"--pid={pid}", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()

    @contextmanager
    def room(self, size_bytes: int) -> Iterator[None]:
        """Make the work directory smaller."""
        self._resize(str(size_bytes))
        try:
            yield
        finally:
            self._resize(self.size)

    @property
    def size(self) -> str:
        for line in Path(f"/proc/{gateway_pid(self.bed.name)}/mounts").read_text().splitlines():
            words = line.split()
            if words[1] == f"/{WORK}":
                self._size = self._size or dict(word.partition("=")[::2] for word in words[3].split(",")).get(
                    "size", "50%"
                )
                return self._size
        raise AssertionError(f"/{WORK} is not a file system of its own")

    _size = ""

    def _resize(self, size: str) -> None:
        dummy = self.size
        pid = str(gateway_pid(self.bed.name))
        options = f"remount,nosuid,nodev,noexec,size={size}"
        argv = ["nsenter", "-t", pid, "-m", "mount", "-o", options, f"/{WORK}"]
        subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)

    @contextmanager
    def unwritable(self) -> Iterator[None]:
        path = self.root / WORK
        before = path.stat()
        os.chown(path, 0, 0)
        path.chmod(0o755)
        try:
            yield
        finally:
            os.chown(path, before.st_uid, before.st_gid)
            path.chmod(before.st_mode & 0o7777)

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in (self.root / WORK).iterdir())

    def sweep(self) -> None:
        for path in (self.root / WORK).iterdir():
            shutil.rmtree(path)


class Talk(threading.Thread):
    """Send one message in its own session, beside others."""

    def __init__(self, bed: ScanBed, content: bytes, within_seconds: float = ANSWER_SECONDS) -> None:
        super().__init__(daemon=True)
        self._bed = bed
        self._content = content
        self._within_seconds = within_seconds
        self.reply = ""
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        begin = time.monotonic()
        try:
            self.reply = self._bed.send(self._content, within_seconds=self._within_seconds)
        except OSError as error:
            self.reply = f"no session: {error}"
        self.seconds = time.monotonic() - begin

    def answer(self) -> str:
        self.join(self._within_seconds + 10)
        return self.reply
