# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the doctor takes clamd's signatures and SpamAssassin's rules to be."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    scanners,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from support.doctor_host import NOW, context, put, told


@pytest.mark.parametrize(
    ("version", "seconds"),
    [
        ("ClamAV 1.4.6/27700/Sat Nov 21 08:29:41 2026", time.mktime((2026, 11, 21, 8, 29, 41, 0, 0, -1))),
        ("ClamAV 1.4.6", None),
        ("ClamAV 1.4.6/27700/someday", None),
        ("", None),
    ],
)
def test_clamd_says_how_old_its_database_is(version: str, seconds: float | None) -> None:
    assert scanners.daily_date(version) == seconds


def label(seconds: float) -> str:
    return tai64n.render(int(seconds) * tai64n.NANOSECONDS)


def test_freshclams_last_success_is_in_its_log() -> None:
    lines = [
        f"{label(NOW - 90)} daily.cld database is up-to-date (version: 27700, sigs: 2000000, f-level: 90)",
        f"{label(NOW - 80)} main.cvd updated (version: 62, sigs: 6647427, f-level: 90)",
        f"{label(NOW - 10)} ERROR: Can't download daily.cvd",
        "garbage database is up-to-date",
    ]
    assert scanners.freshclam_success(lines) == NOW - 80
    assert scanners.freshclam_success(lines[2:]) is None


FEW = "clamd has no official database, and its files hold 2 signatures: few viruses are found"


@contextmanager
def unix_server(path: Path, answer: bytes) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4)

        def serve() -> None:
            connection = listener.accept()[0]
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield


@pytest.mark.parametrize(
    ("answer", "official", "expected"),
    [
        (b"ClamAV 1.4.6\0", False, [(1, FEW)]),
        (b"ClamAV 1.4.6\0", True, [(2, "clamd has no official database: its version is 'ClamAV 1.4.6'")]),
        (b"", False, [(2, "clamd does not answer: the answer is empty")]),
    ],
)
def test_clamd_is_asked(answer: bytes, official: bool, expected: Any, tmp_path: Path) -> None:
    put(tmp_path, "/var/lib/clamav/site.ndb", "Eicar:0:*:5835\nother:0:*:58\n", at=NOW - 7200)
    put(tmp_path, "/var/lib/clamav/old.cvd", at=NOW - 72000)
    put(tmp_path, "/var/lib/clamav/freshclam.dat", at=NOW)
    with unix_server(tmp_path / "run/clamav/clamd.ctl", answer):
        assert told(scanners.signatures(context(tmp_path, official_signatures=official))) == expected


def test_signatures_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "/db/site-eicar.ndb", "# test\nEicar:0:*:5835\n\n")
    put(tmp_path, "/db/bytecode.cvd", "ClamAV-VDB:22 Feb 2023 16-33 -0500:334:91:90:digest:x")
    put(tmp_path, "/db/damaged.cld", "ClamAV-VDB:22 Feb:1:many:90:x")
    put(tmp_path, "/db/short.cvd", "ClamAV-VDB:22")
    put(tmp_path, "/db/freshclam.dat", "1\n2\n")
    assert scanners.count_signatures(str(tmp_path / "db")) == 92


def test_updated_rules_count_before_those_of_the_release(tmp_path: Path) -> None:
    put(tmp_path, "/usr/share/spamassassin/20_body.cf", at=NOW - 90 * 86400)
    with unix_server(tmp_path / "run/spamd/spamd.sock", b"SPAMD/1.5 0 PONG\r\n"):
        assert told(scanners.spam_rules(context(tmp_path))) == [
            (2, "the rules, never updated, are 90 days old")
        ]
    put(tmp_path, "/var/lib/spamassassin/4.000001/updates_spamassassin_org.cf", at=NOW - 3 * 86400)
    (tmp_path / "run/spamd/spamd.sock").unlink()
    with unix_server(tmp_path / "run/spamd/spamd.sock", b"SPAMD/1.5 0 PONG\r\n"):
        assert told(scanners.spam_rules(context(tmp_path))) == [
            (0, "spamd answers; the rules are 3 days old")
        ]
