# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure part of the plug-in for DMARC: records, organizational domains, alignment, verdicts, ARC."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).resolve().parents[3] / "roles/spamassassin/files/DmarcPolicy.pm"

# Each line of the input is [function, arguments]; a domain's organization and trust come from values.
DRIVER = """
use strict; use warnings; use JSON::PP;
BEGIN { $INC{'Mail/SpamAssassin/Plugin.pm'} = 1; package Mail::SpamAssassin::Plugin; sub new { } }
require $ARGV[0];
my $json = JSON::PP->new->canonical->allow_nonref;
while (my $line = <STDIN>) {
  my ($function, $suffixes, $arguments) = @{$json->decode($line)};
  my $org = sub { Mail::SpamAssassin::Plugin::DmarcPolicy::organizational_domain($suffixes, $_[0]) };
  my @arguments = ref $arguments eq 'HASH' ? (%$arguments, org => $org) : @$arguments;
  if (ref $arguments eq 'HASH' && $arguments->{trusted}) {
    my %trusted = map { ($_ => 1) } @{$arguments->{trusted}};
    push @arguments, trusted => sub { Mail::SpamAssassin::Plugin::DmarcPolicy::is_within(\\%trusted, $_[0]) };
  }
  push @arguments, sub { "xn--" . length $_[0] } if $function eq 'parse_suffixes';
  no strict 'refs';
  my @result = &{"Mail::SpamAssassin::Plugin::DmarcPolicy::$function"}(@arguments);
  print $json->encode([map { ref $_ || !defined $_ ? $_ : "$_" } @result]), "\\n";
}
"""

Call = Callable[..., Any]
SUFFIXES = dict.fromkeys(("com", "example", "co.uk", "uk", "*.ck", "!www.ck", "host.example"), 1)


@pytest.fixture(scope="module")
def call() -> Call:
    def one(function: str, *arguments: Any, **named: Any) -> Any:
        line = json.dumps([function, SUFFIXES, named or list(arguments)])
        done = subprocess.run(
            ["perl", "-e", DRIVER, str(PLUGIN)],
            input=line + "\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return json.loads(done.stdout)

    return one


def record(**tags: str) -> dict[str, str]:
    return {"p": "reject", "pct": 100, "adkim": "r", "aspf": "r", **tags}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=DMARC1; p=reject", record()),
        ("v=DMARC1;p=REJECT;", record()),
        (" v = DMARC1 ; p = none ; sp = Quarantine ", record(p="none", sp="quarantine")),
        ("v=DMARC1; p=reject; pct=20; adkim=s; aspf=S", {**record(adkim="s", aspf="s"), "pct": 20}),
        ("v=DMARC1; p=reject; pct=0", {**record(), "pct": 0}),
        ("v=DMARC1; p=reject; pct=101", record()),
        ("v=DMARC1; p=reject; pct=-1", record()),
        ("v=DMARC1; p=none; p=reject", record(p="none")),
        ("v=DMARC1; p=reject; sp=rejekt", None),
        ("v=DMARC1; p=rejekt", None),
        ("v=DMARC1; p=rejekt; rua=mailto:d@example.com", record(p="none")),
        ("v=DMARC1; rua=mailto:d@example.com", record(p="none")),
        ("v=DMARC1; rua=d", None),
        ("v=DMARC1", None),
        ("v=DMARC10; p=reject", None),
        ("v=dmarc1; p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("", None),
        (";;;", None),
    ],
)
def test_a_record(call: Call, text: str, expected: Any) -> None:
    found = call("parse_record", text)
    assert (found[0] if found else None) == expected


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("com", "com"),
        ("co.uk", "co.uk"),
        ("a.b.co.uk", "b.co.uk"),
        ("a.host.example", "a.host.example"),
        ("b.a.host.example", "a.host.example"),
        ("a.unlisted", "a.unlisted"),
        ("b.a.unlisted", "a.unlisted"),
        ("foo.ck", "foo.ck"),
        ("b.foo.ck", "b.foo.ck"),
        ("c.b.foo.ck", "b.foo.ck"),
        ("www.ck", "www.ck"),
        ("a.www.ck", "www.ck"),
    ],
)
def test_an_organizational_domain(call: Call, domain: str, expected: str) -> None:
    assert call("organizational_domain", SUFFIXES, domain) == [expected]


