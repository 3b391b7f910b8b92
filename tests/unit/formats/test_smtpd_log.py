# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every sample line parses as it says, every form has a sample, and a stranger's text stays text."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import smtpd_log as smtplog

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "smtplog"
AT = 1_732_485_528_456_088_708
LABEL = "@400000006743a1a21b2f5c84"


def samples() -> list[tuple[str, list[str]]]:
    """Each sample line with what stands below it."""
    found: list[tuple[str, list[str]]] = []
    for path in sorted(FIXTURES.glob("*.txt")):
        # Not splitlines(): some samples hold what Unicode takes for the end of a line.
        for line in path.read_bytes().decode("utf-8").split("\n"):
            if line.startswith("@"):
                found.append((line, []))
            elif line and not line.startswith("#"):
                found[-1][1].append(line)
    return found


SAMPLES = samples()


@pytest.mark.parametrize(("line", "expected"), SAMPLES, ids=[str(at) for at in range(len(SAMPLES))])
def test_a_sample(line: str, expected: list[str]) -> None:
    form, record = smtplog.classify(line)
    assert expected, f"no expectation for {line!r}"
    if record is None:
        assert expected == ["-"]
        return
    assert record.at == AT
    # An id and a pid that the line does not have are left out.
    values = {one.name: getattr(record, one.name) for one in fields(record) if one.name != "at"}
    values = {name: value for name, value in values.items() if value != getattr(type(record), name, "?")}
    told = [f"= {form}: {type(record).__name__} {json.dumps(values)}"]
    if isinstance(record, smtplog.Verdict):
        told.append(f"= splits: {json.dumps(record.splits())}")
    assert told == expected
    assert smtplog.parse(line) == record or "nan" in line


def test_every_form_has_a_sample() -> None:
    assert {smtplog.classify(line)[0] for line, _expected in SAMPLES} - {""} == set(smtplog.PATTERNS)


def test_every_kind_of_record_has_a_sample() -> None:
    kinds = {type(smtplog.parse(line)) for line, _expected in SAMPLES}
    assert kinds - {type(None)} == set(smtplog.Record.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "label",
    [
        "",
        "@",
        "@4000000067",
        "x400000006743a1a21b2f5c84",
        "@400000006743a1a2ffffffff",  # more nanoseconds than a second has
        "@400000006743a1a2 b2f5c8g",
        "@400000006743a1a21b2f5c84x",
    ],
)
def test_a_line_without_a_label_says_nothing(label: str) -> None:
    assert smtplog.classify(f"{label} tcpserver: end 1 status 0") == ("", None)


def test_the_time_is_that_of_multilog() -> None:
    assert smtplog.unix_nanoseconds("@400000000000000a00000001 x") == 1
    assert smtplog.unix_nanoseconds(LABEL) == AT


def test_whose_line_it_can_be() -> None:
    def verdict(text: str) -> smtplog.Verdict:
        record = smtplog.parse(f"{LABEL} simscan:[7]:{text}")
        assert isinstance(record, smtplog.Verdict)
        return record

    clean = verdict('CLEAN (1.00/5.00/10.00):0.1s:Hi:192.0.2.7:"x:203.0.113.9:y"@b.example:joe@example.com')
    assert clean.is_of("192.0.2.7")
    assert not clean.is_of("203.0.113.9")
    attached = verdict("ATTACH:0.1s:x:203.0.113.9:y.exe:192.0.2.7:a@b.example:joe@example.com")
    assert attached.is_of("192.0.2.7")
    assert attached.is_of("203.0.113.9")  # only the pid can tell
    assert not attached.is_of("92.0.2.7")
