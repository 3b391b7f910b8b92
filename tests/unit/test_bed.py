# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed's own decisions, and the e2e harness's judgement, without a container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bed
import pytest
import yaml

sys.path.insert(0, str(bed.ROOT / "tests" / "e2e"))

import play
import rows
import smtp

MACHINE = [
    bed.AptSource("http://one.example/debian/", "bookworm", "main"),
    bed.AptSource("http://one.example/debian/", "bookworm", "contrib"),
    bed.AptSource("http://one.example/debian/", "bookworm-updates", "main"),
    bed.AptSource("http://two.example/security/", "bookworm-security", "main"),
    bed.AptSource("http://three.example/", "tool-bookworm", "main"),
]


def test_suite_sources_are_the_machines_own_under_another_name() -> None:
    assert bed.suite_sources(MACHINE, "bookworm", "trixie") == [
        bed.AptSource("http://one.example/debian/", "trixie", "main"),
        bed.AptSource("http://one.example/debian/", "trixie-updates", "main"),
        bed.AptSource("http://two.example/security/", "trixie-security", "main"),
    ]


def test_apt_settings_keeps_proxies_and_clock_settings_alone() -> None:
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Date "false";\n'
        'APT::Update::Post-Invoke:: "rm -rf /";\nAcquire::Languages:: "de";\n'
    )
    assert bed.apt_settings(dump).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::Check-Date "false";',
        'Acquire::Languages "none";',
    ]


@pytest.mark.parametrize("role", ["netqmail", "cdb"])
def test_releases_reads_the_roles_files_as_yaml_does(role: str) -> None:
    text = (bed.ROOT / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8")
    (by_version,) = (value for key, value in yaml.safe_load(text).items() if key.endswith("_releases"))
    (release,) = by_version.values()
    expected = [bed.Pinned(source["url"], source["sha256"]) for source in release["sources"]]
    assert bed.releases(text) == expected
    assert expected


def test_standin_archive_depends_on_contents_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bed, "ROOT", tmp_path)
    monkeypatch.setattr(bed, "BED", tmp_path / ".bed")
    source = tmp_path / "tests" / "standins" / "thing"
    source.mkdir(parents=True)
    (source / "b.c").write_text("int b;\n")
    (source / "a.sh").write_text("#!/bin/sh\n")
    first = bed.pack_standin("thing", "1").read_bytes()
    os.utime(source / "b.c", (1, 1))
    (source / "a.sh").touch()
    assert bed.pack_standin("thing", "1").read_bytes() == first
    (source / "b.c").write_text("int c;\n")
    assert bed.pack_standin("thing", "1").read_bytes() != first


def test_obtainable_trusts_no_archive_of_another_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path))
    good = bed.hashlib.sha256(b"good").hexdigest()
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / good).write_bytes(b"bad")
    monkeypatch.setattr(bed, "download", lambda pinned: "refused")
    assert bed.obtainable([bed.Pinned("https://a.example/x", good)]) == ("", "a.example: refused")
    (tmp_path / "sources" / good).write_bytes(b"good")
    assert bed.obtainable([bed.Pinned("https://a.example/x", good)])[0].endswith(good)


def test_download_refuses_another_content_and_keeps_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path / "cache"))
    origin = tmp_path / "origin"
    origin.write_bytes(b"right")
    right = bed.hashlib.sha256(b"right").hexdigest()
    wrong = bed.hashlib.sha256(b"wrong").hexdigest()
    assert bed.download(bed.Pinned(origin.as_uri(), wrong)) == f"sha256 {right} instead of {wrong}"
    assert bed.download(bed.Pinned(origin.as_uri(), right)) == ""
    assert [path.name for path in (tmp_path / "cache" / "sources").iterdir()] == [right]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 passed in 0.1s", (3, 0, 0)),
        ("==== 2 failed, 3 passed, 1 skipped in 12.34s ====", (3, 2, 1)),
        ("1 error in 0.5s\n  msg: 70 passed, 1 skipped in 40.02s (0:00:40)", (70, 1, 1)),
        ("nothing to see; 12 passed by the way", (0, 0, 0)),
    ],
)
def test_counts_adds_up_what_pytest_says(text: str, expected: tuple[int, int, int]) -> None:
    assert tuple(bed.counts(text).values()) == expected


def test_without_docker_there_is_one_clear_sentence(tmp_path: Path) -> None:
    """A user who is not root, on a machine without a docker program."""
    (tmp_path / "bin").mkdir()
    code = (
        "import os, sys; sys.path.insert(0, 'tests'); import bed; "
        "os.geteuid = lambda: 1000; sys.exit(bed.main(['docker']))"
    )
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=bed.ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no docker program" in done.stderr and "run as root" in done.stderr


# --- the harness ---


def test_rows_have_names_of_their_own_and_ten_are_for_debian13() -> None:
    assert len({row.name for row in rows.ROWS}) == len(rows.ROWS)
    assert len(rows.selected("debian13")) == 10


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"", b".\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n..b\r\nc.\r\n", b"a\r\n...b\r\nc.\r\n.\r\n"),
        (b"a\r.\r\r\n", b"a\r.\r\r\n.\r\n"),
    ],
)
def test_stuffed_doubles_leading_dots(content: bytes, sent: bytes) -> None:
    assert smtp.stuffed(content) == sent


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ("250 ok", "250 ok", True),
        ("250 ok", "250 ok 1", False),
        ("250 ok *", "250 ok 17 qp 4", True),
        ("553 sorry (#5.7.1)", "553 sorry  #5.7.1 ", False),
        ("closed", "no answer", False),
    ],
)
def test_matches_takes_the_whole_reply(expected: str, got: str, same: bool) -> None:
    assert play.matches(expected, got) is same


SENT = rows.message("x")
RECEIVED = b"Received: from a\r\n  by b; date\r\n"


@pytest.mark.parametrize(
    ("got", "added", "told"),
    [
        (RECEIVED + SENT, ("Received",), ""),
        (RECEIVED + RECEIVED + SENT, ("Received",), ""),
        (b"Delivered-To: x\r\n" + RECEIVED + SENT, ("Received", "Delivered-To"), ""),
        (SENT, ("Received",), "above the content stands b''"),
        (b"X-Spam: no\r\n" + RECEIVED + SENT, ("Received",), "above the content stands b'X-Spam"),
        (b"Delivered-To: x\r\n" + RECEIVED + SENT, ("Received",), "above the content stands b'Delivered-To"),
        (RECEIVED + SENT.replace(b"Hello", b"Hallo"), ("Received",), "the body differs at byte 1"),
        (RECEIVED + SENT[:-2], ("Received",), "8 bytes of body were sent and 6 came"),
    ],
)
def test_differences_allow_only_the_fields_that_are_named(
    got: bytes, added: tuple[str, ...], told: str
) -> None:
    found = play.differences(rows.Arrival("x", "y", content=SENT, added=added), got)
    assert found.startswith(told)
    assert bool(found) is bool(told)