def test_a_list_of_suffixes(call: Call) -> None:
    lines = ["// com\n", "\n", "com\n", "*.ck // wild\n", "!www.ck\n", "  indented\n", "公司.cn\n", "Net\n"]
    assert call("parse_suffixes", lines)[0].keys() == {"com", "*.ck", "!www.ck", "net", "xn--5"}


@pytest.mark.parametrize(
    ("places", "wish"),
    [
        ([["v=DMARC1; p=reject"]], "reject"),
        ([["v=spf1 -all", "v=DMARC1; p=quarantine"]], "quarantine"),
        ([["v=DMARC1; p=reject", "v=DMARC1; p=none"]], None),
        ([["v=DMARC1; p=rejekt"], ["v=DMARC1; p=reject"]], None),
        ([[], ["v=DMARC1; p=reject"]], "reject"),
        ([[], ["v=DMARC1; p=reject; sp=none"]], "none"),
        ([["v=DMARC1; p=reject; sp=none"], ["v=DMARC1; p=none"]], "reject"),
        ([[], []], None),
        ([None, ["v=DMARC1; p=reject"]], None),
        ([[], None], None),
        ([None], None),
        ([["v=DMARC1; p=reject"], None], "reject"),
    ],
)
def test_a_policy_is_the_domains_own_or_its_organizations(call: Call, places: Any, wish: str | None) -> None:
    found = call("find_policy", *places)
    assert (found[1] if found else None) == wish


def verdict(call: Call, evidence: list[list[str]], wish: str = "reject", share: int = 0, **tags: Any) -> Any:
    facts = {"policy": {**record(), **tags}, "wish": wish, "from": "mail.bank.example", "share": share}
    found = call("judge", **facts, evidence=evidence)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ([], "reject"),
        ([["spf", "mail.bank.example", "pass"]], "pass"),
        ([["spf", "bank.example", "pass"]], "pass"),
        ([["spf", "other.bank.example", "pass"]], "pass"),
        ([["spf", "forwarder.example", "pass"]], "reject"),
        ([["spf", "example", "pass"]], "reject"),
        ([["spf", "notbank.example", "pass"], ["dkim", "bank.example.evil.example", "pass"]], "reject"),
        ([["dkim", "bank.example", "pass"], ["spf", "forwarder.example", "pass"]], "pass"),
        ([["dkim", "bank.example", "fail"], ["dkim", "mail.bank.example", "pass"]], "pass"),
        ([["dkim", "bank.example", "unknown"]], "unknown"),
        ([["dkim", "bank.example", "unknown"], ["spf", "bank.example", "pass"]], "pass"),
        ([["spf", "bank.example", "unknown"]], "unknown"),
        ([["dkim", "bank.example", "unknown"], ["dkim", "bank.example", "altered"]], "unknown"),
        ([["spf", "forwarder.example", "unknown"]], "reject"),
        ([["dkim", "bank.example", "altered"]], "altered"),
        ([["dkim", "list.example", "altered"]], "reject"),
    ],
)
def test_one_aligned_identifier_is_enough(call: Call, evidence: list[list[str]], expected: Any) -> None:
    assert verdict(call, evidence) == expected


def test_strict_alignment_wants_the_same_name(call: Call) -> None:
    assert verdict(call, [["dkim", "bank.example", "pass"]], adkim="s") == "reject"
    assert verdict(call, [["dkim", "mail.bank.example", "pass"]], adkim="s") == "pass"
    assert verdict(call, [["spf", "bank.example", "pass"]], aspf="s") == "reject"
    assert verdict(call, [["spf", "bank.example", "pass"]], adkim="s") == "pass"
    assert verdict(call, [["dkim", "bank.example", "unknown"]], adkim="s") == "reject"


@pytest.mark.parametrize(
    ("wish", "share", "pct", "expected"),
    [
        ("reject", 19, 20, "reject"),
        ("reject", 20, 20, "quarantine"),
        ("quarantine", 20, 20, "none"),
        ("quarantine", 99, 100, "quarantine"),
        ("reject", 0, 0, "quarantine"),
        ("none", 0, 100, "none"),
    ],
)
def test_whom_pct_leaves_out_gets_the_next_policy_lower(
    call: Call, wish: str, share: int, pct: int, expected: str
) -> None:
    assert verdict(call, [], wish, share, pct=pct) == expected
    assert verdict(call, [["spf", "bank.example", "pass"]], wish, share, pct=pct) == "pass"


