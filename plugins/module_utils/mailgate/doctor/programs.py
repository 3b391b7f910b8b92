# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health of the programs that take and deliver mail: present, executable, libraries found."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Mapping

from ..core.paths import QMAIL_PROGRAMS
from .context import Context
from .findings import CRITICAL, Finding, several

_EVERYBODY, _OWNER = 0o111, 0o100
# The execute bits that each program needs: only root runs qmail-lspawn.
PROGRAMS: Mapping[str, int] = {
    "qmail-smtpd": _EVERYBODY,
    "qmail-remote": _EVERYBODY,
    "qmail-local": _EVERYBODY,
    "qmail-rspawn": _EVERYBODY,
    "qmail-lspawn": _OWNER,
    "qmail-getpw": _EVERYBODY,
    "qmail-clean": _EVERYBODY,
    "qmail-send": _EVERYBODY,
    "qmail-queue": _EVERYBODY,
}
_LINKER_SECONDS = 3.0


def missing_libraries(said: str) -> list[str]:
    """Return the libraries that the dynamic linker's list of a program calls "not found"."""
    return re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE)


def _linker_says(path: str) -> str:
    """Return the dynamic linker's list of the libraries it would load; the program is not run."""
    environment = {"LD_TRACE_LOADED_OBJECTS": "1", "LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [path],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_LINKER_SECONDS,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


def trouble(path: str, bits: int) -> str:
    """Return why the program at a path cannot be run, or ''."""
    try:
        status = os.stat(path)
    except OSError as error:
        return "is missing" if isinstance(error, FileNotFoundError) else str(error.strerror).lower()
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_mode & bits != bits:
        return f"has mode {stat.S_IMODE(status.st_mode):04o} and cannot be executed"
    with open(path, "rb") as stream:
        begin = stream.read(4)
    if begin[:2] == b"#!":
        return ""
    if begin != b"\x7fELF":
        return "is not a program"
    try:
        libraries = missing_libraries(_linker_says(path))
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be run: {error}"
    return f"lacks {', '.join(libraries)}" if libraries else ""


def judge_programs(troubles: Mapping[str, str]) -> list[Finding]:
    """Judge the programs by their troubles ('' for none): each that cannot be run delays mail."""
    check = "programs"
    found = [
        Finding(
            check,
            CRITICAL,
            f"{QMAIL_PROGRAMS}/{name} {what}: mail is deferred",
            "run the playbook again, then deliver what waits: qmailctl doqueue",
        )
        for name, what in troubles.items()
        if what
    ]
    return several(found, check, f"{len(troubles)} programs of qmail can be run")


def programs(context: Context) -> list[Finding]:
    """Check each of PROGRAMS."""
    return judge_programs(
        {name: trouble(context.path(f"{QMAIL_PROGRAMS}/{name}"), bits) for name, bits in PROGRAMS.items()}
    )
