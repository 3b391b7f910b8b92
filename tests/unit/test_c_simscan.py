# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way of a message through simscan, under ASan and UBSan, with scanners of the test; no container.

The C functions by themselves are tested in c/test_scan*.c, which test_c.py runs.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_c import CACHE, SANITIZE, STRICT, gcc, run

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "simscan" / "files"
SOURCE = ROLE / "src"
STANDIN = ROOT / "tests" / "standins" / "simscan"
ARCHIVE = CACHE / "ba2db03f3f2f8c1ba79a992b3c645adc23fe7aa25e9805dbdf98041420fe8d47"

DEADLINE_SECONDS = 2
CLEAN = 'echo "$PWD/message: OK"'
VIRUS = 'echo "$PWD/message: Eicar-Test FOUND"; exit 1'
SETTINGS = {
    "deadline_seconds": str(DEADLINE_SECONDS),
    "spam_failure": "refuse",
    "spam_limit_bytes": "100000",
    "reject_score": "10",
    "clamd_config": "/etc/clamav/clamd.conf",
    "spamd_socket": "/run/spamd/spamd.sock",
}
MESSAGE = b"Subject: hello: you\nX-Spam-Flag: NO\n\nbody \0 of it\n"
AS_DELIVERED = b"Subject: hello: you\n\nbody \0 of it\n"
ENVELOPE = b"Fann@sender.example\0Talice@example.test\0Tbob@example.test\0\0"


def judged(score: str, verdict: str = "No") -> str:
    return f'printf "X-Spam-Status: {verdict}, score={score} required=5.0\\n"; cat'


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
    """A simscan in a directory of its own, with scripts for everything that it calls."""

    def __init__(self, place: Path, program: Path) -> None:
        self.place = place
        self.program = program
        for name in ("work", "control", "bin"):
            (place / name).mkdir()
        self.script("clamdscan", CLEAN)
        self.script("spamc", judged("1.2"))
        self.script("ripmime", "exit 0")
        self.script("qmail-queue", f"cat >{place}/queued; cat <&1 >{place}/envelope")
        self.settings()
        (place / "control" / "ssattach").write_text("# none\n")

    def script(self, name: str, text: str) -> None:
        path = self.place / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def settings(self, **values: str) -> None:
        text = "".join(f"{name} {value}\n" for name, value in {**SETTINGS, **values}.items())
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
    ) -> Outcome:
        """Starts simscan as qmail-smtpd does: message on 0, envelope on 1, a pipe as 4."""
        for name in ("queued", "envelope"):
            (self.place / name).unlink(missing_ok=True)
        (self.place / "in.message").write_bytes(message)
        (self.place / "in.envelope").write_bytes(envelope)
        descriptors = ("4>&1 " if listener else "") + "<in.message 1<in.envelope"
        begin = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", f'{first}\nexec {by} "$0" {descriptors}', self.program],
            cwd=self.place,
            env={"PATH": "/usr/bin:/bin", "TCPREMOTEIP": "198.51.100.7", **(environment or {})},
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
        "CLAMDSCAN": "bin/clamdscan",
        "SPAMC": "bin/spamc",
        "RIPMIME": "bin/ripmime",
        "QMAILQUEUE": "bin/qmail-queue",
    }
    config = "".join(f'#define {name} "{place}/world/{path}"\n' for name, path in places.items())
    (place / "config.h").write_text(config)
    sources = [STANDIN / "simscan.c", *sorted(SOURCE.glob("*.c"))]
    gcc("-std=c99", *STRICT, *SANITIZE, "-I", place, "-I", SOURCE, *sources, "-o", place / "simscan")
    return place / "simscan"


@pytest.fixture
def world(tmp_path: Path, simscan: Path) -> World:
    link = simscan.with_name("world")
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path)
    return World(tmp_path, simscan)


def verdict(outcome: Outcome) -> str:
    """The one line of the log without the process and the seconds."""
    return re.sub(r":[0-9]+\.[0-9]{4}s:", ":TIMEs:", outcome.line)


