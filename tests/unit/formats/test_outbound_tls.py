# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies for TLS of a site file, and the file that qmail-remote reads."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.filter.tls_policies import tls_policies
from ansible_collections.mailgate.qmail.plugins.filter.tls_policy_files import tls_policy_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.outbound_tls import (
    TlsPolicy,
    ca_fault,
    policy_files,
    site_policies,
)

PEM = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
OTHER = "-----BEGIN CERTIFICATE-----\nREVG\n-----END CERTIFICATE-----\n"
FORM = "expected one of none, may, encrypt, verify, secure, dane, or a mapping of policy, names, ca"
NAME = "expected a host name, '.domain' for all below it, or an IPv4 address"


def _domain(tls: object, route: str = "exchange.example.com") -> dict[str, Any]:
    return {"name": "example.com", "route": route, "recipients": "any", "tls": tls}


def lines(domains: list[object], policies: object = None, ca: str = "") -> list[str]:
    found, faults = site_policies(domains, policies or {}, ca)
    assert faults == []
    return policy_files(found, "/c")[-1]["content"].splitlines()


def faults(domains: list[object], policies: object = None, ca: object = "") -> list[str]:
    return site_policies(domains, {} if policies is None else policies, ca)[1]


def test_a_site_that_says_nothing_has_the_policy_may() -> None:
    assert lines([{"name": "example.com", "route": "10.0.0.5"}]) == [":may"]
    assert policy_files((), "/c") == [{"path": "/c/tlspolicies", "content": ":may\n"}]


@pytest.mark.parametrize(
    ("tls", "line"),
    [
        ("none", "example.com:none"),
        ("may", "example.com:may"),
        ("encrypt", "example.com:encrypt"),
        ({"policy": "encrypt"}, "example.com:encrypt"),
        ("verify", "example.com:verify"),
        ("secure", "example.com:secure"),
        ("dane", "example.com:dane"),
        ({"policy": "verify", "names": "mail.Example.COM"}, "example.com:verify:mail.example.com"),
        (
            {"policy": "secure", "names": [".a.test", "10.0.0.5"], "ca": "/etc/ca.pem"},
            "example.com:secure:.a.test,10.0.0.5:/etc/ca.pem",
        ),
        ({"policy": "verify", "ca": "/etc/ca.pem"}, "example.com:verify::/etc/ca.pem"),
        ({"policy": "verify", "ca": "system"}, "example.com:verify"),
    ],
)
def test_a_policy_is_a_line(tls: object, line: str) -> None:
    assert lines([_domain(tls)]) == [line, ":may"]
    assert lines([], {"example.com": tls}) == [line, ":may"]


def test_the_policy_for_all_others_is_the_last_line() -> None:
    policies = {"": "encrypt", ".example.net": "none", "B\u00fccher.example": "secure", "[192.0.2.1]": "none"}
    expected = [".example.net:none", "xn--bcher-kva.example:secure", "[192.0.2.1]:none", ":encrypt"]
    assert lines([], policies) == expected
    made = [TlsPolicy("", "none"), TlsPolicy("a.test", "may")]
    assert policy_files(made, "/c")[-1]["content"] == "a.test:may\n:none\n"


def test_the_authority_of_the_back_ends_is_for_the_domains_that_look_at_a_certificate() -> None:
    domains = [_domain("verify"), {**_domain("encrypt"), "name": "example.net"}]
    assert lines(domains, {"example.org": "verify"}, "/etc/ca.pem") == [
        "example.com:verify::/etc/ca.pem",
        "example.net:encrypt",
        "example.org:verify",
        ":may",
    ]
    assert (
        lines([_domain({"policy": "verify", "ca": "system"})], {}, "/etc/ca.pem")[0] == "example.com:verify"
    )
    assert (
        lines([_domain({"policy": "verify", "ca": "/b.pem"})], {}, "/a.pem")[0]
        == "example.com:verify::/b.pem"
    )


def test_authorities_as_text_are_files_that_come_first() -> None:
    domains = [_domain("verify"), {**_domain("verify"), "name": "example.net"}]
    found, wrong = site_policies(domains, {"a.test": {"policy": "secure", "ca": OTHER}}, PEM)
    first, second, policies = policy_files(found, "/c")
    assert (wrong, first["content"], second["content"]) == ([], PEM, OTHER)
    assert first["path"] != second["path"]
    assert policies["content"] == (
        f"example.com:verify::{first['path']}\nexample.net:verify::{first['path']}\n"
        f"a.test:secure::{second['path']}\n:may\n"
    )
    assert first["path"].startswith("/c/tlsca/") and first["path"].endswith(".pem")


def test_dane_of_an_address_has_no_records() -> None:
    (fault,) = faults([_domain("dane", "10.0.0.5:2525")])
    assert fault.endswith(
        "'dane' needs a name, and the route '10.0.0.5:2525' is an address; expected a host name"
    )


