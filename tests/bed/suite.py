# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole suite: the parts of `make test`, and the table that adds them up."""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .collection import command_link
from .common import BED, ROOT
from .images import make_systemd
from .python_venv import command_venv, venv_path
from .targets import command_prepare


@dataclass(frozen=True)
class Part:
    """One command of the suite.  `fast` parts need no Docker."""

    name: str
    argv: tuple[str, ...]
    fast: bool = True
    fast_argv: tuple[str, ...] = ()


PYTEST = ("python", "-m", "pytest")
PARTS = (
    Part("ruff", ("ruff", "check", ".")),
    Part("mypy", ("mypy", "plugins/module_utils/mailgate")),
    Part("yamllint", ("yamllint", "--strict", ".")),
    Part("changelog", ("antsibull-changelog", "lint")),
    Part("unit", (*PYTEST, "tests/unit", "tests/qmailadmin", "-n", "2")),
    Part(
        "module",
        (*PYTEST, "tests/module"),
        fast_argv=(*PYTEST, "tests/module", "--ignore=tests/module/test_source_build.py"),
    ),
    Part("differential", (*PYTEST, "tests/differential")),
    Part("ansible-lint", ("ansible-lint", "--offline", "--profile", "production"), fast=False),
    Part("sanity", ("python", "tests/bed", "sanity"), fast=False),
    Part("archive", (*PYTEST, "tests/e2e/test_archive.py"), fast=False),
    Part("upgrade", (*PYTEST, "tests/upgrade"), fast=False),
    Part("molecule default", ("molecule", "test", "-s", "default"), fast=False),
    Part("molecule debian13", ("molecule", "test", "-s", "debian13"), fast=False),
    Part("molecule systemd", ("molecule", "test", "-s", "systemd"), fast=False),
    Part("molecule mta", ("molecule", "test", "-s", "mta"), fast=False),
)
LONGEST = "molecule default"
COUNTS = re.compile(
    r"((?:\d+ (?:passed|failed|skipped|errors?|xfailed|xpassed|deselected|warnings?),? ?)+)in \d+[.\d]*s"
)

MOST = 40
FAILURE = re.compile(r"((?:FAILED|ERROR) tests/[^\n]{1,200})")


def counts(text: str) -> dict[str, int]:
    """What the last line of the pytest run in `text` says: passed, failed, skipped.

    A scenario's run shows that line more than once, so the last one counts.
    """
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for found in list(COUNTS.finditer(text))[-1:]:
        for number, word in re.findall(r"(\d+) (\w+)", found.group(1)):
            word = "failed" if word.startswith("error") else word
            if word in total:
                total[word] += int(number)
    return total


def failures(text: str) -> list[str]:
    """The tests that pytest's short summary in `text` names, each once."""
    return list(dict.fromkeys(found.group(1).strip() for found in FAILURE.finditer(text)))


@dataclass(frozen=True)
class Ran:
    """What came of a part."""

    name: str
    status: int
    found: dict[str, int]
    failed: list[str]
    seconds: float


def run_part(name: str, argv: Sequence[str], env: dict[str, str], log: Path) -> Ran:
    """Runs one part; its output is shown while it runs, and kept in `log`."""
    begin = time.monotonic()
    lines = []
    with (
        open(log, "w", encoding="utf-8") as handle,
        subprocess.Popen(
            argv,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{name}: {line}", end="", flush=True)
            handle.write(line)
            lines.append(line)
    output = "".join(lines)
    found = counts(output)
    if not any(found.values()):
        found["failed" if process.returncode else "passed"] += 1
    elif process.returncode and not found["failed"]:
        found["failed"] += 1
    return Ran(name, process.returncode, found, failures(output), time.monotonic() - begin)


def line_of(ran: Ran) -> str:
    """A part's line of the table."""
    verdict = "ok" if ran.status == 0 else f"FAILED ({ran.status})"
    numbers = " ".join(f"{ran.found[word]:>4} {word}" for word in ("passed", "failed", "skipped"))
    return f"  {ran.name:<20} {verdict:<12} {numbers} {ran.seconds:>7.1f} s"


def command_test(fast: bool) -> None:
    """Every part, also after one has failed; the last line adds up."""
    begin = time.monotonic()
    if fast:
        command_venv()
        command_link()
    else:
        command_prepare(("bookworm", "trixie"))
        make_systemd("bookworm")
    env = dict(
        os.environ,
        PATH=f"{venv_path() / 'bin'}:{os.environ.get('PATH', '')}",
        VIRTUAL_ENV=str(venv_path()),
        MOLECULE_COMMAND_BORDERS="0",
        MOLECULE_GLOB="molecule/*/molecule.yml",
    )
    env.pop("MAILGATE_GATEWAY", None)
    logs = BED / "test"
    logs.mkdir(exist_ok=True)

    def run_lane(parts: Sequence[Part]) -> list[Ran]:
        return [
            run_part(
                part.name,
                part.fast_argv if fast and part.fast_argv else part.argv,
                env,
                logs / f"{part.name.replace(' ', '-')}.log",
            )
            for part in parts
        ]

    chosen = [part for part in PARTS if part.fast or not fast]
    # The longest part waits more than it works: the others run beside it.
    lanes = [[part for part in chosen if (part.name == LONGEST) == alone] for alone in (False, True)]
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        ran = [one for lane in pool.map(run_lane, lanes) for one in lane]
    failed = [f"  {one.name}: {line}" for one in ran for line in one.failed]
    # Whoever reads the end alone learns what failed.
    shown = failed if len(failed) <= MOST else [*failed[:MOST], f"  and {len(failed) - MOST} more"]
    print("\n" + "\n".join([*shown, *map(line_of, ran)]))
    total = {word: sum(one.found[word] for one in ran) for word in ("passed", "failed", "skipped")}
    summary = ", ".join(f"{number} {word}" for word, number in total.items())
    print(f"{summary} in {time.monotonic() - begin:.0f}s", flush=True)
    if total["failed"]:
        raise SystemExit(1)
