# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the DNS and MTA-STS say of a server's certificate."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tls_policies
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.tls_policies import (
    Certificate,
    Policy,
    Record,
    authenticates,
    has_policy,
    names_host,
    parse_policy,
    parse_record,
)

OWN, ISSUER = Certificate(b"own", b"own key"), Certificate(b"issuer", b"issuer key")
CHAIN = (OWN, ISSUER)


def record(usage: int, selector: int, matching: int, content: bytes) -> Record:
    data = {0: content, 1: hashlib.sha256(content).digest(), 2: hashlib.sha512(content).digest()}
    return Record(usage, selector, matching, data.get(matching, content))


@pytest.mark.parametrize(
    ("one", "good"),
    [
        (record(3, 1, 1, b"own key"), True),
        (record(3, 0, 1, b"own"), True),
        (record(3, 0, 2, b"own"), True),
        (record(3, 0, 0, b"own"), True),
        (record(3, 1, 1, b"own"), False),
        (record(3, 1, 1, b"issuer key"), False),
        (record(2, 0, 1, b"issuer"), True),
        (record(2, 1, 2, b"issuer key"), True),
        (record(2, 0, 1, b"own"), False),
        (record(1, 1, 1, b"own key"), False),  # SMTP has no usage 0 and 1
        (record(0, 0, 1, b"issuer"), False),
        (record(3, 2, 1, b"own"), False),
        (record(3, 1, 3, b"own key"), False),
    ],
)
def test_a_record_is_of_a_chain(one: Record, good: bool) -> None:
    assert authenticates([one], CHAIN) is good
    assert authenticates([record(3, 1, 1, b"old key"), one], CHAIN) is good


def test_no_record_authenticates_nobody() -> None:
    assert not authenticates([], CHAIN)


def test_the_text_of_a_record() -> None:
    assert parse_record("3 1 1 0aFF") == Record(3, 1, 1, b"\x0a\xff")
    assert parse_record("3 1 1 0a ff") == Record(3, 1, 1, b"\x0a\xff")
    digest = hashlib.sha256(b"own key").hexdigest()
    assert tls_policies.spki_record(OWN) == f"3 1 1 {digest}"
    assert authenticates([parse_record(tls_policies.spki_record(OWN))], CHAIN)


@pytest.mark.parametrize("text", ["", "3 1 1", "3 1 1 0", "3 1 1 xx", "3 1 0a", "-1 1 1 0a", "3 1 1 0a\n"])
def test_a_malformed_record_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="expected 'USAGE SELECTOR MATCHING HEX'"):
        parse_record(text)


@pytest.mark.parametrize(
    ("texts", "there"),
    [
        (['"v=STSv1; id=1"'], True),
        (['"v=STS" "v1; id=1"'], True),
        (['"v=STSv1;id=1;"', '"other"'], True),
        (['"v=STSv1; id=1"', '"v=STSv1; id=2"'], False),  # RFC 8461 3.1: none then
        (['"v=STSv10; id=1"'], False),
        (['"v=spf1 -all"'], False),
        ([], False),
    ],
)
def test_whether_the_dns_says_that_there_is_a_policy(texts: list[str], there: bool) -> None:
    assert has_policy(texts) is there


def test_a_policy() -> None:
    text = (
        "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"
    )
    assert parse_policy(text) == Policy("enforce", ("mx1.example.com", "*.example.net"))
    assert parse_policy("mode:none\nversion:STSv1\n") == Policy("none", ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "version ''; expected 'STSv1'"),
        ("<html>version: STSv1", "version ''; expected 'STSv1'"),
        ("version: STSv1\nmode: strict\n", "mode 'strict'; expected one of enforce, testing, none"),
    ],
)
def test_what_is_not_a_policy(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_policy(text)


@pytest.mark.parametrize(
    ("patterns", "host", "good"),
    [
        (["mx1.example.com"], "MX1.example.com", True),
        (["MX1.Example.com."], "mx1.example.com", True),
        (["*.example.com"], "mx1.example.com", True),
        (["*.example.com"], "a.mx1.example.com", False),
        (["*.example.com"], "example.com", False),
        (["*.com"], "com", False),
        (["mx*.example.com"], "mx1.example.com", False),
        (["other.example.com", "mx1.example.com"], "mx1.example.com", True),
        ([], "mx1.example.com", False),
    ],
)
def test_a_name_is_that_of_a_host(patterns: list[str], host: str, good: bool) -> None:
    assert names_host(patterns, host) is good
