# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is delivered unscanned: each part behind simscan is broken below real sessions."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import pytest
from support.conversations import EICAR
from support.gateway import Bed
from support.played_scanners import Act, answer, endless, hangs, judged, says
from support.scanner_faults import (
    CLAMD,
    CONTROL,
    DEADLINE_SECONDS,
    GRACE_SECONDS,
    QMAIL_QUEUE,
    RIPMIME,
    SPAMD,
    SUFFIXES,
    WORK,
    ScanBed,
    Talk,
    letter,
    padding,
)

PATCH = pytest.mark.patch("10-fail-closed")


@pytest.fixture(scope="module")
def scan(bed: Bed) -> Iterator[ScanBed]:
    """Run the gateway with a short deadline; check afterwards that no deferred message has arrived."""
    one = ScanBed(bed)
    with one.settings(deadline_seconds=DEADLINE_SECONDS):
        one.wait_until_mail_flows()
        yield one
    time.sleep(1)
    late = [name for name in PUT_OFF if one.arrived(name, 0)]
    assert late == [], "a message that was put off, or refused, was delivered"


PUT_OFF: list[str] = []


@dataclass(frozen=True)
class Row:
    """A part that is broken, and what the log says of it."""

    name: str
    broken: Callable[[ScanBed], AbstractContextManager[object]]
    reason: str
    body: bytes = b"Good morning.\r\n"
    together: bool = True  # whether both messages may come at the same time


STATUS = b"X-Spam-Status: No, score=1.0 required=5.0\n\n"
GOOD = answer(STATUS, "False ; 1.0 / 5.0")


def asked(place: str, act: Act) -> Callable[[ScanBed], AbstractContextManager[object]]:
    """Return the fault that a daemon of the test answers so."""
    return lambda scan: scan.played(place, act)


def virus_rows() -> list[Row]:
    return [
        Row("clamd-stopped", lambda s: s.stopped("clamd"), "clamd: no connection: "),
        Row("clamd-wedged", lambda s: s.wedged("clamd"), "clamd did not answer in time"),
        Row("clamd-removed", lambda s: s.missing(CLAMD), "clamd: no connection: No such file"),
        Row("clamd-closing", asked(CLAMD, says(b"")), "clamd has closed the connection without an answer"),
        Row("clamd-half", asked(CLAMD, says(b"stream: O")), "clamd says: stream_ O"),
        Row("clamd-half-hanging", asked(CLAMD, hangs(b"stream: OK")), "clamd did not answer in time"),
        Row("clamd-error", asked(CLAMD, says(b"stream: x ERROR\0")), "clamd says: stream_ x ERROR"),
        Row("clamd-excluding", asked(CLAMD, says(b"stream: Excluded\0")), "clamd says: stream_ Excluded"),
        Row("clamd-endless", asked(CLAMD, endless(b"stream: ")), "clamd: its answer is too long"),
    ]


def spam_rows() -> list[Row]:
    return [
        Row("spamd-stopped", lambda s: s.stopped("spamd"), "spamd: no connection: "),
        Row("spamd-wedged", lambda s: s.wedged("spamd"), "spamd did not answer in time"),
        Row("spamd-closing", asked(SPAMD, says(b"")), "spamd: it has said nothing"),
        Row(
            "spamd-error",
            asked(SPAMD, says(b"SPAMD/1.0 79 Timeout: (5 second timeout)\r\n")),
            "spamd: it has not judged the message: SPAMD/1.0 79 Timeout_",
        ),
        Row(
            "spamd-version",
            asked(SPAMD, says(GOOD.replace(b"SPAMD/1.1", b"SPAMD/2.0"))),
            "spamd: its answer is of another version",
        ),
        Row("spamd-cut", asked(SPAMD, says(GOOD[:-1])), "spamd: its answer is cut"),
        Row("spamd-half-hanging", asked(SPAMD, hangs(GOOD[:-1])), "spamd did not answer in time"),
        Row(
            "spamd-unjudged",
            asked(SPAMD, says(answer(b"A: b\n\n", "False ; 1.0 / 5.0"))),
            "spamd: its answer has no X-Spam-Status",
        ),
        Row(
            "spamd-100-MB",
            asked(SPAMD, endless(answer(b"", "False ; 1.0 / 5.0", length=104_857_600))),
            "spamd: its answer is too long",
        ),
    ]


