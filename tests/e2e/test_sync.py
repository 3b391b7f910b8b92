# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the disk, by name, before a client is told that a message is accepted: seen by strace.

strace shows the order of the calls, and makes single calls fail.  Whether the file system keeps what fsync
promises is not for these tests to say.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.conversations import HOSTNAME, SENDER, A, B, message
from support.gateway import Bed, row_of, submit
from support.mail_servers import Delivery

GOOD, OTHER, FOREIGN = "alice@example.test", "bob@example.test", "carol@example.org"
QUEUE = "/var/qmail/queue/"
SOON_SECONDS = 20.0
QUIET_SECONDS = 1.0
CALLS = "execve,link,linkat,unlink,unlinkat,fsync,fdatasync,write,exit_group"
QUEUE_FSYNCS = 4  # the message, its directory, the envelope, todo
SEND_FSYNCS = 4  # info, its directory, the recipients, their directory


@pytest.fixture(autouse=True)
def normal(bed: Bed) -> Iterator[None]:
    reason = bed.only_real("the stand-in hands each message to the back end itself and has no queue")
    if reason:
        pytest.skip(reason)
    assert shutil.which("strace"), "strace is missing on this machine: apt-get install strace"
    bed.wait_until_greeted(SOON_SECONDS)
    yield
    bed.backends[A].refuse = ""
    pull(bed)
    time.sleep(QUIET_SECONDS)
    bed.mailroom.take(lambda delivery: True)


