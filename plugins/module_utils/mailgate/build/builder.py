# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unprivileged user that compiles: its account, running as it, and ending all its processes."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.paths import NOLOGIN_SHELL
from .layout import PATH, BuildFailed

SWEEP_SECONDS = 10


@dataclass(frozen=True)
class Builder:
    """The unprivileged user that compiles."""

    name: str
    uid: int
    gid: int


def builder(name: str) -> Builder:
    """Return the build user, created when it does not exist."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        argv = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        made = subprocess.run(
            [*argv, "--shell", NOLOGIN_SHELL, name],
            env={"PATH": PATH, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if made.returncode != 0:
            text = made.stdout.decode("utf-8", "replace").strip()
            raise BuildFailed(f"build user {name}: could not be made; expected useradd to: {text}") from None
        found = pwd.getpwnam(name)
    if found.pw_uid == 0 or found.pw_gid == 0:
        raise BadInput(f"build_user: {name!r} has the uid or gid of root; expected an unprivileged user")
    return Builder(name, found.pw_uid, found.pw_gid)


# -- the build user -------------------------------------------------------------------------------


def as_user(user: Builder, work: Callable[[], None]) -> None:
    """Call work in a child process that is only the build user; raises BuildFailed with the child's error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            os.setsid()
            os.setgroups([])
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
            os.umask(0o022)
            work()
            status = 0
        except Exception as error:
            os.write(writing, str(error).encode("utf-8", "replace")[:4000])
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        text = stream.read().decode("utf-8", "replace")
    if os.waitpid(child, 0)[1] != 0:
        raise BuildFailed(
            text or f"build user {user.name}: a child ended without a message; expected it to finish"
        )


def processes_of(uid: int) -> dict[int, str]:
    """Return the living processes with that uid as one of their four uids: pid and command."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{entry}/status", encoding="utf-8", errors="replace") as stream:
                status = dict(line.split(":", 1) for line in stream.read().splitlines() if ":" in line)
            dead = status["State"].strip().startswith(("Z", "X"))
            if not dead and uid in map(int, status["Uid"].split()):
                found[int(entry)] = status["Name"].strip()
    return found


def sweep(user: Builder) -> None:
    """Kill the processes of the build user until none is left; raises BuildFailed when one remains."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while True:
        alive = processes_of(user.uid)
        if not alive:
            return
        if time.monotonic() > deadline:
            names = ", ".join(f"{pid} ({name})" for pid, name in sorted(alive.items()))
            raise BuildFailed(f"build user {user.name}: processes {names} stay; expected SIGKILL to end them")
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