def other_rows() -> list[Row]:
    return [
        Row("ramdisk-full", lambda s: s.room(65536), "work directory: No space left", padding(200_000)),
        Row(
            "work-directory-unwritable",
            lambda s: s.unwritable(),
            f"work directory /{WORK}: Permission denied",
        ),
        Row("settings-missing", lambda s: s.missing(CONTROL), "control/simscan cannot be read: No such file"),
        Row(
            "settings-empty",
            lambda s: s.written(CONTROL, ""),
            "control/simscan does not say deadline_seconds",
        ),
        Row(
            "settings-garbage",
            lambda s: s.written(CONTROL, "deadline_seconds 0\n"),
            "control/simscan line 1 cannot be understood",
        ),
        Row(
            "suffixes-missing", lambda s: s.missing(SUFFIXES), "control/ssattach cannot be read: No such file"
        ),
        Row("ripmime-hanging", lambda s: with_suffixes(s, "sleep 600"), "ripmime did not end in time"),
        Row("ripmime-killed", lambda s: with_suffixes(s, "kill -9 $$"), "ripmime was ended by signal 9"),
        Row(
            "ripmime-without-room",
            lambda s: with_suffixes(s, 'REAL "$@"', 98_304),
            "(work directory: no room|ripmime (says|exited with status 1)_?: .*No space left)",
            padding(60_000),
            together=False,
        ),
        Row(
            "ripmime-without-names",
            lambda s: with_suffixes(s, ENOSPC),
            "ripmime says: mime.c_1486_MIME_decode_text_ERROR_ cannot open parts/textfile0 for writing",
        ),
        Row(
            "ripmime-losing-a-part",
            lambda s: with_suffixes(s, 'REAL "$@"; rm parts/textfile0'),
            "ripmime has not written the part textfile0",
        ),
        Row(
            "ripmime-reading-elsewhere",
            lambda s: with_suffixes(s, 'read line </etc/passwd && REAL "$@"; exit 7'),
            "ripmime exited with status 7",
        ),
        Row(
            "ripmime-writing-elsewhere",
            lambda s: with_suffixes(s, 'echo x >message && REAL "$@"; exit 7'),
            "ripmime exited with status 7",
        ),
        Row(
            "message-changed-while-clamd-reads",
            lambda s: s.played(CLAMD, changing(s, says(b"fd[1]: OK\0"))),
            "clamd: the message in the work directory is not what was written there",
        ),
        Row(
            "message-changed-behind-all-scans",
            changed_late,
            "qmail-queue: the message in the work directory is not what was written there",
            padding(200_000),
            together=False,
        ),
        Row(
            "qmail-queue-killed",
            lambda s: s.script(QMAIL_QUEUE, "cat >/dev/null; cat <&1 >/dev/null; kill -9 $$"),
            "qmail-queue was ended by signal 9",
        ),
        Row(
            "qmail-queue-deaf",
            lambda s: s.script(QMAIL_QUEUE, "exit 0"),
            "qmail-queue exited before it had read the message",
            padding(70_000),
        ),
        Row(
            "qmail-queue-hanging",
            lambda s: s.script(QMAIL_QUEUE, "exec sleep 600"),
            "qmail-queue did not end in time",
            padding(70_000),
        ),
        Row(
            "qmail-queue-disk-full",
            lambda s: s.script(QMAIL_QUEUE, "cat >/dev/null; cat <&1 >/dev/null; exit 53"),
            "qmail-queue exited with status 53",
        ),
    ]


ENOSPC = 'echo "mime.c:1486:MIME_decode_text:ERROR: cannot open parts/textfile0 for writing"'


def changing(scan: ScanBed, then: Act) -> Act:
    """Change the last bytes but two of the messages in the work directory, and answer."""

    def act(connection: socket.socket, message: bytes) -> None:
        for path in (scan.root / WORK).glob("*/message"):
            with path.open("r+b") as stream:
                stream.seek(-3, os.SEEK_END)
                stream.write(b"\377")
        then(connection, message)

    return act


def with_suffixes(scan: ScanBed, ripmime: str, room_bytes: int = 0) -> AbstractContextManager[None]:
    stack = ExitStack()
    if room_bytes:
        stack.enter_context(scan.room(room_bytes))
    stack.enter_context(scan.written(SUFFIXES, ".exe\n"))
    stack.enter_context(scan.script(RIPMIME, ripmime))
    return stack  # type: ignore[return-value]


