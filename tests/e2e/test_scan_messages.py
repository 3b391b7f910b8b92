# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scanners refuse, what they let pass, and that what passes is whole."""

from __future__ import annotations

import base64
import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator

import pytest
from support.conversations import EICAR, GTUBE, OFFICE, STRANGER
from support.gateway import Bed
from support.scanner_faults import CONTROL, SUFFIXES, Log, ScanBed, letter, padding

PATCH = pytest.mark.patch("10-fail-closed")
VIRUS = re.compile(r"554 Your email was rejected because it contains the \S+ virus")
SPAM = re.compile(r"554 Your email is considered spam \(([0-9.]+) spam-hits\)")
VERDICT = r"simscan:\[[0-9]+\]:(?:id [0-9a-z.]+(?: qp [0-9]+)?:)?[A-Z]"
DATABYTES = "var/qmail/control/databytes"
LARGE_SECONDS = 120.0
LONG_DEADLINE_SECONDS = 100  # SpamAssassin reads long texts for seconds, and the machine may be busy


@pytest.fixture(scope="module")
def scan(bed: Bed) -> Iterator[ScanBed]:
    one = ScanBed(bed)
    one.wait_until_mail_flows()
    yield one


def multipart(*parts: tuple[str, bytes]) -> tuple[bytes, bytes]:
    """Return (the fields, the body) of a message with these parts: header lines, content with CRLF."""
    body = b"".join(
        b"--b0undary\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts
    )
    return (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b0undary"\r\n',
        body + b"--b0undary--\r\n",
    )


def attached(name: str, content: bytes, disposition: str = "") -> tuple[str, bytes]:
    head = (
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment; {disposition or 'filename=' + name}"
    )
    return head, base64.encodebytes(content).replace(b"\n", b"\r\n")


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue())


TEXT = ("Content-Type: text/plain", b"See below.")
TEXT_SPAM = ("Content-Type: text/plain", GTUBE)


def viruses() -> dict[str, tuple[bytes, bytes]]:
    inner = b"From: x@y.example\r\nSubject: inner\r\n"
    fields, body = multipart(TEXT, attached("eicar.com", EICAR))
    return {
        "raw": (b"", EICAR + b"\r\n"),
        "base64": (fields, body),
        "zip": multipart(TEXT, attached("a.zip", zipped("eicar.com", EICAR))),
        "zip-in-zip": multipart(TEXT, attached("b.zip", zipped("a.zip", zipped("eicar.com", EICAR)))),
        "tgz": multipart(TEXT, attached("a.tgz", tarred("eicar.com", EICAR))),
        "message-rfc822": multipart(TEXT, ("Content-Type: message/rfc822", inner + fields + b"\r\n" + body)),
        "behind-20-MB": multipart(
            TEXT,
            ("Content-Type: application/octet-stream", padding(20_000_000)),
            attached("eicar.com", EICAR),
        ),
    }


def verdicts(log: Log) -> list[str]:
    return [line for line in log.lines() if re.search(VERDICT, line)]


@pytest.mark.parametrize("who", [STRANGER, OFFICE], ids=["stranger", "relay-client"])
@pytest.mark.parametrize("name", viruses())
def test_a_virus_is_refused_with_its_name(scan: ScanBed, name: str, who: str) -> None:
    fields, body = viruses()[name]
    mark, content = letter(body, fields)
    with scan.written(DATABYTES, "50000000\n"):
        reply = scan.send(content, who=who, within_seconds=LARGE_SECONDS)
    assert VIRUS.fullmatch(reply), reply
    assert not scan.arrived(mark, 0.5)


@PATCH
def test_a_virus_has_one_verdict_in_the_log(scan: ScanBed) -> None:
    log = scan.log()
    scan.send(letter(EICAR + b"\r\n")[1])
    assert log.says(VERDICT + r"IRUS:")
    assert len(verdicts(log)) == 1


def spams() -> dict[str, tuple[bytes, bytes]]:
    html = b"<html><body><p>" + GTUBE + b"</p></body></html>\r\n"
    encoded = base64.encodebytes(b"Buy now!\n" + GTUBE + b"\n").replace(b"\n", b"\r\n")
    mime = b"MIME-Version: 1.0\r\nContent-Type: text/"
    return {
        "plain": (b"", GTUBE + b"\r\n"),
        "html": (mime + b"html; charset=us-ascii\r\n", html),
        "base64": (mime + b"plain\r\nContent-Transfer-Encoding: base64\r\n", encoded),
        "behind-60-kB-of-text": (mime + b"plain\r\n", padding(60_000) + GTUBE + b"\r\n"),
        "355-kB": multipart(
            ("Content-Type: text/plain", GTUBE),
            ("Content-Type: application/octet-stream", padding(355_000)),
        ),
    }