def test_verify_of_an_address_needs_a_name() -> None:
    for route in ("10.0.0.5", "10.0.0.5:2525", "[10.0.0.5]"):
        assert faults([_domain("verify", route)]) == [
            f"gateway_domains item 1: tls of 'example.com': 'verify' has no names, and the route {route!r} "
            "is an address; expected names: NAME, what the back end's certificate has, be it that address"
        ]
        for tls in ("secure", "encrypt", {"policy": "verify", "names": ["10.0.0.5"]}):
            assert faults([_domain(tls, route)]) == []


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        ({"policy": "dane", "names": ["a.test"]}, "'dane' takes no names and no ca; expected neither"),
        ("Verify", f"'Verify' is not a policy; {FORM}"),
        (True, f"True is not a policy; {FORM}"),
        (["verify"], f"['verify'] is not a policy; {FORM}"),
        ({"names": ["a.test"]}, f"None is not a policy; {FORM}"),
        ({"policy": "verify", "name": "a.test"}, "'name' is not known; expected one of policy, names, ca"),
        (
            {"policy": "may", "names": ["a.test"]},
            "'may' takes no names and no ca; expected neither",
        ),
        ({"policy": "encrypt", "ca": "/x"}, "'encrypt' takes no names and no ca; expected neither"),
        ({"policy": "verify", "names": 5}, f"names 5 is not a list; {NAME}"),
        ({"policy": "verify", "names": ["*.a.test"]}, f"name '*.a.test' is not valid; {NAME}"),
        ({"policy": "verify", "names": ["a b"]}, f"name 'a b' is not valid; {NAME}"),
        ({"policy": "verify", "names": ["a,b"]}, f"name 'a,b' is not valid; {NAME}"),
        ({"policy": "verify", "names": ["a:b"]}, f"name 'a:b' is not valid; {NAME}"),
        ({"policy": "verify", "names": ["::1"]}, f"name '::1' is not valid; {NAME}"),
        ({"policy": "verify", "names": [5]}, f"name 5 is not valid; {NAME}"),
        (
            {"policy": "verify", "names": [f"a{n}.test" for n in range(33)]},
            "has 33 names; expected at most 32",
        ),
    ],
)
def test_a_policy_that_is_not_one(tls: object, text: str) -> None:
    assert faults([_domain(tls)]) == [f"gateway_domains item 1: tls of 'example.com': {text}"]
    assert faults([], {"example.com": tls}) == [f"gateway_tls_policies: 'example.com': {text}"]


@pytest.mark.parametrize(
    ("ca", "fault"),
    [
        (PEM, ""),
        (PEM + OTHER, ""),
        ("/etc/ssl/exchange.pem", ""),
        ("system", ""),
        ("", ""),
        (5, "5 is not a string"),
        ("exchange.pem", "'exchange.pem' is not a path"),
        ("/a b", "'/a b' is not a path"),
        ("/a:b", "'/a:b' is not a path"),
        ("/a\n", "'/a\\n' is not a path"),
        ("/" + "a" * 255, "is not a path"),
        (PEM[:50], "is not PEM"),
        (PEM + OTHER[:50], "is not PEM"),
        (PEM + "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n", "has a private key"),
    ],
)
def test_authorities(ca: object, fault: str) -> None:
    found = ca_fault(ca)
    assert (fault in found) if fault else not found
    assert bool(faults([], {}, ca)) == bool(fault)


def test_other_faults() -> None:
    assert faults([], ["a"]) == ["gateway_tls_policies: ['a'] is not a mapping; expected policies by domain"]
    (twice,) = faults([_domain("may")], {"EXAMPLE.com": "none"})
    assert twice.startswith("gateway_tls_policies: 'EXAMPLE.com' has a policy already")
    (domain,) = faults([], {"exa mple": "none"})
    assert domain.startswith("gateway_tls_policies: 'exa mple': 'exa mple' has a domain that is not valid")
    (number,) = faults([], {5: "none"})
    assert number == ("gateway_tls_policies: 5: 5 is not a domain; expected a text, '' for all other domains")


def test_the_filters_are_the_package() -> None:
    made = tls_policies([_domain("verify")], {"a.test": "none"}, PEM)
    assert made[0] == {"domain": "example.com", "policy": "verify", "names": [], "ca": PEM}
    assert [one["domain"] for one in made] == ["example.com", "a.test", ""]
    assert tls_policy_files(made, "/c") == policy_files(
        site_policies([_domain("verify")], {"a.test": "none"}, PEM)[0], "/c"
    )
    assert tls_policy_files([{"domain": "", "policy": "may"}], "/c")[0]["content"] == ":may\n"
    with pytest.raises(BadInput, match="is not a policy"):
        tls_policies([_domain("maybe")])
