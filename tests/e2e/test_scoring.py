# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scoring is alive: each kind of evidence is found by the name of its rule, in mail through the gateway.

The world that SpamAssassin asks is djbdns's tinydns on 198.18.0.53, behind the gateway's own cache where
there is one.  Clients come from the benchmark network, because addresses of the documentation networks are
illegal in a Received line and score for that.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.gateway import Bed, submit_again
from support.name_servers import ROOT_ZONE, resolving, txt, world
from support.spamd import Spamd, Verdict, verdict

LEARNED_SECONDS = 20.0
ARRIVAL_SECONDS = 30.0
LISTS = "etc/mail/spamassassin"

# Each in a network of its own as far as lists are concerned; 198.19.1.0/24 is greylisted as one.
GOOD, OTHER, NAMELESS, LISTED, FRIEND, LIAR = (f"198.19.1.{number}" for number in (5, 6, 7, 66, 8, 9))

_numbers = itertools.count(1)


def letter(
    sender: str = "ann@sender.example",
    subject: str = "a letter",
    body: str = "Morning, all is well.\r\n",
) -> bytes:
    """Return a message that differs from every other one."""
    name = f"scoring-{os.getpid()}-{time.time_ns()}-{next(_numbers)}"
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    head = f"From: Ann <{sender}>\r\nTo: alice@example.test\r\nSubject: {subject}\r\nDate: {date}\r\n"
    return f"{head}Message-ID: <{name}@sender.example>\r\nX-Row: {name}\r\n\r\n{body}".encode()


class Scoring:
    """The gateway, and what SpamAssassin says of mail that goes through it."""

    def __init__(self, spamd: Spamd, signed: bytes) -> None:
        self.spamd, self.bed = spamd, spamd.bed
        self.signed = signed

    def judge(self, content: bytes, who: str = GOOD, sender: str = "ann@sender.example") -> Verdict:
        """Return the verdict on a message of a client that comes back when it is greylisted."""
        reply = submit_again(content, "alice@example.test", sender, who)
        assert reply.startswith("250 "), reply
        found = re.search(rb"^X-Row: ([^\r\n]*)", content, re.MULTILINE)
        mark = b"X-Row: " + (found[1] if found else b"?") + b"\r\n"
        got = self.bed.mailroom.claim(lambda delivery: mark in delivery.content, ARRIVAL_SECONDS)
        assert got, f"the message did not arrive within {ARRIVAL_SECONDS:.0f} s"
        return verdict(got.content)

    def as_spamd(self, *argv: str, text: str = "") -> str:
        prefix = ("env", "HOME=/var/lib/spamd", "setuidgid", "spamd")
        status, said, trouble = self.bed.inside(*prefix, *argv, text=text, within_seconds=300)
        assert status == 0, said + trouble
        return said

    @contextmanager
    def operator_list(self, name: str, text: str) -> Iterator[None]:
        """Give the operator's list this text, as if the operator had let spamd read it."""
        path = self.bed.root / LISTS / name
        kept = path.read_bytes()
        try:
            path.write_text(text)
            self.spamd.reload()
            yield
        finally:
            path.write_bytes(kept)
            self.spamd.reload()


def world_data(public_key: str) -> list[str]:
    reverse = ".".join(reversed(LISTED.split(".")))
    return [
        *ROOT_ZONE,
        f"=mail.sender.example:{GOOD}:1",
        f"=mail.other.example:{OTHER}:1",
        f"=mail.listed.example:{LISTED}:1",
        f"=mail.friend.example:{FRIEND}:1",
        f"=mail.liar.example:{LIAR}:1",
        txt("strict.example", f"v=spf1 ip4:{GOOD} -all"),
        f"@strict.example:{GOOD}:mail:10:1",
        txt("s._domainkey.signed.example", f"v=DKIM1; k=rsa; p={public_key}"),
        f"+{reverse}.zen.spamhaus.org:127.0.0.4:1",
        "+dbltest.com.dbl.spamhaus.org:127.0.1.2:1",
    ]


@pytest.fixture(scope="module")
def scoring(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scoring]:
    if not (bed.root / "service" / "spamd").is_symlink():
        pytest.skip("this gateway has no spamd")
    spamd = Spamd(bed)
    message = letter("ann@signed.example").decode()
    signed = spamd.signed(message, "signed.example")
    place = tmp_path_factory.mktemp("world")
    place.parent.chmod(0o755)
    with world(place, world_data(spamd.public_key)), resolving(bed):
        one = Scoring(spamd, signed.encode())
        spamd.reload()
        yield one
    spamd.reload()


def test_a_sender_whose_domain_permits_the_client_passes_spf(scoring: Scoring) -> None:
    rules = scoring.judge(letter("ann@elsewhere.example"), GOOD, "ann@strict.example").rules
    assert {"SPF_PASS"} <= rules and "SPF_FAIL" not in rules


def test_a_sender_whose_domain_does_not_permit_the_client_fails_spf(scoring: Scoring) -> None:
    rules = scoring.judge(letter("ann@elsewhere.example"), OTHER, "ann@strict.example").rules
    assert {"SPF_FAIL"} <= rules and "SPF_PASS" not in rules


