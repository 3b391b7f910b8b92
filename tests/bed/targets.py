# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands made of the others: prepare, gateway, clean."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence

from .choose import command_choose
from .collection import command_link
from .common import LABEL, ROOT, Trouble, answer, say
from .containers import command_converge, command_up
from .engine import command_docker, engine_answers
from .images import make_base
from .packages import command_system
from .python_venv import command_venv, venv_program
from .report import command_report
from .sources import CHOICE


def command_prepare(suites: Sequence[str]) -> None:
    command_venv()
    command_system()
    command_docker()
    for suite in suites:
        make_base(suite)
    command_link()
    command_choose()


def hold_conversations(name: str, *options: str) -> bool:
    """Print the table of conversations with a gateway; return whether each had the expected result."""
    argv = [venv_program("python"), "-m", "support.conversation_table", "--gateway", name, *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    return subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False).returncode == 0


def command_table(name: str) -> None:
    if not hold_conversations(name):
        raise Trouble("a row of the table differs from what it should be")


def command_gateway(name: str) -> None:
    """`make gateway`: from nothing to the printed table."""
    begin = time.monotonic()
    command_prepare(("bookworm",))
    command_up(name, "bookworm", systemd=False)
    command_converge(name)
    well = hold_conversations(name, "--look")
    command_report(name)
    say("gateway", f"{time.monotonic() - begin:.0f} s in all")
    if not well:
        raise Trouble("a row of the table differs from what it should be, or mailgate doctor is not content")


def command_clean() -> None:
    """Remove containers of the test bed, .bed and the caches of tools; images, .venv and archives stay."""
    if shutil.which("docker") and engine_answers()[0]:
        listing = answer(["docker", "ps", "-aq", "--filter", f"label={LABEL}.container=yes"])[1].split()
        if listing:
            answer(["docker", "rm", "-f", "-v", *listing], timeout_seconds=120)
    for name in (".bed", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        CHOICE.unlink()
    say("clean", "done")
