# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process that writes the list: its user and its time limit."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import signal
import stat
from types import FrameType

from ..core.errors import BadInput
from ..core.paths import OPERATOR_RECIPIENTS
from .settings import Settings, extra_addresses, parse

_EXTRA_BYTES = 4 << 20


def read_settings(path: str) -> Settings:
    """Read the settings in the file; raises BadInput."""
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except OSError as error:
        raise BadInput(
            f"file {path}: {error.strerror}; expected the settings of the recipients role"
        ) from error
    except ValueError as error:
        raise BadInput(f"file {path}: {error}; expected JSON") from error
    return parse(value, f"file {path}")


def with_extra(settings: Settings, now: float, path: str = OPERATOR_RECIPIENTS) -> Settings:
    """Add the recipients in the operators' file, if it exists; raises BadInput and OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return settings
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _EXTRA_BYTES:
            raise BadInput(
                f"file {path}: is not a file or has {status.st_size} bytes; expected at most {_EXTRA_BYTES}"
            )
        text = stream.read(_EXTRA_BYTES).decode("utf-8", "surrogateescape")
    return dataclasses.replace(settings, extra=extra_addresses(text, f"file {path}", now))


def become(name: str) -> None:
    """Switch this process to a user permanently; only root can. Raises BadInput and OSError."""
    try:
        user = pwd.getpwnam(name)
    except KeyError as error:
        raise BadInput(f"user {name!r}: does not exist; expected what the base role makes") from error
    os.initgroups(name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError("the update took too long")


def bound(settings: Settings) -> None:
    """Limit the time of this process to the time limits of its directories, however slow a server is."""
    seconds = sum(one.export_seconds * len(one.servers) for one in settings.directories)
    if seconds:
        signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, seconds + 60, 60)
