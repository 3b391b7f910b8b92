# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command that activates a written file, run in the background until it succeeds.

A file in the service's directory marks that it must still run, so a service that was killed runs it when it
starts again.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Sequence

from ..core.exits import TEMPORARY

RUN_SECONDS = 120.0
RETRY_SECONDS = 2.0


class DeferredCommand:
    """One command, with the number of requests for it and of those fulfilled."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        directory: str,
        say: Callable[[str], None],
        pause_seconds: float = 0.0,
    ) -> None:
        self.name, self._argv, self._say = name, list(argv), say
        self._pause_seconds = pause_seconds  # at least so long between two runs
        self._path = os.path.join(directory, f"{name}.wanted")
        self._changed = threading.Condition()
        self._wanted = self._tried = self._done = self._marked = 0
        self._why = ""

    def start(self) -> None:
        """Start the thread, and request a run that an earlier service left undone."""
        if os.path.exists(self._path):
            self.want()
        threading.Thread(target=self._work, name=self.name, daemon=True).start()

    def mark(self) -> None:
        """Record on the disk that a run is due, in case the service ends before want(); raises OSError."""
        with self._changed:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._marked += 1

    def want(self, *, marked: bool = False) -> int:
        """Request a run after everything written until now; return the number to pass to wait()."""
        with self._changed:
            self._marked -= marked
            self._wanted += 1
            self._changed.notify_all()
            return self._wanted

    def wait(self, number: int, seconds: float) -> str:
        """Wait for a request; return '' once it is fulfilled, else why not: its error, or the time limit."""
        with self._changed:
            self._changed.wait_for(lambda: self._tried >= number, seconds)
            if self._done >= number:
                return ""
            return self._why or f"{self.name} takes longer than {seconds:g} s"

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._wanted == self._tried:
                    self._changed.wait()
                number = self._wanted
            status, why = self.run()
            with self._changed:
                self._why = why
                if status == 0:
                    self._done = number
                    if self._wanted == number and not self._marked and os.path.exists(self._path):
                        os.unlink(self._path)
                self._tried = number
                self._changed.notify_all()
            if status == TEMPORARY:
                self._say(f"{why}; trying again")
                threading.Event().wait(RETRY_SECONDS)
                self.want()
            elif status != 0:
                self._say(why)
            if self._pause_seconds:
                threading.Event().wait(self._pause_seconds)

    def run(self) -> tuple[int, str]:
        """Run the command; return its exit status, and the last line of its errors if it failed."""
        try:
            done = subprocess.run(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=RUN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return TEMPORARY, f"{self.name}: did not end within {RUN_SECONDS:g} s"
        except OSError as error:
            return 100, f"{self.name}: {error}"
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        words = lines[-1] if lines else f"status {done.returncode}"
        return done.returncode, "" if done.returncode == 0 else f"{self.name}: {words}"
