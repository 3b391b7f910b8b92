# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scanner in qmail-queue's place says on descriptor 4, and what it is told in the Received line.

The real qmail-smtpd of the gateway is run with a QMAILQUEUE of the test, which no client can choose.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.conversations import SENDER, STRANGER, message
from support.gateway import Bed, gateway_pid, netqmail_kind
from support.smtp_client import stuffed

PLACE = "/var/tmp/mailgate-scanner"
PLAIN = "554 mail server permanently rejected message (#5.3.0)"
READ_ALL = "cat >/dev/null; cat <&1 >/dev/null\n"
SECONDS = 60.0
AT_ONCE_SECONDS = 25.0  # on a busy machine, docker exec included; a child that is left holds on longer


@dataclass(frozen=True)
class Answer:
    """The reply of qmail-smtpd to the end of each DATA, and the time of the whole session."""

    replies: list[str]
    seconds: float


class Scanner:
    """Scanners written into the gateway, and sessions with its qmail-smtpd that use them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.place = Path(f"/proc/{gateway_pid(name)}/root{PLACE}")

    def install(self, script: str) -> None:
        path = self.place / "scanner"
        path.write_text("#!/bin/sh\n" + script, encoding="latin-1")
        path.chmod(0o755)

    def kept(self, name: str) -> bytes:
        """Return a file that the scanner wrote beside itself."""
        return (self.place / name).read_bytes()

    def say(
        self,
        *contents: bytes,
        sender: bytes = SENDER.encode(),
        helo: bytes = b"HELO client.example",
        queue: str = f"{PLACE}/scanner",
    ) -> Answer:
        """One session with a message for each of `contents`; raises TimeoutExpired after SECONDS."""
        dialogue = helo + b"\r\n" if helo else b""
        for content in contents:
            dialogue += b"MAIL FROM:<" + sender + b">\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
            dialogue += stuffed(content)
        environment = {
            "PROTO": "TCP",
            "TCPREMOTEIP": STRANGER,
            "TCPLOCALIP": "198.18.0.1",
            "TCPLOCALHOST": "mx1.example.test",
            "QMAILQUEUE": queue,
        }
        argv = ["docker", "exec", "-i", "-u", "qmaild"]
        for variable, value in environment.items():
            argv += ["-e", f"{variable}={value}"]
        begin = time.monotonic()
        done = subprocess.run(
            [*argv, self.name, "/var/qmail/bin/qmail-smtpd"],
            input=dialogue + b"QUIT\r\n",
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        seconds = time.monotonic() - begin
        lines = done.stdout.decode("latin-1").split("\r\n")
        assert lines[-2:] == ["221 mx1.example.test", ""], (
            f"the session ended with {lines[-3:]} {done.stderr!r}"
        )
        said = [after for line, after in zip(lines, lines[1:]) if line == "354 go ahead"]
        assert len(said) == len(contents), lines
        assert len(lines) == 2 + bool(helo) + 4 * len(contents) + 1, f"a reply was broken in two: {lines}"
        return Answer(said, seconds)


@pytest.fixture
def scanner(gateway: str) -> Iterator[Scanner]:
    if netqmail_kind(gateway) != "source":
        pytest.skip("only with the real netqmail: it gives a scanner descriptor 4 and has patches of ours")
    one = Scanner(gateway)
    one.place.mkdir(exist_ok=True)
    one.place.chmod(0o777)
    yield one
    shutil.rmtree(one.place)


TEXTS = {
    "text-D": ("printf 'Dyour mail holds a virus' >&4; exit 82", "554 your mail holds a virus"),
    "text-Z": ("printf 'Zthe scanner is busy' >&4; exit 82", "451 the scanner is busy"),
    "text-line": ("echo 'Dyour mail holds a virus' >&4; exit 82", "554 your mail holds a virus"),
    "no-text": ("exit 82", PLAIN),
    "closed": ("exec 4>&-; exit 82", PLAIN),
    "letter-only": ("echo D >&4; exit 82", PLAIN),
    "neither-letter": ("echo 'Virus found' >&4; exit 82", PLAIN),
    "newline-first": ("printf '\\nDvirus' >&4; exit 82", PLAIN),
    "forged-reply": ("printf 'Dno\\r\\n250 ok 1 qp 2\\r\\n' >&4; exit 82", "554 no??250 ok 1 qp 2"),
    "lines": ("printf 'Zone\\ntwo\\n' >&4; exit 82", "451 one?two"),
    "control": ("printf 'D\\033[2J\\007\\001\\177' >&4; exit 82", "554 ?[2J???"),
    "eight-bit": ("printf 'Dm\\303\\274ll \\377\\200' >&4; exit 82", "554 m??ll ??"),
    "nul": ("printf 'Dvirus\\000hidden' >&4; exit 82", "554 virus"),
    "400-bytes": ("printf D >&4; head -c 399 /dev/zero | tr '\\0' x >&4; exit 82", "554 " + 399 * "x"),
    "401-bytes": ("printf D >&4; head -c 400 /dev/zero | tr '\\0' x >&4; exit 82", "554 " + 399 * "x"),
    "megabyte": ("printf Z >&4; head -c 1000000 /dev/zero | tr '\\0' x >&4; exit 82", "451 " + 399 * "x"),
    "killed": ("echo Dvirus >&4; kill -9 $$", "451 qq crashed (#4.3.0)"),
    "status-31": ("echo Zagain >&4; exit 31", PLAIN),
    "status-71": (
        "echo Dvirus >&4; exit 71",
        "451 mail server temporarily rejected message (#4.3.0)",
    ),
    "status-1": ("echo Dvirus >&4; exit 1", "451 qq temporary problem (#4.3.0)"),
}


@pytest.mark.patch("80-scanner-text")
@pytest.mark.parametrize("case", TEXTS)
def test_the_answer_is_the_scanners(scanner: Scanner, case: str) -> None:
    script, reply = TEXTS[case]
    scanner.install(READ_ALL + script + "\n")
    assert scanner.say(message(case)).replies == [reply]


@pytest.mark.patch("80-scanner-text")
def test_binary_rubbish_is_one_line(scanner: Scanner) -> None:
    scanner.install(READ_ALL + "printf D >&4; head -c 5000 /dev/urandom >&4; exit 82\n")
    for reply in scanner.say(*8 * [message("rubbish")]).replies:
        assert re.fullmatch(r"554 [ -~]{1,399}", reply)


@pytest.mark.patch("80-scanner-text")
def test_a_megabyte_and_status_0_is_an_accepted_message(scanner: Scanner) -> None:
    scanner.install(READ_ALL + "head -c 1000000 /dev/zero >&4 || exit 1; exit 0\n")
    assert re.fullmatch(r"250 ok \d+ qp \d+ id \S+", scanner.say(message("talkative")).replies[0])


@pytest.mark.patch("80-scanner-text")
def test_a_text_before_the_message_is_read(scanner: Scanner) -> None:
    scanner.install("echo 'Dnot from you' >&4\n" + READ_ALL + "exit 82\n")
    assert scanner.say(message("early")).replies == ["554 not from you"]


@pytest.mark.patch("80-scanner-text")
def test_a_scanner_may_talk_before_it_listens(scanner: Scanner) -> None:
    """The scanner writes more than a pipe holds while the message is longer than a pipe, too."""
    scanner.install("printf D >&4; head -c 500000 /dev/zero | tr '\\0' x >&4\n" + READ_ALL + "exit 82\n")
    content = message("talks-first", 5000 * (b"y" * 98 + b"\r\n"))
    assert scanner.say(content).replies == ["554 " + 399 * "x"]


@pytest.mark.patch("80-scanner-text")
def test_a_scanner_need_not_read_the_message(scanner: Scanner) -> None:
    scanner.install("echo 'Dnot from you' >&4\nexit 82\n")
    content = message("unread", 3000 * (b"x" * 98 + b"\r\n"))
    assert scanner.say(content).replies == ["554 not from you"]


HOLDERS = {
    "silent": "sleep 45 0<&- 1>&- 2>&- &",
    "talkative": "(while printf '%04096d' 0 >&4; do :; done) 0<&- 1>&- 2>&- &",
}


@pytest.mark.patch("80-scanner-text")
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_child_left_behind_delays_nothing(scanner: Scanner, holder: str) -> None:
    scanner.install(READ_ALL + "printf 'Dvirus here' >&4\n" + HOLDERS[holder] + "\nexit 82\n")
    answer = scanner.say(message("left"))
    assert re.fullmatch(r"554 virus here0*", answer.replies[0])
    assert answer.seconds < AT_ONCE_SECONDS


def test_a_child_left_behind_by_an_accepting_scanner(scanner: Scanner) -> None:
    scanner.install(READ_ALL + HOLDERS["silent"] + "\nexit 0\n")
    answer = scanner.say(message("left"))
    assert answer.replies[0].startswith("250 ok ") and answer.seconds < AT_ONCE_SECONDS


@pytest.mark.patch("80-scanner-text")
def test_a_scanner_that_hangs_up_and_goes_on_is_waited_for(scanner: Scanner) -> None:
    scanner.install(READ_ALL + "echo 'Dvirus' >&4; exec 4>&-; sleep 1; exit 82\n")
    answer = scanner.say(message("slow"))
    assert answer.replies == ["554 virus"] and answer.seconds > 1


@pytest.mark.patch("80-scanner-text")
def test_the_next_message_of_a_session_has_its_own_text(scanner: Scanner) -> None:
    scanner.install(
        "grep -q FIRST && echo 'Dthe first was bad, and it says so at length' >&4\n"
        "cat <&1 >/dev/null\nexit 82\n"
    )
    answer = scanner.say(message("a", b"FIRST\r\n"), message("b"), message("c", b"FIRST\r\n"))
    first = "554 the first was bad, and it says so at length"
    assert answer.replies == [first, PLAIN, first]


@pytest.mark.patch("80-scanner-text")
def test_no_descriptor_stays_open_in_the_session(scanner: Scanner) -> None:
    scanner.install(READ_ALL + 'echo "D$(ls /proc/$PPID/fd | wc -l)" >&4\nexit 82\n')
    counts = set(scanner.say(*10 * [message("count")]).replies)
    assert len(counts) == 1 and re.fullmatch(r"554 \d+", counts.pop())


def test_no_scanner_is_451(scanner: Scanner) -> None:
    answer = scanner.say(message("none"), queue=f"{PLACE}/no-such-scanner")
    assert answer.replies == ["451 unable to exec qq (#4.3.0)"]


def test_status_0_of_the_real_queue_behind_a_scanner(bed: Bed, scanner: Scanner) -> None:
    scanner.install("exec /var/qmail/bin/qmail-queue\n")
    content = message("behind-a-scanner")
    assert re.fullmatch(r"250 ok \d+ qp \d+ id \S+", scanner.say(content).replies[0])
    delivery = bed.mailroom.claim(lambda one: b"X-Row: behind-a-scanner\r\n" in one.content, 30)
    assert delivery is not None and delivery.content.endswith(content)


# --- the Received line ---

# Mail::SpamAssassin::Message::Metadata::Received 4.0.1: what is a line of qmail, and the sender in it. The
# sender is looked for in the whole line, and the first text that looks like one is taken.
QMAIL_LINE = re.compile(
    r"from (\S+)(?: \(HELO ([^ ()]*)\))? \((?:(\S*)@)?([0-9.]+)\)(?: \(envelope-sender <\S+>\))?"
    r" by (\S+) with SMTP \(id [0-9a-z.]+\); .*"
)
SENDER_IN_LINE = re.compile(r"(?:return-path:? |envelope-(?:sender|from)[ =])<?([^\s>]+)", re.IGNORECASE)

KEEP = f"cat >{PLACE}/message; cat <&1 >/dev/null\nexit 0\n"


def received(scanner: Scanner, sender: bytes, helo: bytes = b"HELO client.example") -> str:
    """Return the first Received line that the scanner sees, unfolded."""
    scanner.install(KEEP)
    reply = scanner.say(message("received"), sender=sender, helo=helo).replies[0]
    assert reply.startswith("250 ok "), reply
    found = re.match(rb"Received: ((?:[^\n]+\n[ \t]+)*[^\n]+)\n", scanner.kept("message"))
    assert found, scanner.kept("message")[:300]
    line = re.sub(r"\s+", " ", found[1].decode("latin-1"))
    parsed = QMAIL_LINE.fullmatch(line)
    assert parsed and parsed[4] == STRANGER and parsed[5] == "mx1.example.test", line
    return line


SENDERS: dict[bytes, str] = {
    b"ann@sender.example": "ann@sender.example",
    b"SRS0=Hh=TT=orig.example=ann@fwd.example": "SRS0=Hh=TT=orig.example=ann@fwd.example",
    b"o'brien+tag@sender.example": "o'brien+tag@sender.example",
    b'"a b"@sender.example': "a?b@sender.example",
    b'"x>) by evil.example (envelope-sender <y"@sender.example': (
        "x???by?evil.example??envelope-sender??y@sender.example"
    ),
    b"a\xe4\x80\xff@sender.example": "a???@sender.example",
    b"ann": "ann",
}


@pytest.mark.patch("70-envelope-sender")
@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: repr(sender)[2:-1][:30])
def test_the_received_line_names_the_sender(scanner: Scanner, sender: bytes) -> None:
    line = received(scanner, sender)
    assert f"({STRANGER}) (envelope-sender <{SENDERS[sender]}>) by mx1.example.test with SMTP (id " in line
    found = SENDER_IN_LINE.search(line)
    assert found and found[1] == SENDERS[sender]


def test_the_received_line_names_no_null_sender(scanner: Scanner) -> None:
    line = received(scanner, b"")
    assert "envelope" not in line and SENDER_IN_LINE.search(line) is None


@pytest.mark.patch("70-envelope-sender")
def test_the_longest_sender_is_named(scanner: Scanner) -> None:
    sender = "a" * 305 + "@sender.example"
    assert len(sender) == 320
    assert f"(envelope-sender <{sender}>)" in received(scanner, sender.encode())


GREETINGS = [
    b"HELO envelope-from=ceo@bank.example",
    b"HELO x) (envelope-sender <ceo@bank.example>",
    b"HELO envelope-sender ceo@bank.example",
    b"HELO return-path: ceo@bank.example",
    b"HELO envelope-sender\tceo@bank.example",
]


@pytest.mark.patch("70-envelope-sender")
@pytest.mark.parametrize("sender", [b"", b"ann@sender.example"], ids=["null", "ann"])
@pytest.mark.parametrize("helo", GREETINGS, ids=lambda helo: helo.decode())
def test_no_greeting_forges_the_sender(scanner: Scanner, helo: bytes, sender: bytes) -> None:
    found = SENDER_IN_LINE.search(received(scanner, sender, helo))
    assert (found[1].encode() if found else b"") == sender


@pytest.mark.patch("70-envelope-sender")
def test_a_session_without_a_greeting_has_the_same_line(scanner: Scanner) -> None:
    assert " (HELO " not in (line := received(scanner, b"ann@sender.example", b""))
    assert f"from unknown ({STRANGER}) (envelope-sender <ann@sender.example>) by " in line
