# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of recipient domains: two domains with different limits, and which recipients share a message."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.domain_rules import (
    rule_text,
    site_rules,
    wrong_line,
)
from support.conversations import COME_BACK, IS_SPAM, OFFICE, OK, OTHER_RULE, STRANGER, message
from support.gateway import Bed, matches, submit
from support.session_watch import UNCERTAIN, asked, begun, verdict
from support.smtp_client import stuffed

ONE, TWO = "alice@example.test", "joe@example.org"
NEW, NEWER = "198.19.77.5", "198.19.78.5"  # of networks that nobody else is of
ARRIVAL_SECONDS = 30.0

Rules = Callable[..., None]


@pytest.fixture
def rules(bed: Bed) -> Iterator[Rules]:
    """Give example.test and example.org rules, as the role writes them; those of the site come back."""
    path = bed.root / "var/qmail/control/domainrules"
    kept = path.read_bytes()
    assert wrong_line(kept.decode()) == "", "the role has written a file that no program would read"

    def write(one: object = None, two: object = None) -> None:
        domains = [{"name": "example.test", "spam": one}, {"name": "example.org", "spam": two}]
        found, faults = site_rules(domains)
        assert faults == []
        replace(path, rule_text(found).encode())

    yield write
    replace(path, kept)


def replace(path: Path, content: bytes) -> None:
    """Write it as the role does: another file in its place."""
    fresh = path.with_name("domainrules.new")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.rename(path)


def letter(name: str, *fields: str) -> bytes:
    """Return a message that SpamAssassin marks, and the site does not refuse."""
    text = message(f"{name}-{os.getpid()}-{time.time_ns()}")
    text = text.replace(b"Subject: ", b"Subject: please-mark-this ")
    return text.replace(b"\r\n\r\n", b"".join(b"\r\n" + one.encode() for one in fields) + b"\r\n\r\n", 1)


def arrived(bed: Bed, content: bytes) -> bytes:
    """Return the header of a message that arrives."""
    found = re.search(rb"^X-Row: [^\r\n]*\r\n", content, re.MULTILINE)
    assert found
    row = found[0]
    got = bed.mailroom.claim(lambda delivery: row in delivery.content, ARRIVAL_SECONDS)
    assert got, f"{row!r} did not arrive within {ARRIVAL_SECONDS:.0f} s"
    return got.content.partition(b"\r\n\r\n")[0] + b"\r\n"


def send(content: bytes, to: str, who: str = STRANGER) -> str:
    return submit(content, to, who=who)


def test_two_domains_have_different_limits(bed: Bed, rules: Rules) -> None:
    rules({"reject": 4, "mark": 3}, {"reject": 100, "mark": 50})
    text = letter("limits")
    reply = send(text, ONE)
    assert matches(IS_SPAM, reply), reply
    assert send(text, TWO).startswith("250 ")
    head = arrived(bed, text)
    assert re.search(rb"^X-Spam-Status: No, score=[0-9.]+ required=50\.0\s", head, re.MULTILINE), head
    assert b"X-Spam-Flag" not in head and b"\r\nSubject: please-mark-this " in head
    rules()
    assert send(text, ONE).startswith("250 ")
    head = arrived(bed, text)
    assert b"X-Spam-Flag: YES\r\n" in head and re.search(rb"\brequired=5\.0\s", head), head


def test_a_domain_marks_with_a_tag_of_its_own(bed: Bed, rules: Rules) -> None:
    rules({"mark": 0.1, "reject": 100, "subject_tag": "[Test]"}, {"subject_tag": "[Org]"})
    for to, words in ((ONE, rb"required=0\.1\s"), (TWO, rb"required=5\.0\s")):
        text = letter("tag")
        assert send(text, to).startswith("250 ")
        head = arrived(bed, text)
        tag = b"[Test]" if to == ONE else b"[Org]"
        assert b"\r\nSubject: " + tag + b" please-mark-this " in head
        assert b"X-Spam-Flag: YES\r\n" in head and re.search(rb"\bscore=[0-9.]+ " + words, head)


def test_a_domain_refuses_attachments_of_its_own(bed: Bed, rules: Rules) -> None:
    rules({"attachment_suffixes": [".iso"], "reject": 100}, {"reject": 100})
    text = letter("iso", "Content-Disposition: attachment; filename=disk.iso")
    reply = send(text, ONE)
    assert matches("554 *bad attachment: disk.iso*", reply), reply
    assert send(text, ONE, OFFICE).startswith("554 ")
    assert send(text, TWO).startswith("250 ")
    arrived(bed, text)