def test_a_clean_message_is_queued_as_spamassassin_gives_it_back(world: World) -> None:
    outcome = world.scan()
    assert (outcome.status, outcome.text) == (0, "")
    assert outcome.queued == b"X-Spam-Status: No, score=1.2 required=5.0\n" + AS_DELIVERED
    assert outcome.envelope == ENVELOPE
    assert verdict(outcome) == (
        "CLEAN (1.20/5.00/10.00):TIMEs:hello_ you:198.51.100.7:ann@sender.example:"
        "alice@example.test,bob@example.test"
    )
    assert list((world.place / "work").iterdir()) == []


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
    world.script("spamc", judged(score, sa))
    outcome = world.scan()
    assert outcome.status == status
    assert verdict(outcome).startswith(f"{state}:TIMEs:hello_ you:")
    assert bool(outcome.queued) == (status == 0)
    assert outcome.text == (
        f"DYour email is considered spam ({float(score):.2f} spam-hits)" if status else ""
    )


def test_a_virus_is_refused_before_spamassassin_is_asked(world: World) -> None:
    world.script("clamdscan", VIRUS)
    world.script("spamc", f"touch {world.place}/asked; exit 1")
    outcome = world.scan()
    assert outcome.status == 82
    assert outcome.text == "DYour email was rejected because it contains the Eicar-Test virus"
    assert verdict(outcome).startswith("VIRUS:TIMEs:Eicar-Test:198.51.100.7:")
    assert not outcome.queued and not (world.place / "asked").exists()


def test_without_a_listener_a_refusal_is_for_good_too(world: World) -> None:
    world.script("clamdscan", VIRUS)
    assert world.scan(listener=False).status == 31
    assert world.scan(listener=False, first="exec 4>other").status == 31
    assert (world.place / "other").read_bytes() == b""


def test_a_relay_client_is_scanned_for_viruses_only(world: World) -> None:
    world.script("spamc", "exit 1")
    outcome = world.scan(environment={"RELAYCLIENT": ""})
    assert (outcome.status, outcome.queued) == (0, AS_DELIVERED)
    assert verdict(outcome).startswith("RELAYCLIENT:TIMEs:-:198.51.100.7:ann@")
    world.script("clamdscan", VIRUS)
    assert world.scan(environment={"RELAYCLIENT": ""}).status == 82


@pytest.mark.parametrize(("extra", "marked"), [(0, False), (1, True)])
def test_a_message_above_the_limit_is_marked(world: World, extra: int, marked: bool) -> None:
    message = b"A: b\n\n" + b"x" * (100000 - 7 + extra) + b"\n"
    outcome = world.scan(message)
    assert outcome.status == 0
    assert outcome.queued == (
        b"X-Spam-Checked: no\n" + message
        if marked
        else b"X-Spam-Status: No, score=1.2 required=5.0\n" + message
    )
    assert len(outcome.log) == 1 + marked
    if marked:
        assert outcome.log[0].endswith("]: not checked for spam: 100001 bytes are above the limit of 100000")
        assert "]:CLEAN (0.00/0.00/0.00):" in outcome.log[1]
    world.script("clamdscan", VIRUS)
    assert world.scan(message).status == 82


