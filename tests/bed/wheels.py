# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels of the operators' screen: a container cannot reach the index where pip would fetch them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from .common import BED, ROOT, Trouble, run, say, timed
from .python_venv import venv_program
from .sources import cache_directory

REQUIREMENTS = ROOT / "roles" / "qmailadmin" / "files" / "requirements.txt"


def wheel_directory() -> Path:
    """Return the directory of the wheels: one for each set of requirements, so its contents are complete."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    return cache_directory().parent / "wheels" / digest


def choose_qmailadmin() -> str:
    """Fetch the wheels once; without them only the screen is left out."""
    target = wheel_directory()
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = tempfile.mkdtemp(dir=target.parent, prefix=".fetching-")
        pip = [venv_program("python"), "-m", "pip", "download", "--disable-pip-version-check"]
        pins = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", str(REQUIREMENTS)]
        try:
            with timed("choose", "fetching the wheels of qmailadmin", "kept"):
                run([*pip, *pins, "-d", fresh], log=BED / "wheels.log", why="fetching wheels")
            os.chmod(fresh, 0o755)
            os.rename(fresh, target)
        except Trouble as trouble:
            shutil.rmtree(fresh, ignore_errors=True)
            say("choose", f"qmailadmin: left out ({trouble})")
            return "qmailadmin_enabled: false\n"
    say("choose", f"qmailadmin: wheels of {target}")
    return f"qmailadmin_enabled: true\nqmailadmin_wheels: {target}\n"
