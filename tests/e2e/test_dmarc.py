# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DMARC: each policy, alignment by SPF and by DKIM, who is exempt, and a DNS that does not answer.

The world is tinydns behind the gateway's cache; spamd is asked as simscan asks it, and once through SMTP.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from support.gateway import Bed, submit_again
from support.name_servers import ROOT_ZONE, resolving, txt, world
from support.spamd import Spamd, verdict

GOOD, OTHER, FORWARDER = "198.19.1.5", "198.19.1.6", "198.19.1.20"
NO_SERVER = "198.19.1.77"  # of this host, and nothing listens there
ARRIVAL_SECONDS = 30.0
LINE = "x" * 76 + "\r\n"
PART_BYTES = 2097152  # spamassassin_message_limit_bytes
DMARC = {
    f"DMARC_{name}" for name in ("REJECT", "QUAR", "ALTERED", "UNKNOWN", "PASS", "NONE", "EXEMPT", "ARC")
}
POLICIES = {
    "reject.example": "v=DMARC1; p=reject",
    "quar.example": "v=DMARC1; p=quarantine; rua=mailto:d@quar.example",
    "none.example": "v=DMARC1; p=none",
    "broken.example": "v=DMARC1; p=rejekt",
    "above.example": "v=DMARC1; p=reject; sp=quarantine",
    "nobody.example": "v=DMARC1; p=reject; pct=0",
    "everybody.example": "v=DMARC1; p=quarantine; pct=100",
    "strict.example": "v=DMARC1; p=reject; adkim=s; aspf=s",
    "lame.example": "v=DMARC1; p=reject",
    "long.example": "v=DMARC1; p=reject",
}
OWN_KEYS = ("lame.example", "long.example")
LOCAL = f"""rbl_timeout 4 2
dmarc_exempt {FORWARDER}/32 2001:db8:77::/48 lists.example
dmarc_arc_trusted sealer.example
"""


@pytest.fixture(scope="module")
def spamd(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spamd]:
    if not (bed.root / "service" / "spamd").is_symlink():
        pytest.skip("this gateway has no spamd")
    one = Spamd(bed)
    key = f"v=DKIM1; k=rsa; p={one.public_key}"
    signers = (
        "sealer.example",
        "stranger.example",
        "lists.example",
        "mail.reject.example",
        "sub.strict.example",
    )
    records = [
        *ROOT_ZONE,
        *(txt(f"_dmarc.{domain}", policy) for domain, policy in POLICIES.items()),
        txt("_dmarc.twice.example", "v=DMARC1; p=reject"),
        txt("_dmarc.twice.example", "v=DMARC1; p=none"),
        *(txt(domain, f"v=spf1 ip4:{GOOD} -all") for domain in ("reject.example", "bounce.strict.example")),
        *(txt(f"s._domainkey.{name}", key) for name in (*POLICIES, *signers) if name not in OWN_KEYS),
        txt("s._domainkey.long.example", f"{key}; n={'x' * 600}"),
        f"&_domainkey.lame.example:{NO_SERVER}:a.ns.lame.example:1",
        f"&dead.example:{NO_SERVER}:a.ns.dead.example:1",
    ]
    place = tmp_path_factory.mktemp("world")
    place.parent.chmod(0o755)
    extra = bed.root / "etc/mail/spamassassin/zz-dmarc-test.cf"
    with world(place, records, tcp=True), resolving(bed):
        extra.write_text(LOCAL)
        extra.chmod(0o644)
        try:
            one.reload()
            yield one
        finally:
            extra.unlink()
    one.reload()


def letter(author: str, *more: str, body: str = "Morning, all is well.\r\n") -> str:
    name = f"dmarc-{os.getpid()}-{time.time_ns()}"
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    head = f"From: Ann <{author}>\r\nTo: alice@example.test\r\nSubject: a letter\r\nDate: {date}\r\n"
    fields = "".join(f"{field}\r\n" for field in more)
    return f"{head}Message-ID: <{name}@sender.example>\r\n{fields}\r\n{body}"