def test_what_is_unknown_is_nothing_where_the_policy_asks_for_nothing(call: Call) -> None:
    evidence = [["dkim", "bank.example", "unknown"]]
    assert verdict(call, evidence, "none") is None
    assert verdict(call, evidence, "quarantine") == "unknown"
    assert verdict(call, evidence, "quarantine", 20, pct=20) is None
    assert verdict(call, evidence, "reject", 20, pct=20) == "unknown"


@pytest.mark.parametrize(
    ("verdicts", "exempt", "vouched", "expected"),
    [
        ({"a": "reject", "b": "reject"}, ["a"], [], "reject"),
        ({"a": "reject", "b": "quarantine"}, ["a"], [], "quarantine"),
        ({"a": "reject", "b": "reject"}, ["a", "b"], [], "exempt"),
        ({"a": "reject", "b": "pass"}, ["a"], [], "exempt"),
        ({"a": "reject", "b": "unknown"}, ["a"], [], "unknown"),
        ({"a": "unknown"}, ["a"], [], "exempt"),
        ({"a": "none", "b": None}, ["a", "b"], [], "none"),
        ({"a": "pass"}, ["a"], ["a"], "pass"),
        ({"a": None}, ["a"], ["a"], None),
        ({"a": "reject", "b": "reject"}, [], ["a"], "reject"),
        ({"a": "reject", "b": "altered"}, [], ["a", "b"], "arc"),
        ({"a": "reject", "b": "reject"}, ["a"], ["b"], "exempt"),
        ({}, [], [], None),
    ],
)
def test_an_exempt_author_is_so_for_himself_alone(
    call: Call, verdicts: dict[str, Any], exempt: list[str], vouched: list[str], expected: Any
) -> None:
    found = call(
        "overall", verdicts=verdicts, exempt=dict.fromkeys(exempt, 1), vouched=dict.fromkeys(vouched, 1)
    )
    assert (found[0] if found else None) == expected


def test_of_too_many_authors_the_first_and_the_last_are_judged(call: Call) -> None:
    names = [f"{number}.example" for number in range(1, 10)]
    assert call("chosen", *names[:8]) == names[:8]
    assert call("chosen", *names) == names[:4] + names[5:]
    assert call("chosen", *names, *names) == names[:4] + names[5:]
    assert call("chosen") == []


@pytest.mark.parametrize(
    ("field", "addresses", "expected"),
    [
        ("<@evil.example:ceo@bank.example>", [], ["evil.example", "bank.example"]),
        ("CEO <ceo @bank.example>", [], ["bank.example"]),
        ("CEO <ceo@ bank.example>", [], ["bank.example"]),
        ("CEO <ceo@\n bank.example>", [], ["bank.example"]),
        ("CEO << ceo@bank.example >>", [], ["bank.example"]),
        ("ceo@bank.example (hi", [], ["bank.example"]),
        ("(hi ceo@bank.example", [], ["bank.example"]),
        ('"ceo@bank.example', [], ["bank.example"]),
        ("CEO <ceo@bank.example/>", [], ["bank.example"]),
        ("CEO", [], []),
        ("CEO <ceo@bank.example>", ["ceo@bank.example"], []),
        ("CEO <CEO@Bank.example>", ["ceo@bank.example"], []),
        ("ceo@bank.example via List <l@list.example>", ["l@list.example"], []),
        ('"x, ceo@bank.example" <l@list.example>', ["l@list.example"], []),
        ("l@list.example (ceo@bank.example, too)", ["l@list.example"], []),
        ("Doe, John <j@list.example>", ["j@list.example"], []),
        ("=?utf-8?Q?x@bank.example,_y?= <j@list.example>", ["j@list.example"], []),
        ("<l@list.example>, CEO <ceo @bank.example>", ["l@list.example"], ["bank.example"]),
        ("CEO << ceo@bank.example >>, l@list.example", ["l@list.example"], ["bank.example"]),
    ],
)
def test_the_domains_that_the_parser_passes_over(
    call: Call, field: str, addresses: list[str], expected: list[str]
) -> None:
    assert call("overlooked", field, *addresses) == expected


