# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every sample line of qmail-send's log parses as it says, and every form has a sample."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import send_log as sendlog
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "sendlog"
AT = 1_732_485_528_456_088_708
LABEL = "@400000006743a1a21b2f5c84"


def samples() -> list[tuple[str, list[str]]]:
    """Each sample line with what stands below it."""
    found: list[tuple[str, list[str]]] = []
    for path in sorted(FIXTURES.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.startswith("@"):
                found.append((line, []))
            elif line and not line.startswith("#"):
                found[-1][1].append(line)
    return found


SAMPLES = samples()


@pytest.mark.parametrize(("line", "expected"), SAMPLES, ids=[str(at) for at in range(len(SAMPLES))])
def test_a_sample(line: str, expected: list[str]) -> None:
    form, record = sendlog.classify(line)
    assert expected, f"no expectation for {line!r}"
    if record is None:
        assert expected == ["-"]
        return
    values = asdict(record)
    assert values.pop("at") == AT
    assert expected == [f"= {form}: {type(record).__name__} {json.dumps(values)}"]
    assert sendlog.parse(line) == record


def test_every_form_and_every_kind_of_record_has_a_sample() -> None:
    assert {sendlog.classify(line)[0] for line, _expected in SAMPLES} - {""} == set(sendlog.PATTERNS)
    kinds = {type(sendlog.parse(line)) for line, _expected in SAMPLES}
    assert kinds - {type(None)} == set(sendlog.Record.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "198.18.0.10_accepted_message./Remote_host_said:_250_ok/",
            "198.18.0.10 accepted message. / Remote host said: 250 ok",
        ),
        (
            "10.0.0.5_ok./tls=TLSv1.3/TLS_AES_256_GCM_SHA384,verify/Remote_host_said:_250_ok/",
            "10.0.0.5 ok. / tls=TLSv1.3/TLS_AES_256_GCM_SHA384,verify / Remote host said: 250 ok",
        ),
        (
            "10.0.0.5_ok./tls=TLSv1.3/TLS_AES_256_GCM_SHA384,mta-sts/Remote_host_said:_250_ok/",
            "10.0.0.5 ok. / tls=TLSv1.3/TLS_AES_256_GCM_SHA384,mta-sts / Remote host said: 250 ok",
        ),
        (
            "198.18.0.10_accepted_message./tls=none,may,the_handshake_failed/Remote_host_said:_250_ok/",
            "198.18.0.10 accepted message. / tls=none,may,the handshake failed / Remote host said: 250 ok",
        ),
        (
            "198.18.0.10_accepted_message./Remote_host_said:_250./tls=TLSv1.3/A_B,verify/",
            "198.18.0.10 accepted message. / Remote host said: 250. / tls=TLSv1.3 / A B,verify",
        ),
        ("did_1+0+0/", "did 1+0+0"),
        ("//", ""),
        ("", ""),
    ],
)
def test_a_report_in_words(text: str, expected: str) -> None:
    assert sendlog.words(text) == expected


@given(st.text(), st.text())
def test_no_sender_and_no_recipient_can_be_more_than_a_word(sender: str, recipient: str) -> None:
    """What qmail-send makes of strangers' text comes back as that one field."""
    info = sendlog.parse(f"{LABEL} info msg 7: bytes 8 from <{sendlog.field(sender)}> qp 9 uid 10")
    assert info == sendlog.MessageInfo(AT, 7, 8, sendlog.field(sender), 9, 10)
    begun = sendlog.parse(f"{LABEL} starting delivery 1: msg 7 to remote {sendlog.field(recipient)}")
    assert begun == sendlog.DeliveryStarted(AT, 1, 7, "remote", sendlog.field(recipient))
