# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suites: parts run beside each other, and the table that adds them up."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .collection import command_link
from .common import BED, ONLY_REAL, ROOT, Trouble, answer, run, tail, write_atomically
from .converged import converged_image, is_fresh
from .parts import BUDGETS, BY_NAME, FAST, FULL, PARTS, TEST, Part, pytest
from .python_venv import command_venv, venv_path
from .targets import command_prepare
from .unchanged import digest, note_passed, passed_with

BESIDE = 3  # parts at once: most of them wait more than they work
VERIFIED = ROOT / "docs" / "generated" / "VERIFIED-full.md"

WORDS = ("passed", "failed", "skipped", "not run")
COUNT = r"\d+ (?:passed|failed|skipped|not run|errors?|xfailed|xpassed|deselected|warnings?)"
COUNTS = re.compile(rf"((?:{COUNT},? ?)+)in \d+[.\d]*s")

MOST = 16  # with the last line fewer than the twenty that `tail` shows
FAILURE = re.compile(r"((?:FAILED|ERROR) tests/[^\n]{1,300})")
DATED = re.compile(r"^\| (\S+) \| \d{4}-\d\d-\d\d \| .* \|$", re.MULTILINE)
PAGE = (
    "# What ran that `make test` leaves out",
    "",
    "Written by `make test-full`, which runs everything, and by `python3 tests/bed part NAME --dated`: the",
    "last run of each part in which nothing failed. Where a source cannot be had, gateways have a",
    "stand-in for netqmail or simscan; what ran with the real ones is in VERIFIED-netqmail.md and",
    "VERIFIED-simscan.md.",
    "",
    "| part | date | after commit | passed | skipped or not run | seconds |",
    "|---|---|---|---|---|---|",
)
NOT_RUN = re.compile(rf"^NOT RUN (tests/\S+) - ({ONLY_REAL}[^\n]{{1,200}})", re.MULTILINE)


def counts(text: str) -> dict[str, int]:
    """Return what the last line of the pytest run in `text` counts: passed, failed, skipped, not run.

    A scenario's run shows that line more than once, so the last one counts.
    """
    total = dict.fromkeys(WORDS, 0)
    for found in list(COUNTS.finditer(text))[-1:]:
        for number, word in re.findall(r"(\d+) (not run|\w+)", found.group(1)):
            word = "failed" if word.startswith("error") else word
            if word in total:
                total[word] += int(number)
    return total


def failures(text: str) -> list[str]:
    """Return the tests that pytest's short summary in `text` names, each once."""
    return list(dict.fromkeys(found.group(1).strip() for found in FAILURE.finditer(text)))


def reasons(text: str) -> list[str]:
    """Return why a part failed: a line for each test of pytest's short summary, else the last output."""
    return failures(text) or [tail(text)]


def not_run(text: str) -> list[tuple[str, str]]:
    """Return (test, reason) of each test that is not run on a stand-in."""
    return list(dict.fromkeys((found.group(1), found.group(2).strip()) for found in NOT_RUN.finditer(text)))


@dataclass(frozen=True)
class Ran:
    """The result of a part."""

    part: Part
    status: int
    found: dict[str, int]
    failed: list[str]
    seconds: float
    not_run: list[tuple[str, str]] = field(default_factory=list)
    unchanged: bool = False  # it passed before with the same inputs, and was not run again


