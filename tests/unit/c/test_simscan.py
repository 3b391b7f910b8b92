# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A message's path through simscan, under ASan and UBSan, with scanners of the test; no container.

The C functions by themselves are tested in test_scan*.c, which test_netqmail.py runs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import refused_copy, smtpd_log
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import release
from support import played_scanners as played
from support.c_programs import CACHE, FUZZ, INCLUDES, SANITIZE, STRICT, gcc, run, sources
from support.parameters import slow_where
from support.played_scanners import Act, PlayedClamd, PlayedSpamd, judged, says
from support.smtpfront_programs import until

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "simscan" / "files"
SOURCE = sources("simscan")
C = Path(__file__).resolve().parent
STANDIN = ROOT / "tests" / "standins" / "simscan"
ARCHIVE = CACHE / "ba2db03f3f2f8c1ba79a992b3c645adc23fe7aa25e9805dbdf98041420fe8d47"

DEADLINE_SECONDS = 2
CLEAN = says(b"stream: OK\0")
VIRUS = says(b"fd[10]: Eicar-Test FOUND\0")
SETTINGS = {
    "deadline_seconds": str(DEADLINE_SECONDS),
    "spam_failure": "refuse",
    "spam_limit_bytes": "100000",
    "reject_score": "10",
}
MESSAGE = b"Subject: hello: you\nX-Spam-Flag: NO\n\nbody \0 of it\n"
AS_DELIVERED = b"Subject: hello: you\n\nbody \0 of it\n"
ENVELOPE = b"Fann@sender.example\0Talice@example.test\0Tbob@example.test\0\0"
RULES_UNREADABLE = "control/domainrules cannot be read, or has two rules for one domain"


@dataclass(frozen=True)
class Outcome:
    """What qmail-smtpd would see, what was queued, and the lines of the log."""

    status: int
    text: str
    queued: bytes
    envelope: bytes
    log: list[str]
    seconds: float

    @property
    def line(self) -> str:
        """The one line of the log, without the number of the process and the time."""
        assert len(self.log) == 1, self.log
        return self.log[0].partition("]:")[2]


class World:
    """A simscan in a directory of its own, with scripts for what it calls, and daemons that it asks."""

    def __init__(self, place: Path, program: Path) -> None:
        self.place = place
        self.program = program
        for name in ("work", "control", "bin"):
            (place / name).mkdir()
        self.clamd = PlayedClamd(place / "clamd.ctl")
        self.spamd = PlayedSpamd(place / "spamd.sock")
        self.script("ripmime", "exit 0")
        self.script("qmail-queue", f"cat >{place}/queued; cat <&1 >{place}/envelope")
        self.settings()
        (place / "control" / "ssattach").write_text("# none\n")

    def script(self, name: str, text: str) -> None:
        path = self.place / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def settings(self, **values: str) -> None:
        sockets = {"clamd_socket": str(self.clamd.path), "spamd_socket": str(self.spamd.path)}
        lines = {**SETTINGS, **sockets, **values}
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        (self.place / "control" / "simscan").write_text(text)

    def scan(
        self,
        message: bytes = MESSAGE,
        envelope: bytes = ENVELOPE,
        *,
        environment: dict[str, str] | None = None,
        listener: bool = True,
        first: str = "",
        by: str = "",
        own_mounts: bool = False,
    ) -> Outcome:
        """Start simscan as qmail-smtpd does: message on 0, envelope on 1, a pipe as 4."""
        for name in ("queued", "envelope"):
            (self.place / name).unlink(missing_ok=True)
        (self.place / "in.message").write_bytes(message)
        (self.place / "in.envelope").write_bytes(envelope)
        descriptors = ("4>&1 " if listener else "") + "<in.message 1<in.envelope"
        begin = time.monotonic()
        apart = ["unshare", "--mount", "--map-root-user"] if own_mounts else []
        done = subprocess.run(
            [*apart, "sh", "-c", f'{first}\nexec {by} "$0" {descriptors}', self.program],
            cwd=self.place,
            # what nobody may look into is not looked into for leaks, either
            env={
                "PATH": "/usr/bin:/bin",
                "TCPREMOTEIP": "198.51.100.7",
                "ASAN_OPTIONS": "detect_leaks=0",
                **(environment or {}),
            },
            capture_output=True,
            timeout=30,
            check=False,
        )
        seconds = time.monotonic() - begin
        queued, sent = (self.place / name for name in ("queued", "envelope"))
        return Outcome(
            done.returncode,
            done.stdout.decode("latin-1"),
            queued.read_bytes() if queued.exists() else b"",
            sent.read_bytes() if sent.exists() else b"",
            done.stderr.decode("latin-1").splitlines(),
            seconds,
        )