@contextmanager
def one_message(who: str, first: str) -> Iterator[Callable[[str], str]]:
    with begun(who) as session:
        assert asked(session, first) == OK
        yield lambda recipient: asked(session, recipient)


@pytest.mark.patch("99-transaction-rules")
def test_recipients_of_another_rule_come_by_themselves(bed: Bed, rules: Rules) -> None:
    rules({"reject": 100}, {"reject": 90})
    text = letter("by-itself")
    with begun(STRANGER) as session:
        assert [asked(session, to) for to in (ONE, TWO, "bob@example.test", TWO)] == [
            OK,
            OTHER_RULE,
            OK,
            OTHER_RULE,
        ]
        session.send(b"DATA\r\n")
        assert session.reply().startswith("354 ")
        session.send(stuffed(text))
        assert session.reply().startswith("250 ")
        session.send(b"MAIL FROM:<ann@sender.example>\r\n")
        assert session.reply() == OK
        assert [asked(session, to) for to in (TWO, ONE)] == [OK, OTHER_RULE]
    for _recipient in ("alice", "bob"):
        arrived(bed, text)


def test_each_try_makes_progress(bed: Bed, rules: Rules) -> None:
    """A sender that tries again those that were put off, in their order, needs a message for each rule."""
    rules({"reject": 100}, {"reject": 90})
    text = letter("again")
    left = [TWO, ONE, "ann@example.org", "bob@example.test", "eve@example.org"]
    counts = []
    while left:
        with begun(STRANGER) as session:
            said = {to: asked(session, to) for to in left}
            assert set(said.values()) <= {OK, OTHER_RULE} and said[left[0]] == OK
            session.send(b"DATA\r\n")
            assert session.reply().startswith("354 ")
            session.send(stuffed(text))
            assert session.reply().startswith("250 ")
        left = [to for to in left if said[to] != OK]
        counts.append(len(said) - len(left))
    assert counts == [3, 2]
    for dummy in range(sum(counts)):
        arrived(bed, text)


@pytest.mark.patch("99-transaction-rules")
def test_recipients_of_one_rule_share_a_message(bed: Bed, rules: Rules) -> None:
    rules({"reject": 90}, {"reject": 90.0})
    with one_message(STRANGER, ONE) as rcpt:
        assert rcpt(TWO) == OK
    rules()
    with one_message(STRANGER, TWO) as rcpt:
        assert rcpt(ONE) == OK
    # a domain without a rule of its own is judged by the site's
    rules({"reject": 90})
    with one_message(STRANGER, TWO) as rcpt:
        assert rcpt(ONE) == OTHER_RULE
    # of relay clients only attachments are judged by rules
    with one_message(OFFICE, TWO) as rcpt:
        assert (rcpt(ONE), rcpt("somebody@else.where")) == (OK, OK)
    rules({"attachment_suffixes": [".iso"]})
    with one_message(OFFICE, "somebody@else.where") as rcpt:
        assert (rcpt(ONE), rcpt(TWO)) == (OTHER_RULE, OK)


def test_a_domain_takes_mail_of_new_networks(bed: Bed, rules: Rules) -> None:
    if bed.front != "smtpfront":
        pytest.skip("cqgreylist stands before recipients are known")
    for network in ("198.19.77", "198.19.78"):  # from when this ran before
        for file in (bed.root / "var/qmail/cqgreylist").rglob(f"{network}.*"):
            file.unlink()
    rules({"greylist": False, "reject": 100})
    with begun(NEW) as session:
        assert matches(COME_BACK, asked(session, TWO))
        assert asked(session, ONE) == OK
        assert matches(COME_BACK, asked(session, TWO))
    rules()
    with begun(NEWER) as session:
        assert matches(COME_BACK, asked(session, ONE))


@pytest.mark.patch("99-transaction-rules")
@pytest.mark.parametrize(
    "content", [b"", b"rule\nreject 4\ndomain example.test\n", b"\0" * 500, b"rule\ncolour x\nend\n"]
)
def test_rules_that_cannot_be_used_put_off_everybody(bed: Bed, rules: Rules, content: bytes) -> None:
    path = bed.root / "var/qmail/control/domainrules"
    replace(path, content)
    assert [verdict(STRANGER, ONE), verdict(STRANGER, TWO), verdict(OFFICE, ONE)] == [UNCERTAIN] * 3
    rules()
    assert verdict(STRANGER, ONE) == OK