def test_spf_judges_the_envelope_and_no_field_that_the_sender_wrote(scoring: Scoring) -> None:
    forged = b"Return-Path: <ann@strict.example>\r\nX-Envelope-From: <ann@strict.example>\r\n"
    rules = scoring.judge(forged + letter("ann@strict.example"), OTHER, "ann@sender.example").rules
    assert not rules & {"SPF_PASS", "SPF_FAIL"}


def test_a_signature_is_verified(scoring: Scoring) -> None:
    assert {"DKIM_VALID", "DKIM_VALID_AU"} <= scoring.judge(scoring.signed, GOOD).rules


def test_a_changed_message_has_no_valid_signature(scoring: Scoring) -> None:
    changed = scoring.signed.replace(b"all is well", b"all is lost").replace(b"X-Row: ", b"X-Row: changed-")
    rules = scoring.judge(changed, GOOD).rules
    assert "DKIM_SIGNED" in rules and "DKIM_VALID" not in rules


def test_a_client_on_a_list_is_found(scoring: Scoring) -> None:
    assert "RCVD_IN_XBL" in scoring.judge(letter(), LISTED).rules
    assert "RCVD_IN_XBL" not in scoring.judge(letter(), GOOD).rules


def test_a_link_on_a_list_is_found(scoring: Scoring) -> None:
    listed = letter(body="See http://dbltest.com/offer for all of it.\r\n")
    assert "URIBL_DBL_SPAM" in scoring.judge(listed, GOOD).rules
    assert "URIBL_DBL_SPAM" not in scoring.judge(letter(body="See http://mail.test/ too.\r\n"), GOOD).rules


def test_only_a_client_without_a_name_is_nameless(scoring: Scoring) -> None:
    assert "RDNS_NONE" in scoring.judge(letter(), NAMELESS).rules
    assert "RDNS_NONE" not in scoring.judge(letter(), GOOD).rules


def test_the_operators_friend_must_come_from_his_own_host(scoring: Scoring) -> None:
    with scoring.operator_list("whitelist.cf", "whitelist_from_rcvd *@friend.example friend.example\n"):
        welcome = scoring.judge(letter("bob@friend.example"), FRIEND, "bob@friend.example")
        forged = scoring.judge(letter("bob@friend.example"), LIAR, "bob@friend.example")
    assert "USER_IN_WELCOMELIST" in welcome.rules and welcome.score < -50
    assert "USER_IN_WELCOMELIST" not in forged.rules


def test_whom_the_operator_blocks_is_spam(scoring: Scoring) -> None:
    text = "blocklist_from *@nuisance.example\nscore USER_IN_BLOCKLIST 6\n"
    with scoring.operator_list("blocklist.cf", text):
        rules = scoring.judge(letter("eve@nuisance.example"), GOOD, "eve@nuisance.example").rules
    assert "USER_IN_BLOCKLIST" in rules


def test_what_was_learned_counts(scoring: Scoring) -> None:
    spam = "quartzbat umbrellafig zephyrnut lotterygum casinopod pillowjam rolexhen viagraelk"
    ham = "meetingoak ledgerfox protocolivy agendafern minutesbee invoicelark budgetrye reviewsloe"

    def learn(kind: str, words: str) -> None:
        letters = (
            f"From x Thu Jan  1 00:00:00 2026\nFrom: p{number}@learn.example\nSubject: {words} {number}\n"
            f"Message-ID: <{words[:5]}{number}@learn.example>\n\n{words} number {number}\n{words[::-1]}\n\n"
            for number in range(200)
        )
        said = scoring.as_spamd("sa-learn", kind, "--mbox", "-", text="".join(letters))
        assert "Learned tokens from 200" in said, said

    high = {"BAYES_99", "BAYES_95", "BAYES_80"}
    scoring.as_spamd("sa-learn", "--clear")  # what earlier tests taught it would dilute this
    try:
        learn("--spam", spam)
        learn("--ham", ham)
        scoring.as_spamd("sa-learn", "--sync")
        deadline = time.monotonic() + LEARNED_SECONDS
        while True:
            bad = scoring.judge(letter(subject=spam, body=f"{spam}\r\n{spam[::-1]}\r\n")).rules
            if bad & high or time.monotonic() > deadline:
                break
        good = scoring.judge(letter(subject=ham, body=f"{ham}\r\n{ham[::-1]}\r\n")).rules
    finally:
        scoring.as_spamd("sa-learn", "--clear")
    assert bad & high, bad
    assert "BAYES_00" in good


def test_a_senders_earlier_scores_count(scoring: Scoring) -> None:
    sender = f"carol{os.getpid()}{time.time_ns()}@reputation.example"
    first = scoring.judge(letter(sender, body="See http://dbltest.com/offer for all.\r\n"), LISTED, sender)
    later = [scoring.judge(letter(sender), LISTED, sender) for _ in range(2)]
    assert "TXREP" in later[-1].rules, (first, later)