@pytest.fixture(scope="session")
def simscan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled once, for places below a link that each test points to its own directory."""
    place = tmp_path_factory.mktemp("simscan")
    places = {
        "WORKDIR": "work",
        "CONTROLDIR": "control",
        "RIPMIME": "bin/ripmime",
        "QMAILQUEUE": "bin/qmail-queue",
    }
    config = "".join(f'#define {name} "{place}/world/{path}"\n' for name, path in places.items())
    (place / "config.h").write_text(config)
    files = [STANDIN / "simscan.c", *SOURCE]
    gcc("-std=c99", *STRICT, *SANITIZE, "-I", place, *INCLUDES, *files, "-o", place / "simscan")
    gcc(
        "-std=c99",
        *STRICT,
        *SANITIZE,
        *INCLUDES,
        C / "create.c",
        *SOURCE,
        "-o",
        place / "create",
    )
    return place / "simscan"


@pytest.fixture
def world(tmp_path: Path, simscan: Path) -> Iterator[World]:
    link = simscan.with_name("world")
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path)
    one = World(tmp_path, simscan)
    yield one
    one.clamd.close()
    one.spamd.close()


def ended(pid: int) -> None:
    """Wait until a process is no more, or a zombie."""
    stat = Path(f"/proc/{pid}/stat")

    def has() -> bool:
        try:
            return ") Z " in stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(has, 20)


def verdict(outcome: Outcome) -> str:
    """Return the one line of the log without the processes and the seconds."""
    assert outcome.line.startswith("qp ") == (outcome.status == 0)
    return re.sub(r":[0-9]+\.[0-9]{4}s:", ":TIMEs:", re.sub(r"^qp [0-9]+:", "", outcome.line))


def test_a_clean_message_is_queued_as_spamassassin_gives_it_back(world: World) -> None:
    outcome = world.scan()
    assert outcome.status == 0
    assert outcome.queued == b"X-Spam-Status: No, score=1.2 required=5.0\n" + AS_DELIVERED
    assert outcome.envelope == ENVELOPE
    assert verdict(outcome) == (
        "CLEAN (1.20/5.00/10.00):TIMEs:hello_ you:198.51.100.7:ann@sender.example:"
        "alice@example.test,bob@example.test"
    )
    assert list((world.place / "work").iterdir()) == []


def test_the_id_of_the_message_and_its_qmail_queue_are_in_the_line(world: World) -> None:
    """qmail-smtpd is told the pid of qmail-queue, too; the id is looked at before it is believed."""
    world.script(
        "qmail-queue",
        f"cat >{world.place}/queued; cat <&1 >{world.place}/envelope; echo $$ >{world.place}/pid",
    )
    for given, named in (
        ("6kz3rt9qm4.12", "id 6kz3rt9qm4.12 qp"),
        ("6kz3rt9qm4", "qp"),
        ("6kz3rt9qm4.1:CLEAN", "qp"),
        ("", "qp"),
    ):
        outcome = world.scan(environment={"SMTPMAIL": given})
        pid = (world.place / "pid").read_text().strip()
        assert (outcome.status, outcome.text) == (0, f"Kqp {pid}\n")
        assert outcome.line.startswith(f"{named} {pid}:CLEAN (1.20/5.00/10.00):")
        assert world.scan(environment={"SMTPMAIL": given}, listener=False).status == 0
    world.clamd.act = VIRUS
    outcome = world.scan(environment={"SMTPMAIL": "6kz3rt9qm4.2"})
    assert outcome.line.startswith("id 6kz3rt9qm4.2:VIRUS:")
    world.clamd.act = says(b"")
    outcome = world.scan(environment={"SMTPMAIL": "6kz3rt9qm4.3"})
    assert "]:id 6kz3rt9qm4.3: put off for 198.51.100.7: " in outcome.log[-1]


def test_a_folded_subject_is_whole_in_the_log(world: World) -> None:
    message = b"Subject: =?utf-8?Q?one?=\r\n =?utf-8?Q?_two?=\nA: b\n\nbody\n"
    about = verdict(world.scan(message)).split(":TIMEs:")[1]
    assert about.startswith("=?utf-8?Q?one?= =?utf-8?Q?_two?=:198.51.100.7:")
    long = b"Subject: " + b"\n ".join([b"x" * 70] * 40) + b"\n\nbody\n"
    about = verdict(world.scan(long)).split(":TIMEs:")[1].split(":198.51.100.7:")[0]
    assert about == " ".join(["x" * 70] * 40)[: len(about)] and 150 < len(about) <= 400


@pytest.mark.parametrize(
    ("score", "sa", "state", "status"),
    [
        ("-3.5", "No", "CLEAN (-3.50/5.00/10.00)", 0),
        ("5.0", "Yes", "SPAM PASS (5.00/5.00/10.00)", 0),
        ("9.99", "Yes", "SPAM PASS (9.99/5.00/10.00)", 0),
        ("10.0", "Yes", "SPAM REJECT (10.00/5.00/10.00)", 82),
        ("999", "Yes", "SPAM REJECT (999.00/5.00/10.00)", 82),
        ("10.0", "No", "SPAM REJECT (10.00/5.00/10.00)", 82),
    ],
)
def test_the_score_decides(world: World, score: str, sa: str, state: str, status: int) -> None:
    world.spamd.act = judged(score, sa)
    outcome = world.scan()
    assert outcome.status == status
    assert verdict(outcome).startswith(f"{state}:TIMEs:hello_ you:")
    assert bool(outcome.queued) == (status == 0)
    assert status == 0 or outcome.text == f"DYour email is considered spam ({float(score):.2f} spam-hits)"


def test_a_virus_is_refused_before_spamassassin_is_asked(world: World) -> None:
    world.clamd.act = VIRUS
    outcome = world.scan()
    assert outcome.status == 82
    assert outcome.text == "DYour email was rejected because it contains the Eicar-Test virus"
    assert verdict(outcome).startswith("VIRUS:TIMEs:Eicar-Test:198.51.100.7:")
    assert not outcome.queued and world.spamd.asked == []


@pytest.mark.parametrize(
    ("name", "state", "text"),
    [
        (
            "Heuristics.Limits.Exceeded.MaxFiles",
            "LIMIT",
            "DYour email was rejected because it is more than the virus scanner looks at: "
            "Heuristics.Limits.Exceeded.MaxFiles",
        ),
        (
            "Heuristics.Phishing.Email.SpoofedDomain",
            "HEURISTIC",
            "DYour email was rejected because it looks suspicious: Heuristics.Phishing.Email.SpoofedDomain",
        ),
    ],
)
def test_what_is_no_virus_is_refused_under_its_own_name(
    world: World, name: str, state: str, text: str
) -> None:
    world.clamd.act = says(f"fd[9]: {name} FOUND\0".encode())
    outcome = world.scan()
    assert (outcome.status, outcome.text) == (82, text)
    assert verdict(outcome).startswith(f"{state}:TIMEs:{name}:198.51.100.7:ann@sender.example:")


def test_clamds_own_limit_of_time_puts_off(world: World) -> None:
    world.clamd.act = says(b"stream: Heuristics.Limits.Exceeded.MaxScanTime FOUND\0")
    outcome = world.scan()
    assert outcome.status == 52
    assert outcome.line.endswith("clamd has taken too long: Heuristics.Limits.Exceeded.MaxScanTime")


# --- clamd, by descriptor and by stream ---

DENIED = b"fd[10]: lstat() failed: Permission denied. ERROR\0"
SAID = "clamd says: fd[10]_ lstat() failed_ Permission denied. ERROR"


@pytest.mark.parametrize("size", [1, 100, 70_000, 200_000])
def test_clamd_reads_the_message_by_its_descriptor(world: World, size: int) -> None:
    """The descriptor is one for reading only: clamd answers OK for one that it cannot read."""
    message = letter(size) if size > 7 else b"\n"
    assert world.scan(message).status == 0
    asked = world.clamd.asked[0]
    assert (asked.command, asked.message, asked.flags) == ("FILDES", message, os.O_RDONLY)


def test_who_cannot_write_is_not_believed(world: World) -> None:
    """By descriptor clamd answers OK for a part that it cannot unpack: it is to make a file, too."""
    assert world.scan().status == 0
    assert [(one.command, one.message) for one in world.clamd.asked[1:]] == [("INSTREAM", b"")]
    world.clamd.by["INSTREAM"] = says(b"")
    outcome = world.scan()
    assert (outcome.status, outcome.queued) == (71, b"")
    assert outcome.log[-1].endswith("clamd has closed the connection without an answer")
    world.clamd.by["FILDES"] = VIRUS
    assert world.scan().status == 82


@pytest.mark.parametrize("size", [1, 100, 65_535, 65_536, 65_537, 200_000])
def test_what_is_trouble_by_descriptor_is_asked_by_stream(world: World, size: int) -> None:
    """Each kind of trouble, and the verdict of the stream counts."""
    message = letter(size) if size > 7 else b"\n"
    for trouble in (DENIED, b"", b"OK\0", b"fd[1]: OK", b"fd[1]: O", b"x" * 2000, b"fd[1]: OK\0\0"):
        world.clamd.by["FILDES"] = says(trouble)
        world.clamd.asked.clear()
        outcome = world.scan(message)
        assert outcome.status == 0, (trouble, outcome)
        assert [(asked.command, asked.message) for asked in world.clamd.asked] == [
            ("FILDES", message),
            ("INSTREAM", message),
        ]
    world.clamd.act = says(b"stream: Eicar-Test FOUND\0")
    assert world.scan(message).status == 82


def test_why_clamd_is_asked_by_stream_is_logged_once(world: World) -> None:
    """It is logged again when the words have changed; without a state directory, each time."""
    world.clamd.by["FILDES"] = says(DENIED)
    said = f"{SAID} (asked by descriptor; asking by stream)"

    def words() -> list[str]:
        return [line.partition("]: ")[2] for line in world.scan().log if "]: " in line]

    assert words() == words() == [said]
    (world.place / "state").mkdir()
    world.settings(state_directory=f"{world.place}/state")
    assert [words() for _ in range(3)] == [[said], [], []]
    world.clamd.by["FILDES"] = says(DENIED.replace(b"10", b"11"))
    assert words() == []  # the number of clamd's descriptor is no news
    world.clamd.by["FILDES"] = says(DENIED.replace(b"denied", b"lost"))
    assert [len(words()) for _ in range(2)] == [1, 0]
    assert [path.name for path in (world.place / "state").iterdir()] == ["said"]
    (world.place / "state" / "said").write_bytes(b"garbage" * 100)
    assert len(words()) == 1
    (world.place / "state").rename(world.place / "elsewhere")
    assert len(words()) == 1


def test_what_clamd_says_is_told_for_the_proof(world: World) -> None:
    """In both ways, of a message on standard input that goes nowhere."""
    world.clamd.by["INSTREAM"] = VIRUS
    told = run([world.program, "-t"], input=b"A: b\n\nbody", env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert (told.returncode, told.stderr) == (0, b"")
    assert told.stdout == (
        b"by descriptor, clamd says: stream_ OK\nby stream, clamd says: fd[10]_ Eicar-Test FOUND\n"
    )
    assert [one.message for one in world.clamd.asked] == [b"A: b\n\nbody"] * 2
    assert list((world.place / "work").iterdir()) == [] and not (world.place / "queued").exists()
    world.clamd.close()
    told = run([world.program, "-t"], input=b"A: b\n", env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert told.stdout.startswith(b"by descriptor, clamd: no connection: No such file or directory\n")


@pytest.mark.parametrize("answer", [b"fd[7]: OK\0", b"fd[7]: Eicar-Test FOUND\0"])
def test_an_answer_of_clamds_may_come_in_pieces(world: World, answer: bytes) -> None:
    world.clamd.act = played.in_pieces(answer)
    assert world.scan().status == (0 if b"OK" in answer else 82)


@pytest.mark.parametrize(
    ("options", "settings", "status"),
    [
        ("size=100k", {}, 53),
        ("size=100k", {"clamd_reserve_bytes": "65536"}, 0),
        ("size=1g,nr_inodes=4", {}, 53),
        ("size=1g,nr_inodes=4", {"clamd_reserve_files": "2"}, 0),
        ("size=1g", {}, 0),
        ("size=1g,ro", {}, 71),
    ],
)
def test_clamd_has_room_or_its_answer_counts_for_nothing(
    world: World, options: str, settings: dict[str, str], status: int
) -> None:
    place = world.place / "clamd"
    place.mkdir()
    world.settings(clamd_temporary_directory=str(place), **settings)
    outcome = world.scan(first=f"mount -t tmpfs -o {options} tmpfs {place}", by="", own_mounts=True)
    assert outcome.status == status
    if status:
        assert f" put off for 198.51.100.7: clamd's temporary directory {place}" in outcome.line
    assert bool(outcome.queued) == (status == 0)


def test_clamd_without_a_directory_is_not_believed(world: World) -> None:
    world.settings(clamd_temporary_directory="/nowhere/at/all")
    outcome = world.scan()
    assert (outcome.status, outcome.queued) == (71, b"")
    assert outcome.line.endswith("clamd's temporary directory /nowhere/at/all: No such file or directory")


@pytest.mark.parametrize("what", ["bytes", "files"])
def test_clamds_room_is_watched_while_it_works(world: World, what: str) -> None:
    """The file system is full only while clamd works, and it says nothing."""
    place = world.place / "clamd"
    place.mkdir()
    world.settings(
        clamd_temporary_directory=str(place), clamd_reserve_bytes="500000", clamd_reserve_files="20"
    )
    fill = {
        "bytes": f"head -c 900000 /dev/zero >{place}/big",
        "files": f"for i in $(seq 1 40); do >{place}/big$i; done",
    }[what]

    silent = played.hangs()

    # The file system is simscan's own, so it is filled from within; simscan looks, and waits for no answer.
    def act(connection: socket.socket, message: bytes) -> None:
        (world.place / "fill").touch()
        silent(connection, message)

    world.clamd.act = act
    (world.place / "fill.sh").write_text(f"until [ -e {world.place}/fill ]; do sleep 0.02; done\n{fill}\n")
    outcome = world.scan(
        first=f"mount -t tmpfs -o size=1m,nr_inodes=50 tmpfs {place}\nsh fill.sh >/dev/null 2>&1 4>&1 &",
        own_mounts=True,
    )
    assert (outcome.status, outcome.queued) == (53, b"")


def suffixes(world: World, *names: str) -> None:
    (world.place / "control" / "ssattach").write_text("".join(f"{name}\n" for name in names))


def parted(*fields: str) -> bytes:
    head = "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
    return (head + "\n".join(fields) + "\n\nbody\n--b--\n").encode("utf-8")


def test_names_are_judged_without_ripmime(world: World) -> None:
    """ripmime of the test finds no name; a virus is refused first, without suffixes nothing is checked."""
    message = parted("Content-Disposition: attachment; filename*1=exe; filename*0=a.")
    assert world.scan(message).status == 0
    suffixes(world, ".exe")
    outcome = world.scan(message)
    assert (outcome.status, outcome.text) == (
        82,
        "DYour email was rejected because it contains a bad attachment: a.exe",
    )
    assert verdict(outcome).startswith("ATTACH:TIMEs:a.exe:198.51.100.7:")
    assert world.scan(parted("Content-Disposition: attachment; filename=a.pdf")).status == 0
    world.clamd.act = VIRUS
    assert verdict(world.scan(message)).startswith("VIRUS:")


def test_names_that_cannot_be_judged_are_refused(world: World) -> None:
    suffixes(world, ".exe")
    outcome = world.scan(parted(f"Content-Type: a/b; name={'x' * 20_000}"))
    assert (outcome.status, outcome.text) == (
        82,
        "DYour email was rejected because the names of its attachments are too long",
    )
    assert verdict(outcome).startswith("ATTACH:TIMEs:names of attachments too long:")


def test_winmail_dat_is_refused_by_name_or_said(world: World) -> None:
    message = parted("Content-Type: application/ms-tnef")
    suffixes(world, ".exe")
    outcome = world.scan(message)
    assert outcome.status == 0
    assert outcome.log[0].endswith("winmail.dat: no name of an attachment was found in it")
    for suffix in (".dat", "winmail.dat"):
        suffixes(world, suffix)
        outcome = world.scan(message)
        assert outcome.text == "DYour email was rejected because it contains a bad attachment: winmail.dat"


def test_without_a_listener_a_refusal_is_for_good_too(world: World) -> None:
    world.clamd.act = VIRUS
    assert world.scan(listener=False).status == 31
    assert world.scan(listener=False, first="exec 4>other").status == 31
    assert (world.place / "other").read_bytes() == b""


def test_a_relay_client_is_scanned_for_viruses_only(world: World) -> None:
    world.spamd.act = says(b"")
    outcome = world.scan(environment={"RELAYCLIENT": ""})
    assert (outcome.status, outcome.queued) == (0, AS_DELIVERED)
    assert verdict(outcome).startswith("RELAYCLIENT:TIMEs:-:198.51.100.7:ann@")
    world.clamd.act = VIRUS
    assert world.scan(environment={"RELAYCLIENT": ""}).status == 82


def letter(size: int, end: bytes = b"\n") -> bytes:
    return b"A: b\n\n" + bytes(65 + number % 26 for number in range(size - 6 - len(end))) + end


@pytest.mark.parametrize("extra", [0, 1, 2, 70_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b""])
def test_of_a_message_above_the_limit_the_first_part_is_judged(world: World, extra: int, end: bytes) -> None:
    message = letter(100_000 + extra, end)
    outcome = world.scan(message)
    assert outcome.status == 0
    assert world.spamd.asked == [message[:100_000]]
    mark = b"X-Spam-Checked: first 100000 bytes\n" if extra else b""
    assert outcome.queued == mark + b"X-Spam-Status: No, score=1.2 required=5.0\n" + message
    assert ":CLEAN (1.20/5.00/10.00):" in outcome.log[-1]
    if extra:
        said = f"]: the first 100000 of {len(message)} bytes were checked for spam"
        assert len(outcome.log) == 2 and outcome.log[0].endswith(said)


def test_a_message_above_the_limit_is_refused_for_its_first_part(world: World) -> None:
    world.spamd.act = judged("11", "Yes")
    assert world.scan(letter(100_001)).status == 82
    world.spamd.act = says(b"")
    world.settings(spam_failure="deliver")
    message = letter(200_001)
    assert world.scan(message).queued == b"X-Spam-Checked: no\n" + message
    world.clamd.act = VIRUS
    assert world.scan(message).status == 82


def test_a_header_above_the_limit_is_judged_whole(world: World) -> None:
    """Half a header cannot be judged; one that is longer than any program's is refused permanently."""
    world.settings(spam_limit_bytes="100")
    world.spamd.act = judged("1", required="5")
    header = b"A: b\n" + b"Long: " + b"x" * 500 + b"\n\n"
    outcome = world.scan(header + b"body\n")
    assert outcome.queued == (
        b"X-Spam-Checked: first %d bytes\nX-Spam-Status: No, score=1 required=5\n" % len(header)
        + header
        + b"body\n"
    )
    assert world.spamd.asked == [header]
    outcome = world.scan(b"A: b\n" * 60_000 + b"\nbody\n")
    assert (outcome.status, outcome.text) == (82, "DYour email was rejected because its header is too long")
    assert verdict(outcome).startswith("ATTACH:TIMEs:header too long:")
    assert world.scan(b"A: b\n" * 60_000 + b"\nbody\n", environment={"RELAYCLIENT": ""}).status == 0