class Running:
    """The processes that run now, each in a session of its own, so that a hangup or Ctrl-C is this one's."""

    def __init__(self, patience_seconds: float = 20) -> None:
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._over = False

    @contextlib.contextmanager
    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
        with self._lock:
            if self._over:
                raise Trouble("the run was ended")
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._processes.add(process)
        try:
            yield process
        except BaseException:
            self._end([process])
            raise
        finally:
            assert process.stdout is not None
            process.stdout.close()
            process.wait()
            with self._lock:
                self._processes.discard(process)

    def end(self) -> None:
        """End all that runs, and what it has started; nothing is started from now on."""
        with self._lock:
            self._over = True
            waiting = list(self._processes)
        self._end(waiting)

    def _end(self, waiting: Sequence[subprocess.Popen[str]]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + self._patience
            waiting = [process for process in waiting if group_lives(process, number)]
            while time.monotonic() < deadline and any(group_lives(process, 0) for process in waiting):
                time.sleep(0.1)


def group_lives(process: subprocess.Popen[str], number: int) -> bool:
    """Return whether a process of its session could get that signal `number` (0: none is sent)."""
    process.poll()
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def container_of(part: Part) -> str:
    return f"mailgate-{part.name}"


def commands(part: Part, suite: str = "", more: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Return the commands of a part, in order; the second decides, and the last runs in any case."""
    added = (*(part.fast if suite == FAST else ()), *more)
    if not part.gateway:
        return [(), (*part.argv, *added), ()]
    bed, name = ("python", "tests/bed"), container_of(part)
    return [
        (*bed, "start", name, part.image),
        (*part.argv, f"--gateway={name}", *added),
        (*bed, "down", name),
    ]


@contextlib.contextmanager
def own_directory() -> Iterator[str]:
    """Yield a directory that other users can enter, with a short path, since sockets lie below it.

    pytest's own is one for all runs of a user, and each run that begins closes it to other users.
    """
    made = tempfile.mkdtemp(prefix="m")
    os.chmod(made, 0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def run_part(
    part: Part,
    env: Mapping[str, str],
    log: Path,
    *,
    suite: str = "",
    more: Sequence[str] = (),
    running: Running,
    prefix: str,
) -> Ran:
    """Run one part; its output is shown while it runs, and kept in `log`."""
    begin = time.monotonic()
    now = digest(part) if part.inputs else ""
    if suite == FAST and passed_with(part, now):
        print(f"{prefix}unchanged since it passed", flush=True)
        return Ran(part, 0, dict.fromkeys(WORDS, 0), [], time.monotonic() - begin, unchanged=True)
    env = {**env, **part.env}
    lines: list[str] = []
    status = 0
    with open(log, "w", encoding="utf-8") as handle, own_directory() as temporary:

        def follow(argv: Sequence[str]) -> int:
            with running.start(argv, env) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    print(f"{prefix}{line}", end="", flush=True)
                    handle.write(line)
                    lines.append(line)
            return process.returncode

        before, main, after = commands(part, suite, more)
        if part.argv[:3] == pytest():
            main = (*main, f"--basetemp={temporary}/p")
        try:
            if before:
                status = follow(before)
            if status == 0:
                status = follow(main)
        except (OSError, Trouble) as error:
            lines.append(f"{error}\n")
            print(f"{prefix}{error}", flush=True)
            status = 1
        finally:
            if after:
                answer([sys.executable, *after[1:]], timeout_seconds=120)
    output = "".join(lines)
    found = counts(output)
    if not any(found.values()):
        found["failed" if status else "passed"] += 1
    elif status and not found["failed"]:
        found["failed"] += 1
    failed = reasons(output) if status else []
    if status == 0 and now and not more and digest(part) == now:
        note_passed(part, now)
    return Ran(part, status, found, failed, time.monotonic() - begin, not_run(output))


def line_of(ran: Ran) -> str:
    """Return a part's line of the table."""
    verdict = "unchanged" if ran.unchanged else "ok" if ran.status == 0 else f"FAILED ({ran.status})"
    numbers = " ".join(f"{ran.found[word]:>4} {word}" for word in WORDS)
    over = "  over its budget" if ran.seconds > ran.part.budget_seconds else ""
    budget = f"{ran.seconds:>7.1f} s of {ran.part.budget_seconds:>4}"
    return f"  {ran.part.name:<14} {verdict:<12} {numbers} {budget}{over}"


class Queue:
    """The waiting parts, in order; a part that begins on an image waits for the part that makes it."""

    def __init__(self, parts: Sequence[Part], images: Mapping[str, str]) -> None:
        self._changed = threading.Condition()
        self._waiting = list(parts)
        self._making = {part.makes: part.name for part in parts if part.makes}
        self._images = images
        self._without: dict[str, str] = {}
        self.over = False

    def _ready(self, part: Part) -> bool:
        return part.image not in self._making or is_fresh(self._images[part.image])

    def take(self) -> Part | None:
        """Return the next part that can run, or None when none is left."""
        with self._changed:
            while self._waiting and not self.over:
                for part in self._waiting:
                    if self._ready(part):
                        self._waiting.remove(part)
                        return part
                self._changed.wait(5)
            return None

    def done(self, part: Part, status: int) -> None:
        with self._changed:
            self._making.pop(part.makes, None)
            if status and part.makes in self._images and not is_fresh(self._images[part.makes]):
                self._without[part.makes] = part.name
            self._changed.notify_all()

    def in_vain(self, part: Part) -> str:
        """Return why the part cannot be run, or "": a failed converge is not repeated by each part."""
        maker = self._without.get(part.image)
        return f"not begun: {maker} made no image of a gateway" if maker else ""


def environment() -> dict[str, str]:
    """Return the environment that the parts run in."""
    env = dict(
        os.environ,
        PATH=f"{venv_path() / 'bin'}:{os.environ.get('PATH', '')}",
        VIRTUAL_ENV=str(venv_path()),
        MOLECULE_COMMAND_BORDERS="0",
        MOLECULE_GLOB="molecule/*/molecule.yml",
    )
    env.pop("MAILGATE_GATEWAY", None)
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # each worker of pytest would compile all tests again
    return env


def run_all(parts: Sequence[Part], suite: str) -> list[Ran]:
    """Run every part, also after one has failed; return the results in the order of the table."""
    logs = BED / "test"
    logs.mkdir(exist_ok=True)
    images = {part.image: converged_image(part.image) for part in parts if part.image}
    queue, running, env = Queue(parts, images), Running(), environment()
    ran: list[Ran] = []
    broken: list[BaseException] = []

    def work() -> None:
        try:
            while part := queue.take():
                reason = queue.in_vain(part)
                if reason:
                    ran.append(Ran(part, 1, {**dict.fromkeys(WORDS, 0), "failed": 1}, [reason], 0.0))
                    continue
                log = logs / f"{part.name}.log"
                one = run_part(part, env, log, suite=suite, running=running, prefix=f"{part.name}: ")
                ran.append(one)
                queue.done(part, one.status)
        except BaseException as error:  # otherwise nobody would see how the thread ended
            broken.append(error)

    workers = [threading.Thread(target=work) for _dummy in range(BESIDE)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    finally:
        queue.over = True
        running.end()
        for worker in workers:
            worker.join()
    if broken:
        raise broken[0]
    return sorted(ran, key=lambda one: parts.index(one.part))


def failed_lines(ran: Sequence[Ran]) -> list[str]:
    """Return at most MOST lines of failed tests with reasons, divided evenly between the failed parts."""
    waiting = {one.part.name: list(one.failed) for one in ran if one.failed}
    shown: dict[str, list[str]] = {name: [] for name in waiting}
    for _dummy in range(MOST):
        name = min((name for name in waiting if waiting[name]), key=lambda name: len(shown[name]), default="")
        if name:
            shown[name].append(waiting[name].pop(0))
    left = ", ".join(f"{name} {len(lines)}" for name, lines in waiting.items() if lines)
    more = [f"  more failed: {left}"] if left else []
    return [*more, *(f"  {name}: {line}" for name, lines in shown.items() for line in lines)]


def table(ran: Sequence[Ran], suite: str, seconds: float) -> tuple[str, dict[str, int]]:
    """Return the lines for the end and the sums in them; the last lines alone tell what failed, and why."""
    lines = []
    missing = list(dict.fromkeys(pair for one in ran for pair in one.not_run))
    if missing:
        lines.append("  not run on the stand-in; `make verify-real` runs them with the real programs:")
        lines += [f"    {test}: {reason}" for test, reason in missing]
    lines += map(line_of, ran)
    lines += failed_lines(ran)
    total = {word: sum(one.found[word] for one in ran) for word in WORDS}
    summary = ", ".join(f"{number} {word}" for word, number in total.items())
    over = ", over its budget" if seconds > BUDGETS[suite] else ""
    return "\n".join([*lines, f"{summary} in {seconds:.0f}s of {BUDGETS[suite]}{over}"]), total


def command_test(suite: str) -> None:
    """Run the parts of a suite; the last line adds up."""
    begin = time.monotonic()
    parts = [part for part in PARTS if suite in part.suites]
    if suite == FAST:
        command_venv()
        command_link()
    else:
        command_prepare(("bookworm",))  # the other images are made by the parts that need them
    ran = run_all(parts, suite)
    text, total = table(ran, suite, time.monotonic() - begin)
    if suite == FULL and not total["failed"]:
        write_report(ran)
        text = f"{VERIFIED.relative_to(ROOT)} is written\n{text}"
    print(f"\n{text}", flush=True)
    if total["failed"]:
        raise SystemExit(1)


def report(ran: Sequence[Ran], before: str = "") -> str:
    """Return the text of docs/generated/VERIFIED-full.md: what `make test` leaves out, and when it last ran.

    `before` is the page as it was, whose rows of other parts stay.
    """
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    commit = run(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"], why="asking git").strip()
    rows = {found.group(1): found.group(0) for found in DATED.finditer(before) if found.group(1) in BY_NAME}
    for one in ran:
        if one.status == 0 and TEST not in one.part.suites:
            numbers = f"{one.found['passed']} | {one.found['skipped'] + one.found['not run']}"
            rows[one.part.name] = f"| {one.part.name} | {today} | {commit} | {numbers} | {one.seconds:.0f} |"
    return "\n".join([*PAGE, *(rows[name] for name in sorted(rows)), ""])


def write_report(ran: Sequence[Ran]) -> None:
    before = VERIFIED.read_text(encoding="utf-8") if VERIFIED.exists() else ""
    write_atomically(VERIFIED, report(ran, before))


def command_part(names: Sequence[str], more: Sequence[str], dated: bool = False) -> None:
    """Run single parts, one after the other, as the suites do; `more` is added to their commands.

    dated: those that `make test` leaves out get their row in docs/generated/VERIFIED-full.md.
    """
    if dated and more:
        raise Trouble("--dated: expected no --also, as the whole part is dated")
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise Trouble(f"no part {unknown[0]!r}; expected {', '.join(BY_NAME)}")
    parts = [BY_NAME[name] for name in names]
    if any(FAST not in part.suites for part in parts):
        command_prepare(("bookworm",))
    else:
        command_venv()
        command_link()
    logs, running, ran = BED / "test", Running(), []
    logs.mkdir(exist_ok=True)
    try:
        for part in parts:
            log = logs / f"{part.name}.log"
            ran.append(run_part(part, environment(), log, more=more, running=running, prefix=""))
    finally:
        running.end()
    if dated:
        write_report(ran)
    print("\n".join([*map(line_of, ran), *failed_lines(ran)]), flush=True)
    if any(one.status for one in ran):
        raise SystemExit(1)