def changed_late(scan: ScanBed) -> AbstractContextManager[None]:
    """Change what spamd does not get, once it has the rest."""
    stack = ExitStack()
    stack.enter_context(scan.settings(deadline_seconds=DEADLINE_SECONDS, spam_limit_bytes=4096))
    stack.enter_context(scan.played(SPAMD, changing(scan, judged("1.0"))))
    return stack  # type: ignore[return-value]


def put_off_line(reason: str) -> str:
    return rf"simscan:\[[0-9]+\]:(id [0-9a-z.]+:)? put off for 198\.51\.100\.[0-9]+: (/var/qmail/)?{reason}"


def ids(rows: list[Row]) -> list[str]:
    return [row.name for row in rows]


def put_off(scan: ScanBed, row: Row) -> None:
    """While the part is broken a clean message and one with a virus hear 451 in time; the log says why."""
    clean, clean_content = letter(row.body)
    virus, virus_content = letter(EICAR + b"\r\n" + row.body)
    PUT_OFF.extend((clean, virus))
    log = scan.log()
    with row.broken(scan):
        talks = [Talk(scan, clean_content)]
        if not row.together:
            talks[0].answer()
        talks.append(Talk(scan, virus_content))
        answers = [talk.answer() for talk in talks]
    assert answers[0].startswith("451 "), answers
    # a virus that is found before the broken part is reached is refused permanently
    assert answers[1].startswith(("451 ", "554 Your email was rejected because it contains")), answers
    slowest = max(talk.seconds for talk in talks)
    assert slowest < DEADLINE_SECONDS + GRACE_SECONDS, f"{slowest:.1f} s"
    assert log.says(put_off_line(row.reason)), f"{row.reason!r} is not in the log: {log.lines()}"
    scan.wait_until_mail_flows()
    assert not scan.arrived(clean, 0) and not scan.arrived(virus, 0)


@PATCH
@pytest.mark.parametrize("row", virus_rows(), ids=ids(virus_rows()))
def test_without_the_virus_scanner_nothing_passes(scan: ScanBed, row: Row) -> None:
    put_off(scan, row)


@PATCH
@pytest.mark.parametrize("row", spam_rows(), ids=ids(spam_rows()))
def test_without_the_spam_scanner_nothing_passes(scan: ScanBed, row: Row) -> None:
    put_off(scan, row)


@PATCH
@pytest.mark.parametrize("row", other_rows(), ids=ids(other_rows()))
def test_nothing_passes_through_a_broken_part(scan: ScanBed, row: Row) -> None:
    put_off(scan, row)


@PATCH
@pytest.mark.parametrize("row", spam_rows(), ids=ids(spam_rows()))
def test_where_the_site_says_so_a_broken_spam_scanner_lets_mail_pass_and_marks_it(
    scan: ScanBed, row: Row
) -> None:
    name, content = letter(
        row.body, b"X-Spam-Checked: yes\r\n", b"X-Spam-Status: No, score=-9 required=5\r\n"
    )
    with scan.settings(deadline_seconds=DEADLINE_SECONDS, spam_failure="deliver"), row.broken(scan):
        reply = scan.send(content)
        assert reply.startswith("250 "), reply
        got = scan.arrived(name)
    head, dummy, body = got.partition(b"\r\n\r\n")
    assert body == row.body
    assert re.findall(rb"^X-Spam-[^\r\n]*", head, re.MULTILINE) == [b"X-Spam-Checked: no"]


@PATCH
@pytest.mark.parametrize("row", virus_rows()[:3], ids=ids(virus_rows()[:3]))
def test_where_the_site_says_so_nothing_passes_without_the_virus_scanner(scan: ScanBed, row: Row) -> None:
    with scan.settings(deadline_seconds=DEADLINE_SECONDS, spam_failure="deliver"):
        put_off(scan, row)