@pytest.mark.parametrize("first", [*range(33), *range(127, 256), ord(":")])
def test_a_field_in_front_never_grows_by_the_message(world: World, first: int) -> None:
    """Bytes that cannot begin a field are behind an empty line; spamd's and simscan's fields end before."""
    world.spamd.act = says(b"")
    world.settings(spam_failure="deliver")
    message = bytes((first,)) + b" with ESMTPSA;\nX-Spam-Status: No\n\nbody\n"
    queued = world.scan(message).queued
    assert queued == b"X-Spam-Checked: no\n" + (b"" if first == 10 else b"\n") + message


def test_what_a_dropped_field_leaves_in_front_grows_no_field(world: World) -> None:
    outcome = world.scan(b"X-Spam-Flag: NO\n\001\n with ESMTPSA\n\nbody\n")
    assert outcome.queued == b"X-Spam-Status: No, score=1.2 required=5.0\n\n\001\n with ESMTPSA\n\nbody\n"


def test_an_answer_begins_with_a_field(world: World) -> None:
    fields = b" with ESMTPSA\nX-Spam-Status: No, score=1 required=5\n"
    world.spamd.act = says(played.answer(fields, "False ; 1.0 / 5.0"))
    assert world.scan().line.endswith("spamd: its answer does not begin with a field")


STATUS = b"X-Spam-Status: No, score=1.0 required=5.0\n"
GOOD = played.answer(STATUS + b"Subject: hello: you\n\n", "False ; 1.0 / 5.0")
# Who has the trouble, what it does, the exit status, and what the log says.
TROUBLES: dict[str, tuple[str, Act | str, int, str]] = {
    "clamd-error": (
        "clamd",
        says(b"stream: out of memory ERROR\0"),
        71,
        "clamd says: stream_ out of memory ERROR",
    ),
    "clamd-closing": ("clamd", says(b""), 71, "clamd has closed the connection without an answer"),
    "clamd-half": ("clamd", says(b"stream: O"), 71, "clamd says: stream_ O"),
    "clamd-without-nul": ("clamd", says(b"stream: OK"), 71, "clamd says: stream_ OK"),
    "clamd-half-virus": ("clamd", says(b"stream: Eicar FOUN\0"), 71, "clamd says: stream_ Eicar FOUN"),
    "clamd-twice": ("clamd", says(b"stream: OK\0stream: OK\0"), 71, "clamd says: stream_ OK_stream_ OK"),
    "clamd-other-words": ("clamd", says(b"PONG\0"), 71, "clamd says: PONG"),
    "clamd-excluding": ("clamd", says(b"stream: Excluded\0"), 71, "clamd says: stream_ Excluded"),
    "clamd-long": ("clamd", played.endless(), 71, "clamd: its answer is too long"),
    "clamd-hanging": ("clamd", played.hangs(), 52, "clamd did not answer in time"),
    "clamd-half-hanging": ("clamd", played.hangs(b"stream: OK"), 52, "clamd did not answer in time"),
    "spamd-closing": ("spamd", says(b""), 71, "spamd: it has said nothing"),
    "spamd-error": (
        "spamd",
        says(b"SPAMD/1.0 79 Timeout: (5 second timeout)\r\n"),
        71,
        "spamd: it has not judged the message: SPAMD/1.0 79 Timeout_ (5 second timeout)",
    ),
    "spamd-version": (
        "spamd",
        says(GOOD.replace(b"SPAMD/1.1", b"SPAMD/2.0")),
        71,
        "spamd: its answer is of another version: SPAMD/2.0 0 EX_OK",
    ),
    "spamd-cut": ("spamd", says(GOOD[:-1]), 71, "spamd: its answer is cut"),
    "spamd-half-head": ("spamd", says(GOOD[:30]), 71, "spamd: its answer is cut"),
    "spamd-longer": ("spamd", says(GOOD + b"x"), 71, "spamd: its answer is longer than it says"),
    "spamd-huge": (
        "spamd",
        played.endless(played.answer(b"", "False ; 1.0 / 5.0", length=104_857_600)),
        71,
        "spamd: its answer is too long",
    ),
    "spamd-endless": ("spamd", played.endless(b"x" * 300), 71, "spamd: its answer cannot be understood"),
    "spamd-unjudged": (
        "spamd",
        says(played.answer(b"A: b\n\n", "False ; 1.0 / 5.0")),
        71,
        "spamd: its answer has no X-Spam-Status with a score",
    ),
    "spamd-no-score": (
        "spamd",
        says(played.answer(b"X-Spam-Status: No\n\n", "False ; 1.0 / 5.0")),
        71,
        "spamd: its answer has no X-Spam-Status with a score",
    ),
    "spamd-two-verdicts": (
        "spamd",
        says(played.answer(STATUS, "True ; 1.0 / 5.0")),
        71,
        "spamd: its answer has two verdicts",
    ),
    "spamd-verdict": (
        "spamd",
        says(played.answer(STATUS, "False ; nan / 5.0")),
        71,
        "spamd: its verdict cannot be understood: Spam_ False ; nan / 5.0",
    ),
    "spamd-hanging": ("spamd", played.hangs(), 52, "spamd did not answer in time"),
    "spamd-half-hanging": ("spamd", played.hangs(GOOD[:-1]), 52, "spamd did not answer in time"),
    "queue-killed": ("qmail-queue", "kill -9 $$", 71, "qmail-queue was ended by signal 9"),
    "queue-53": ("qmail-queue", "cat >/dev/null; exit 53", 53, "qmail-queue exited with status 53"),
    "queue-31": ("qmail-queue", "cat >/dev/null; exit 31", 31, "qmail-queue exited with status 31"),
    "queue-111": ("qmail-queue", "exit 111", 71, "qmail-queue exited with status 111"),
    "queue-82": ("qmail-queue", "exit 82", 71, "qmail-queue exited with status 82"),
}