def verdicts(spamd: Spamd, text: str, client: str = OTHER, sender: str = "b@elsewhere.example") -> set[str]:
    """Return the rules of DMARC that hit a message, without their prefix."""
    return {rule[len("DMARC_") :] for rule in spamd.judge(text, client, sender).rules & DMARC}


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("ann@reject.example", {"REJECT"}),
        ("ann@news.reject.example", {"REJECT"}),
        ("ann@quar.example", {"QUAR"}),
        ("ann@none.example", {"NONE"}),
        ("ann@above.example", {"REJECT"}),
        ("ann@news.above.example", {"QUAR"}),
        ("ann@nobody.example", {"QUAR"}),
        ("ann@everybody.example", {"QUAR"}),
        ("ann@broken.example", set()),
        ("ann@twice.example", set()),
        ("ann@silent.example", set()),
        ("ann@dead.example", set()),
        ("ann@REJECT.example", {"REJECT"}),
        ("ann@reject.example.", {"REJECT"}),
    ],
)
def test_a_policy(spamd: Spamd, author: str, expected: set[str]) -> None:
    assert verdicts(spamd, letter(author)) == expected


def test_the_points_are_those_of_the_role(spamd: Spamd) -> None:
    rejected = spamd.judge(letter("ann@reject.example"), OTHER, "b@elsewhere.example")
    passed = spamd.judge(letter("ann@reject.example"), GOOD, "b@reject.example")
    assert "DMARC_PASS" in passed.rules
    assert rejected.score >= 10 > passed.score


def test_spf_alone_is_enough_when_it_is_aligned(spamd: Spamd) -> None:
    assert verdicts(spamd, letter("ann@news.reject.example"), GOOD, "b@reject.example") == {"PASS"}
    assert verdicts(spamd, letter("ann@reject.example"), OTHER, "b@reject.example") == {"REJECT"}
    assert verdicts(spamd, letter("ann@strict.example"), GOOD, "b@bounce.strict.example") == {"REJECT"}


def test_spf_of_the_name_in_helo_counts_for_an_empty_envelope_sender(spamd: Spamd) -> None:
    text = letter("ann@reject.example")
    assert "DMARC_PASS" in spamd.judge(text, GOOD, "", name="reject.example").rules
    assert "DMARC_REJECT" in spamd.judge(text, GOOD, "b@elsewhere.example", name="reject.example").rules


def test_a_signature_alone_is_enough_when_it_is_aligned(spamd: Spamd) -> None:
    text = letter("ann@reject.example")
    assert verdicts(spamd, spamd.signed(text, "reject.example")) == {"PASS"}
    assert verdicts(spamd, spamd.signed(text, "mail.reject.example")) == {"PASS"}
    assert verdicts(spamd, spamd.signed(text, "stranger.example")) == {"REJECT"}
    strict = letter("ann@strict.example")
    assert verdicts(spamd, spamd.signed(strict, "strict.example")) == {"PASS"}
    assert verdicts(spamd, spamd.signed(strict, "sub.strict.example")) == {"REJECT"}


def test_a_key_above_512_bytes_is_a_key(spamd: Spamd) -> None:
    text = spamd.signed(letter("ann@long.example"), "long.example")
    assert verdicts(spamd, text) == {"PASS"}
    assert verdicts(spamd, text.replace("Subject: a", "Subject: [list] a")) == {"REJECT"}


@pytest.mark.parametrize("selector", ["a..b", ".", "a" * 64, ".".join(["a" * 63] * 4)])
def test_a_signature_whose_key_can_have_no_name_proves_nothing(spamd: Spamd, selector: str) -> None:
    text = spamd.signed(letter("ann@reject.example"), "reject.example")
    assert "s=s;" in text
    assert verdicts(spamd, text.replace("s=s;", f"s={selector};", 1)) == {"REJECT"}


@pytest.mark.parametrize(
    "author",
    ["<@evil.example:ceo@reject.example>", "CEO <ceo @reject.example>", "ceo@reject.example (hi"],
)
def test_an_author_that_the_parser_passes_over_is_judged(spamd: Spamd, author: str) -> None:
    text = letter("ann@silent.example").replace("Ann <ann@silent.example>", author, 1)
    assert verdicts(spamd, text) == {"REJECT"}


def test_an_exempt_author_does_not_excuse_another(spamd: Spamd) -> None:
    two = letter("ann@reject.example>, Bob <bob@lists.example")
    assert verdicts(spamd, two) == {"REJECT"}


def test_a_changed_body_costs_less_than_a_changed_header(spamd: Spamd) -> None:
    text = spamd.signed(letter("ann@reject.example"), "reject.example")
    assert verdicts(spamd, text + "-- \r\nof the list\r\n") == {"ALTERED"}
    assert verdicts(spamd, text.replace("Subject: a", "Subject: [list] a")) == {"REJECT"}
    assert verdicts(spamd, spamd.signed(letter("ann@reject.example"), "stranger.example") + "x\r\n") == {
        "REJECT"
    }
    quar = spamd.signed(letter("ann@quar.example"), "quar.example")
    assert verdicts(spamd, quar + "-- \r\nof the list\r\n") == {"QUAR"}