LABEL = "a" * 63


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("S", "s._domainkey.bank.example"),
        ("a.b_c-1", "a.b_c-1._domainkey.bank.example"),
        (LABEL, f"{LABEL}._domainkey.bank.example"),
        (
            f"{LABEL}.{LABEL}.{LABEL}.{'a' * 37}",
            f"{LABEL}.{LABEL}.{LABEL}.{'a' * 37}._domainkey.bank.example",
        ),
        (f"{LABEL}.{LABEL}.{LABEL}.{'a' * 38}", None),
        (LABEL + "a", None),
        ("a..b", None),
        (".", None),
        (".a", None),
        ("a.", None),
        ("", None),
        ("a b", None),
        ("a\n", None),
    ],
)
def test_the_name_of_a_key(call: Call, selector: str, name: str | None) -> None:
    found = call("key_name", selector, "bank.example")
    assert (found[0] if found else None) == name
    assert name is None or len(name) <= 253


KEY = ["v=DKIM1; p=x"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"result": "pass", "detail": "pass"}, "pass"),
        ({"result": "pass", "detail": "pass", "refused": 1}, "fail"),
        ({"result": "pass", "detail": "pass", "name": None}, "pass"),
        ({"result": "fail", "detail": "fail (message has been altered)"}, "fail"),
        ({"result": "fail", "detail": "fail (message has been altered)", "key": None}, "fail"),
        ({"result": "fail", "detail": "fail (body has been altered)"}, "altered"),
        ({"result": "fail", "detail": "fail (body has been altered)", "refused": 1}, "fail"),
        ({"result": "invalid", "detail": "invalid (public key: DNS error: query timed out)"}, "unknown"),
        ({"result": "invalid", "detail": "invalid (public key: DNS error: SERVFAIL)"}, "unknown"),
        (
            {"result": "invalid", "detail": "invalid (public key: DNS query timeout for s._domainkey.x)"},
            "unknown",
        ),
        ({"result": "invalid", "detail": "invalid (public key: __alarm__ignore__(7))"}, "unknown"),
        ({"result": "fail", "detail": "fail (__alarm__ignore__(7))"}, "unknown"),
        ({"result": "invalid", "detail": "invalid (public key: DNS error: x)", "name": None}, "fail"),
        ({"result": "invalid", "detail": "invalid (public key: not available)"}, "fail"),
        ({"result": "invalid", "detail": "invalid (public key: not available)", "key": []}, "fail"),
        ({"result": "invalid", "detail": "invalid (public key: not available)", "key": None}, "unknown"),
        ({"result": "invalid", "detail": "invalid (public key: revoked)", "key": None}, "fail"),
        ({"result": "invalid", "detail": "invalid (unsupported algorithm timeout)", "key": None}, "fail"),
        ({"result": None, "detail": None}, "unknown"),
        ({"result": None, "detail": None, "refused": 1}, "fail"),
        ({"result": None, "detail": None, "name": None}, "fail"),
    ],
)
def test_what_a_signature_proves(call: Call, facts: dict[str, Any], expected: str) -> None:
    assert call("signature_result", **{"name": "s._domainkey.x", "key": KEY, **facts}) == [expected]


def test_the_strictest_verdict_of_several_authors_counts(call: Call) -> None:
    assert call("strictest", "pass", "reject") == ["reject"]
    assert call("strictest", "altered", "quarantine", None) == ["altered"]
    assert call("strictest", None, "pass") == ["pass"]
    assert call("strictest", "unknown", "exempt") == ["unknown"]
    assert call("strictest", "unknown", "quarantine") == ["quarantine"]
    assert call("strictest", None) in ([], [None])


RESULTS = (
    " i=2; mx.list.example; dkim=pass (2048-bit key; x) header.d=bank.example header.s=s;\n"
    " spf=fail smtp.mailfrom=a@bank.example;"
    ' dmarc=pass reason="a; spf=pass smtp.mailfrom=evil.example" header.from=Mail.Bank.example'
)


def test_the_results_that_a_sealer_recorded(call: Call) -> None:
    (found,) = call("parse_arc_results", RESULTS)
    assert int(found["i"]) == 2
    assert found["passed"] == [["dkim", "bank.example"], ["dmarc", "mail.bank.example"]]
    assert call("parse_arc_results", "mx.list.example; dkim=pass header.d=bank.example") in ([], [None])
    comment = "i=1; mx; spf=fail (dkim=pass header.d=bank.example; dmarc=pass header.from=bank.example)"
    assert call("parse_arc_results", comment)[0]["passed"] == []
    assert call("parse_arc_results", "i=1; mx; spf=pass smtp.mailfrom=bank.example")[0]["passed"] == [
        ["spf", "bank.example"]
    ]