TROUBLES = {
    "clamdscan-2": ("clamdscan", "echo no socket; exit 2", 71, "clamdscan exited with status 2: no socket"),
    "clamdscan-127": ("clamdscan", "exit 127", 71, "clamdscan exited with status 127"),
    "clamdscan-silent": ("clamdscan", "exit 0", 71, "clamdscan exited with status 0"),
    "clamdscan-killed": ("clamdscan", f"{CLEAN}; kill -9 $$", 71, "clamdscan was ended by signal 9"),
    "clamdscan-hanging": ("clamdscan", f"{CLEAN}; sleep 60", 52, "clamdscan did not end in time"),
    "clamdscan-stopped": ("clamdscan", f"{CLEAN}; kill -STOP $$", 52, "clamdscan did not end in time"),
    "clamdscan-endless": ("clamdscan", "cat /dev/zero", 52, "clamdscan did not end in time"),
    "spamc-75": ("spamc", "cat; exit 75", 71, "spamc exited with status 75"),
    "spamc-killed": ("spamc", f"{judged('1')}; kill -9 $$", 71, "spamc was ended by signal 9"),
    "spamc-empty": ("spamc", "exit 0", 71, "spamc: its answer is shorter than the message"),
    "spamc-short": (
        "spamc",
        f"({judged('1')}) | head -c 60",
        71,
        "spamc: its answer does not end with the message's body (report_safe must be 0)",
    ),
    "spamc-unjudged": ("spamc", "cat", 71, "spamc: its answer has no X-Spam-Status with a score"),
    "spamc-no-score": (
        "spamc",
        "echo 'X-Spam-Status: No'; cat",
        71,
        "spamc: its answer has no X-Spam-Status with a score",
    ),
    "spamc-hanging": ("spamc", f"{judged('1')}; sleep 60", 52, "spamc did not end in time"),
    "spamc-endless": ("spamc", "cat /dev/zero", 71, "spamc was stopped: Message too long"),
    "queue-killed": ("qmail-queue", "kill -9 $$", 71, "qmail-queue was ended by signal 9"),
    "queue-53": ("qmail-queue", "cat >/dev/null; exit 53", 53, "qmail-queue exited with status 53"),
    "queue-31": ("qmail-queue", "cat >/dev/null; exit 31", 31, "qmail-queue exited with status 31"),
    "queue-111": ("qmail-queue", "exit 111", 71, "qmail-queue exited with status 111"),
    "queue-82": ("qmail-queue", "exit 82", 71, "qmail-queue exited with status 82"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_every_trouble_puts_the_message_off_and_says_why(world: World, name: str) -> None:
    program, script, status, why = TROUBLES[name]
    world.script(program, script)
    outcome = world.scan()
    assert outcome.status == status
    assert outcome.line.startswith(f" put off for 198.51.100.7: {why}")
    assert not outcome.queued and outcome.text == ""
    assert outcome.seconds < 2 * DEADLINE_SECONDS + 3
    assert list((world.place / "work").iterdir()) == []


@pytest.mark.parametrize("name", [name for name in TROUBLES if name.startswith("spamc")])
def test_where_the_site_says_so_a_trouble_of_spamc_is_marked(world: World, name: str) -> None:
    program, script, dummy, why = TROUBLES[name]
    world.script(program, script)
    world.settings(spam_failure="deliver")
    outcome = world.scan()
    assert (outcome.status, outcome.queued) == (0, b"X-Spam-Checked: no\n" + AS_DELIVERED)
    assert outcome.log[0].endswith(f"]: not checked for spam: {why}")
    assert "]:CLEAN (0.00/0.00/0.00):" in outcome.log[1]


@pytest.mark.parametrize("name", [name for name in TROUBLES if not name.startswith("spamc")])
def test_only_a_trouble_of_spamc_can_be_let_pass(world: World, name: str) -> None:
    program, script, status, dummy = TROUBLES[name]
    world.script(program, script)
    world.settings(spam_failure="deliver")
    assert world.scan().status == status


@pytest.mark.parametrize("program", ["clamdscan", "spamc", "qmail-queue"])
def test_a_program_that_is_missing_or_cannot_run(world: World, program: str) -> None:
    path = world.place / "bin" / program
    path.chmod(0o644)
    outcome = world.scan()
    assert (outcome.status, outcome.line.partition(": ")[2]) == (
        71,
        f"{program} cannot be started: Permission denied",
    )
    path.unlink()
    assert world.scan().line.endswith(f"{program} cannot be started: No such file or directory")


def test_what_a_scanner_leaves_behind_is_ended(world: World) -> None:
    """A grandchild that holds the pipe open holds up nothing."""
    world.script("clamdscan", f"sleep 61 & echo $! >{world.place}/pid; {CLEAN}")
    outcome = world.scan()
    assert outcome.status == 0 and outcome.seconds < 1.5
    pid = int((world.place / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/stat").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


def test_a_slow_qmail_queue_that_has_everything_may_finish(world: World) -> None:
    """Beyond the deadline too: killed now, it might have queued the message already."""
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"{queue}sleep {DEADLINE_SECONDS + 1}")
    outcome = world.scan()
    assert outcome.status == 0 and outcome.queued


def test_a_qmail_queue_that_is_done_when_its_time_is_up_has_queued(world: World) -> None:
    """Asked to end (SIGALRM, as qmail-queue knows it) it says 0: so it is, or a duplicate would come."""
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"trap 'exit 0' ALRM\n{queue}while :; do sleep 0.1; done")
    assert world.scan().status == 0
    world.script("qmail-queue", f"trap 'exit 52' ALRM\n{queue}while :; do sleep 0.1; done")
    outcome = world.scan()
    assert outcome.status == 52 and outcome.line.endswith(": qmail-queue did not end in time")


ENVELOPES = {
    "nothing": (b"", 54, "the client left before its message was complete"),
    "cut": (ENVELOPE[:-1], 54, "the client left before its message was complete"),
    "cut-in-an-address": (ENVELOPE[:30], 54, "the client left before its message was complete"),
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
        f" put off for 198.51.100.7: {why}",
        b"",
    )


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
    outcome = world.scan(message, envelope, environment={"TCPREMOTEIP": "2001:db8::1"})
    assert verdict(outcome) == (
        "CLEAN (1.20/5.00/10.00):TIMEs:a_b_[2J__198.51.100.9_x:2001_db8__1:"
        '"a_b,c_"@x.example:"d_e_f_"@example.test'
    )


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


@pytest.mark.parametrize(
    ("script", "status", "why"),
    [
        ("exit 1", 71, "ripmime exited with status 1"),
        ("kill -9 $$", 71, "ripmime was ended by signal 9"),
        ("sleep 60", 52, "ripmime did not end in time"),
    ],
)
def test_an_attachment_that_cannot_be_seen_puts_the_message_off(
    world: World, script: str, status: int, why: str
) -> None:
    (world.place / "control" / "ssattach").write_text(".exe\n")
    world.script("ripmime", script)
    outcome = world.scan()
    assert (outcome.status, outcome.line) == (status, f" put off for 198.51.100.7: {why}")


def test_a_file_size_that_is_not_allowed_is_no_end_of_the_message(world: World) -> None:
    outcome = world.scan(b"A: b\n\n" + b"x" * 3000, first="ulimit -f 1")
    assert (outcome.status, outcome.line) == (53, " put off for 198.51.100.7: work directory: File too large")


@pytest.mark.parametrize("descriptors", range(4, 16))
def test_with_few_descriptors_it_is_all_or_nothing(world: World, descriptors: int) -> None:
    outcome = world.scan(by=f"prlimit --nofile={descriptors}:", listener=False)
    if outcome.status == 0:
        assert outcome.queued.endswith(AS_DELIVERED)
    else:
        assert not outcome.queued and outcome.line.endswith("Too many open files")


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


def test_a_log_that_takes_nothing_holds_up_no_message(world: World) -> None:
    """A pipe that nobody reads, and one whose reader is gone."""
    begin = time.monotonic()
    assert world.scan(first="mkfifo full; exec 2<>full; head -c 65536 /dev/zero >&2").status == 0
    assert time.monotonic() - begin < 6
    assert world.scan(first="(exec sleep 0) | exec 2>/dev/full").status == 0


def test_no_child_can_gain_privileges(world: World) -> None:
    """What scanners run as cannot become another user; qmail-queue, which is set-user-id, can."""
    state = f"grep NoNewPrivs /proc/self/status >{world.place}"
    world.script("clamdscan", f"{state}/clamdscan; {CLEAN}")
    queue = (world.place / "bin" / "qmail-queue").read_text().partition("\n")[2]
    world.script("qmail-queue", f"{queue}{state}/qmail-queue.state")
    assert world.scan().status == 0
    assert (world.place / "clamdscan").read_text().split() == ["NoNewPrivs:", "1"]
    assert (world.place / "qmail-queue.state").read_text().split() == ["NoNewPrivs:", "0"]


def test_a_scanner_ends_with_simscan(world: World) -> None:
    world.script("clamdscan", f"echo $$ >{world.place}/pid; exec sleep 62")
    for name, content in (("in.message", MESSAGE), ("in.envelope", ENVELOPE)):
        (world.place / name).write_bytes(content)
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" <in.message 1<in.envelope', world.program],
        cwd=world.place,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while not (world.place / "pid").exists() or not (world.place / "pid").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    scanner = int((world.place / "pid").read_text())
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    while Path(f"/proc/{scanner}/stat").exists() and ") Z " not in Path(f"/proc/{scanner}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.c")), ids=lambda path: path.name)
@pytest.mark.parametrize(
    "dialect", [["-std=c99"], ["-std=gnu11"], ["-std=gnu17", "-D_FORTIFY_SOURCE=2"]], ids=" ".join
)
def test_compiles_without_a_warning(path: Path, dialect: list[str], tmp_path: Path) -> None:
    gcc("-O2", *dialect, *STRICT, "-c", path, "-o", tmp_path / "out.o")
