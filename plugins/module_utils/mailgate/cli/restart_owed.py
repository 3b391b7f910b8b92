# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `mailgate restart-owed`: scanners that run a program which a package has replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from ..core.errors import MailgateError, TryAgain
from ..core.exits import TEMPORARY
from ..core.paths import CLAMD_SETTINGS, LOGS, SERVICES, SPAMD, START_RECORDS
from ..formats import supervise
from ..host import restarts, svscan
from ..host.run_script import start_records
from .parser import Parser

SCANNERS = ("clamd", "freshclam", "spamd")
TRIAL_SECONDS = 60
STABLE_SECONDS, RESTART_SECONDS = 3.0, 60.0
EPILOG = """\
apt calls it after each change of packages, by /etc/apt/apt.conf.d/90mailgate. A scanner that runs a program
or a library which is no longer on the disk is started again with the new one, if that can be run; if not, the
old one goes on. Mail that comes while it loads is put off. Other services are not touched: mailgate doctor
names those.

exit status:
  0, 111 a scanner goes on with the old program, or did not come back

example:
  mailgate restart-owed
  mailgate restart-owed clamd
"""


def main(argv: Sequence[str] | None = None, root: str = "") -> int:
    """Run `mailgate restart-owed [SERVICE ...]`; return the exit status."""
    parser = Parser(
        prog="mailgate restart-owed",
        description="Start scanners again whose program a package has replaced.",
        epilog=EPILOG,
    )
    parser.add_argument("services", nargs="*", metavar="SERVICE", help=f"some of {', '.join(SCANNERS)} (all)")
    given = parser.parse_args(argv)
    unknown = [name for name in given.services if name not in SCANNERS]
    if unknown:
        parser.error(f"service {unknown[0]!r} is not a scanner; expected some of {', '.join(SCANNERS)}")
    status = 0
    for name in given.services or SCANNERS:
        try:
            reason = _restart(name, root)
        except (MailgateError, OSError) as error:
            sys.stderr.write(f"mailgate restart-owed: {name}: {error}\n")
            status = TEMPORARY
            continue
        if reason:
            sys.stdout.write(f"mailgate restart-owed: {name}: started again, because {reason}\n")
    return status


def _restart(name: str, root: str) -> str:
    """Start the service again if a package replaced its program, and return why; "" when there is no need."""
    link = f"{SERVICES}/{name}"
    target = svscan.read_link(f"{root}{link}")
    if not target:
        return ""
    directory, record = os.path.join(SERVICES, target), start_records(START_RECORDS, name)[0]
    reason = restarts.replaced_by_package(directory, record, root)
    if reason:
        status = supervise.look(f"{root}{directory}").status
        _try(trial(name, status.pid if status is not None else 0, root))
        steward = svscan.Steward(name, f"{root}{LOGS}/{name}", STABLE_SECONDS, RESTART_SECONDS)
        begin = time.time()
        steward.order([f"{root}{directory}"], ["restarted"])
        restarts.note_order(f"{root}{record}", begin, time.time())
    return reason


def trial(name: str, pid: int, root: str = "") -> list[str]:
    """Return a command that ends well when the service's new program can be run with the settings of now."""
    if name == "spamd":
        return [f"{root}{SPAMD}", "--version"]
    program = os.readlink(f"{root}/proc/{pid}/exe").removesuffix(" (deleted)")
    settings = [f"--config-file={CLAMD_SETTINGS}"] if name == "clamd" else []
    return [f"{root}{program}", *settings, "--version"]


def _try(argv: Sequence[str]) -> None:
    """Raise TryAgain unless the command ends well: the old program is better than none."""
    try:
        done = subprocess.run(
            argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=TRIAL_SECONDS, check=False
        )
        said, ended = done.stderr.decode("utf-8", "replace").strip(), done.returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        said, ended = str(error), -1
    if ended != 0:
        told = f"{' '.join(argv)!r} ended with {ended}; expected 0: {said[-500:]}"
        raise TryAgain(f"goes on with the program that it has, {told}")
