# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole trees that a test's build made of the same files before: built once, for whoever asks first."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from support import c_compiler


def keep(target: Path, texts: Iterable[str], files: Iterable[Path], build: Callable[[Path], None]) -> None:
    """Fill a new directory: let `build` do it, or unpack what it made of the same texts and files before.

    texts and files, by name and content, are all that the result depends on beside the compiler: it does not
    depend on where the directory is. Times are kept, to a second, so that make goes on from there.
    """
    target.mkdir(exist_ok=True)
    names = [f"{path.name} {c_compiler.text_of(str(path)).digest}" for path in files]
    store = c_compiler.STORE
    store.mkdir(parents=True, exist_ok=True)
    kept = store / f"{c_compiler.digest('tree', list(texts), names)}.tar"
    with open(f"{kept}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # the other workers of pytest wait for the first
        if not kept.exists():
            build(target)
            fresh = kept.with_suffix(".new")
            subprocess.run(["tar", "-cf", fresh, "-C", target, "."], check=True)
            os.replace(fresh, kept)
            return
    os.utime(kept)
    subprocess.run(["tar", "-xf", kept, "-C", target], check=True)
