# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gcc, and what it made of the same sources and words before: compiled once, for whoever asks first."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

STORE = Path(__file__).resolve().parents[2] / ".bed" / "c"
KEPT_SECONDS = 3 * 86400


@functools.cache
def compiler() -> str:
    """Return what a result depends on beside the sources: the compiler, and the state of the headers."""
    version = subprocess.run(["gcc", "-v"], capture_output=True, text=True, check=False).stderr
    return f"{version} {os.stat('/usr/include').st_mtime_ns}"


def key(words: Sequence[str]) -> str:
    """Return a name for what `gcc WORDS` makes, from the words but the target, and all they can include."""
    at = words.index("-o")
    rest = [*words[:at], *words[at + 2 :]]
    # A header lies beside a source, or in a directory that is named.
    files = [Path(word) for word in rest if os.path.isfile(word)]
    places = {path.parent for path in files} | {Path(word) for word in rest if os.path.isdir(word)}
    files += [path for place in places if place != Path("/usr/include") for path in place.glob("*.[ch]")]
    whole = hashlib.sha256(f"1 {compiler()} {rest}\n".encode())
    for path in sorted(set(files)):
        whole.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def gcc(words: Sequence[str], timeout_seconds: float = 120) -> subprocess.CompletedProcess[bytes]:
    """Run gcc, or take what it made before; only what compiled without a message is kept."""
    if "-o" not in words:
        return subprocess.run(["gcc", *words], capture_output=True, timeout=timeout_seconds, check=False)
    target = Path(words[words.index("-o") + 1])
    STORE.mkdir(parents=True, exist_ok=True)
    kept = STORE / key(words)
    with open(f"{kept}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # the other workers of pytest wait for the first
        if kept.exists():
            os.utime(kept)
            shutil.copy(kept, target)
            return subprocess.CompletedProcess(["gcc", *words], 0, b"", b"")
        done = subprocess.run(["gcc", *words], capture_output=True, timeout=timeout_seconds, check=False)
        if done.returncode == 0 and not done.stderr:
            fresh = kept.with_suffix(".new")
            shutil.copy(target, fresh)
            os.replace(fresh, kept)
            _forget_old()
        return done


def _forget_old() -> None:
    for path in STORE.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
