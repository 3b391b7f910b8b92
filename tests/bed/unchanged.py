# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make fast` need not run again: a part that passed, of whose inputs nothing has changed since."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from .common import BED, ROOT, answer, write_atomically
from .parts import Part
from .python_venv import venv_path
from .sources import cache_directory

# What a result depends on beside the part's own inputs: how tests are run, and with what.
ALWAYS = ("pyproject.toml", "requirements-test.txt", "tests/conftest.py", "tests/bed/*.py")
INSTALLED = Path("/var/lib/dpkg/status")


def inputs(part: Part) -> list[Path]:
    """Return the files that decide the part's result, those that git does not know among them."""
    found = {path for pattern in (*part.inputs, *ALWAYS) for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path for path in found if path.suffix != ".pyc")


def _machine() -> str:
    """Return what the machine gives: packages, compilers, the venv, unpacked sources, the user."""
    packages = os.stat(INSTALLED).st_mtime_ns if INSTALLED.exists() else 0
    archives = sorted(path.name for path in cache_directory().glob("*"))
    gcc = answer(["gcc", "-v"])[1]
    return repr((packages, gcc, shutil.which("clang"), str(venv_path()), archives, os.geteuid()))


def digest(part: Part) -> str:
    """Return a name for all that decides the part's result, as it is now."""
    whole = hashlib.sha256(f"{part.argv} {_machine()}".encode())
    for path in inputs(part):
        whole.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def passed_with(part: Part, now: str) -> bool:
    """Return whether the part passed with inputs of the digest `now`."""
    note = BED / "passed" / part.name
    return bool(part.inputs) and note.is_file() and note.read_text(encoding="utf-8") == now


def note_passed(part: Part, now: str) -> None:
    if part.inputs:
        write_atomically(BED / "passed" / part.name, now)
