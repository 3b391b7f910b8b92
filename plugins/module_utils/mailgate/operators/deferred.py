# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command that puts a written file into force, run in the background until it succeeds.

A file in the service's directory says that it is still to be run, so a service that was killed runs it when
it starts again.
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
    """One such command."""

    def __init__(self, name: str, argv: Sequence[str], directory: str, say: Callable[[str], None]) -> None:
        self.name, self._argv, self._say = name, list(argv), say
        self._path = os.path.join(directory, f"{name}.wanted")
        self._changed = threading.Condition()
        self._wanted = self._tried = self._done = self._marked = 0
        self._why = ""

    def start(self) -> None:
        """Begins to work, with what an earlier service left to be done."""
        if os.path.exists(self._path):
            self.want()
        threading.Thread(target=self._work, name=self.name, daemon=True).start()

    def mark(self) -> None:
        """Keeps that it is to be run, should the service end before want() is called; raises OSError."""
        with self._changed:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._marked += 1

    def want(self, *, marked: bool = False) -> int:
        """Has it run, after whatever was written until now; what wait() is to be given."""
        with self._changed:
            self._marked -= marked
            self._wanted += 1
            self._changed.notify_all()
            return self._wanted

    def wait(self, number: int, seconds: float) -> str:
        """'' once that wish is fulfilled, or why it is not after a first try, or after so many seconds."""
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

    def run(self) -> tuple[int, str]:
        """Exit status of the command, and its last words if it failed."""
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
            return TEMPORARY, f"{self.name}: no end within {RUN_SECONDS:g} s"
        except OSError as error:
            return 100, f"{self.name}: {error}"
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        words = lines[-1] if lines else f"status {done.returncode}"
        return done.returncode, "" if done.returncode == 0 else f"{self.name}: {words}"