@PATCH
@pytest.mark.parametrize("name", spams())
def test_spam_is_refused_with_its_score(scan: ScanBed, name: str) -> None:
    fields, body = spams()[name]
    mark, content = letter(body, fields)
    log = scan.log()
    with scan.settings(deadline_seconds=LONG_DEADLINE_SECONDS):
        reply = scan.send(content, within_seconds=LARGE_SECONDS)
    found = SPAM.fullmatch(reply)
    assert found and float(found[1]) >= 10, reply
    assert log.says(rf":SPAM REJECT \({re.escape(found[1])}/")
    assert len(verdicts(log)) == 1
    assert not scan.arrived(mark, 0.5)


def test_text_beyond_the_limit_costs_points_and_is_said(scan: ScanBed) -> None:
    name, content = letter(padding(102_000) + GTUBE + b"\r\n", PLAIN)
    with scan.settings(deadline_seconds=LONG_DEADLINE_SECONDS):
        assert scan.send(content, within_seconds=LARGE_SECONDS).startswith("250 ")
    head = scan.arrived(name).partition(b"\r\n\r\n")[0]
    status = re.sub(rb"\s+", b"", head.partition(b"X-Spam-Status: ")[2].partition(b"\r\nX-")[0])
    assert b"TEXT_BEYOND_LIMIT" in status
    name, content = letter(padding(9_000), PLAIN)
    assert scan.send(content, within_seconds=LARGE_SECONDS).startswith("250 ")
    assert b"TEXT_BEYOND_LIMIT" not in scan.arrived(name).partition(b"\r\n\r\n")[0]


def test_of_many_long_parts_each_is_seen_in_part_and_that_is_said(scan: ScanBed) -> None:
    """All of them would take minutes; a share of each takes seconds, and short ones are seen whole."""
    long = [("Content-Type: text/plain; name=log.txt", padding(95_000))] * 10

    def made(last: bytes) -> tuple[str, bytes]:
        fields, body = multipart(*long, ("Content-Type: text/plain", last + b"\r\n"))
        return letter(body, fields)

    with scan.settings(deadline_seconds=LONG_DEADLINE_SECONDS):
        name, content = made(padding(60_000) + GTUBE)
        assert scan.send(content, within_seconds=LARGE_SECONDS).startswith("250 ")
        head = scan.arrived(name).partition(b"\r\n\r\n")[0]
        status = re.sub(rb"\s+", b"", head.partition(b"X-Spam-Status: ")[2].partition(b"\r\nX-")[0])
        assert b"TEXT_BEYOND_LIMIT" in status
        for last in (GTUBE + b"\r\n" + padding(60_000), padding(12_000) + GTUBE):
            _name, content = made(last)
            assert SPAM.fullmatch(scan.send(content, within_seconds=LARGE_SECONDS))


CHECKED = re.compile(rb"^X-Spam-Checked: first ([0-9]+) bytes\r\n", re.MULTILINE)
SMALL_LIMIT = 20_000
PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n"


