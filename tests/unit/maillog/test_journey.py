# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of records: kinds, words, and which queued message belongs to which scanned one."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import send_log as sendlog
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import smtpd_log as smtplog
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import (
    inference,
    journey,
    verdicts,
)

AT = 1_795_000_000 * 10**9
LABEL = "@400000006743a1a21b2f5c84"


def verdict(state: str, tail: str = "Hello:192.0.2.7:a@b.example:c@d.example") -> smtplog.Verdict:
    record = smtplog.parse(f"{LABEL} simscan:[7]:{state}:0.1s:{tail}")
    assert isinstance(record, smtplog.Verdict)
    return record


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("CLEAN (1.20/5.00/10.00)", verdicts.CLEAN),
        ("CLEAN (4.99/5.00/10.00)", verdicts.CLEAN),
        ("CLEAN (5.00/5.00)", verdicts.MARKED),
        ("CLEAN (0.00/0.00/0.00)", verdicts.UNCHECKED),
        ("CLEAN (nan/5.00/10.00)", verdicts.UNCHECKED),
        ("SPAM PASS (7.10/5.00/10.00)", verdicts.MARKED),
        ("PASSTHRU (17.10/5.00/10.00)", verdicts.MARKED),
        ("SPAM REJECT (17.10/5.00/10.00)", verdicts.SPAM),
        ("SPAM DROPPED (17.10/5.00)", verdicts.SPAM),
        ("VIRUS", verdicts.VIRUS),
        ("VIRUS DROPPED", verdicts.VIRUS),
        ("ATTACH", verdicts.CONTENT),
        ("REGEX", verdicts.CONTENT),
        ("HEURISTIC", verdicts.CONTENT),
        ("LIMIT", verdicts.LIMIT),
        ("RELAYCLIENT", verdicts.RELAYED),
    ],
)
def test_kinds(state: str, kind: str) -> None:
    assert verdicts.meaning(verdict(state)) == kind


@pytest.mark.parametrize(
    ("scanned", "queued", "fit"),
    [
        (["a@b"], ["a@b"], 2),
        (["a@b", "c@d"], ["C@d", "A@b"], 2),
        (["a@b", "c@d"], ["a@b"], 1),
        (["a@b"], ["c@d"], 0),
        (["postmaster"], ["postmaster@mx1.example.test"], 2),
        (["postmaster"], ["hostmaster@mx1.example.test"], 0),
        (["a%b@c", "x_y@d"], ["a_b@c", "x:y@d"], 2),
        (["a@b", "..."], ["a@b", "c@d"], 1),
        (["..."], ["c@d"], 1),
    ],
)
def test_recipients(scanned: list[str], queued: list[str], fit: int) -> None:
    assert inference.recipients_fit(scanned, queued) == fit


def message(sender: str, seconds: float, *recipients: str, pid: int = 100, uid: int = 997) -> journey.Message:
    at = AT + int(seconds * 10**9)
    made = journey.Message(1, at, 620, sender, pid, uid)
    made.deliveries = [journey.Delivery(1, "remote", one, at) for one in recipients]
    return made


def accepted(sender: str, *recipients: str) -> journey.Attempt:
    return journey.Attempt(AT, verdicts.CLEAN, "", sender, recipients)


@pytest.mark.parametrize(
    ("messages", "place", "why"),
    [
        ([], None, ""),
        ([message("a@b", 0.01, "c@d")], 0, "same sender and recipients, 0.010 s apart"),
        ([message("A@B", -0.5, "C@d")], 0, "same sender and recipients, 0.500 s apart"),
        ([message("a@x", 0, "c@d")], None, ""),
        ([message("a@b", 0, "x@d")], None, ""),
        ([message("a@b", 0, "c@d", uid=1)], None, ""),
        ([message("a@b", 1801, "c@d")], None, ""),
        ([message("a@b", 0.01)], 0, "same sender, 0.010 s apart"),
        # The recipients tell more than the time.
        (
            [message("a@b", 0.01, "c@d", "e@f"), message("a@b", 9, "c@d")],
            1,
            "same sender and recipients, 9.000 s apart",
        ),
        (
            [message("a@b", 5, "c@d"), message("a@b", 2, "c@d")],
            1,
            "same sender and recipients, 2.000 s apart",
        ),
        # Two at once: said, and decided by the pid that comes next.
        (
            [message("a@b", 0.1, "c@d", pid=99), message("a@b", 0.1, "c@d", pid=75)],
            1,
            "same sender and recipients, 0.100 s apart, the nearest of 2",
        ),
    ],
)
def test_which_message_it_became(messages: list[journey.Message], place: int | None, why: str) -> None:
    found = inference.match(accepted("a@b", "c@d"), 70, messages, 997)
    assert found == (None if place is None else (place, why))


