# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the queue holds, no address leaves that a server could take for more than an address."""

from __future__ import annotations

import re
import time

import pytest
from support.conversations import HOSTNAME, POSTMASTER, SENDER, A, B
from support.gateway import Bed
from support.queue_access import SendLog, put_into_queue
from support.queue_checks import changed, qmailctl
from support.recording_servers import READINGS, Sink, conversation, sinks

GOOD, FOREIGN = b"alice@example.test", b"carol@example.org"
MESSAGE = b"From: x@y.example\nSubject: envelope\n\nhello\n"
pytestmark = pytest.mark.usefixtures("empty_queue")
PATCH = pytest.mark.patch("95-envelope-out")
HIDDEN = b"\rRCPT TO:<victim@else.where>\rDATA\rSubject: forged\r\rforged\r.\r"

# A local part is quoted on its way out, where a server that ends lines by CR or LF does not see quotes.
EVIL = {
    "cr-in-host": b"ann@sender.example" + HIDDEN + b"x",
    "lf-in-host": b"ann@sender.example" + HIDDEN.replace(b"\r", b"\n") + b"x",
    "cr-in-local-part": b"ann" + HIDDEN + b"x@sender.example",
    "lf-in-local-part": b"ann" + HIDDEN.replace(b"\r", b"\n") + b"x@sender.example",
    "cr-last": b"ann@sender.example\r",
    "bracket": b"ann@sender.example> SIZE=1 BODY=8BITMIME",
    "blank-in-host": b"ann@sender.example x",
    "control": b"an\x01n@sender.example",
    "delete": b"an\x7fn@sender.example",
    "no-host": b"ann@",
}


def spoken(sink: Sink) -> list[list[bytes]]:
    """Return each session's commands, the same for servers that end lines by CRLF, LF and CR."""
    sessions = sink.raw
    for raw in sessions:
        assert b"\0" not in raw
        strict = conversation(raw, "CRLF")
        for end in READINGS:
            read = conversation(raw, end)
            assert read.commands == strict.commands, f"a server that ends lines by {end} reads other commands"
            assert len(read.messages) == len(strict.messages)
    return [conversation(raw, "CRLF").commands for raw in sessions]


def session(sender: bytes, recipient: bytes) -> list[bytes]:
    mail, rcpt = b"MAIL FROM:<" + sender + b">", b"RCPT TO:<" + recipient + b">"
    return [b"EHLO " + HOSTNAME.encode("ascii"), mail, rcpt, b"DATA", b"QUIT"]


@PATCH
@pytest.mark.parametrize("name", EVIL)
def test_no_evil_sender_leaves(bed: Bed, name: str) -> None:
    """It leaves neither with the message nor as recipient of the bounce, which is withheld: one log line."""
    log = SendLog(bed)
    with sinks(bed) as there:
        put_into_queue(bed, EVIL[name], GOOD, content=MESSAGE)
        log.wait_for_end(1)
        assert [spoken(sink) for sink in there.values()] == [[], []]
    sender = re.escape(re.sub("[^!-~]", "_", EVIL[name].decode("ascii").replace("\n", "/")))
    assert len(re.findall(f"bounce withheld msg [0-9]+: invalid sender, from <{sender}>\n", log.text())) == 1
    assert "(#5.1.7)" in log.text()
    assert log.text().count(" new msg ") == 1


@PATCH
@pytest.mark.parametrize("name", EVIL)
def test_no_evil_recipient_leaves(bed: Bed, name: str) -> None:
    """The good one gets its mail; the bounce names the evil one, without its control bytes."""
    log = SendLog(bed)
    with sinks(bed) as there:
        put_into_queue(bed, SENDER.encode("ascii"), EVIL[name], GOOD, content=MESSAGE)
        log.wait_for_end(2)
        assert spoken(there[A]) == [session(SENDER.encode("ascii"), GOOD)]
        assert spoken(there[B]) == [session(b"", SENDER.encode("ascii"))]
        (text,) = conversation(there[B].raw[0], "CRLF").messages
    notice = b"<" + re.sub(b"[\0-\x1f\x7f]", b"_", EVIL[name]) + b">:"
    assert notice in text
    assert any(b"(#5.1.3)" in line for line in text)


@PATCH
def test_no_evil_recipient_leaves_in_a_double_bounce(bed: Bed) -> None:
    log = SendLog(bed)
    with sinks(bed) as there:
        put_into_queue(bed, b"", EVIL["cr-in-local-part"], content=MESSAGE)
        log.wait_for_end(2)
        assert spoken(there[A]) == [session(b"#@[]", POSTMASTER.encode("ascii"))]
        assert spoken(there[B]) == []