@PATCH
@pytest.mark.parametrize(
    "what", [b"text\r\n", b"a\0b\r\n", b"word " * 12 + b"\r\n"], ids=["lines", "nul", "words"]
)
def test_above_the_limit_the_first_part_is_judged(scan: ScanBed, what: bytes) -> None:
    """GTUBE within the first part is refused, behind it delivered; every byte arrives, NULs as blanks."""
    filler = what * (SMALL_LIMIT // len(what) + 1)
    log = scan.log()
    with scan.settings(spam_limit_bytes=SMALL_LIMIT):
        for cut in range(3):
            mark, content = letter(filler[: 18_000 + cut] + b"\r\n" + filler + GTUBE + b"\r\n", PLAIN)
            assert scan.send(content).startswith("250 ")
            got = scan.arrived(mark)
            head, dummy, body = got.partition(b"\r\n\r\n")
            assert body == content.partition(b"\r\n\r\n")[2].replace(b"\0", b" ")
            assert CHECKED.findall(head + b"\r\n") == [b"%d" % SMALL_LIMIT] and b"\r\nX-Spam-Status: " in head
        reply = scan.send(letter(GTUBE + b"\r\n\r\n" + filler + filler, PLAIN)[1])
        assert SPAM.fullmatch(reply), reply
    assert log.says(rf"\]: the first {SMALL_LIMIT} of [0-9]+ bytes were checked for spam")


@PATCH
def test_a_header_is_judged_whole_or_refused(scan: ScanBed) -> None:
    log = scan.log()
    with scan.settings(spam_limit_bytes=1000):
        mark, content = letter(b"a body\r\n", *(b"X-Long: %s\r\n" % (b"x" * 500) for _ in range(10)))
        assert scan.send(content).startswith("250 ")
        found = CHECKED.search(scan.arrived(mark).partition(b"\r\n\r\n")[0])
        assert found and int(found[1]) > 5000
        mark, content = letter(b"a body\r\n", *(b"X-Long: %s\r\n" % (b"x" * 500) for _ in range(600)))
        assert scan.send(content) == "554 Your email was rejected because its header is too long"
    assert log.says(":ATTACH:[0-9.]+s:header too long:")
    assert not scan.arrived(mark, 0.5)


@pytest.fixture(scope="module")
def limit(scan: ScanBed) -> int:
    found = re.search(r"^spam_limit_bytes ([0-9]+)$", (scan.root / CONTROL).read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_a_virus_above_the_limit_is_refused(scan: ScanBed, limit: int) -> None:
    fields, body = multipart(
        attached("eicar.com", EICAR), ("Content-Type: application/octet-stream", padding(limit))
    )
    log = scan.log()
    assert VIRUS.fullmatch(scan.send(letter(body, fields)[1], within_seconds=LARGE_SECONDS))
    assert not any("not checked for spam" in line for line in log.lines())


def test_spam_of_a_relay_client_is_delivered(scan: ScanBed) -> None:
    """Mail of relay clients is scanned for viruses only."""
    name, content = letter(GTUBE + b"\r\n")
    log = scan.log()
    assert scan.send(content, "someone@elsewhere.example", who=OFFICE).startswith("250 ")
    assert b"X-Spam-" not in scan.arrived(name).partition(b"\r\n\r\n")[0]
    assert log.says(rf":RELAYCLIENT:[0-9.]+s:-:{re.escape(OFFICE)}:")


FORGED = (
    b"X-Spam-Status: No, score=-99.9 required=5.0 forged\r\n\ttests=FORGED\r\n",
    b"x-SPAM-flag: NO forged\r\n",
    b"X-Virus-Scanned: forged\r\n by=nobody\r\n",
    b"X-Spam-Checked: yes forged\r\n",
    b"X-Virus-Status : forged\r\n",
)


@PATCH
def test_what_the_sender_says_of_spam_and_viruses_is_removed(scan: ScanBed) -> None:
    name, content = letter(b"X-Spam-Note: in the body it is text\r\n", *FORGED, b"X-Other: stays\r\n")
    assert scan.send(content).startswith("250 ")
    head, dummy, body = scan.arrived(name).partition(b"\r\n\r\n")
    assert b"forged" not in head.lower() and b"nobody" not in head
    assert b"\r\nX-Other: stays" in head
    assert re.findall(rb"^X-Spam-Status: ", head, re.MULTILINE) == [b"X-Spam-Status: "]
    assert body == b"X-Spam-Note: in the body it is text\r\n"


def test_three_hundred_recipients_all_get_it(scan: ScanBed) -> None:
    recipients = {f"user-{number}@example.test" for number in range(300)}
    name, content = letter()
    assert scan.send(content, *sorted(recipients)).startswith("250 ")
    mark = f"X-Row: {name}\r\n".encode()
    got = set()
    while len(got) < len(recipients):
        delivery = scan.bed.mailroom.claim(lambda one: mark in one.content, 60)
        assert delivery, f"{len(got)} of {len(recipients)} arrived"
        got.add(delivery.recipient)
    assert got == recipients


def test_every_byte_arrives(scan: ScanBed) -> None:
    """In a line and around its end; NUL as the blank that qmail-smtpd has made of it before anybody scans."""
    every = bytes(byte for byte in range(256) if byte not in b"\r\n")
    body = b"\0\r\na\0b\r\n" + every + b"\r\n\0\0\0\r\n" + every[::-1] + b"\0\r\n"
    name, content = letter(body, b"X-Nul: a\0b\r\n")
    assert scan.send(content).startswith("250 ")
    got = scan.arrived(name)
    assert got.partition(b"\r\n\r\n")[2] == body.replace(b"\0", b" ")
    assert b"\r\nX-Nul: a b\r\n" in got


@PATCH
def test_the_log_is_not_the_senders(scan: ScanBed) -> None:
    """A subject that would forge fields, or colour a terminal, is one field of printable characters."""
    log = scan.log()
    name, content = letter(subject=b"a:b \033[31m\007\200:198.51.100.99:x@y.example:z")
    assert scan.send(content).startswith("250 ")
    assert scan.arrived(name)
    assert log.says(
        rf":[0-9.]+s:a_b _\[31m___198.51.100.99_x@y.example_z:{re.escape(STRANGER)}:ann@sender.example:"
    )


NAMES = {
    "plain": 'filename="evil.exe"',
    "upper-case": 'filename="EVIL.EXE"',
    "trailing-dot": 'filename="evil.exe."',
    "unquoted": "filename=evil.exe",
    "rfc2047": 'filename="=?us-ascii?B?ZXZpbC5leGU=?="',
    "rfc2231": "filename*=us-ascii''evil%2Eexe",
}


@pytest.mark.parametrize("name", NAMES)
def test_an_attachment_is_refused_by_its_suffix(scan: ScanBed, name: str) -> None:
    fields, body = multipart(TEXT, attached("", b"MZ and so on", NAMES[name]))
    with scan.written(SUFFIXES, ".scr\n.exe\n"):
        reply = scan.send(letter(body, fields)[1])
    assert re.fullmatch(r"554 Your email was rejected because it contains a bad attachment: \S+", reply), (
        reply
    )


HIDDEN = {
    "harmless-name": "attachment; filename=evil.exe",
    "130-bytes": f'attachment; filename="{"x" * 126}.exe"',
    "pieces": 'attachment; filename*0="03."; filename*1=exe',
    "pieces-in-another-order": 'attachment; filename*1=exe; filename*0="03."',
    "question-mark": 'attachment; filename="what?.exe"',
    "backslash": 'attachment; filename="evil.e\\xe"',
    "trailing-tab": 'attachment; filename="evil.exe\t"',
    "no-break-space": 'attachment; filename="evil.exe\u00a0"',
    "slash": 'attachment; filename="evil.exe/"',
    "utf-16": "attachment; filename*=utf-16be''%00a%00.%00e%00x%00e",
    "utf-7": "attachment; filename*=utf-7''a+AC4-exe",
}


@PATCH
@pytest.mark.parametrize("name", HIDDEN)
def test_no_name_hides_a_forbidden_attachment(scan: ScanBed, name: str) -> None:
    head = f"Content-Type: text/plain; name=harmless.txt\r\nContent-Disposition: {HIDDEN[name]}"
    fields, body = multipart(TEXT, (head, b"MZ\r\n"))
    with scan.written(SUFFIXES, ".scr\n.exe\n"):
        reply = scan.send(letter(body, fields)[1])
    assert reply.startswith("554 Your email was rejected because it contains a bad attachment: "), reply


@PATCH
@pytest.mark.parametrize(
    ("said", "used"),
    [('"' + "b" * 200 + '"', "b" * 200), ('"a\\Cb"', "aCb"), ('"ab "', "ab ")],
    ids=["long", "backslash", "trailing-blank"],
)
def test_no_boundary_hides_a_forbidden_attachment(scan: ScanBed, said: str, used: str) -> None:
    fields = f"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary={said}\r\n".encode()
    head = "Content-Type: application/octet-stream; name=evil.exe"
    body = f"--{used}\r\n{head}\r\n\r\nMZ\r\n--{used}--\r\n".encode()
    with scan.written(SUFFIXES, ".scr\n.exe\n"):
        reply = scan.send(letter(body, fields)[1])
    assert reply == "554 Your email was rejected because it contains a bad attachment: evil.exe"


def test_other_attachments_pass(scan: ScanBed) -> None:
    fields, body = multipart(TEXT, attached("exe.txt", b"harmless"), attached("noexe", b"harmless"))
    name, content = letter(body, fields)
    with scan.written(SUFFIXES, ".scr\n.exe\n"):
        assert scan.send(content).startswith("250 ")
    assert scan.arrived(name).partition(b"\r\n\r\n")[2] == body