def pull(bed: Bed) -> None:
    """Make qmail-send look into todo now, as it does by itself within 25 minutes."""
    trigger = os.open(bed.root / "var/qmail/queue/lock/trigger", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(trigger, b"\0")
    finally:
        os.close(trigger)


def process(bed: Bed, program: str) -> int:
    """Return the one process of that name in the container, by its number on this machine."""
    found = [pid for pid, name in bed.processes().items() if name == program]
    assert len(found) == 1, f"{len(found)} processes {program} run in {bed.name}"
    return found[0]


class Trace:
    """What strace saw: (process, line) in the order of the calls."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def read(self, path: Path) -> None:
        pending: dict[int, str] = {}
        for text in path.read_text(encoding="latin-1").splitlines():
            number, _, line = text.partition(" ")
            pid, line = int(number), line.strip()
            if line.endswith("<unfinished ...>"):
                pending[pid] = line[: -len("<unfinished ...>")].rstrip()
                continue
            resumed = re.fullmatch(r"<\.\.\. \w+ resumed>(.*)", line)
            if resumed:
                line = pending.pop(pid, "") + resumed.group(1)
            if not line.startswith(("+++", "---")):
                self.lines.append((pid, line))

    def of_program(self, program: str) -> list[str]:
        """Return the calls of the one process that became `program`, from there on."""
        begun = [
            (at, pid)
            for at, (pid, line) in enumerate(self.lines)
            if re.match(rf'execve\("[^"]*{program}", .* = 0$', line)
        ]
        assert len(begun) == 1, f"{program} was started {len(begun)} times: {self.lines}"
        start, wanted = begun[0]
        return [line for pid, line in self.lines[start + 1 :] if pid == wanted]

    def of(self, wanted: int) -> list[str]:
        return [line for pid, line in self.lines if pid == wanted]


@contextmanager
def traced(pid: int, *options: str) -> Iterator[Trace]:
    """Run strace on the process and its children; the Trace is complete after the block."""
    trace = Trace()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "trace")
        argv = ["strace", "-f", "-y", "-s", "200", "-e", f"trace={CALLS}", *options, "-o", str(path)]
        with subprocess.Popen([*argv, "-p", str(pid)], stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            try:
                said = strace.stderr.readline()
                assert "attached" in said, f"strace says {said!r}"
                yield trace
            finally:
                strace.send_signal(signal.SIGINT)
                strace.wait(10)
        trace.read(path)


def in_order(calls: Sequence[str], wanted: Sequence[str]) -> str:
    """Return the first pattern of `wanted` that no call matches after its predecessor's, or ""."""
    at = 0
    for pattern in wanted:
        while at < len(calls) and not re.fullmatch(pattern, calls[at]):
            at += 1
        if at == len(calls):
            return f"no {pattern} in its place in\n" + "\n".join(calls)
        at += 1
    return ""


def synced(path: str) -> str:
    """Return a pattern; the message is opened below pid/ and keeps that name for strace when renamed."""
    return rf"fsync\(\d+<{QUEUE}{path}>(\(deleted\))?\) += 0"


def arrives(bed: Bed, name: str, within_seconds: float = SOON_SECONDS) -> bool:
    return bed.mailroom.claim(lambda one: row_of(one) == name, within_seconds) is not None


def arrived(bed: Bed, name: str) -> list[Delivery]:
    return bed.mailroom.take(lambda one: row_of(one) == name)


def todo(bed: Bed) -> set[str]:
    return set(os.listdir(bed.root / "var/qmail/queue/todo"))


@pytest.mark.patch("50-sync-directories")
def test_a_message_is_on_the_disk_by_name_before_it_is_accepted(bed: Bed) -> None:
    with traced(process(bed, bed.session_starter)) as trace:
        got = submit(message("sync-queue"), GOOD)
        assert got.startswith("250 ok ")
        assert arrives(bed, "sync-queue")
    calls = trace.of_program("qmail-queue")
    assert (
        in_order(
            calls,
            [
                r'link\("pid/[\d.]+", "mess/\d+/\d+"\) += 0',
                rf'write\(\d+<{QUEUE}pid/[\d.]+>(\(deleted\))?, "Received: .*',
                synced(r"pid/[\d.]+"),
                synced(r"mess/\d+"),
                synced(r"intd/\d+"),
                r'link\("intd/\d+", "todo/\d+"\) += 0',
                synced("todo"),
                r"exit_group\(0\) += \?",
            ],
        )
        == ""
    )
    for file in (r"pid/[\d.]+", r"intd/\d+"):
        writes = [at for at, call in enumerate(calls) if re.match(rf"write\(\d+<{QUEUE}{file}>", call)]
        syncs = [at for at, call in enumerate(calls) if re.fullmatch(synced(file), call)]
        assert max(writes) < min(syncs), f"{file} is written after it was synced:\n" + "\n".join(calls)


@pytest.mark.patch("50-sync-directories")
@pytest.mark.parametrize("number", range(1, QUEUE_FSYNCS + 1))
def test_a_message_that_cannot_be_synced_is_not_accepted(bed: Bed, number: int) -> None:
    name = f"unsynced-{number}"
    with traced(process(bed, bed.session_starter), "-e", f"inject=fsync:error=EIO:when={number}") as trace:
        got = submit(message(name), GOOD)
    calls = trace.of_program("qmail-queue")
    assert sum("(INJECTED)" in call for call in calls) == 1, calls
    assert got.startswith("451 "), f"fsync number {number} failed and the client heard {got!r}"
    assert re.fullmatch(r"exit_group\([1-9]\d*\) += \?", calls[-1]), calls[-1]
    again = f"unsynced-{number}-again"
    assert submit(message(again), GOOD).startswith("250 ok ")
    assert arrives(bed, again)
    # The last of them fails when the message can be seen already: it may come, and again from its sender.
    assert number != QUEUE_FSYNCS or arrives(bed, name)
    assert arrived(bed, name) == []


def test_qmail_queue_syncs_no_more_than_that(bed: Bed) -> None:
    """Otherwise test_a_message_that_cannot_be_synced_is_not_accepted would miss one."""
    one_more = f"inject=fsync:error=EIO:when={QUEUE_FSYNCS + 1}"
    with traced(process(bed, bed.session_starter), "-e", one_more) as trace:
        assert submit(message("synced"), GOOD).startswith("250 ok ")
        assert arrives(bed, "synced")
    assert sum(call.startswith("fsync(") for call in trace.of_program("qmail-queue")) == QUEUE_FSYNCS


@pytest.mark.patch("50-sync-directories")
@pytest.mark.parametrize("channel", ["remote", "local"])
def test_the_recipients_are_on_the_disk_before_todo_forgets_them(bed: Bed, channel: str) -> None:
    name = f"sync-send-{channel}"
    to = GOOD if channel == "remote" else f"postmaster@{HOSTNAME}"
    sender = process(bed, "qmail-send")
    with traced(sender) as trace:
        assert submit(message(name), to).startswith("250 ok ")
        assert arrives(bed, name)
    calls = trace.of(sender)
    begun = next(at for at, call in enumerate(calls) if re.match(rf"fsync\(\d+<{QUEUE}info/", call))
    number = re.findall(r"info/\d+/(\d+)", calls[begun])[0]
    assert (
        in_order(
            calls[begun:],
            [
                synced(rf"info/\d+/{number}"),
                synced(r"info/\d+"),
                synced(rf"{channel}/\d+/{number}"),
                synced(rf"{channel}/\d+"),
            ],
        )
        == ""
    )
    ends = [at for at, call in enumerate(calls) if re.match(rf'unlink\("(todo|intd)/{number}"\)', call)]
    syncs = [at for at, call in enumerate(calls) if re.fullmatch(synced(rf"{channel}/\d+"), call)]
    told = [at for at, call in enumerate(calls) if f"todo/{number}" in call and call.startswith("write(")]
    gone = min(ends + told)
    assert syncs[0] < gone, f"todo/{number} goes before {channel} is synced:\n" + "\n".join(calls)


@pytest.mark.patch("50-sync-directories")
@pytest.mark.parametrize("number", range(1, SEND_FSYNCS + 1))
def test_a_message_whose_recipients_cannot_be_synced_stays_in_todo(bed: Bed, number: int) -> None:
    """All calls from that one on fail, as qmail-send may look into todo twice for one message."""
    name = f"send-unsynced-{number}"
    before = todo(bed)
    with traced(process(bed, "qmail-send"), "-e", f"inject=fsync:error=EIO:when={number}+") as trace:
        assert submit(message(name), FOREIGN).startswith("250 ok ")
        time.sleep(QUIET_SECONDS)
    assert any("(INJECTED)" in line for _, line in trace.lines)
    assert arrived(bed, name) == [], f"fsync number {number} failed and the message was delivered from memory"
    assert len(todo(bed) - before) == 1
    pull(bed)
    assert arrives(bed, name)
    assert todo(bed) <= before


@pytest.mark.patch("50-sync-directories")
def test_the_text_of_a_bounce_is_on_the_disk_before_the_recipient_is_done(bed: Bed) -> None:
    bed.backends[A].refuse = "554 5.6.0 no such content here"
    sender = process(bed, "qmail-send")
    with traced(sender) as trace:
        assert submit(message("sync-bounce"), GOOD).startswith("250 ok ")
        claimed = bed.mailroom.claim(lambda one: (one.backend, one.recipient) == (B, SENDER), SOON_SECONDS)
        assert claimed is not None
    assert (
        in_order(
            trace.of(sender),
            [
                rf'write\(\d+<{QUEUE}bounce/(\d+/)?\d+>, ".*',
                synced(r"bounce/(\d+/)?\d+"),
                synced("bounce"),
                rf'write\(\d+<{QUEUE}remote/\d+/\d+>, "D", 1\) += 1',
            ],
        )
        == ""
    )