@PATCH
def test_without_descriptors_nothing_passes_unscanned(scan: ScanBed) -> None:
    """From too few for a session to enough for all of it: a virus never passes, clean mail passes whole."""
    reasons = 0
    for descriptors in range(6, 15):  # of fewer the launcher could not wait for its own
        clean, clean_content = letter()
        virus, virus_content = letter(EICAR + b"\r\n")
        PUT_OFF.append(virus)
        log = scan.log()
        with scan.limited("nofile", descriptors):
            talks = [Talk(scan, clean_content), Talk(scan, virus_content)]
            answers = [talk.answer() for talk in talks]
        assert not answers[1].startswith("250 "), f"{descriptors} descriptors: {answers}"
        assert max(talk.seconds for talk in talks) < DEADLINE_SECONDS + GRACE_SECONDS
        if answers[0].startswith("250 "):
            assert scan.arrived(clean).endswith(clean_content.partition(b"\r\n\r\n")[2])
        else:
            PUT_OFF.append(clean)
        reasons += any(re.search(put_off_line(".*Too many open files"), line) for line in log.lines())
    assert reasons > 0
    scan.wait_until_mail_flows()


def wait_for_process(scan: ScanBed, program: str) -> int:
    deadline = time.monotonic() + 10
    while not (pids := scan.pids(program)):
        assert time.monotonic() < deadline, f"no process {program}"
        time.sleep(0.02)
    return pids[0]


@pytest.mark.parametrize("place", [CLAMD, SPAMD], ids=lambda place: place.rpartition("/")[2])
def test_a_simscan_that_is_killed_delivers_nothing(scan: ScanBed, place: str) -> None:
    """The cleaner removes what it leaves in the work directory."""
    name, content = letter()
    PUT_OFF.append(name)
    scan.sweep()
    reached = threading.Event()
    hang = hangs()

    def act(connection: socket.socket, message: bytes) -> None:
        reached.set()
        hang(connection, message)

    with scan.played(place, act):
        talk = Talk(scan, content)
        assert reached.wait(10)
        os.kill(wait_for_process(scan, "simscan"), signal.SIGKILL)
        assert talk.answer() == "451 qq crashed (#4.3.0)"
    assert not scan.arrived(name, 1)
    left = scan.leftovers()
    assert len(left) == 1
    status, said, trouble = scan.bed.inside(
        "setuidgid", "simscan", "mailgate", "workdir", "clean", "--age", "0", f"/{WORK}"
    )
    assert (status, scan.leftovers()) == (0, []), said + trouble
    scan.wait_until_mail_flows()


@pytest.mark.parametrize("size", [14, 200_000])
def test_a_simscan_that_is_killed_beside_qmail_queue_delivers_all_or_nothing(
    scan: ScanBed, size: int
) -> None:
    """A qmail-queue that has all of the message may finish; one that has not finds no end of the envelope."""
    name, content = letter(padding(size))
    scan.sweep()
    with scan.script(QMAIL_QUEUE, f'sleep {DEADLINE_SECONDS - 2}; exec REAL "$@"'):
        talk = Talk(scan, content)
        wait_for_process(scan, "sleep")
        os.kill(wait_for_process(scan, "simscan"), signal.SIGKILL)
        assert talk.answer() == "451 qq crashed (#4.3.0)"
        time.sleep(DEADLINE_SECONDS - 1)  # what it left behind comes to its end
    got = scan.arrived(name, 1)
    assert not got or (size < 60_000 and got.endswith(content.partition(b"\r\n\r\n")[2]))
    scan.sweep()


@PATCH
def test_what_fails_after_queueing_never_makes_a_duplicate(scan: ScanBed) -> None:
    """When the directory cannot be removed, the message is accepted, once."""
    scan.sweep()
    name, content = letter()
    with scan.script(QMAIL_QUEUE, 'sleep 1; exec REAL "$@"'):
        talk = Talk(scan, content)
        wait_for_process(scan, "sleep")
        (path,) = (scan.root / WORK).iterdir()
        (path / "immovable").mkdir(mode=0o700)
        (path / "immovable" / "file").touch()
        answer = talk.answer()
    assert answer.startswith("250 "), answer
    assert scan.arrived(name)
    assert not scan.arrived(name, 1)
    scan.sweep()


@PATCH
def test_nobody_else_may_run_it(scan: ScanBed) -> None:
    """Only the group of qmail-smtpd's user may run it."""
    status, dummy, said = scan.bed.inside("setuidgid", "clamav", "/var/qmail/bin/simscan")
    assert (status, "denied" in said) == (111, True), said
