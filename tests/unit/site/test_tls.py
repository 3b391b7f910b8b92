# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site's settings of TLS, and that no text of a key is in what is said of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site import tls
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.check import check_site

CANARY = "c2VjcmV0IGNhbmFyeQ"


def pem(*labels: str) -> str:
    return "".join(f"-----BEGIN {label}-----\n{CANARY}\n-----END {label}-----\n" for label in labels)


CERTIFICATE, KEY = pem("CERTIFICATE", "CERTIFICATE"), pem("PRIVATE KEY")
WHERE = "gateway_certificate"
OF_CERTIFICATE = "expected its text (PEM) with the chain behind it, or the path of a file on the host"
OF_KEY = "expected its text (PEM), which a vault should hold, or the path of a file on the host"


def pair(certificate: object = CERTIFICATE, key: object = KEY, **more: object) -> dict[str, object]:
    return {"certificate": certificate, "key": key, **more}


GOOD = (
    [],
    pair(),
    [pair(), pair(key=pem("EC PARAMETERS", "EC PRIVATE KEY"))],
    pair("/etc/letsencrypt/live/mx/fullchain.pem", "/etc/letsencrypt/live/mx/privkey.pem"),
    pair(key=pem("RSA PRIVATE KEY")),
)
FAULTY: list[tuple[object, list[str]]] = [
    ({"certificate": CERTIFICATE}, [f"{WHERE}: has no key for its certificate; {OF_KEY}"]),
    ({"key": KEY}, [f"{WHERE}: has no certificate for its key; {OF_CERTIFICATE}"]),
    (
        {},
        [f"{WHERE}: has no certificate; {OF_CERTIFICATE}", f"{WHERE}: has no key; {OF_KEY}"],
    ),
    (pair(password=CANARY), [f"{WHERE}: 'password' is not known; expected one of certificate, key"]),
    (pair(key=CANARY), [f"{WHERE}: key is neither PEM nor a path that begins with '/'; {OF_KEY}"]),
    (
        pair(certificate="etc/fullchain.pem"),
        [f"{WHERE}: certificate is neither PEM nor a path that begins with '/'; {OF_CERTIFICATE}"],
    ),
    (pair(key=7), [f"{WHERE}: key is a int; {OF_KEY}"]),
    (pair(certificate=[CERTIFICATE]), [f"{WHERE}: certificate is a list; {OF_CERTIFICATE}"]),
    (
        pair(KEY, CERTIFICATE),
        [
            f"{WHERE}: certificate has a block 'PRIVATE KEY'; {OF_CERTIFICATE}",
            f"{WHERE}: key has a block 'CERTIFICATE'; {OF_KEY}",
        ],
    ),
    (
        pair(CERTIFICATE + KEY),
        [f"{WHERE}: certificate has a block 'PRIVATE KEY'; {OF_CERTIFICATE}"],
    ),
    (
        pair(key=pem("ENCRYPTED PRIVATE KEY")),
        [f"{WHERE}: key has an encrypted key; expected one without a passphrase, in a vault"],
    ),
    (
        pair(key=pem("OPENSSH PRIVATE KEY")),
        [f"{WHERE}: key has a block 'OPENSSH PRIVATE KEY'; {OF_KEY}"],
    ),
    (pair(key=KEY + KEY), [f"{WHERE}: key has 2 blocks of PEM; expected one private key"]),
    (
        [pair(), {"certificate": CERTIFICATE}],
        [f"{WHERE} item 2: has no key for its certificate; {OF_KEY}"],
    ),
    (
        [pair()] * 3,
        [f"{WHERE}: 3 certificates; expected one, or one of ECDSA and one of RSA"],
    ),
    (KEY, [f"{WHERE}: a text is not a mapping; expected certificate and key"]),
    (f"/{CERTIFICATE}", [f"{WHERE}: a text is not a mapping; expected certificate and key"]),
]


@pytest.mark.parametrize("given", GOOD)
def test_a_valid_certificate_has_no_fault(given: Any) -> None:
    assert tls.certificate_faults(tls.without_keys(given)) == []
    assert len(tls.pairs(given)) == (1 if isinstance(given, dict) else len(given))


@pytest.mark.parametrize(("given", "faults"), FAULTY)
def test_a_fault_names_place_and_expectation_and_shows_no_secret(given: object, faults: list[str]) -> None:
    described = tls.without_keys(given)
    assert tls.certificate_faults(described) == faults
    assert CANARY not in json.dumps(described) + repr(faults)


