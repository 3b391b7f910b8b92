# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths, messages and commands of the test bed, which all its other modules use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BED = ROOT / ".bed"
LABEL = "mailgate.bed"

# How the reason begins for which a test is not run on a stand-in; `make verify-real` runs it.
ONLY_REAL = "only with the real "


class Trouble(Exception):
    """One clear sentence: what cannot be done, why, and what to do."""


def say(step: str, text: str) -> None:
    print(f"{step}: {text}", flush=True)


@contextlib.contextmanager
def timed(step: str, doing: str, done: str = "done") -> Iterator[None]:
    """Print what begins, and how many seconds it took when it succeeded."""
    say(step, f"{doing} ...")
    begin = time.monotonic()
    yield
    say(step, f"{done}, {time.monotonic() - begin:.1f} s")


@contextlib.contextmanager
def only_one(name: str = "lock") -> Iterator[None]:
    """Lock `name`, so that two runs of this program in one checkout take turns."""
    BED.mkdir(exist_ok=True)
    with open(BED / name, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_root() -> bool:
    return os.geteuid() == 0


def tail(text: str, lines: int = 3) -> str:
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:]) or "it said nothing"


def run(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    env: dict[str, str] | None = None,
    why: str = "",
    directory: Path | None = None,
) -> str:
    """Return the output of a command that must succeed.

    All of the output goes into `log`; when the command fails, its last lines go into the Trouble.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=directory,
            check=False,
        )
    except OSError as error:
        raise Trouble(f"{why or 'a step'} failed: cannot run {argv[0]!r}: {error.strerror}") from error
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as handle:
            handle.write(f"$ {shlex.join(argv)}\n{done.stdout}")
    if done.returncode != 0:
        where = f" (all of it: {log})" if log else ""
        raise Trouble(
            f"{why or 'a step'} failed: {shlex.join(argv[:6])} ended with {done.returncode}: "
            f"{tail(done.stdout)}{where}"
        )
    return done.stdout


def answer(argv: Sequence[str], timeout_seconds: float = 30) -> tuple[int, str]:
    """Exit status and output of a question; 127 when the program is missing, 124 when it does not answer."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError:
        return 127, f"{argv[0]}: not found"
    except subprocess.TimeoutExpired:
        return 124, f"{argv[0]}: no answer within {timeout_seconds:.0f} s"
    return done.returncode, done.stdout


def write_atomically(path: Path, text: str) -> bool:
    """Return whether the file had to be written."""
    with contextlib.suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
    return True
