# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether copies of refused spam can be kept, and are read by nobody else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.paths import SIMSCAN_SETTINGS
from ..host.refused_store import RefusedStore
from .clamd import simscan_settings
from .context import Context, mode_and_owner
from .findings import CRITICAL, OK, WARNING, Finding, several

_CHECK = "copies"
_OWNER, _MODE = "simscan", 0o700
_FULL_PERCENT = 98  # the cleaner makes room at 90
# What simscan takes for what its settings leave out (scanconf.h).
_DEFAULTS = {"keep_bytes": "1073741824", "keep_files": "10000"}


@dataclass(frozen=True)
class Kept:
    """The directory of copies: mode, owner, contents and limits; trouble: why it cannot be read."""

    path: str
    mode: int
    owner: str
    files: int
    bytes: int
    files_max: int
    bytes_max: int
    trouble: str = ""


def judge(seen: Kept) -> list[Finding]:
    """Judge the directory: refused spam is refused in any case, so most of it is a warning."""
    if seen.trouble:
        text = f"{seen.path}: {seen.trouble}; no copy of refused spam is kept"
        return [Finding(_CHECK, WARNING, text, "run the playbook again")]
    found = []
    if seen.mode & 0o077:
        text = f"{seen.path} is {seen.mode:04o} {seen.owner}: others can read refused mail"
        found.append(Finding(_CHECK, CRITICAL, text, f"chmod {_MODE:04o} {seen.path}"))
    elif seen.owner.partition(":")[0] != _OWNER or seen.mode & _MODE != _MODE:
        text = f"{seen.path} is {seen.mode:04o} {seen.owner}: simscan keeps no copy of refused spam"
        advice = f"chown {_OWNER}:{_OWNER} {seen.path}; chmod {_MODE:04o} {seen.path}"
        found.append(Finding(_CHECK, WARNING, text, advice))
    for what, there, most in (
        ("files", seen.files, seen.files_max),
        ("bytes", seen.bytes, seen.bytes_max),
    ):
        if there * 100 >= most * _FULL_PERCENT:
            text = f"{seen.path} has {there} of {most} {what}: spam is refused without a copy"
            advice = "svstat /service/simscan-cleaner; see gateway_keep_refused_bytes and _days"
            found.append(Finding(_CHECK, WARNING, text, advice))
    return several(found, _CHECK, f"{seen.files} copies of refused mail, {seen.bytes // 1048576} MiB")


def look(path: str, shown: str, settings: Mapping[str, str]) -> Kept:
    """Look at the directory, which is shown to people by another path in tests."""
    limits = int(settings["keep_files"]), int(settings["keep_bytes"])
    try:
        mode, owner = mode_and_owner(path)
        with RefusedStore(path) as store:
            items = store.items()
    except BadInput:
        return Kept(shown, 0, "", 0, 0, *limits, "is not a directory")
    except PermissionError:
        raise
    except OSError as error:
        return Kept(shown, 0, "", 0, 0, *limits, str(error.strerror or error).lower())
    return Kept(shown, mode, owner, len(items), sum(one.size for one in items), *limits)


def copies(context: Context) -> list[Finding]:
    """Look at the directory that simscan's settings name, if they name one."""
    with open(context.path(SIMSCAN_SETTINGS), encoding="utf-8", errors="replace") as stream:
        settings = {**_DEFAULTS, **simscan_settings(stream.read())}
    path = settings.get("keep_directory", "")
    if not path:
        return [Finding(_CHECK, OK, "no copies of refused mail are kept (gateway_keep_refused_days)")]
    return judge(look(os.path.normpath(context.path(path)), path, settings))