def waits(name: str) -> bool:
    """Whether a program ends with the deadline."""
    return name.endswith("-hanging")


def give_trouble(world: World, name: str) -> None:
    program, what, _, _ = TROUBLES[name]
    if isinstance(what, str):
        world.script(program, what)
    else:
        daemon: PlayedClamd | PlayedSpamd = world.clamd if program == "clamd" else world.spamd
        daemon.act = what


@pytest.mark.parametrize("name", slow_where(waits, TROUBLES))
def test_every_trouble_puts_the_message_off_and_says_why(world: World, name: str) -> None:
    _, _, status, why = TROUBLES[name]
    give_trouble(world, name)
    outcome = world.scan()
    assert outcome.status == status
    assert outcome.log[-1].partition("]:")[2].startswith(f" put off for 198.51.100.7: {why}")
    assert not outcome.queued and outcome.text == ""
    assert outcome.seconds < 2 * DEADLINE_SECONDS + 3
    assert list((world.place / "work").iterdir()) == []


@pytest.mark.parametrize("name", slow_where(waits, [name for name in TROUBLES if name.startswith("spamd")]))
def test_where_the_site_says_so_a_trouble_of_spamd_is_marked(world: World, name: str) -> None:
    _, _, _, why = TROUBLES[name]
    give_trouble(world, name)
    world.settings(spam_failure="deliver")
    outcome = world.scan()
    assert (outcome.status, outcome.queued) == (0, b"X-Spam-Checked: no\n" + AS_DELIVERED)
    assert f"]: not checked for spam: {why}" in outcome.log[0]
    assert ":CLEAN (0.00/0.00/0.00):" in outcome.log[1]


@pytest.mark.parametrize(
    "name", slow_where(waits, [name for name in TROUBLES if not name.startswith("spamd")])
)
def test_only_a_trouble_of_spamd_can_be_let_pass(world: World, name: str) -> None:
    give_trouble(world, name)
    world.settings(spam_failure="deliver")
    assert world.scan().status == TROUBLES[name][2]


def test_a_qmail_queue_that_is_missing_or_cannot_run(world: World) -> None:
    path = world.place / "bin" / "qmail-queue"
    path.chmod(0o644)
    outcome = world.scan()
    assert (outcome.status, outcome.line.partition(": ")[2]) == (
        71,
        "qmail-queue cannot be started: Permission denied",
    )
    path.unlink()
    assert world.scan().line.endswith("qmail-queue cannot be started: No such file or directory")


@pytest.mark.parametrize("who", ["clamd", "spamd"])
def test_a_daemon_that_is_not_there(world: World, who: str) -> None:
    """No socket, a plain file, and the socket of a daemon that has ended."""
    daemon: PlayedClamd | PlayedSpamd = getattr(world, who)
    path = daemon.path
    path.rename(path.with_name("aside"))
    outcome = world.scan()
    assert outcome.status == 71
    assert outcome.line.endswith(f"{who}: no connection: No such file or directory")
    path.write_text("no socket")
    assert world.scan().line.endswith(f"{who}: no connection: Connection refused")
    path.unlink()
    played.listening(path).close()
    assert world.scan().line.endswith(f"{who}: no connection: Connection refused")


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 5_000_000])
@pytest.mark.parametrize("who", ["clamd", "spamd"])
def test_a_socket_that_nobody_reads_is_waited_for_until_the_deadline(
    world: World, who: str, size: int
) -> None:
    daemon: PlayedClamd | PlayedSpamd = getattr(world, who)
    daemon.close()
    world.settings(spam_limit_bytes="10000000")
    listener = played.listening(daemon.path)
    outcome = world.scan(letter(size))
    listener.close()
    assert (outcome.status, outcome.line) == (
        52,
        f" put off for 198.51.100.7: {who} did not answer in time",
    )
    assert outcome.seconds < 2 * DEADLINE_SECONDS + 3


@pytest.mark.slow
def test_a_full_queue_of_connections_is_waited_for_until_the_deadline(world: World) -> None:
    world.clamd.close()
    listener = played.listening(world.clamd.path, 0)
    waiting = []
    for _ in range(2):
        waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        waiting[-1].setblocking(False)
        with suppress(BlockingIOError):
            waiting[-1].connect(str(world.clamd.path))
    outcome = world.scan()
    assert (outcome.status, outcome.line) == (
        52,
        " put off for 198.51.100.7: clamd did not answer in time",
    )
    listener.close()


# --- the header that spamd gives ---

HEADERS = {
    "plain": b"A: b\nSubject: x\nC: d\n\n",
    "folded": b"A: b\n c\nSubject: x\n\ty\nC: d\n\n",
    "no-subject": b"A: b\nC: d\n\n",
    "two-subjects": b"Subject: x\nA: b\nsubject: y\n\n",
    "return-path": b"Return-Path: <a>\n b\nA: b\nSubject: x\n\n",
    "no-field": b"A: b\nno field at all\n\n",
    "empty": b"\n",
    "no-body": b"A: b\nSubject: x\n",
    "crs": b"A: b\r\nSubject: x\r\nC: d\r\n\n",
    "nul": b"A: \0b\nSub\0ject: x\n\n",
    "long": b"Subject: x\n" + b"Long: y\n" * 20_000 + b"\n",
}
MARKS = (
    b"X-Spam-Flag: YES\nX-Spam-Level: ******\nX-Spam-Status: Yes, score=6.0 required=5.0\n\ttests=A,\n\tB\n"
)


@pytest.mark.parametrize("tag", [b"", b"[SPAM]"])
@pytest.mark.parametrize("name", HEADERS)
def test_what_is_delivered_is_what_process_gives(world: World, name: str, tag: bytes) -> None:
    world.settings(spam_limit_bytes="1000000")
    process = played.marked(MARKS, tag)
    world.spamd.act = judged("6.0", "Yes", process=process)
    for body in (b"body\n", b"", b"\n\n\nbody", bytes(range(256)) * 300):
        message = HEADERS[name] + (body if name != "no-body" else b"")
        outcome = world.scan(message)
        assert outcome.status == 0, outcome
        assert outcome.queued == process(message)
        assert world.spamd.asked[-1] == message


def test_spamd_is_asked_for_headers_on_behalf_of_simscan(world: World) -> None:
    world.scan()
    length = len(AS_DELIVERED)
    assert world.spamd.heads == [f"HEADERS SPAMC/1.5\r\nContent-length: {length}\r\nUser: simscan\r\n\r\n"]


def test_an_answer_of_spamds_may_come_in_pieces(world: World) -> None:
    world.spamd.act = played.in_pieces(GOOD)
    assert world.scan().queued == STATUS + AS_DELIVERED


def test_nothing_else_is_taken_from_spamds_answer(world: World) -> None:
    evil = STATUS + b"Received: evil\nX-Other: x\n\n"
    world.spamd.act = says(played.answer(evil, "False ; 1.0 / 5.0"))
    assert world.scan(b"A: b\nC: d\n\nbody\n").queued == STATUS + b"A: b\nC: d\n\nbody\n"


def test_a_message_is_whole_or_not_there(world: World) -> None:
    """qmail-queue gets the envelope's end only after the whole message."""
    message = b"A: b\n\n" + bytes(range(256)) * 20000
    world.settings(spam_limit_bytes="1000000000", deadline_seconds="20")
    outcome = world.scan(message)
    assert outcome.queued == b"X-Spam-Status: No, score=1.2 required=5.0\n" + message
    world.script("qmail-queue", "head -c 1000 >/dev/null; exit 0")
    outcome = world.scan(message)
    assert outcome.status == 71
    assert outcome.line.endswith(": qmail-queue exited before it had read the message")


@pytest.mark.slow
def test_a_slow_qmail_queue_that_has_everything_may_finish(world: World) -> None:
    """It is not killed after the deadline either: it might have queued the message already."""
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"{queue}sleep {DEADLINE_SECONDS + 1}")
    outcome = world.scan()
    assert outcome.status == 0 and outcome.queued


@pytest.mark.slow
def test_a_qmail_queue_that_is_done_when_its_time_is_up_has_queued(world: World) -> None:
    """Asked to end (SIGALRM) it exits with 0: the message is accepted, or a duplicate would come."""
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"trap 'exit 0' ALRM\n{queue}while :; do sleep 0.1; done")
    assert world.scan().status == 0
    world.script("qmail-queue", f"trap 'exit 52' ALRM\n{queue}while :; do sleep 0.1; done")
    outcome = world.scan()
    assert outcome.status == 52 and outcome.line.endswith(": qmail-queue did not end in time")