def test_the_strictest_of_several_authors_counts(spamd: Spamd) -> None:
    two = letter("ann@silent.example", "From: Bob <bob@reject.example>")
    assert verdicts(spamd, two) == {"REJECT"}
    assert verdicts(spamd, letter("ann@silent.example>, <bob@reject.example")) == {"REJECT"}


def test_networks_and_domains_are_exempt(spamd: Spamd) -> None:
    text = letter("ann@reject.example")
    assert verdicts(spamd, text, FORWARDER) == {"EXEMPT"}
    assert verdicts(spamd, spamd.signed(text, "lists.example")) == {"EXEMPT"}
    named = spamd.judge(text, OTHER, "b@elsewhere.example", name="mx.lists.example")
    assert "DMARC_EXEMPT" in named.rules
    assert verdicts(spamd, text, OTHER, "owner@lists.example") == {"REJECT"}  # written, not proven


def test_a_trusted_sealer_vouches_and_another_does_not(spamd: Spamd) -> None:
    found = "spf=fail smtp.mailfrom=x@elsewhere.example; dkim=pass header.d=reject.example"
    text = letter("ann@reject.example")
    assert verdicts(spamd, spamd.sealed(text, "sealer.example", found)) == {"ARC"}
    assert verdicts(spamd, spamd.sealed(text, "stranger.example", found)) == {"REJECT"}
    assert verdicts(
        spamd, spamd.sealed(text, "sealer.example", "spf=fail; dkim=fail header.d=reject.example")
    ) == {"REJECT"}
    assert verdicts(spamd, spamd.sealed(text, "sealer.example", found) + "more\r\n") == {"REJECT"}
    below = spamd.sealed(spamd.sealed(text, "stranger.example", found), "sealer.example", "arc=pass", "pass")
    assert verdicts(spamd, below) == {"REJECT"}
    beside = f"ARC-Authentication-Results: i=1 (x); sealer.example; {found}\r\n"
    nothing = "spf=fail; dkim=fail header.d=reject.example"
    assert verdicts(spamd, beside + spamd.sealed(text, "sealer.example", nothing)) == {"REJECT"}


def test_a_key_that_cannot_be_had_costs_little_and_a_policy_nothing(spamd: Spamd) -> None:
    assert verdicts(spamd, letter("ann@lame.example")) == {"REJECT"}
    assert verdicts(spamd, spamd.signed(letter("ann@lame.example"), "lame.example")) == {"UNKNOWN"}
    spamd.bed.inside("svc", "-d", "/service/dnscache")
    try:
        rules = spamd.judge(letter("ann@reject.example"), OTHER, "b@elsewhere.example").rules
    finally:
        spamd.bed.inside("svc", "-u", "/service/dnscache")
    assert not rules & DMARC and "TIME_LIMIT_EXCEEDED" not in rules


def test_a_part_of_a_message_gets_no_points_by_signatures(spamd: Spamd) -> None:
    assert verdicts(spamd, letter("ann@reject.example", body=LINE * 20000)) == {"REJECT"}
    unsigned = letter("ann@reject.example", body=LINE * 30000)
    signed = spamd.signed(unsigned, "reject.example")
    unsigned, signed = (text.replace("\r\n", "\n")[:PART_BYTES] for text in (unsigned, signed))
    rules = spamd.judge(signed, OTHER, "b@elsewhere.example").rules
    assert not {rule for rule in rules if rule.startswith(("DKIM", "DMARC"))}, rules
    assert verdicts(spamd, unsigned) == {"REJECT"}  # padding is no way out


def submitted(text: str) -> str:
    return submit_again(text.encode("ascii"), "alice@example.test", "b@elsewhere.example", OTHER)


def test_what_a_policy_rejects_is_refused_in_the_session(spamd: Spamd) -> None:
    reply = submitted(letter("ann@reject.example"))
    assert reply.startswith("554 Your email is considered spam"), reply


def test_a_long_message_with_a_good_signature_is_delivered(spamd: Spamd) -> None:
    text = spamd.signed(letter("ann@reject.example", body=LINE * 30000), "reject.example")
    assert submitted(text).startswith("250 ")
    mark = text.partition("Message-ID: ")[2].partition("\r\n")[0].encode("ascii")
    got = spamd.bed.mailroom.claim(lambda delivery: mark in delivery.content, ARRIVAL_SECONDS)
    assert got is not None and b"X-Spam-Checked: first 2097152 bytes" in got.content
    assert not {rule for rule in verdict(got.content).rules if rule.startswith(("DKIM", "DMARC"))}
