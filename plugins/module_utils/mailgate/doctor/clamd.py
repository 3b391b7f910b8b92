# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of clamd's surroundings: room in its temporary directory, no warning about its settings."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.paths import CLAMD_SETTINGS, CLAMDSCAN, SIMSCAN_SETTINGS
from .context import Context, mode_and_owner
from .findings import CRITICAL, WARNING, Finding, several

_CHECK = "clamd"
_USER = "clamav"  # whom clamd runs as
_WARNING_FACTOR = 2  # less room than so many times what simscan asks for is a warning
_CLAMDSCAN_SECONDS = 3.0
_WORDS = 200
# What simscan takes for what its settings leave out (scanconf.h).
_DEFAULTS = {"clamd_reserve_bytes": "268435456", "clamd_reserve_files": "4096"}


@dataclass(frozen=True)
class Room:
    """What is free in clamd's temporary directory, and what simscan asks for; files None: not counted."""

    path: str
    free_bytes: int
    free_files: int | None
    reserve_bytes: int
    reserve_files: int
    trouble: str = ""


def simscan_settings(text: str) -> Mapping[str, str]:
    """Parse control/simscan: a name, a blank and a value a line."""
    found = dict(_DEFAULTS)
    for line in text.splitlines():
        name, _blank, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found[name] = value
    return found


def judge_room(seen: Room) -> list[Finding]:
    """Judge the room that clamd has: with too little of it every message is deferred."""
    advice = f"make room: du -x --max-depth=2 {seen.path}; or mount a larger file system there"
    if seen.trouble:
        text = f"{seen.path}: {seen.trouble}; mail is deferred"
        return [Finding(_CHECK, CRITICAL, text, "svc -t /service/clamd makes it; or run the playbook again")]
    found = []
    for what, free, reserve in (
        ("bytes", seen.free_bytes, seen.reserve_bytes),
        ("files", seen.free_files, seen.reserve_files),
    ):
        if free is None or free >= _WARNING_FACTOR * reserve:
            continue
        text = f"{seen.path} has room for {free} {what}; simscan asks for {reserve} (clamd_reserve_{what})"
        if free < reserve:
            found.append(Finding(_CHECK, CRITICAL, f"{text}: mail is deferred", advice))
        else:
            found.append(Finding(_CHECK, WARNING, text, advice))
    return found


def judge_warnings(said: Sequence[str]) -> list[Finding]:
    """Judge what clamdscan says of its settings."""
    advice = "take the line out of clamav_clamd_settings, or write its new name, and run the playbook again"
    found = [Finding(_CHECK, WARNING, line[:_WORDS], advice) for line in said if "WARNING" in line]
    errors = [line for line in said if line.startswith("ERROR")]
    if errors:  # the first one names the line; clamd does not start with it
        found.append(Finding(_CHECK, CRITICAL, errors[0][:_WORDS], advice))
    return found


def may_write(status: os.stat_result, uid: int, gids: Sequence[int]) -> bool:
    """Return whether a user may make files in a directory of this status."""
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in gids else 0
    return uid == 0 or status.st_mode >> shift & 0o3 == 0o3


def _closed(path: str) -> str:
    """Return why clamd's user cannot write into a directory, or "", also where there is no such user."""
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        return ""
    status = os.stat(path)
    if may_write(status, user.pw_uid, os.getgrouplist(_USER, user.pw_gid)):
        return ""
    mode, owner = mode_and_owner(path)
    return f"{_USER} may not write there, it is {mode:04o} {owner}"


def room(context: Context) -> Room | None:
    """Look at clamd's temporary directory; None when simscan does not watch one."""
    with open(context.path(SIMSCAN_SETTINGS), encoding="utf-8", errors="replace") as stream:
        settings = simscan_settings(stream.read())
    path = settings.get("clamd_temporary_directory", "")
    if not path:
        return None
    wanted = int(settings["clamd_reserve_bytes"]), int(settings["clamd_reserve_files"])
    try:
        found = os.statvfs(context.path(path))
    except OSError as error:
        return Room(path, 0, 0, *wanted, str(error.strerror).lower())
    trouble = "is read-only" if found.f_flag & os.ST_RDONLY else _closed(context.path(path))
    files = found.f_favail if found.f_files else None
    return Room(path, found.f_bavail * found.f_frsize, files, *wanted, trouble)


def warnings(context: Context) -> list[str]:
    """Return what clamdscan says of clamd's settings when it only reads them."""
    done = subprocess.run(
        [context.path(CLAMDSCAN), f"--config-file={context.path(CLAMD_SETTINGS)}", "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=_CLAMDSCAN_SECONDS,
        check=False,
    )
    return done.stderr.decode("utf-8", "replace").splitlines()


def clamd(context: Context) -> list[Finding]:
    """Look at clamd's room and at its settings."""
    seen = room(context)
    found = judge_room(seen) if seen is not None else []
    try:
        found += judge_warnings(warnings(context))
    except (OSError, subprocess.TimeoutExpired) as error:
        found.append(Finding(_CHECK, WARNING, f"clamdscan: {error}", "run the playbook again"))
    free = "" if seen is None else f"; {seen.free_bytes // 1048576} MiB free in {seen.path}"
    return several(found, _CHECK, f"no warning about its settings{free}")