GIVEN_UP = "no envelope came: qmail-smtpd has given the message up"  # which says why itself
ENVELOPES = {
    "nothing": (b"", 54, GIVEN_UP),
    "cut": (ENVELOPE[:-1], 54, GIVEN_UP),
    "cut-in-an-address": (ENVELOPE[:30], 54, GIVEN_UP),
    "no-recipient": (b"Fann@sender.example\0\0", 91, "envelope cannot be understood"),
    "no-sender": (b"Talice@example.test\0\0", 91, "envelope cannot be understood"),
    "other-letter": (b"Fann\0Xbob\0\0", 91, "envelope cannot be understood"),
    "two-senders": (b"Fann\0Fbob\0Tcarl\0\0", 91, "envelope cannot be understood"),
    "more-behind": (ENVELOPE + b"T", 91, "envelope cannot be understood"),
    "endless": (b"F\0" + b"Ta\0" * 2_000_000, 53, "envelope: File too large"),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_is_whole_or_the_message_is_put_off(world: World, name: str) -> None:
    envelope, status, why = ENVELOPES[name]
    outcome = world.scan(envelope=envelope)
    assert (outcome.status, outcome.line, outcome.queued) == (
        status,
        f" {why}" if why == GIVEN_UP else f" put off for 198.51.100.7: {why}",
        b"",
    )
    assert list((world.place / "work").iterdir()) == []


def test_a_thousand_recipients_are_all_handed_on(world: World) -> None:
    envelope = b"F\0" + b"".join(b"Tuser%d@example.test\0" % number for number in range(1000)) + b"\0"
    outcome = world.scan(envelope=envelope)
    assert (outcome.status, outcome.envelope) == (0, envelope)
    assert outcome.line.endswith(",...") and len(outcome.log[0]) < 4000


def test_an_empty_message_is_put_off(world: World) -> None:
    assert (world.scan(b"").status, world.scan(b"X-Spam-Flag: NO\n").status) == (54, 54)


def test_the_log_is_not_the_senders(world: World) -> None:
    """No field holds a separator or anything that a terminal would obey."""
    message = b"Subject: a:b\033[2J\r\200:198.51.100.9:x\n\n\n"
    envelope = b'F"a:b,c\033"@X.example\0T"d:e,f\n"@Example.test\0\0'
    outcome = world.scan(message, envelope, environment={"TCPREMOTEIP": "2001:db8::1:x"})
    assert verdict(outcome) == (
        "CLEAN (1.20/5.00/10.00):TIMEs:a_b_[2J__198.51.100.9_x:2001_db8__1_x:"
        '"a_b,c_"@x.example:"d_e_f_"@example.test'
    )


def test_an_ipv6_address_stands_in_brackets(world: World) -> None:
    for address in ("2001:db8:1:2:3:4:5:6", "::1"):
        outcome = world.scan(environment={"TCPREMOTEIP": address})
        record = smtpd_log.parse(f"@400000006743a1a21b2f5c84 {outcome.log[0]}")
        assert f":[{address}]:" in outcome.line and isinstance(record, smtpd_log.Verdict)
        assert [split[1] for split in record.splits()] == [address]
    outcome = world.scan(b"", environment={"TCPREMOTEIP": "2001:db8::1"})
    assert "put off for [2001:db8::1]: " in outcome.line


def test_attachments_are_refused_by_their_suffixes(world: World) -> None:
    (world.place / "control" / "ssattach").write_text(".exe\n.scr\n")
    world.script("ripmime", 'cd "$5"; : > harmless.txt; : > "in:voice.SCR. "')
    outcome = world.scan()
    assert (outcome.status, outcome.queued) == (82, b"")
    assert outcome.text == "DYour email was rejected because it contains a bad attachment: in_voice.SCR. "
    assert verdict(outcome).startswith("ATTACH:TIMEs:in_voice.SCR. :198.51.100.7:")
    world.script("ripmime", 'cd "$5"; : > harmless.txt')
    assert world.scan().status == 0
    assert list((world.place / "work").iterdir()) == []


FULL = "uuencode.c:9:UUENCODE_decode_uu:ERROR: Cannot open file 'parts/a' (No space left on device)"


@pytest.mark.parametrize(
    ("script", "status", "why"),
    [
        ("exit 1", 71, "ripmime exited with status 1"),
        ("echo cannot write >&2; exit 1", 71, "ripmime exited with status 1: cannot write"),
        ("kill -9 $$", 71, "ripmime was ended by signal 9"),
        pytest.param("exec sleep 60", 52, "ripmime did not end in time", marks=pytest.mark.slow),
        pytest.param("while :; do :; done", 52, "ripmime did not end in time", marks=pytest.mark.slow),
        (f'echo "{FULL}"', 71, "ripmime says: " + FULL.replace(":", "_")),
        (f'echo "{FULL}" >&2', 71, "ripmime says: " + FULL.replace(":", "_")),
        (f'printf "{FULL}"', 71, "ripmime says: " + FULL.replace(":", "_")),
        ("echo unheard of", 71, "ripmime says: unheard of"),
        ("echo Decoding filename=a.txt", 71, "ripmime has not written the part a.txt"),
        (': >"$5/a"; echo Decoding filename=a; rm "$5/a"', 71, "ripmime has not written the part a"),
    ],
)
def test_an_attachment_that_cannot_be_seen_puts_the_message_off(
    world: World, script: str, status: int, why: str
) -> None:
    (world.place / "control" / "ssattach").write_text(".exe\n")
    world.script("ripmime", script)
    outcome = world.scan()
    assert (outcome.status, outcome.line) == (status, f" put off for 198.51.100.7: {why}")


HARMLESS = [
    "mime.c:1435:MIME_decode_raw:WARNING: hinfo has been clobbered.",
    "libmime-decoders.c:563:MDECODE_decode_ISO:ERROR: The encoding character 'Z' is not a valid type",
    "libmime-decoders.c:365:MIME_decode_quoted_printable:WARNING: Ran out of characters when decoding end of "
    "'=4\n'",
    "uuencode.c:575:UUENCODE_decode_uu:WARNING: Excessive length line",
    "mime.c:2416:MIME_generate_multiple_hardlink_filenames:WARNING: While trying to create 'parts/y' link to "
    "'parts/x' (File name too long)",
]


@pytest.mark.parametrize("words", HARMLESS)
def test_mail_that_is_not_as_it_should_be_is_no_trouble(world: World, words: str) -> None:
    (world.place / "control" / "ssattach").write_text(".exe\n")
    (world.place / "words").write_text(words + "\n")
    world.script("ripmime", f': >"$5/a%b"; echo "Decoding filename=a%%b"\ncat <<\\END\n{words}\nEND')
    assert world.scan().status == 0


def test_a_name_that_no_file_can_have_is_looked_at(world: World) -> None:
    (world.place / "control" / "ssattach").write_text(".exe\n")
    words = HARMLESS[-1].replace("parts/y", "parts/d/evil.EXE.")
    world.script("ripmime", f'echo "{words}"')
    outcome = world.scan()
    assert outcome.status == 82 and outcome.text.endswith("attachment: evil.EXE.")
    world.script("ripmime", "echo Decoding filename=d/evil.exe")
    assert world.scan().status == 82


def test_parts_that_are_nested_too_deep_are_refused(world: World) -> None:
    (world.place / "control" / "ssattach").write_text(".exe\n")
    world.script(
        "ripmime", "echo 'mime.c:3189:MIME_unpack_stage2:WARNING: Current recursion level of 21 is greater'"
    )
    outcome = world.scan()
    assert (outcome.status, outcome.text) == (
        82,
        "DYour email was rejected because its parts are nested too deep",
    )


# --- where ripmime works ---


@pytest.fixture(scope="session")
def mischief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("mischief") / "mischief"
    gcc("-O1", *STRICT, C / "mischief.c", "-o", program)
    return program


@pytest.fixture
def confined(world: World) -> World:
    """Return a world where ripmime is run, on a kernel that can confine it."""
    said = run([world.program, "-v"]).stdout.decode()
    if "not confined" in said or "no seccomp" in said:
        pytest.skip(said)
    (world.place / "control" / "ssattach").write_text(".exe\n")
    (world.place / "secret").write_text("secret")
    return world


def put_in_place(world: World, mischief: Path, act: str) -> None:
    """Put a program that does this act in the place of ripmime."""
    target = world.place / "bin" / "ripmime"
    target.unlink()
    shutil.copy(mischief, target.with_name(f"act-{act}"))
    target.symlink_to(f"act-{act}")


ACTS = ["read", "passwd", "list", "write", "append", "truncate", "remove", "above", "link", "connect", "unix"]
ACTS += ["signal", "ptrace", "setsid", "namespace", "memory", "privileges"]


@pytest.mark.parametrize("act", ACTS)
def test_ripmime_can_do_no_harm(confined: World, mischief: Path, act: str, tmp_path: Path) -> None:
    """Each act succeeds where nobody is confined, and is refused where ripmime is."""
    free = tmp_path / "free"
    free.mkdir()
    (free / "secret").write_text("secret")
    assert run([mischief, act, free], cwd=free).returncode == 0, "the test does nothing"
    put_in_place(confined, mischief, act)
    outcome = confined.scan()
    assert outcome.line.endswith("ripmime exited with status 7"), outcome
    assert (confined.place / "secret").read_text() == "secret"


@pytest.mark.parametrize("act", ["fork", "exec"])
def test_a_ripmime_that_is_a_program_starts_no_other(confined: World, mischief: Path, act: str) -> None:
    assert run([mischief, act, "."]).returncode == 0
    put_in_place(confined, mischief, act)
    assert confined.scan().line.endswith("ripmime exited with status 7")


SCRIPTS = {
    "read": "read line </etc/passwd",
    "cat": "cat /etc/passwd >parts/x",
    "write": "echo x >../../secret",
    "message": "echo x >message.new",
    "remove": "rm ../../secret",
    "connect": "bash -c ': >/dev/tcp/127.0.0.1/9'",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_ripmime_that_is_a_script_can_do_no_harm_either(confined: World, name: str) -> None:
    confined.script("ripmime", f"if {SCRIPTS[name]}; then exit 0; fi 2>/dev/null; exit 7")
    assert confined.scan().line.endswith("ripmime exited with status 7")
    assert (confined.place / "secret").read_text() == "secret"


def test_a_script_may_start_programs_and_write_parts(confined: World) -> None:
    confined.script(
        "ripmime", 'ls / >/dev/null 2>&1; cat >"$5/a.txt"; ln "$5/a.txt" "$5/b"; mv "$5/b" "$5/c"; rm "$5/c"'
    )
    assert confined.scan().status == 0


def test_what_ripmime_leaves_behind_is_ended(confined: World) -> None:
    """A grandchild that holds the pipe open delays nothing."""
    confined.script("ripmime", "sleep 61 & echo $!")
    outcome = confined.scan()
    found = re.search(r"ripmime says: ([0-9]+)$", outcome.line)
    assert found and outcome.seconds < DEADLINE_SECONDS, outcome
    ended(int(found[1]))


@pytest.mark.slow
def test_a_ripmime_that_becomes_many_is_ended(confined: World) -> None:
    """Processes are not only limited by number, which root may exceed: none of them outlives it."""
    confined.script("ripmime", "for i in 1 2 3 4 5; do sleep 63 & done; setsid sleep 63 & wait")
    outcome = confined.scan()
    assert "ripmime did not end in time" in outcome.line
    deadline = time.monotonic() + 5
    while run(["pgrep", "-fx", "sleep 63"]).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(("act", "why"), [("spin", "signal 24"), ("swallow", "status 7")])
def test_ripmime_has_an_end(confined: World, mischief: Path, act: str, why: str) -> None:
    """Processor time and memory are limited."""
    confined.settings(deadline_seconds="1" if act == "spin" else "20")
    put_in_place(confined, mischief, act)
    outcome = confined.scan()
    assert why in outcome.line or (act == "spin" and outcome.line.endswith("did not end in time")), outcome


# --- what was scanned is what is delivered ---


def overwrite(path: Path, at: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(b"\377")


def lengthen(path: Path, at: int) -> None:
    with path.open("ab") as stream:
        stream.write(b"more\n")


def replace(path: Path, at: int) -> None:
    path.rename(path.with_name("x"))
    path.write_bytes(b"other\n")


TAMPER: dict[str, Callable[[Path, int], None]] = {
    "changed": overwrite,
    "longer": lengthen,
    "shorter": lambda path, at: os.truncate(path, 10),
    "replaced": replace,
    "removed": lambda path, at: path.unlink(),
}
NOT_WRITTEN = "is not what was written there|has changed|cannot be read|cannot be served|Input/output error"


def stored(world: World) -> Path:
    (found,) = (world.place / "work").glob("*/message")
    return found


def tampering(world: World, how: str, at: int, then: Act) -> Act:
    """Change the message's file, and then answer."""

    def act(connection: socket.socket, message: bytes) -> None:
        TAMPER[how](stored(world), at)
        then(connection, message)

    return act


@pytest.mark.parametrize("how", TAMPER)
@pytest.mark.parametrize("size", [100, 70_000, 150_000])
def test_a_message_that_is_changed_while_clamd_reads_it_is_not_queued(
    world: World, how: str, size: int
) -> None:
    """Nobody knows then what clamd has read, even where the file is the old one again."""
    world.clamd.act = tampering(world, how, size - 2, CLEAN)
    outcome = world.scan(letter(size))
    assert (outcome.status, outcome.envelope) == (71, b"")
    assert outcome.line.endswith("clamd: the message in the work directory is not what was written there")


@pytest.mark.parametrize("how", TAMPER)
@pytest.mark.parametrize("by", ["spamd", "clamd-by-stream"])
@pytest.mark.parametrize("size", [100, 70_000, 150_000])
def test_a_message_that_is_changed_behind_its_scan_is_not_queued(
    world: World, by: str, how: str, size: int
) -> None:
    if by == "spamd":
        world.spamd.act = tampering(world, how, size - 2, judged("1.2"))
    else:
        world.clamd.by["FILDES"] = says(DENIED)
        world.clamd.act = tampering(world, how, size - 2, CLEAN)
    message = letter(size)
    outcome = world.scan(message)
    if how in ("longer", "replaced", "removed"):  # what was stored is all that is read, by its descriptor
        assert (outcome.status, outcome.queued[-size:]) == (0, message)
    else:
        assert outcome.status == 71 and not outcome.envelope
        assert re.search(NOT_WRITTEN, outcome.log[-1])


@pytest.mark.parametrize("how", ["changed", "shorter"])
def test_a_header_that_is_changed_behind_its_scan_is_not_queued(world: World, how: str) -> None:
    """It is read once more for the marks, and proven then."""
    world.spamd.act = tampering(world, how, 0, judged("1.2"))
    world.settings(spam_failure="deliver")
    outcome = world.scan(b"A: b\nLong: x\n\nbody\n")
    assert outcome.status == 71 and not outcome.envelope
    assert re.search(NOT_WRITTEN, outcome.log[-1])


def test_the_message_is_a_new_file_of_our_own(world: World) -> None:
    """A file that exists already, or a link, is not used."""
    assert run([world.program.with_name("create"), tmp := world.place / "there"]).returncode == 0
    (world.place / "link").symlink_to(world.place / "elsewhere")
    assert run([world.program.with_name("create"), world.place / "link"]).returncode == 17
    assert run([world.program.with_name("create"), tmp]).returncode == 17


def test_nobody_may_look_into_it(world: World) -> None:
    """No scanner can take its descriptors, read its memory, or trace it; not even one of the same user."""
    owners = []

    def act(connection: socket.socket, message: bytes) -> None:
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        owners.append(os.stat(f"/proc/{struct.unpack('3i', peer)[0]}/mem").st_uid)
        CLEAN(connection, message)

    world.clamd.act = act
    if os.geteuid() == 0:
        open_to_all(world)
    assert world.scan(by=AS_NOBODY).status == 0
    assert set(owners) == {0}


def open_to_all(world: World) -> None:
    for path in (world.place, world.place / "work"):
        path.chmod(0o777)
    for path in (world.place, world.program):
        for parent in path.parents[:-2]:
            parent.chmod(0o755)


AS_NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups" if os.geteuid() == 0 else ""


def test_ripmime_cannot_be_the_user_again_who_started_simscan(confined: World, mischief: Path) -> None:
    """simscan is set-user-id: ripmime has its user alone, as real and as saved one, too."""
    world = confined
    if os.geteuid() != 0:
        pytest.skip("only root can make a program set-user-id for another user")
    open_to_all(world)
    program = world.program.with_name("set-user-id")
    shutil.copy(world.program, program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    put_in_place(world, mischief, "users")
    world.program = program
    # the sanitizer of a set-user-id program hears no options, and its own status is not simscan's
    outcome = world.scan(by="setpriv --reuid 65533 --regid 65533 --clear-groups")
    assert outcome.log[0].endswith("ripmime exited with status 7"), outcome


def test_files_are_for_its_own_user_only(world: World) -> None:
    modes: list[str] = []

    def act(connection: socket.socket, message: bytes) -> None:
        modes.extend(oct(path.stat().st_mode & 0o7777) for path in (stored(world).parent, stored(world)))
        CLEAN(connection, message)

    world.clamd.by["FILDES"] = act
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"{queue}umask >{world.place}/mask")
    assert world.scan(first="umask 0").status == 0
    assert modes == ["0o700", "0o600"]
    assert (world.place / "mask").read_text().strip().endswith("77")


def test_no_child_gets_descriptor_4(confined: World, mischief: Path) -> None:
    """Otherwise ripmime could write the reply to the sender, and delay qmail-smtpd."""
    world = confined
    world.script(
        "qmail-queue", f"ls /proc/$$/fd >{world.place}/qmail-queue.fds; cat >/dev/null; cat <&1 >/dev/null"
    )
    assert world.scan().status == 0
    fds = set((world.place / "qmail-queue.fds").read_text().split())
    assert {"0", "1", "2"} <= fds and not {"3", "4", "5"} & fds, fds
    put_in_place(world, mischief, "descriptors")
    assert world.scan().line.endswith("ripmime exited with status 7")


# --- a share of the work directory ---


@pytest.fixture
def small(world: World) -> Iterator[World]:
    """Give the world a work directory of 1 MB."""
    work = world.place / "work"
    if (
        os.geteuid() != 0
        or run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=200", "tmpfs", work]).returncode != 0
    ):
        pytest.skip("only root can mount a small file system here")
    yield world
    run(["umount", "-l", work])


SHARE = "work directory: No space left for one message: its share is 262144 bytes, 25 percent"
ABOVE = f"{SHARE} (work_share_percent)"


@pytest.mark.parametrize(("size", "fits"), [(262_144, True), (262_145, False)])
def test_one_session_has_a_share_of_the_work_directory(small: World, size: int, fits: bool) -> None:
    small.settings(spam_limit_bytes="1000")
    outcome = small.scan(letter(size), environment={"RELAYCLIENT": ""})
    assert outcome.status == (0 if fits else 53)
    if not fits:
        assert outcome.line.endswith(ABOVE)
    small.settings(work_share_percent="50")
    assert small.scan(letter(size), environment={"RELAYCLIENT": ""}).status == 0


def test_parts_count(small: World) -> None:
    small.settings(spam_limit_bytes="1000000")
    assert small.scan(letter(260_000)).status == 0
    (small.place / "control" / "ssattach").write_text(".exe\n")
    small.script("ripmime", 'cat >"$5/a"')
    assert small.scan(letter(120_000)).status == 0
    assert small.scan(letter(140_000)).line.endswith(ABOVE)


def test_ripmime_fills_no_more_than_the_share(small: World, mischief: Path) -> None:
    (small.place / "control" / "ssattach").write_text(".exe\n")
    put_in_place(small, mischief, "fill")
    assert re.search("share is|signal 25", small.scan().line)


@pytest.mark.parametrize("what", ["bytes", "names"])
def test_a_work_directory_that_is_full_for_a_moment_puts_the_message_off(small: World, what: str) -> None:
    """Parts may be missing then, whatever ripmime prints; the same holds while it is still full."""
    (small.place / "control" / "ssattach").write_text(".exe\n")
    fill = (
        f"dd if=/dev/zero of={small.place}/work/fill bs=64k 2>/dev/null"
        if what == "bytes"
        else f"i=0; while : >{small.place}/work/fill.$i; do i=$((i+1)); done 2>/dev/null"
    )
    # It goes on until the work directory was full, and is not any more.
    small.script("ripmime", "cat >/dev/null; : >parts/waits; while [ -e parts/waits ]; do sleep 0.05; done")
    waits = f"{small.place}/work/*/parts/waits"
    (small.place / "full.sh").write_text(
        f"until ls {waits}; do sleep 0.05; done\n"
        f"{fill}\nsleep 0.25\nrm -f {small.place}/work/fill*\nrm -f {waits}\n"
    )
    outcome = small.scan(first=f"sh {small.place}/full.sh >/dev/null 2>&1 &")
    assert outcome.status == 53, outcome
    assert outcome.line.endswith("work directory: no room for the parts of the message")


def test_a_file_size_that_is_not_allowed_is_no_end_of_the_message(world: World) -> None:
    outcome = world.scan(b"A: b\n\n" + b"x" * 3000, first="ulimit -f 1")
    assert (outcome.status, outcome.line) == (53, " put off for 198.51.100.7: work directory: File too large")


@pytest.mark.parametrize("descriptors", range(4, 16))
def test_with_few_descriptors_it_is_all_or_nothing(world: World, descriptors: int) -> None:
    outcome = world.scan(by=f"prlimit --nofile={descriptors}:", listener=False)
    if outcome.status == 0:
        assert outcome.queued.endswith(AS_DELIVERED)
    else:
        assert not outcome.queued
        assert outcome.log[-1].endswith(("Too many open files", RULES_UNREADABLE))


def test_closed_standard_descriptors_are_never_taken_for_others(world: World) -> None:
    done = run(["sh", "-c", f"exec {world.program} <&- 1<&- 2>&-"])
    assert done.returncode == 71


@pytest.mark.parametrize("file", ["simscan", "ssattach"])
def test_without_settings_every_message_is_put_off(world: World, file: str) -> None:
    (world.place / "control" / file).unlink()
    outcome = world.scan()
    assert (outcome.status, outcome.queued) == (55, b"")
    assert outcome.line.endswith(f"/control/{file} cannot be read: No such file or directory")


def test_signals_while_qmail_queue_works_change_nothing(world: World) -> None:
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"{queue}kill -TERM $PPID; kill -HUP $PPID; kill -ALRM $PPID; sleep 0.2")
    assert world.scan().status == 0


@pytest.mark.slow
def test_a_log_that_takes_nothing_holds_up_no_message(world: World) -> None:
    """The log is a pipe that is not read, or one whose reader is gone."""
    begin = time.monotonic()
    assert world.scan(first="mkfifo full; exec 2<>full; head -c 65536 /dev/zero >&2").status == 0
    assert time.monotonic() - begin < 6
    assert world.scan(first="(exec sleep 0) | exec 2>/dev/full").status == 0


def test_qmail_queue_may_be_set_user_id(world: World) -> None:
    """Other than ripmime, which cannot become another user."""
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"{queue}grep NoNewPrivs /proc/self/status >{world.place}/state")
    assert world.scan().status == 0
    assert (world.place / "state").read_text().split() == ["NoNewPrivs:", "0"]


def test_ripmime_ends_with_simscan(confined: World) -> None:
    world = confined
    world.script("ripmime", 'echo $$ >"$5/pid"; exec sleep 62')
    for name, content in (("in.message", MESSAGE), ("in.envelope", ENVELOPE)):
        (world.place / name).write_bytes(content)
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" <in.message 1<in.envelope', world.program],
        cwd=world.place,
        stderr=subprocess.DEVNULL,
    )
    pids = world.place / "work"
    until(lambda: any(path.read_text().strip() for path in pids.glob("*/parts/pid")), 20)
    (pid,) = pids.glob("*/parts/pid")
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    ended(int(pid.read_text()))


