# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mailgate rules watch: the service that compiles whenever a fragment changes or an entry expires."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable

from ..core.errors import MailgateError
from ..core.text import one_line
from . import fragments as tcprules
from . import senders as bad_senders
from .apply import Done, Paths, compile_rules, compile_senders
from .files import write_status

POLL_SECONDS = 0.3
RETRY_SECONDS = 2.0
SHOWN_LINES = 20
Signature = tuple[object, ...]


def signature(paths: list[str]) -> Signature:
    """Return a value that changes with the files: the status of each path and of its link's target."""
    found: list[object] = []
    for path in paths:
        for look in (os.lstat, os.stat):
            try:
                status = look(path)
                found.append((status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_nlink,
                              status.st_size, status.st_mtime_ns, status.st_ctime_ns))  # fmt: skip
            except OSError as error:
                found.append(error.errno)
    return tuple(found)


class Job:
    """A set of fragments and the files compiled from it; run() compiles when that is needed."""

    def __init__(
        self,
        name: str,
        inputs: list[str],
        outputs: list[str],
        compile_now: Callable[[float], Done],
        state: str,
        say: Callable[[str], None],
    ) -> None:
        self._name, self._inputs, self._outputs, self._state, self._say = name, inputs, outputs, state, say
        self._compile = compile_now
        self._seen: Signature | None = None
        self._made: Signature | None = None
        self._said: tuple[str, ...] = ()
        self._at: float | None = None  # when to compile again although nothing changed

    def run(self, now: float) -> None:
        """Compile if a fragment or a compiled file changed, if an entry expired, or after a failure."""
        seen, made = signature(self._inputs), signature(self._outputs)
        if seen == self._seen and made == self._made and (self._at is None or now < self._at):
            return
        self._seen = seen
        try:
            done = self._compile(now)
        except (MailgateError, OSError) as error:
            self._tell((str(error),))
            # Most failures need a person, but a full disk or a held lock may be over by itself.
            self._at = now + RETRY_SECONDS
            self._failed(str(error))
        else:
            shown = done.changes[:SHOWN_LINES]
            more = len(done.changes) - len(shown)
            for line in (
                *shown,
                *([f"and {more} more changes"] if more else []),
                *(done.summary if shown else ()),
            ):
                self._say(line)
            self._tell((*done.faults, *done.notices))
            self._at = done.next_expiry
        self._made = signature(self._outputs)

    def _tell(self, lines: tuple[str, ...]) -> None:
        """Report faults and notices, each once while it lasts."""
        for line in lines:
            if line not in self._said:
                self._say(line)
        if self._said and not lines:
            self._say(f"{self._name}: every fragment is in force again")
        self._said = lines

    def _failed(self, error: str) -> None:
        try:
            write_status(self._state, self._name, {"error": error})
        except OSError as trouble:
            self._say(f"file {self._state}/status.json: {trouble}")


def jobs(paths: Paths, say: Callable[[str], None]) -> list[Job]:
    """Return the service's two jobs: the rules and the bad senders."""
    return [
        Job(
            "rules",
            [os.path.join(paths.directory, name) for name in tcprules.FRAGMENTS],
            [paths.compiled, paths.copy],
            lambda now: compile_rules(paths, now, by_hand=False),
            paths.state,
            say,
        ),
        Job(
            "bad_senders",
            [os.path.join(paths.senders_directory, name) for name in bad_senders.FRAGMENTS],
            [paths.senders],
            lambda now: compile_senders(paths, now),
            paths.state,
            say,
        ),
    ]


def own_files() -> list[str]:
    """Return the files of this package; the service exits when they change, and supervise restarts it."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return sorted(
        os.path.join(directory, name)
        for directory, dummy_subdirectories, names in os.walk(package)
        for name in names
        if name.endswith(".py")
    )


def _end(dummy_number: int, dummy_frame: object) -> None:
    raise SystemExit(0)


def watch(paths: Paths) -> None:
    """Compile on every change; return when the package's files change. SIGTERM removes temporary files."""
    # A compilation makes hundreds of thousands of tuples without cycles, so collecting cycles is a waste.
    gc.set_threshold(200000, 20, 20)
    signal.signal(signal.SIGTERM, _end)

    def say(line: str) -> None:
        sys.stdout.write(one_line(line.replace("\n", " ")) + "\n")
        sys.stdout.flush()

    all_jobs = jobs(paths, say)
    program = signature(own_files())
    say("rules: watching")
    while signature(own_files()) == program:
        for job in all_jobs:
            job.run(time.time())
        time.sleep(POLL_SECONDS)
    say("rules: the program's files changed: restarting")