def test_the_check_of_the_site_judges_them() -> None:
    site = {
        "hostname": "mx1.example.com",
        "postmaster": "postmaster@example.com",
        "domains": [{"name": "example.com", "route": "10.0.0.5", "recipients": "any"}],
        "tls_minimum": "1.1",
        "tls_sessions": 0,
        "certificate": tls.without_keys({"certificate": CERTIFICATE}),
    }
    assert check_site(site, ()) == [
        "gateway_tls_minimum: '1.1' is not a version of TLS; expected one of 1.2, 1.3",
        "gateway_tls_sessions: 0 is not a number of sessions; expected 1 to 4000",
        f"gateway_certificate: has no key for its certificate; {OF_KEY}",
    ]


@pytest.mark.parametrize("value", [1.2, 1.3, "1.2", "1.3"])
def test_a_version_may_be_a_number(value: object) -> None:
    assert tls.minimum_faults(value) == []


@pytest.mark.parametrize(
    ("value", "good"), [(1, True), ("4000", True), (4001, False), ("500x", False), (True, False)]
)
def test_the_number_of_sessions_is_bounded(value: object, good: bool) -> None:
    assert (tls.sessions_faults(value) == []) is good


def test_pairs_are_those_without_a_fault() -> None:
    assert tls.pairs([pair(), {"key": KEY}]) == [{"certificate": CERTIFICATE, "key": KEY}]


REQUIRED = "sender_domains, recipient_domains, clients"


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, []),
        ({"sender_domains": ["bank.example", ".below.example", "b\u00e4nk.example"]}, []),
        ({"clients": ["192.0.2.0/24", "2001:db8::/32", "192.0.2.7/32"], "recipient_domains": []}, []),
        (
            [],
            [f"gateway_require_tls: [] is not a mapping; expected some of {REQUIRED}"],
        ),
        (
            {"senders": ["a.example"]},
            [f"gateway_require_tls: 'senders' is not known; expected one of {REQUIRED}"],
        ),
        (
            {"sender_domains": "bank.example"},
            ["gateway_require_tls: sender_domains 'bank.example' is not a list; expected a list"],
        ),
        ({"clients": [7]}, ["gateway_require_tls: clients item 1: 7 is not a text; expected a network"]),
    ],
)
def test_whose_mail_is_taken_over_tls_only(given: object, faults: list[str]) -> None:
    assert tls.required_faults(given, True) == faults


@pytest.mark.parametrize(
    ("key", "item"),
    [
        ("sender_domains", "*.bank.example"),
        ("sender_domains", "a@bank.example"),
        ("recipient_domains", ""),
        ("recipient_domains", ".."),
        ("sender_domains", "bank.example\nsender x.example"),
        ("clients", "bank.example"),
        ("clients", "192.0.2.1/24"),
    ],
)
def test_an_item_that_the_programs_would_not_understand_is_refused(key: str, item: str) -> None:
    (fault,) = tls.required_faults({key: [item]}, True)
    assert fault.startswith(f"gateway_require_tls: {key} item 1: ")
    assert "expected" in fault


def test_tls_that_is_asked_for_is_offered() -> None:
    given = {"sender_domains": ["bank.example"]}
    assert "gateway_tls is false" in str(tls.required_faults(given, False))
    assert tls.required_faults({}, False) == tls.required_faults({"clients": []}, False) == []


def test_the_lines_that_the_programs_read() -> None:
    given = {"clients": ["2001:db8::/32"], "sender_domains": ["Bank.example", ".b\u00e4nk.example"]}
    assert tls.required_lines(given) == [
        "sender bank.example",
        "sender .xn--bnk-qla.example",
        "client 2001:db8::/32",
    ]


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("", True),
        ("# sender", True),
        ("sender bank.example", True),
        ("\trecipient .below.example  ", True),
        ("client 192.0.2.0/24", True),
        ("client 192.0.2.7", True),
        ("client 2001:db8::7", True),
        ("sender", False),
        ("sender bank.example x", False),
        ("sendr bank.example", False),
        ("sender a@bank.example", False),
        ("client bank.example", False),
        ("client 192.0.2.1/24", False),
    ],
)
def test_a_line_that_the_programs_do_not_understand_is_found(line: str, good: bool) -> None:
    assert tls.wrong_line(f"sender a.example\n{line}\n") == ("" if good else line)
