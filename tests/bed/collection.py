# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout as a collection: under the name that ansible looks for, and as a copy."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from .common import ROOT, run, say

LINK = ROOT / ".ansible" / "collections" / "ansible_collections" / "mailgate" / "qmail"


def command_link() -> None:
    """Give the checkout the path below ansible_collections/ by which alone ansible finds a collection."""
    target = os.path.relpath(ROOT, LINK.parent)
    if LINK.is_symlink() and os.readlink(LINK) == target:
        say("link", f"{LINK.relative_to(ROOT)} is current")
        return
    LINK.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        LINK.unlink()
    LINK.symlink_to(target)
    say("link", f"{LINK.relative_to(ROOT)} made")


def project_files() -> list[str]:
    """Tracked files and new ones that git does not ignore."""
    listing = run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        why="listing the project's files",
    )
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def copy_project(target: Path, without: tuple[str, ...] = ()) -> None:
    """Make `target` hold the project's files but those below `without`; unchanged files keep their times."""
    wanted = {name for name in project_files() if not name.startswith(without)}
    for path in sorted(target.rglob("*"), reverse=True) if target.exists() else []:
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
        elif path.relative_to(target).as_posix() not in wanted and not {".git", "output"} & set(path.parts):
            path.unlink()
    for name in wanted:
        source, copy = ROOT / name, target / name
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)