# --- what is laid beside simscan's files, and in its place ---


def test_the_stand_in_is_small() -> None:
    assert 0 < sum(len(path.read_text().splitlines()) for path in STANDIN.rglob("*.[ch]")) <= 400


def test_the_patch_applies_without_fuzz(tmp_path: Path) -> None:
    if not ARCHIVE.is_file():
        pytest.skip(f"the source of simscan 1.4.6.2 is not at {ARCHIVE}")
    assert run(["tar", "-xzf", ARCHIVE, "-C", tmp_path, "--strip-components=1"]).returncode == 0
    for patch in sorted((ROLE / "patches").glob("*.patch")):
        done = run(["patch", "-p1", "-F0", "-i", patch], cwd=tmp_path)
        assert done.returncode == 0, f"{patch.name}: {done.stdout.decode()}"


@pytest.mark.parametrize("patch", sorted((ROLE / "patches").glob("*.patch")), ids=lambda path: path.name)
def test_a_patch_says_what_why_and_how_tested(patch: Path) -> None:
    head = patch.read_text().split("\n--- a/")[0]
    assert all(f"\n{word}" in head for word in ("What it mends:", "What it does:", "How it was tested:"))


# --- copies of what is refused ---

_STATUS = (
    b"X-Spam-Status: Yes, score=12.5 required=5.0 tests=BAYES_99,\n\tURIBL_BLACK autolearn=no version=4.0.1\n"
)
KEPT = judged("12.5", "Yes", process=played.marked(_STATUS))


