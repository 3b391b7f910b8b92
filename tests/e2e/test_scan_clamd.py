# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of clamd that are neither OK nor a virus, and its answers when it lacks space."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from support.conversations import EICAR
from support.gateway import Bed, gateway_pid
from support.scanner_faults import ScanBed, letter
from support.waiting import eventually

TEMPORARY = "/var/lib/clamav/tmp"
SETTINGS = "etc/clamav/clamd.conf"
PATCH = pytest.mark.patch("10-fail-closed")


@pytest.fixture(scope="module")
def scan(bed: Bed) -> ScanBed:
    one = ScanBed(bed)
    if not os.path.lexists(one.root / "service/clamd"):
        pytest.skip("no clamd on this gateway")
    one.wait_until_mail_flows()
    return one


def part(content: bytes, kind: bytes = b"application/octet-stream") -> tuple[bytes, bytes]:
    """Return the field and the body of a message whose second part is this, in base64."""
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    field = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    return field, (
        b"--b\r\nContent-Type: text/plain\r\n\r\nGood morning.\r\n--b\r\nContent-Type: "
        + kind
        + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
        + b"--b--\r\n"
    )


def doctor(scan: ScanBed) -> tuple[int, list[str]]:
    status, said, _ = scan.bed.inside("mailgate", "doctor", "--json", "--only", "clamd")
    return status, [one["text"] for one in json.loads(said)["findings"]]


@contextmanager
def small(scan: ScanBed, options: str) -> Iterator[None]:
    """Another file system over clamd's temporary directory."""
    enter = ["nsenter", "-t", str(gateway_pid(scan.bed.name)), "-m"]
    mount = [*enter, "mount", "-t", "tmpfs", "-o", options, "tmpfs", TEMPORARY]
    subprocess.run(mount, check=True, timeout=30)
    try:
        yield
    finally:
        subprocess.run([*enter, "umount", TEMPORARY], check=True, timeout=30)


@PATCH
@pytest.mark.parametrize(
    "options",
    ["size=100k", "nr_inodes=2", "nr_inodes=4", "size=200m,nr_inodes=100", "size=1g,ro", "size=1g,mode=0700"],
)
def test_where_clamd_cannot_unpack_nothing_passes(scan: ScanBed, options: str) -> None:
    """60 kB of noise with EICAR at its end: clamd has no room for the part, and answers OK."""
    noise = random.Random(20070101).randbytes(60_000)
    field, body = part(noise + EICAR)
    name, content = letter(body, field)
    log = scan.log()
    with small(scan, options):
        assert scan.send(content).startswith("451 ")
        status, texts = doctor(scan)
    why = rf"(clamd's temporary directory {TEMPORARY}|clamd (says|has closed))"
    assert log.says(rf"put off for 198\.51\.100\.[0-9]+: {why}")
    assert (status, all("mail is deferred" in text for text in texts)) == (2, True), texts
    assert scan.send(content).startswith("554 Your email was rejected because it contains the Eicar")
    assert not scan.arrived(name, 1)


@PATCH
def test_a_deprecated_option_of_clamd_conf_is_no_trouble(scan: ScanBed) -> None:
    """The message is scanned, and the doctor names the line."""
    text = (scan.root / SETTINGS).read_text() + "AllowSupplementaryGroups yes\n"
    with scan.written(SETTINGS, text):
        name, content = letter()
        assert scan.send(content).startswith("250 ")
        assert scan.arrived(name)
        assert scan.send(letter(EICAR + b"\r\n")[1]).startswith("554 ")
        status, texts = doctor(scan)
    assert (status, len(texts)) == (1, 1)
    assert f"option AllowSupplementaryGroups at /etc/clamav/clamd.conf:{len(text.splitlines())}" in texts[0]
    assert doctor(scan)[0] == 0


@PATCH
def test_clamd_finds_a_virus_in_both_ways(scan: ScanBed) -> None:
    """As each converge proves it."""
    status, said, trouble = scan.bed.inside(
        "setuidgid", "qmaild", "/var/qmail/bin/simscan", "-t", text=EICAR.decode()
    )
    assert (status, trouble) == (0, "")
    assert re.fullmatch(r"by descriptor, .* Eicar\S+ FOUND\nby stream, .* Eicar\S+ FOUND\n", said), said


@PATCH
def test_more_than_clamd_looks_at_is_no_virus(scan: ScanBed) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(11_000):
            archive.writestr(f"{number}.txt", b"x")
    field, body = part(packed.getvalue(), b"application/zip; name=a.zip")
    log = scan.log()
    assert scan.send(letter(body, field)[1]) == (
        "554 Your email was rejected because it is more than the virus scanner looks at: "
        "Heuristics.Limits.Exceeded.MaxFiles"
    )
    assert log.says(r":LIMIT:[0-9.]+s:Heuristics\.Limits\.Exceeded\.MaxFiles:198\.51\.100\.")


def test_a_receipts_links_are_no_virus(scan: ScanBed) -> None:
    """Use lists of domains as the official database has them."""
    place = scan.root / "var/lib/clamav"
    lists = {"test.pdb": "H:paypal.com\n", "test.wdb": "X:.+\\.never:.+\\.never\n"}
    html = (
        b'<html><body><a href="http://click.mailer.example.org/x">https://www.paypal.com/receipt</a>'
        b"</body></html>\r\n"
    )
    name, content = letter(html, b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n")
    try:
        for file, text in lists.items():
            (place / file).write_text(text)
        reload(scan)
        assert scan.send(content).startswith("250 ")
        assert scan.arrived(name)
    finally:
        for file in lists:
            with suppress(FileNotFoundError):
                (place / file).unlink()
        reload(scan)


def reload(scan: ScanBed) -> None:
    log = scan.root / "var/log/clamd/current"
    before = log.read_text(errors="replace").count("Database correctly reloaded")
    assert scan.bed.inside("clamdscan", "--reload")[0] == 0
    eventually(
        lambda: log.read_text(errors="replace").count("Database correctly reloaded") > before,
        "clamd has read its databases again",
        30,
    )