def delivery(recipient: str, result: str, text: str = "", channel: str = "remote") -> journey.Delivery:
    return journey.Delivery(1, channel, recipient, AT, AT + 1 if result else None, result, text)


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        ([], [(journey.OPEN, "queued, no delivery yet")]),
        ([delivery("a@b", "")], [(journey.OPEN, "delivery to a@b has not ended")]),
        ([delivery("a@b", "success", "ok_250/")], [(journey.DELIVERED, "delivered to a@b (ok 250)")]),
        ([delivery("a@b", "mangled")], [(journey.DEFERRED, "deferred for a@b")]),
        (
            [delivery("a@b", "deferral", "no/"), delivery("a@b", "deferral", "later/")],
            [(journey.DEFERRED, "deferred 2 times for a@b (later)")],
        ),
        (
            [
                delivery("a@b", "deferral", "no/"),
                delivery("c@d", "failure", "never/"),
                delivery("a@b", "success"),
            ],
            [(journey.DELIVERED, "delivered to a@b"), (journey.BOUNCED, "bounced for c@d (never)")],
        ),
    ],
)
def test_outcomes(deliveries: list[journey.Delivery], expected: list[tuple[str, str]]) -> None:
    assert journey.Message(1, deliveries=deliveries).outcomes() == expected


def test_the_outcome_says_that_a_bounce_is_withheld() -> None:
    tries = [delivery("a@b", "success"), delivery("c@d", "failure", "never/")]
    message = journey.Message(1, deliveries=tries, withheld=[(AT + 2, "spam")])
    assert message.outcomes() == [
        (journey.DELIVERED, "delivered to a@b"),
        (journey.WITHHELD, "failed for c@d (never); no bounce: spam"),
    ]
    assert journey.Step(AT + 2, "qmail-send", "bounce of message 1 withheld: spam") in message.steps()


@pytest.mark.parametrize(
    ("text", "channel", "pids"),
    [
        ("did_0+1+0/qp_4301/", "local", [4301]),
        ("did_0+2+0/qp_4301/qp_4302/", "local", [4301, 4302]),
        ("did_1+0+0/", "local", []),
        # A back end's words are not forwarding.
        ("198.18.0.10_accepted_message./Remote_host_said:_250_ok_1_qp_4301/", "remote", []),
    ],
)
def test_forwarded(text: str, channel: str, pids: list[int]) -> None:
    assert journey.forwarded_pids(delivery("a@b", sendlog.SUCCESS, text, channel)) == pids


def test_a_session_says_what_it_is() -> None:
    session = journey.Session(7)
    assert session.add(smtplog.Connected(AT, 7, "192.0.2.7"))
    assert not session.add(smtplog.SessionCount(AT, 1, 120))
    assert journey.Journey(session).verdicts() == [(journey.OPEN, "the session is open")]
    assert session.add(smtplog.Ended(AT + 1, 7, 256))
    assert journey.Journey(session).verdicts() == [(journey.NOTHING, "no message was taken")]
    assert [step.words for step in session.steps] == [
        "connection from 192.0.2.7",
        "connection closed, status 256",
    ]


def test_the_address_of_the_session_decides_how_a_verdict_is_read() -> None:
    attached = verdict("ATTACH", "x:203.0.113.9:y.exe:192.0.2.7:a@b.example:joe@example.com")
    assert journey.fields_of(attached, "192.0.2.7") == (
        "x:203.0.113.9:y.exe",
        "a@b.example",
        ("joe@example.com",),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("after 75", "75 seconds after its first contact"),
        ("after 75 pool example.com", "75 seconds after an attempt from another network of example.com"),
        ("strange", "strange"),
    ],
)
def test_why_a_network_passes_the_greylist(text: str, told: str) -> None:
    assert journey.why_it_passes(text) == told