def keeping(world: World, **values: str) -> Path:
    place = world.place / "kept"
    place.mkdir()
    world.settings(keep_directory=str(place), **values)
    return place


def notes(outcome: Outcome) -> list[str]:
    """Return the lines of the log behind the verdict."""
    return [line.partition("]:")[2] for line in outcome.log[1:]]


def test_a_copy_of_refused_spam_is_kept_and_nothing_else_changes(world: World) -> None:
    world.spamd.act = KEPT
    without = world.scan()
    place = keeping(world)
    begin = int(time.time())
    outcome = world.scan(environment={"SMTPMAIL": "6kz3rt9qm4.1"})
    assert (outcome.status, outcome.text, outcome.queued) == (without.status, without.text, b"")
    (path,) = place.iterdir()
    assert notes(outcome) == [f"id 6kz3rt9qm4.1: kept as {path.name}"]
    assert path.stat().st_mode & 0o7777 == 0o600
    copy = refused_copy.parse_copy(path.read_bytes(), "copy")
    assert (copy.envelope, copy.message) == (ENVELOPE, AS_DELIVERED)
    head = copy.head
    assert (head.verdict, head.score, head.limit, head.rules) == (
        "SPAM",
        12.5,
        10,
        ("BAYES_99", "URIBL_BLACK"),
    )
    assert (head.client, head.id) == ("198.51.100.7", "6kz3rt9qm4.1")
    assert begin <= head.at <= time.time()
    assert list((world.place / "work").iterdir()) == []


def test_each_copy_has_a_name_of_its_own(world: World) -> None:
    world.spamd.act = KEPT
    place = keeping(world)
    for _ in range(3):
        world.scan()
    names = [one.name for one in place.iterdir()]
    assert len(set(names)) == 3 and all(refused_copy.NAME.fullmatch(name) for name in names)


def test_a_long_message_is_kept_whole(world: World) -> None:
    world.spamd.act = KEPT
    place = keeping(world, spam_limit_bytes="1000")
    message = b"Subject: x\n\n" + bytes(range(256)) * 1000
    world.scan(message)
    (path,) = place.iterdir()
    assert refused_copy.parse_copy(path.read_bytes(), "copy").message == message


def test_what_is_delivered_or_put_off_or_a_virus_is_not_kept(world: World) -> None:
    place = keeping(world)
    assert world.scan().status == 0
    world.spamd.act = judged("7", "Yes")
    assert world.scan().status == 0
    world.spamd.act = says(b"")
    assert world.scan().status == 71
    world.clamd.act = VIRUS
    assert world.scan().status == 82
    assert list(place.iterdir()) == []


def test_a_sample_of_the_doctor_is_not_kept(world: World) -> None:
    world.spamd.act = KEPT
    place = keeping(world)
    outcome = world.scan(environment={"SIMSCAN_KEEP": "no"})
    assert outcome.status == 82 and notes(outcome) == []
    assert list(place.iterdir()) == []


def test_a_virus_is_kept_where_the_site_asks_for_it(world: World) -> None:
    world.clamd.act = VIRUS
    place = keeping(world, keep_viruses="yes")
    outcome = world.scan()
    assert outcome.text == "DYour email was rejected because it contains the Eicar-Test virus"
    (path,) = place.iterdir()
    copy = refused_copy.parse_copy(path.read_bytes(), "copy")
    assert (copy.head.verdict, copy.head.name, copy.head.score) == ("VIRUS", "Eicar-Test", None)
    assert copy.message == AS_DELIVERED


@pytest.mark.parametrize("limit", [{"keep_bytes": "10000"}, {"keep_files": "2"}])
def test_above_a_limit_no_copy_is_kept_and_the_refusal_is_the_same(
    world: World, limit: dict[str, str]
) -> None:
    world.spamd.act = KEPT
    place = keeping(world, **limit)
    outcomes = [world.scan() for _ in range(4)]
    assert len(list(place.iterdir())) == 2
    assert {(one.status, one.text) for one in outcomes} == {
        (82, "DYour email is considered spam (12.50 spam-hits)")
    }
    assert notes(outcomes[-1]) == [" no copy is kept: the limit is reached (keep_bytes, keep_files)"]


def test_a_directory_that_is_not_there_or_is_a_link_keeps_no_copy(world: World) -> None:
    world.spamd.act = KEPT
    place = keeping(world)
    place.rmdir()
    outcome = world.scan()
    assert (outcome.status, notes(outcome)) == (82, [" no copy is kept: No such file or directory"])
    (world.place / "other").mkdir()
    place.symlink_to(world.place / "other")
    outcome = world.scan()
    assert (outcome.status, notes(outcome)) == (82, [" no copy is kept: Not a directory"])
    assert list((world.place / "other").iterdir()) == []


def test_without_room_for_the_copy_there_is_none_and_no_part_of_it(world: World) -> None:
    world.spamd.act = KEPT
    place = keeping(world)
    message = b"Subject: x\n\n" + b"y" * 60_390
    outcome = world.scan(
        message, first="ulimit -f 118"
    )  # of 512 bytes: the message fits, with its head it does not
    assert outcome.status == 82 and notes(outcome) == [" no copy is kept: File too large"]
    assert list(place.iterdir()) == []


def released(world: World, copy: refused_copy.Copy) -> release.Outcome:
    """Give a copy to simscan as the operators' service does."""
    world.script("released", f"ASAN_OPTIONS=detect_leaks=0 exec {world.program}")
    scanner = release.Scanner(str(world.place / "bin" / "released"), user="")
    return release.outcome(scanner.run(b"X-Mark: 1\n" + copy.message, copy.envelope))