@PATCH
def test_a_forwarded_message_keeps_no_evil_sender(bed: Bed) -> None:
    """qmail-local hands the sender on to the address that the host's alias names."""
    log = SendLog(bed)
    with sinks(bed) as there:
        put_into_queue(bed, EVIL["cr-in-host"], f"postmaster@{HOSTNAME}".encode("ascii"), content=MESSAGE)
        log.wait_for("bounce withheld msg ")
        log.wait_for_end(1)
        assert [spoken(sink) for sink in there.values()] == [[], []]
    assert log.text().count(" new msg ") == 1


@PATCH
@pytest.mark.parametrize(
    "argv",
    [
        ("qmail-inject", "-a", "victim\ry@else.where"),
        ("qmail-inject", "-a", "victim\x01@else.where"),
        ("qmail-inject", "-fann\ry@sender.example", "-a", FOREIGN.decode("ascii")),
        ("sendmail", "-fann\x7f@sender.example", FOREIGN.decode("ascii")),
        ("env", "NEWSENDER=ann@sender.example\ry", "forward", FOREIGN.decode("ascii")),
        ("env", "NEWSENDER=ann@sender.example", "forward", "victim\r@else.where"),
    ],
    ids=["recipient-cr", "recipient-control", "sender-cr", "sendmail", "forward-sender", "forward-recipient"],
)
def test_programs_of_the_host_do_not_queue_it(bed: Bed, argv: tuple[str, ...]) -> None:
    log = SendLog(bed)
    names = {"qmail-inject", "forward"}
    words = [f"/var/qmail/bin/{word}" if word in names else word for word in argv]
    status, _, error = bed.inside("env", "DTLINE=Delivered-To: x\n", *words, text=MESSAGE.decode("ascii"))
    assert status == 100
    assert "envelope address that may not be sent (#5.1.3)" in error
    time.sleep(0.3)
    assert " new msg " not in log.text()


@PATCH
def test_no_evil_name_of_this_host_leaves(bed: Bed) -> None:
    """Mail waits until control/helohost is right again."""
    log = SendLog(bed)
    with sinks(bed) as there:
        with changed(bed.root / "var/qmail/control/helohost", f"{HOSTNAME}\rNOOP\n"):
            put_into_queue(bed, SENDER.encode("ascii"), GOOD, content=MESSAGE)
            log.wait_for("deferral: Unable_to_read_control_files")
            assert spoken(there[A]) == []
        qmailctl(bed, "doqueue")
        log.wait_for_end(1)
        assert spoken(there[A]) == [session(SENDER.encode("ascii"), GOOD)]


def test_what_may_stand_in_an_envelope_leaves(bed: Bed) -> None:
    """Quoted as before, and qmail's own double bounce among it."""
    log = SendLog(bed)
    odd = {
        b"a b@x.example": b'"a b"@x.example',
        b"o'x@[192.0.2.1]": b"o'x@[192.0.2.1]",
        b"": b"",
        b"name": b"name",
    }
    with sinks(bed) as there:
        for sender in odd:
            put_into_queue(bed, sender, GOOD, content=MESSAGE)
        put_into_queue(bed, b"#@[]", GOOD, content=MESSAGE)
        log.wait_for_end(5)
        seen = sorted(spoken(there[A]))
    assert seen == sorted(session(wire, GOOD) for wire in (*odd.values(), b"#@[]"))


@pytest.mark.patch("90-stray-cr")
@pytest.mark.parametrize(
    ("body", "arrives"),
    [
        (b"a\r.\rQUIT\r\n", [b"a . QUIT"]),
        (b"a\n\0.\nb\n", [b"a", b" .", b"b"]),
        (b"a\n.\0\nb\n", [b"a", b".. ", b"b"]),
        (b"a\r\0\n", [b"a  "]),
        (b"\r.\r\n\r\n.\n", [b" .", b"", b".."]),
    ],
)
def test_no_stray_cr_and_no_nul_leaves(bed: Bed, body: bytes, arrives: list[bytes]) -> None:
    """The same holds for a message that did not come through qmail-smtpd."""
    log = SendLog(bed)
    with sinks(bed) as there:
        put_into_queue(bed, SENDER.encode("ascii"), GOOD, content=MESSAGE + body)
        log.wait_for_end(1)
        assert spoken(there[A]) == [session(SENDER.encode("ascii"), GOOD)]
        (text,) = conversation(there[A].raw[0], "CRLF").messages
    assert text[-len(arrives) :] == arrives
