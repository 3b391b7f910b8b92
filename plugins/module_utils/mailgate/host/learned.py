# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What SpamAssassin learned, as text, which every release of it reads: out of it and into it by sa-learn."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Sequence

from ..core.errors import TryAgain

PROGRAM_SECONDS = 1800


def saved(learn: Sequence[str], learner: str) -> tuple[bytes, str]:
    """Return what the user learner has learned, b"" where there is no such user, and a warning or ''."""
    try:
        user = pwd.getpwnam(learner)
    except KeyError:
        return b"", ""
    done = _run_as(user, [*learn, "--backup"])
    if done.returncode != 0:
        return b"", f"{learn[0]} --backup ended with {done.returncode}: {_last(done.stderr)}"
    return done.stdout, ""


def restore(learn: Sequence[str], learner: str, tokens: bytes) -> str:
    """Put what was saved back; return a warning or ''."""
    user = pwd.getpwnam(learner)
    with tempfile.TemporaryDirectory() as directory:
        place = os.path.join(directory, "bayes")
        with open(place, "wb") as stream:
            stream.write(tokens)
        if os.geteuid() == 0:
            os.chown(place, user.pw_uid, user.pw_gid)
            os.chown(directory, user.pw_uid, user.pw_gid)
        done = _run_as(user, [*learn, "--restore", place])
    if done.returncode != 0:
        return f"{learn[0]} --restore ended with {done.returncode}: {_last(done.stderr)}"
    return ""


def _run_as(user: pwd.struct_passwd, argv: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a program as a user, which only root may; one that cannot be run ends with 127."""
    environment = {"HOME": user.pw_dir, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    root = os.geteuid() == 0
    try:
        return subprocess.run(
            argv,
            capture_output=True,
            timeout=PROGRAM_SECONDS,
            check=False,
            env=environment,
            cwd="/",
            user=user.pw_uid if root else None,
            group=user.pw_gid if root else None,
            extra_groups=[] if root else None,
        )
    except subprocess.TimeoutExpired as error:
        raise TryAgain(f"{argv[0]} did not end within {PROGRAM_SECONDS} seconds") from error
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, b"", os.strerror(error.errno or 0).encode())


def _last(said: bytes) -> str:
    lines = said.decode("utf-8", "backslashreplace").strip().splitlines()
    return lines[-1] if lines else "(it said nothing)"
