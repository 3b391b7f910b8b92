# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor sees of clamd's temporary directory and of its settings."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import clamd
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    OK,
    WARNING,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Settings

PLACE = "/var/lib/clamav/tmp"
MANY = 1 << 50
NOBODY = pwd.getpwnam("nobody").pw_uid
ASKED_BYTES = "simscan asks for 1000 (clamd_reserve_bytes)"
ASKED_FILES = "simscan asks for 100 (clamd_reserve_files)"
DEPRECATED = "WARNING: Ignoring deprecated option AllowSupplementaryGroups at /etc/clamav/clamd.conf:25"


@pytest.mark.parametrize(
    ("free_bytes", "free_files", "expected"),
    [
        (2000, 200, []),
        (2000, None, []),
        (1999, 200, [(WARNING, f"room for 1999 bytes; {ASKED_BYTES}")]),
        (1000, 200, [(WARNING, f"room for 1000 bytes; {ASKED_BYTES}")]),
        (999, 200, [(CRITICAL, f"room for 999 bytes; {ASKED_BYTES}: mail is deferred")]),
        (
            0,
            0,
            [
                (CRITICAL, f"room for 0 bytes; {ASKED_BYTES}: mail is deferred"),
                (CRITICAL, f"room for 0 files; {ASKED_FILES}: mail is deferred"),
            ],
        ),
    ],
)
def test_room(free_bytes: int, free_files: int | None, expected: list[tuple[int, str]]) -> None:
    found = clamd.judge_room(clamd.Room(PLACE, free_bytes, free_files, 1000, 100))
    assert [(one.status, one.text) for one in found] == [
        (level, f"{PLACE} has {text}") for level, text in expected
    ]
    assert all(one.advice for one in found)


def host(tmp_path: Path, settings: str, said: str = "") -> Context:
    for name, text in (("var/qmail/control/simscan", settings), ("usr/local/bin/clamdscan", said)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    path.write_text(f"#!/bin/sh\ncat >&2 <<'E'\n{said}\nE\n[ \"$2\" = --version ]\n")
    path.chmod(0o755)
    return Context(Settings("mx.example", "postmaster@example"), 0.0, True, str(tmp_path))


def told(context: Context) -> list[tuple[int, str]]:
    return [(one.status, one.text) for one in clamd.clamd(context)]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    context = host(tmp_path, f"# x\nclamd_temporary_directory {PLACE}\n")
    assert told(context) == [(CRITICAL, f"{PLACE}: no such file or directory; mail is deferred")]


def test_what_simscan_asks_for_is_read_from_its_settings(tmp_path: Path) -> None:
    (tmp_path / "var/lib/clamav/tmp").mkdir(parents=True)
    (tmp_path / "var/lib/clamav/tmp").chmod(0o777)
    settings = f"clamd_temporary_directory {PLACE}\nclamd_reserve_bytes %d\nclamd_reserve_files 0\n"
    ((level, text),) = told(host(tmp_path, settings % MANY))
    assert (level, "simscan asks for 1125899906842624" in text) == (CRITICAL, True)
    ((level, text),) = told(host(tmp_path, settings % 1))
    assert (level, text.startswith("no warning about its settings; ")) == (OK, True)


def test_a_directory_into_which_clamd_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is deferred then, though there is room."""
    place = tmp_path / "var/lib/clamav/tmp"
    place.mkdir(parents=True)
    os.chown(place, 0, 0)
    place.chmod(0o700)
    monkeypatch.setattr(clamd, "_USER", "nobody")
    settings = f"clamd_temporary_directory {PLACE}\nclamd_reserve_bytes 1\nclamd_reserve_files 0\n"
    text = f"{PLACE}: nobody may not write there, it is 0700 root:root; mail is deferred"
    assert told(host(tmp_path, settings)) == [(CRITICAL, text)]
    for mode, uid, gid in ((0o700, NOBODY, 0), (0o370, 0, pwd.getpwnam("nobody").pw_gid), (0o703, 0, 0)):
        os.chown(place, uid, gid)
        place.chmod(mode)
        assert told(host(tmp_path, settings))[0][0] == OK, oct(mode)
    for mode, uid, gid in ((0o577, NOBODY, 0), (0o757, 0, pwd.getpwnam("nobody").pw_gid), (0o772, 0, 0)):
        os.chown(place, uid, gid)
        place.chmod(mode)
        assert told(host(tmp_path, settings))[0][0] == CRITICAL, oct(mode)


def test_nothing_is_watched_where_simscan_watches_nothing(tmp_path: Path) -> None:
    assert told(host(tmp_path, "deadline_seconds 120\n")) == [(OK, "no warning about its settings")]


def test_a_warning_about_the_settings_is_told(tmp_path: Path) -> None:
    assert told(host(tmp_path, "", f"{DEPRECATED}\nother words")) == [(WARNING, DEPRECATED)]


def test_an_option_that_clamd_does_not_know_any_more_is_told_with_its_line(tmp_path: Path) -> None:
    unknown = "ERROR: Parse error at /etc/clamav/clamd.conf:26: Unknown option StatsEnabled"
    said = f"{DEPRECATED}\n{unknown}\nERROR: Can't parse clamd configuration file /etc/clamav/clamd.conf"
    assert told(host(tmp_path, "", said)) == [(WARNING, DEPRECATED), (CRITICAL, unknown)]


def test_without_clamdscan(tmp_path: Path) -> None:
    """Mail does not need it."""
    context = host(tmp_path, "")
    (tmp_path / "usr/local/bin/clamdscan").unlink()
    ((level, text),) = told(context)
    assert (level, text.startswith("clamdscan: ")) == (WARNING, True)
