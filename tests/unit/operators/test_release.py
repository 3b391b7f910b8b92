# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of a kept copy: once, to nobody else, and what simscan's end means."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput, TryAgain
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.refused_copy import Head
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import release
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.release import (
    BEGUN,
    DONE,
    FAILED,
    UNKNOWN,
    Outcome,
    Record,
    Records,
    Said,
    Scanner,
)

NAME = "0123456789abcdef"
NOW = 1_790_000_000


@pytest.mark.parametrize(
    ("record", "again", "words"),
    [
        (None, False, ""),
        (Record(FAILED, NOW, "bob"), False, ""),
        (Record(DONE, NOW, "bob"), False, "a copy is delivered once"),
        (Record(DONE, NOW, "bob"), True, "was released 2026-09-21 14:13:20 UTC by bob"),
        (Record(BEGUN, NOW, "bob"), False, "was interrupted: it may have been delivered"),
        (Record(UNKNOWN, NOW, "bob"), False, "release it with --again if it was not"),
        (Record(BEGUN, NOW, "bob"), True, ""),
        (Record(UNKNOWN, NOW, "bob"), True, ""),
    ],
)
def test_a_copy_is_released_once(record: Record | None, again: bool, words: str) -> None:
    found = release.fault(record, again=again)
    assert words in found and bool(words) == bool(found)


def test_records_survive_and_those_of_lost_copies_go(tmp_path: Path) -> None:
    records = Records(str(tmp_path / "released"))
    assert records.read(NAME) is None
    records.write(NAME, Record(BEGUN, NOW, "bob"))
    records.write(NAME, Record(DONE, NOW, "bob", "queued"))
    records.write("f" * 16, Record(FAILED, NOW, "eve"))
    assert Records(str(tmp_path / "released")).read(NAME) == Record(DONE, NOW, "bob", "queued")
    records.forget_others([NAME])
    assert [one.name for one in (tmp_path / "released").iterdir()] == [NAME]
    with pytest.raises(BadInput, match="is not a name"):
        records.read("../audit.jsonl")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "done"}', '{"stage": "x", "at": 1, "by": "b"}'])
def test_a_record_that_makes_no_sense_means_that_it_may_have_been_delivered(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / NAME).write_text(text)
    found = Records(str(tmp_path)).read(NAME)
    assert found is not None and found.stage == UNKNOWN


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Said(0, "Kqp 4711", "simscan:[1]:RELAYCLIENT:…"), Outcome(DONE, "queued (qp 4711)")),
        (Said(0, "", ""), Outcome(DONE, "queued")),
        (
            Said(82, "DYour email was rejected because it contains the X virus", "…"),
            Outcome(FAILED, "Your email was rejected because it contains the X virus"),
        ),
        (Said(31, "", "simscan:[1]:VIRUS:…"), Outcome(FAILED, "simscan:[1]:VIRUS:…")),
        (Said(71, "", "put off for (null): clamd: no socket"), Outcome(FAILED, "put off for (null): clamd: no socket", temporary=True)),
        (Said(-15, "", ""), Outcome(FAILED, "simscan ended with -15", temporary=True)),
        (Said(53, "", "qmail-queue exited with status 53"), Outcome(FAILED, "qmail-queue exited with status 53", temporary=True)),
        (Said(71, "", "qmail-queue cannot be started: no"), Outcome(FAILED, "qmail-queue cannot be started: no", temporary=True)),
        (Said(52, "", "qmail-queue did not end in time"), Outcome(UNKNOWN, "qmail-queue did not end in time", temporary=True)),
        (Said(71, "", "qmail-queue was ended by signal 9"), Outcome(UNKNOWN, "qmail-queue was ended by signal 9", temporary=True)),
        (Said(-9, "", ""), Outcome(UNKNOWN, "simscan ended with -9", temporary=True)),
        (Said(-11, "", "x"), Outcome(UNKNOWN, "x", temporary=True)),
    ],
)  # fmt: skip
def test_only_what_is_certain_can_be_tried_again(said: Said, expected: Outcome) -> None:
    assert release.outcome(said) == expected


@pytest.mark.parametrize(
    ("recipient", "served"),
    [
        (b"a@example.com", True),
        (b"a@EXAMPLE.com", True),
        (b"b@x.deep.example.net", True),
        (b"a@deep.example.net", False),
        (b"a@sub.example.com", False),
        (b"a@else.where", False),
        (b"a@example.com@else.where", False),
        (b"a@else.where@example.com", True),
        (b"postmaster", True),
        (b"", False),
        (b"a@", False),
        (b"\xff@else.where", False),
        (b"a@#", False),
    ],
)
def test_a_release_is_no_relay(recipient: bytes, served: bool) -> None:
    accepted = frozenset(("example.com", ".deep.example.net"))
    assert release.served(recipient, accepted) is served


def test_the_mark_is_one_field_of_ascii() -> None:
    head = Head("SPAM", NOW, 1, 1, 15.32, 10.0)
    line = release.mark(NAME, head, NOW + 60).decode("ascii")
    assert line == (
        f"X-Mailgate-Released: {NAME}; refused 2026-09-21 14:13:20 UTC as spam, score 15.32; "
        "released 2026-09-21 14:14:20 UTC\n"
    )
    assert "as virus;" in release.mark(NAME, Head("VIRUS", NOW, 1, 1), NOW).decode("ascii")


def scanner(place: Path, text: str, seconds: float = 20.0) -> Scanner:
    program = place / "simscan"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return Scanner(str(program), user="", seconds=seconds)


def test_simscan_gets_what_a_mail_session_gives_it_and_may_relay(tmp_path: Path) -> None:
    text = f"""
cat >{tmp_path}/message
cat <&1 >{tmp_path}/envelope
env >{tmp_path}/environment
echo first >&2
echo last >&2
echo 'Kqp 7' >&4
exit 0"""
    said = scanner(tmp_path, text).run(b"A: b\n\n\0c\n", b"Fa\0Tb\0\0")
    assert said == Said(0, "Kqp 7", "last")
    assert (tmp_path / "message").read_bytes() == b"A: b\n\n\0c\n"
    assert (tmp_path / "envelope").read_bytes() == b"Fa\0Tb\0\0"
    lines = (tmp_path / "environment").read_text().splitlines()
    assert {line for line in lines if not line.startswith(("PWD=", "_=", "SHLVL="))} == {
        "RELAYCLIENT=",
        "PATH=/usr/local/bin:/usr/bin:/bin",
    }


def test_a_refusal_comes_with_its_text(tmp_path: Path) -> None:
    said = scanner(tmp_path, "printf 'Dvirus' >&4; exit 82").run(b"x", b"y")
    assert (said.status, said.text) == (82, "Dvirus")


def test_one_that_hangs_is_ended_and_nothing_waits_for_its_children(tmp_path: Path) -> None:
    said = scanner(tmp_path, "sleep 30 & exec sleep 30", seconds=0.2).run(b"x", b"y")
    assert release.outcome(said) == Outcome(FAILED, "simscan ended with -15", temporary=True)


def test_without_program_or_user_nothing_is_released(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match="nothing was released"):
        Scanner(str(tmp_path / "none"), user="no-such-user-here").run(b"x", b"y")
    said = Scanner(str(tmp_path / "none"), user="").run(b"x", b"y")
    assert (said.status, release.outcome(said).stage) == (127, FAILED)