@pytest.mark.parametrize(
    ("field", "instance"),
    [
        ("i=1; mx; spf=pass", 1),
        ("i = 1 ; mx; spf=pass", 1),
        ("i=1 (x); mx; spf=pass", 1),
        ('(a (b) \\) ") i=(c)1; mx; spf=pass', 1),
        ("i=1; mx; spf=pass (x", None),
        ('i=1; mx; spf=pass "x', None),
        ("i=x; mx; spf=pass", None),
        ('"i=1"; mx; spf=pass', None),
        ("i=1 mx; spf=pass", None),
    ],
)
def test_the_instance_of_a_sealers_results(call: Call, field: str, instance: int | None) -> None:
    found = call("parse_arc_results", field)
    assert (int(found[0]["i"]) if found and found[0] else None) == instance


def test_a_quoted_string_of_results_ends_where_it_ends(call: Call) -> None:
    field = 'i=1; mx; dkim=fail reason="a\\"; dmarc=pass header.from=bank.example; x=\\"" header.d=x.example'
    assert call("parse_arc_results", field)[0]["passed"] == []
    longest = "i=1; mx; dkim=fail " + "(" * 100_000 + '"' * 100_000
    assert call("parse_arc_results", longest) in ([], [None])


@pytest.mark.parametrize(
    ("seals", "results", "trusted", "expected"),
    [
        ({1: "list.example"}, [[1, "dmarc", "bank.example"]], ["list.example"], 1),
        ({1: "s.list.example"}, [[1, "dkim", "a.bank.example"]], ["list.example"], 1),
        ({1: "list.example"}, [[1, "dmarc", "a.bank.example"]], ["list.example"], 0),
        ({1: "list.example"}, [[1, "dkim", "evil.example"]], ["list.example"], 0),
        ({1: "list.example"}, [], ["list.example"], 0),
        ({1: "list.example"}, [[2, "dmarc", "bank.example"]], ["list.example"], 0),
        ({1: "evil.example"}, [[1, "dmarc", "bank.example"]], ["list.example"], 0),
        ({1: "evil.example", 2: "list.example"}, [[1, "dmarc", "bank.example"]], ["list.example"], 0),
        ({1: "list.example", 2: "evil.example"}, [[1, "dmarc", "bank.example"]], ["list.example"], 0),
        (
            {1: "google.example", 2: "list.example"},
            [[1, "dmarc", "bank.example"]],
            ["list.example", "google.example"],
            1,
        ),
        ({1: "list.example"}, [[1, "dmarc", "bank.example"]], ["other.example"], 0),
        ({}, [], ["list.example"], 0),
    ],
)
def test_only_trusted_sealers_vouch(
    call: Call, seals: dict[int, str], results: list[list[Any]], trusted: list[str], expected: int
) -> None:
    found = call(
        "vouched",
        seals={str(number): domain for number, domain in seals.items()},
        results=[{"i": number, "passed": [[kind, domain]]} for number, kind, domain in results],
        trusted=trusted,
        policy=record(),
        **{"from": "bank.example"},
    )
    assert int(found[0]) == expected


@pytest.mark.parametrize("second", [None, {"i": 1, "passed": [["dmarc", "bank.example"]]}])
def test_a_result_beside_the_sealed_one_spoils_both(call: Call, second: Any) -> None:
    sealed = {"i": 1, "passed": [["dmarc", "bank.example"]]}
    facts = {"seals": {"1": "list.example"}, "trusted": ["list.example"], "policy": record()}
    assert int(call("vouched", **facts, results=[sealed], **{"from": "bank.example"})[0]) == 1
    for results in ([sealed, second], [second, sealed]):
        assert int(call("vouched", **facts, results=results, **{"from": "bank.example"})[0]) == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("list.example", 1), ("mx.list.example", 1), ("evillist.example", 0), ("example", 0), ("", 0)],
)
def test_a_domain_holds_for_what_is_below_it(call: Call, name: str, expected: int) -> None:
    assert int(call("is_within", {"list.example": 1}, name)[0]) == expected


@pytest.mark.parametrize("name", ["example.com", "_x.example.com", "a-b.example", "xn--bcher-kva.example"])
def test_a_valid_domain(call: Call, name: str) -> None:
    assert call("valid_domain", name) not in ([], [""])


@pytest.mark.parametrize(
    "name",
    ["", "com", "a..b", ".a.b", "a b.example", "a.b\n", "-a.example", "a.example-", f"{'a' * 64}.example"],
)
def test_not_a_valid_domain(call: Call, name: str) -> None:
    assert call("valid_domain", name) in ([], [""])
