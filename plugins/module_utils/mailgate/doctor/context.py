# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The context of the doctor's checks: settings, paths, and the time."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.files import open_regular
from .settings import Settings

_TAIL_BYTES = 65536
LOOK_AGAIN_SECONDS = 1.5


@dataclass(frozen=True)
class Context:
    """The context of every probe; root is put in front of every path."""

    settings: Settings
    now: float
    quick: bool = False
    root: str = ""

    def path(self, path: str) -> str:
        return self.root + path


def log_tail(path: str, size: int = _TAIL_BYTES) -> list[str]:
    """Return the last lines of a file, [] when it does not exist."""
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - size))
            lines = stream.read(size).decode("utf-8", "replace").splitlines()
    except (OSError, BadInput):
        return []
    return lines[1:] if end > size else lines


def without_stamp(line: str) -> str:
    """Return a line of a log without its time."""
    return re.sub(r"^@[0-9a-f]{24} ?", "", line).strip()


def mode_and_owner(path: str) -> tuple[int, str]:
    """Return (mode, 'user:group') of a file."""
    status = os.stat(path)
    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return stat.S_IMODE(status.st_mode), f"{user}:{group}"