def test_a_copy_is_released_without_spamassassin_and_not_without_clamd(world: World) -> None:
    world.spamd.act = KEPT
    place = keeping(world)
    world.scan()
    (path,) = place.iterdir()
    copy = refused_copy.parse_copy(path.read_bytes(), "copy")
    world.clamd.act = VIRUS
    outcome = released(world, copy)
    assert (outcome.stage, outcome.temporary) == (release.FAILED, False)
    assert outcome.words == "Your email was rejected because it contains the Eicar-Test virus"
    world.clamd.act = says(b"")
    outcome = released(world, copy)
    assert (outcome.stage, outcome.temporary) == (release.FAILED, True) and "clamd" in outcome.words
    assert not (world.place / "queued").exists()
    world.clamd.act = CLEAN
    world.script("qmail-queue", "exit 53")
    outcome = released(world, copy)
    assert (outcome.stage, outcome.temporary) == (release.FAILED, True)
    assert "qmail-queue exited with status 53" in outcome.words
    world.script("qmail-queue", "kill -9 $$")
    assert released(world, copy).stage == release.UNKNOWN
    world.script("qmail-queue", f"cat >{world.place}/queued; cat <&1 >{world.place}/envelope")
    assert re.fullmatch(r"queued \(qp [0-9]+\)", (outcome := released(world, copy)).words)
    assert outcome.stage == release.DONE
    assert (world.place / "queued").read_bytes() == b"X-Mark: 1\n" + AS_DELIVERED
    assert (world.place / "envelope").read_bytes() == ENVELOPE
    assert len(list(place.iterdir())) == 1


def test_several_sessions_together_stay_within_the_limit(world: World) -> None:
    world.spamd.act = KEPT
    place = keeping(world, keep_files="3")
    (world.place / "in.message").write_bytes(MESSAGE)
    (world.place / "in.envelope").write_bytes(ENVELOPE)
    command = 'for i in 1 2 3 4 5 6; do "$0" <in.message 1<in.envelope 2>>log & done; wait'
    environment = {"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0"}
    subprocess.run(
        ["sh", "-c", command, world.program], cwd=world.place, env=environment, timeout=60, check=True
    )
    assert len(list(place.iterdir())) <= 3


# --- fuzzers that need parts of their own in the place of others ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "left_out", "inputs"),
    [("simscan_message", ["scanchild.c", "scanconnect.c", "clock.c"], 300), ("simscan_child", [], 30)],
)
def test_fuzz_the_way_of_a_message(target: str, left_out: list[str], inputs: int, tmp_path: Path) -> None:
    files = [path for path in SOURCE if path.name not in left_out]
    program = tmp_path / "fuzz"
    options = ["-std=c99", "-D_GNU_SOURCE", "-DINPUT_MAX=100000", *STRICT, *SANITIZE, *INCLUDES]
    gcc(*options, FUZZ / f"{target}.c", FUZZ / "drive.c", *files, "-o", program)
    done = run(["env", "ASAN_OPTIONS=detect_leaks=0", program, 20070101, 3], cwd=tmp_path)
    crash = tmp_path / "crash"
    assert done.returncode == 0, (
        f"{done.stderr.decode(errors='replace')}\ninput: {crash.read_bytes() if crash.exists() else b''!r}"
    )
    found = re.fullmatch(rb"([0-9]+) inputs\n", done.stdout)
    assert found and int(found[1]) >= inputs


# --- rules of the recipients' domain ---

RULES = """rule
reject 4
mark 2
subject_tag [ONE]
suffix .iso
domain one.example
rule
reject 20
mark 15
no_subject_tag
domain two.example
rule
no_suffix
domain three.example
end
"""
ATTACHED = b"Subject: x\nContent-Disposition: attachment; filename=a%b\n\nbody\n"


def to(*domains: str) -> bytes:
    return b"Fann@sender.example\0" + b"".join(f"Tbob@{one}\0".encode() for one in domains) + b"\0"


def rules(world: World, text: str = RULES, suffixes: str = "") -> None:
    (world.place / "control" / "domainrules").write_text(text)
    (world.place / "control" / "ssattach").write_text(suffixes)


@pytest.mark.parametrize(
    ("domain", "score", "sa", "state", "subject"),
    [
        ("one.example", "1.9", "No", "CLEAN (1.90/2.00/4.00)", "hello: you"),
        ("One.Example", "2.0", "No", "SPAM PASS (2.00/2.00/4.00)", "[ONE] hello: you"),
        ("one.example", "4.0", "No", "SPAM REJECT (4.00/2.00/4.00)", ""),
        ("two.example", "12.0", "Yes", "CLEAN (12.00/15.00/20.00)", "hello: you"),
        ("two.example", "15.0", "Yes", "SPAM PASS (15.00/15.00/20.00)", "hello: you"),
        ("two.example", "20.0", "Yes", "SPAM REJECT (20.00/15.00/20.00)", ""),
        ("three.example", "9.0", "Yes", "SPAM PASS (9.00/5.00/10.00)", "[SPAM] hello: you"),
        ("four.example", "9.0", "Yes", "SPAM PASS (9.00/5.00/10.00)", "[SPAM] hello: you"),
        ("four.example", "12.0", "Yes", "SPAM REJECT (12.00/5.00/10.00)", ""),
    ],
)
def test_a_domain_has_limits_of_its_own(
    world: World, domain: str, score: str, sa: str, state: str, subject: str
) -> None:
    rules(world)
    flag = "X-Spam-Flag: YES\n" if sa == "Yes" else ""
    fields = f"{flag}X-Spam-Status: {sa}, score={score} required=5.0\n".encode()
    world.spamd.act = judged(score, sa, process=played.marked(fields, b"[SPAM]" if sa == "Yes" else b""))
    outcome = world.scan(envelope=to(domain))
    assert verdict(outcome).startswith(f"{state}:TIMEs:hello_ you:")
    assert (outcome.status == 0) == bool(outcome.queued) == ("REJECT" not in state)
    if not outcome.queued:
        return
    yes = "PASS" in state
    head = outcome.queued.decode()
    assert (f"\nSubject: {subject}\n" in head) and head.endswith("\n\nbody \0 of it\n")
    assert head.startswith("X-Spam-Flag: YES\nX-Spam-Status: Yes, " if yes else "X-Spam-Status: No, ")
    required = state.split("/")[1].removesuffix("0")
    assert f"score={score} required={required}\n" in head


@pytest.mark.parametrize(
    ("domain", "name", "passes"),
    [
        ("one.example", b".exe", True),  # its own in the place of the site's
        ("one.example", b".iso", False),
        ("two.example", b".exe", False),
        ("two.example", b".iso", True),
        ("three.example", b".exe", True),
        ("four.example", b".exe", False),
    ],
)
@pytest.mark.parametrize("relay", [False, True])
def test_a_domain_has_suffixes_of_its_own(
    world: World, domain: str, name: bytes, passes: bool, relay: bool
) -> None:
    rules(world, suffixes=".exe\n")
    environment = {"RELAYCLIENT": ""} if relay else {}
    outcome = world.scan(ATTACHED.replace(b"%b", name), to(domain), environment=environment)
    assert (outcome.status == 0) == passes
    assert passes or verdict(outcome).startswith("ATTACH:TIMEs:a" + name.decode())


def test_suffixes_of_a_domain_alone(world: World) -> None:
    """The site looks at no name: the message is read once more for this domain."""
    rules(world)
    long = b"Subject: x\n\n" + b"y" * 70_000 + b"\n--\nContent-Type: a/b; name=a.iso\n\n" + b"z" * 200_000
    assert world.scan(long, to("one.example")).status == 82
    assert world.scan(long, to("four.example")).status == 0


DIFFERENT = "its recipients have different rules in control/domainrules"


def test_recipients_of_different_rules_are_put_off(world: World) -> None:
    """The file has changed since they were taken: nobody is judged by another's rule."""
    rules(world)
    for domains in (
        ("one.example", "two.example"),
        ("four.example", "one.example"),
        ("two.example", "five.example"),
    ):
        outcome = world.scan(envelope=to(*domains))
        assert (outcome.status, outcome.queued) == (55, b"") and outcome.line.endswith(DIFFERENT)
    assert world.scan(envelope=to("four.example", "five.example", "x.four.example")).status == 0
    # of relay clients only attachments are judged by rules
    relay = {"RELAYCLIENT": ""}
    assert world.scan(envelope=to("two.example", "five.example"), environment=relay).status == 0
    assert world.scan(envelope=to("one.example", "five.example"), environment=relay).status == 55


@pytest.mark.parametrize("text", ["", "rule\nreject 4\n", "rule\nreject 4\ncolour blue\nend\n", "\0" * 100])
def test_rules_that_cannot_be_used_put_off_everybody(world: World, text: str) -> None:
    rules(world, text)
    for environment in ({}, {"RELAYCLIENT": ""}):
        outcome = world.scan(environment=environment)
        assert (outcome.status, outcome.queued) == (55, b"")
        assert re.search(r"control/domainrules line [0-9] is wrong or missing$", outcome.line)


def test_rules_that_cannot_be_read(world: World) -> None:
    (world.place / "control" / "domainrules").mkdir()
    outcome = world.scan()
    assert (outcome.status, outcome.queued) == (55, b"")
    assert outcome.line.endswith(RULES_UNREADABLE)


def test_marks_that_cannot_be_changed_are_not_delivered(world: World) -> None:
    rules(world)
    twice = b"X-Spam-Status: No, score=1.0 required=5.0\n" * 2
    world.spamd.act = judged("1.0", process=played.marked(twice))
    outcome = world.scan(envelope=to("one.example"))
    assert (outcome.status, outcome.queued) == (71, b"")
    assert outcome.line.endswith("spamd: its answer has an X-Spam-Status that cannot be changed")
    assert world.scan(envelope=to("three.example")).status == 0
