# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What phishers send: macros, shortened links, text in PDFs.  Each sample is made here, and harmless."""

from __future__ import annotations

import base64
import http.server
import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from support.gateway import Bed
from support.name_servers import ROOT_ZONE, resolving, world
from support.spamd import Spamd

CLIENT, SHORTENER = "198.19.1.5", "198.18.0.60"
SITE = "etc/mail/spamassassin"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
TYPES = '<Types><Override ContentType="application/vnd.openxmlformats"/></Types>'
MACROS = {"OLEMACRO", "OLEMACRO_MALICE", "OLEMACRO_ZIP_PW", "OLEMACRO_CSV", "OLEMACRO_DOWNLOAD_EXE"}

# Unpacks a zip with the limits, and says how many bytes of each member came, and the most memory that took.
UNPACK = """
use strict; use warnings; use Archive::Zip;
BEGIN { $INC{'Mail/SpamAssassin/Plugin.pm'} = 1; package Mail::SpamAssassin::Plugin; sub new { } }
require "/etc/mail/spamassassin/ArchiveLimits.pm";
Mail::SpamAssassin::Plugin::ArchiveLimits::limit_archives();
my $zip = Archive::Zip->new($ARGV[0]);
my @came = map { my ($content) = $_->contents(); defined $content ? length $content : "-" } $zip->members;
print join(",", @came), "\\n";
open(my $status, "<", "/proc/self/status"); print grep { /VmHWM/ } <$status>;
"""


@pytest.fixture(scope="module")
def spamd(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spamd]:
    if not (bed.root / "service" / "spamd").is_symlink():
        pytest.skip("this gateway has no spamd")
    one = Spamd(bed)
    place = tmp_path_factory.mktemp("world")
    place.parent.chmod(0o755)
    records = [*ROOT_ZONE, f"+tinyurl.com:{SHORTENER}:1", "+dbltest.com.dbl.spamhaus.org:127.0.1.2:1"]
    with world(place, records), resolving(bed):
        one.reload()
        yield one
    one.reload()


def letter(text: str = "Morning, all is well.", name: str = "", content: bytes = b"") -> str:
    """Return a message, with an attachment when that has a name."""
    mark = f"phish-{os.getpid()}-{time.time_ns()}"
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    head = (
        f"From: Ann <ann@sender.example>\r\nTo: alice@example.test\r\nSubject: a letter\r\nDate: {date}\r\n"
        f"Message-ID: <{mark}@sender.example>\r\nMIME-Version: 1.0\r\n"
    )
    if not name:
        return f"{head}\r\n{text}\r\n"
    packed = base64.encodebytes(content).decode().replace("\n", "\r\n")
    return (
        f'{head}Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n{text}\r\n--b\r\n'
        f'Content-Type: application/octet-stream; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n{packed}--b--\r\n'
    )


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def document(macro: bytes | None) -> bytes:
    """Return what a scanner takes for a document of Word; its macro is only a name."""
    members: dict[str, bytes | str] = {"[Content_Types].xml": TYPES, "word/document.xml": "<document/>"}
    if macro is not None:
        members["word/vbaProject.bin"] = macro
    return zipped(members)


def pdf(*lines: str) -> bytes:
    """Return a PDF of one page with these lines, 190 at most."""
    stream = f"BT /F1 4 Tf 4 TL 20 790 Td {' '.join(f'({line}) Tj T*' for line in lines)} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 1200 800] /Contents 4 0 R "
        "/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
    ]
    made, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        f"{made}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(made)}\n%%EOF\n"
    ).encode("ascii")


def rules(spamd: Spamd, text: str) -> frozenset[str]:
    return spamd.judge(text, CLIENT, "ann@sender.example").rules


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("offer.docm", document(b"nothing"), {"OLEMACRO"}),
        ("offer.doc", document(b"nothing"), {"OLEMACRO"}),
        ("offer.docm", document(b"Sub AutoOpen()"), {"OLEMACRO", "OLEMACRO_MALICE"}),
        ("offers.zip", zipped({"offer.docm": document(b"Sub AutoOpen()")}), {"OLEMACRO", "OLEMACRO_MALICE"}),
        ("offer.docx", document(None), set()),
        ("offers.zip", zipped({"offer.docx": document(None)}), set()),
        ("offer.docm", b"PK\x03\x04 broken", {"OLEMACRO"}),
    ],
)
def test_a_macro_is_found(spamd: Spamd, name: str, content: bytes, expected: set[str]) -> None:
    assert rules(spamd, letter(name=name, content=content)) & MACROS == expected


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(spamd: Spamd) -> None:
    bomb = zipped({"[Content_Types].xml": TYPES, "word/_rels/a.rels": b"x" * 150_000_000})
    path = spamd.bed.root / "var/tmp/mailgate-bomb.zip"
    path.write_bytes(bomb)
    try:
        status, said, trouble = spamd.bed.inside("perl", "-e", UNPACK, "/var/tmp/mailgate-bomb.zip")
    finally:
        path.unlink()
    assert status == 0 and said.startswith(f"{len(TYPES)},-\n"), said + trouble
    assert int(said.split()[-2]) < 100_000, said
    assert "OLEMACRO" in rules(spamd, letter(name="offer.docm", content=bomb))


class _Shortener(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_response(301)
        self.send_header("Location", "http://dbltest.com/offer")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def shortener() -> Iterator[list[str]]:
    """Answer as a service that shortens links; yields the paths that are asked."""
    asked: list[str] = []
    handler = type("Handler", (_Shortener,), {"asked": asked})
    with http.server.ThreadingHTTPServer((SHORTENER, 80), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield asked
        finally:
            server.shutdown()


def test_where_a_short_link_leads_is_judged(spamd: Spamd) -> None:
    with shortener() as asked:
        found = rules(spamd, letter("See http://tinyurl.com/abc123 for all of it."))
    assert "/abc123" in asked
    assert "URIBL_DBL_SPAM" in found


def test_a_service_that_does_not_answer_changes_nothing(spamd: Spamd) -> None:
    assert "URIBL_DBL_SPAM" not in rules(spamd, letter("See http://tinyurl.com/abc123 for all of it."))


def test_the_text_of_a_pdf_is_judged(spamd: Spamd) -> None:
    assert "GTUBE" in rules(spamd, letter(name="invoice.pdf", content=pdf(GTUBE)))
    assert "GTUBE" not in rules(spamd, letter(name="invoice.pdf", content=pdf("All is paid.")))


def test_a_broken_pdf_changes_nothing(spamd: Spamd) -> None:
    found = rules(spamd, letter(name="invoice.pdf", content=pdf(GTUBE)[:100]))
    assert "GTUBE" not in found and found


def test_a_pdf_has_only_so_much_text(spamd: Spamd) -> None:
    path = spamd.bed.root / "var/tmp/mailgate-long.pdf"
    path.write_bytes(pdf(*["word " * 100] * 190))
    path.chmod(0o644)
    try:
        status, said, _trouble = spamd.bed.inside(f"/{SITE}/pdf-text", "/var/tmp/mailgate-long.pdf")
    finally:
        path.unlink()
    assert status == 0 and len(said) == 20_000
