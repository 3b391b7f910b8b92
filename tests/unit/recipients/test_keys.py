"""The site's domains as keys of validrcptto.cdb."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import (
    addresses as formats_addresses,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import keys as recipients
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import ldap_export
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients import (
    limits as recipients_limits,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.domains import (
    Domain,
    directory_domains,
    parse_domains,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.recipients.settings import parse

HOST = "mx1.example.com"
HOST_KEYS = ["postmaster", *(f"{role}@{HOST}" for role in ("abuse", "mailer-daemon", "postmaster", "root"))]
NAME = "expected a name such as 'mail.example.com'"
AVAILABLE = "expected 'directory', 'list' or 'any'"
LISTED = {"name": "example.com", "recipients": "list", "addresses": ["joe"]}


def _keys(
    *items: dict[str, Any], hostname: str = HOST, exported: Iterable[str] = ()
) -> recipients.Recipients:
    domains, faults = parse_domains(items)
    assert not faults
    return recipients.keys(domains, hostname=hostname, exported=exported)


def _list(*addresses: object, **more: object) -> dict[str, Any]:
    return {"name": "example.com", "recipients": "list", "addresses": list(addresses), **more}


@pytest.mark.parametrize(
    ("addresses", "keys"),
    [
        (["joe"], {"joe@example.com"}),
        (["Joe", "joe@EXAMPLE.com", "JOE"], {"joe@example.com"}),
        (
            ["jane.doe+tag", "o'neil", "sales-default"],
            {"jane.doe+tag@example.com", "o'neil@example.com", "sales-default@example.com"},
        ),
        # qmail-smtpd takes quotes and backslashes away before it looks an address up.
        (['"a@B"', '"c\\"d"@example.com', '"e"'], {"a@b@example.com", 'c"d@example.com', "e@example.com"}),
        (["a" * 64], {"a" * 64 + "@example.com"}),
        (["postmaster"], set()),
    ],
)
def test_addresses_become_keys(addresses: list[str], keys: set[str]) -> None:
    found = _keys(_list(*addresses))
    expected = keys | {"abuse@example.com", "postmaster@example.com", *HOST_KEYS}
    assert found.keys == tuple(sorted(expected))


def test_any_and_two_domains() -> None:
    domains = [
        {"name": "Example.NET", "recipients": "any", "addresses": None, "route": "10.0.0.5"},
        {"name": "example.com", "recipients": "list", "addresses": ("joe",)},
    ]
    found = _keys(*domains, hostname="MX1.example.com")
    assert found.keys == (
        "@example.net",
        "abuse@example.com",
        "abuse@example.net",
        "abuse@mx1.example.com",
        "joe@example.com",
        "mailer-daemon@mx1.example.com",
        "postmaster",
        "postmaster@example.com",
        "postmaster@example.net",
        "postmaster@mx1.example.com",
        "root@mx1.example.com",
    )


# Each is one listed address of example.com and what is wrong with it.
BAD_ADDRESSES = [
    ("", "has an empty local part; expected 'user@domain'"),
    ("@example.com", "has an empty local part; expected 'user@domain'"),
    ("joe@", "has an empty domain; expected 'user@domain'"),
    ("joe smith", "has a blank or a control character; expected none"),
    ("joe ", "has a blank or a control character; expected none"),
    ('"joe\tsmith"', "has a blank or a control character; expected none"),
    ("joe\0", "has a blank or a control character; expected none"),
    ("joe\n", "has a blank or a control character; expected none"),
    ("joe\x7f", "has a blank or a control character; expected none"),
    ("jos\u00e9", "has a character outside ASCII; expected ASCII"),
    ("a@b@example.com", "has two '@'; expected one, or a local part in quotes"),
    (".joe", "has a dot at an end of its local part, or two together; expected text around each dot"),
    ("joe.", "has a dot at an end of its local part, or two together; expected text around each dot"),
    ("j..e", "has a dot at an end of its local part, or two together; expected text around each dot"),
    ("<joe>", "has a character that needs quotes; expected letters, digits and !#$%&'*+/=?^_`{|}~-."),
    ("joe,jane", "has a character that needs quotes; expected letters, digits and !#$%&'*+/=?^_`{|}~-."),
    ('"joe', "has a local part with broken or empty quotes; expected '\"...\"@domain'"),
    ('""', "has a local part with broken or empty quotes; expected '\"...\"@domain'"),
    ("a" * 65, "has a local part of 65 bytes; expected at most 64"),
    ("joe@example.net", "is an address of another domain; expected one of 'example.com'"),
    ("joe@mail.example.com", "is an address of another domain; expected one of 'example.com'"),
    ("joe@10.0.0.1", f"has a domain that is an IP address; {NAME}"),
    (
        "joe@example..com",
        f"has a domain that is not a domain name; {NAME}: letters, digits and '-' between dots",
    ),
]


@pytest.mark.parametrize(("address", "fault"), BAD_ADDRESSES)
def test_bad_address(address: str, fault: str) -> None:
    assert parse_domains([_list("fine", address)])[1] == [f"domains item 1 address 2: {address!r} {fault}"]


def test_whole_address_at_its_longest() -> None:
    labels = ".".join(["d" * 63] * 2)
    domain = f"{labels}.{'e' * (254 - 65 - len(labels) - 1)}"
    address = "a" * 64
    assert len(f"{address}@{domain}") == 254
    item = {"name": domain, "recipients": "list", "addresses": [address]}
    assert f"{address}@{domain}" in _keys(item).keys
    longer = {"name": f"{domain}e", "recipients": "list", "addresses": [address]}
    assert parse_domains([longer])[1] == [
        f"domains item 1 address 1: '{address}' has 255 bytes; expected at most 254"
    ]


@pytest.mark.parametrize(
    ("domains", "faults"),
    [
        ([], ["domains: [] is empty; expected at least one domain"]),
        (
            ["example.com"],
            ["domains item 1: 'example.com' is not a mapping; expected 'name' and 'recipients'"],
        ),
        ([{"recipients": "any"}], ["domains item 1: None is not a string; expected the domain's name"]),
        ([{"name": "example", "recipients": "any"}], [f"domains item 1: 'example' has no dot; {NAME}"]),
        ([{"name": "", "recipients": "any"}], [f"domains item 1: '' is empty; {NAME}"]),
        (
            [{"name": "b\u00fc .test", "recipients": "any"}],
            [f"domains item 1: 'b\u00fc .test' has a letter outside ASCII; {NAME}, in its 'xn--' form"],
        ),
        ([{"name": "example.com"}], [f"domains item 1: 'example.com' has no recipients; {AVAILABLE}"]),
        (
            [{"name": "example.com", "recipients": "all"}],
            [f"domains item 1: recipients 'all' of 'example.com' is not a policy; {AVAILABLE}"],
        ),
        ([{"name": "example.com", "recipients": "directory"}], []),
        (
            [{"name": "example.com", "recipients": "directory", "addresses": ["a b"]}],
            ["domains item 1 address 1: 'a b' has a blank or a control character; expected none"],
        ),
        (
            [{**LISTED, "addresses": []}],
            ["domains item 1: 'example.com' has recipients 'list' and no addresses; expected at least one"],
        ),
        (
            [{**LISTED, "addresses": "joe"}],
            ["domains item 1: addresses 'joe' of 'example.com' is not a list; expected a list of addresses"],
        ),
        (
            [{**LISTED, "recipients": "any"}],
            [
                "domains item 1: 'example.com' has addresses beside recipients 'any'; "
                "expected recipients 'list' or 'directory'"
            ],
        ),
        ([_list(7)], ["domains item 1 address 1: 7 is not a string; expected a local part or an address"]),
        (
            [{"name": "b\u00fc.test", "recipients": "any"}, {"name": "XN--B-EHA.test", "recipients": "any"}],
            ["domains item 2: 'XN--B-EHA.test' is given twice; expected it once, and item 1 has it"],
        ),
        (
            [LISTED, {"name": "EXAMPLE.com", "recipients": "any"}],
            ["domains item 2: 'EXAMPLE.com' is given twice; expected it once, and item 1 has it"],
        ),
        (
            [_list("a b"), {"name": "x_y.test", "recipients": "any"}],
            [
                "domains item 1 address 1: 'a b' has a blank or a control character; expected none",
                f"domains item 2: 'x_y.test' is not a domain name; {NAME}: "
                "letters, digits and '-' between dots",
            ],
        ),
    ],
)
def test_faults(domains: list[Any], faults: list[str]) -> None:
    assert parse_domains(domains)[1] == faults


def test_a_host_name_in_unicode_is_told_its_own_form() -> None:
    with pytest.raises(BadInput) as refusal:
        parse({"hostname": "mx.b\u00fccher.test", "domains": [LISTED]})
    expected = f"{NAME}, in its 'xn--' form 'mx.xn--bcher-kva.test'"
    assert str(refusal.value) == f"hostname: 'mx.b\u00fccher.test' has a letter outside ASCII; {expected}"


def test_bad_host_name() -> None:
    with pytest.raises(BadInput) as refusal:
        parse({"hostname": "10.0.0.1", "domains": [LISTED]})
    assert str(refusal.value) == f"hostname: '10.0.0.1' is an IP address; {NAME}"


def test_a_domain_is_parsed_once() -> None:
    items = [
        {"name": "A.Test", "recipients": "directory"},
        {"name": "B.test", "recipients": "list", "addresses": ["Joe", "joe@b.TEST", "x y", "a"]},
        {"name": "c.test", "recipients": "nobody"},
    ]
    domains, faults = parse_domains(items)
    assert domains == (Domain("a.test", "directory"), Domain("b.test", "list", ("joe@b.test", "a@b.test")))
    assert len(faults) == 2
    assert directory_domains(domains) == {"a.test"}


def test_faults_of_domains_and_of_the_host_name_are_told_at_once() -> None:
    with pytest.raises(BadInput) as refusal:
        parse({"hostname": 7, "domains": [{"name": "example.com"}]})
    assert str(refusal.value).split("\n") == [
        "settings: hostname 7 is not a string; expected a name such as 'mx1.example.com'",
        f"domains item 1: 'example.com' has no recipients; {AVAILABLE}",
    ]


def test_difference_counts_all_and_names_a_few() -> None:
    change = recipients_limits.difference(["a@x", "b@x", "c@x", "d@x"], ["d@x", "g@x", "e@x", "f@x"], limit=2)
    assert change == recipients_limits.Difference(4, 4, 3, 3, ("e@x", "f@x"), ("a@x", "b@x"))
    assert recipients_limits.describe(change) == (
        "4 recipients\n3 lost\na@x\nb@x\nand 1 more lost\n",
        "4 recipients\n3 gained\ne@x\nf@x\nand 1 more gained\n",
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [("Joe@Example.COM", ("joe", "example.com")), ('"A@b"@x.test', ("a@b", "x.test"))],
)
def test_parse_address(text: str, result: tuple[str, str]) -> None:
    assert formats_addresses.parse_address(text, "x") == result


def test_parse_address_without_at() -> None:
    with pytest.raises(BadInput) as refusal:
        formats_addresses.parse_address("joe", "postmaster")
    assert str(refusal.value) == "postmaster: 'joe' has no '@'; expected 'user@domain'"


DIRECTORY = frozenset(["example.com", "example.net"])


def _sorted(*addresses: str) -> recipients.Sorted:
    return recipients.sort_exported(addresses, DIRECTORY)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("joe@example.com", "joe@example.com"),
        ("o'neil_x+y-z@example.net", "o'neil_x+y-z@example.net"),
        ("a{b}~c@example.com", "a{b}~c@example.com"),
        ('"a@b"@example.com', "a@b@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ('"john doe"@example.com', "john doe@example.com"),
        ('" a directory"@example.com', " a directory@example.com"),
        ('"a\\ b\\"c"@example.com', 'a b"c@example.com'),
    ],
)
def test_exported_address_is_kept(address: str, key: str) -> None:
    assert _sorted(address) == recipients.Sorted(frozenset([key]), {})


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("joe@other.test", "is of a domain whose recipients do not come from the directory"),
        ("joe@sub.example.com", "is of a domain whose recipients do not come from the directory"),
        ("joe", "has no '@'; expected 'user@domain'"),
        ("@example.com", "has an empty local part; expected 'user@domain'"),
        (
            ".joe@example.com",
            "has a dot at an end of its local part, or two together; expected text around each dot",
        ),
        ("joe\n@example.com", "has a blank or a control character; expected none"),
        ("jos\u00e9@example.com", "has a character outside ASCII; expected ASCII"),
        ("a" * 65 + "@example.com", "has a local part of 65 bytes; expected at most 64"),
    ],
)
def test_exported_address_is_dropped_and_told(address: str, why: str) -> None:
    found = _sorted("joe@example.com", address)
    assert found.kept == {"joe@example.com"}
    assert dict(found.dropped) == {why: (1, (address,))}
    assert recipients.describe_dropped(found.dropped) == [f"1 not taken, e.g. {address!r}: {why}"]


@pytest.mark.parametrize(
    ("site", "address"),
    [
        ("xn--mnchen-3ya.example", "joe@m\u00fcnchen.example"),
        ("xn--mnchen-3ya.example", "JOE@M\u00dcNCHEN.example"),
        ("XN--MNCHEN-3YA.Example", "joe@mu\u0308nchen.example"),
        ("m\u00fcnchen.example", "joe@xn--mnchen-3ya.example"),
        ("M\u00fcnchen.Example", "joe@XN--mnchen-3ya.EXAMPLE"),
        ("m\u00fcnchen.example", "joe@mu\u0308nchen.example"),
        ("xn--strae-oqa.example", "joe@stra\u00dfe.example"),
        ("stra\u00dfe.example", "joe@STRA\u1e9eE.example"),
        (
            "xn--hxajbheg2az3al.xn--jxalpdlp",
            "joe@\u03a0\u03b1\u03c1\u03ac\u03b4\u03b5\u03b9\u03b3\u03bc\u03b1.\u03b4\u03bf\u03ba\u03b9\u03bc\u03ae",
        ),
        ("xn--fsqu00a.xn--0zwm56d", "joe@\u4f8b\u5b50\u3002\u6d4b\u8bd5"),
        ("mail.xn--fiqs8s", "joe@\uff4dail\uff0e\u4e2d\u56fd"),
        ("xn--mnchen-3ya.xn--bcher-kva.example", '"john doe"@m\u00fcnchen.b\u00fccher.example'),
    ],
)
def test_a_domain_is_the_same_in_unicode_and_in_ascii(site: str, address: str) -> None:
    """Whichever of both the site file and the directory write; RFC 5891 says which A-label it is."""
    found = ldap_export.Found()
    ldap_export._take([f"SMTP:{address}".encode()], found, True)
    domains, faults = parse_domains([{"name": site, "recipients": "directory"}])
    assert not faults
    kept = recipients.sort_exported(found.addresses, directory_domains(domains))
    local_part, domain = formats_addresses.parse_address(address, "x")
    assert kept == recipients.Sorted(frozenset([f"{local_part}@{domain}"]), {})
    assert domain.isascii() and domain == formats_addresses.ascii_domain(site) == domains[0].name
    assert recipients.looked_up(address)[0] == f"{local_part}@{domain}"
    assert recipients.keys(domains, hostname="mx1.example.com", exported=kept.kept).exported == kept.kept


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("strasse.example", "stra\u00dfe.example"),
        ("xn--mnchen-3ya.example", "munchen.example"),
        ("xn--mnchen-3ya.example", "m\u00fcnchen.example.org"),
    ],
)
def test_other_domains_are_others(text: str, domain: str) -> None:
    assert formats_addresses.ascii_domain(domain) != text


@pytest.mark.parametrize(
    "text",
    [
        "b\u00fc .test",
        "b\u00fc\u200b.test",
        "b\u00fc\n.test",
        "b\u00fc!.test",
        "\u00fc" * 64 + ".test",
        "b\u00fc..test",
        "b\udcc3.test",
    ],
)
def test_what_has_no_form_in_ascii_is_no_domain(text: str) -> None:
    assert formats_addresses.domain_fault(formats_addresses.ascii_domain(text))
    assert formats_addresses.address_fault(f"joe@{text}")


@pytest.mark.parametrize(
    "text",
    [
        "john doe@a.test",
        'a"b@a.test',
        "a\\b@a.test",
        " @a.test",
        "a..b@a.test",
        "joe@a.test",
        "@a.test",
        "postmaster",
        "a@b@a.test",
    ],
)
def test_a_key_is_written_so_that_it_is_read_again(text: str) -> None:
    written = formats_addresses.written_address(text)
    if text.rpartition("@")[0]:
        assert "@".join(formats_addresses.parse_address(written, "x")) == text
    else:
        assert written == text


def test_required_addresses_are_those_that_they_mean() -> None:
    exported = frozenset(["john doe@xn--mnchen-3ya.example"])
    wanted = recipients.Recipients(tuple(exported), exported)
    for required in ('"John Doe"@m\u00fcnchen.example', '"john\\ doe"@XN--mnchen-3ya.example'):
        assert (
            recipients_limits.objections(
                (),
                wanted,
                frozenset(["xn--mnchen-3ya.example"]),
                limits=recipients_limits.Limits(),
                required=[required],
            )
            == []
        )


def test_dropped_addresses_are_counted_and_a_few_are_named() -> None:
    found = _sorted(*(f"u{number}@other.test" for number in range(9)))
    assert [(count, len(shown)) for count, shown in found.dropped.values()] == [(9, 3)]


def _wanted(*exported: str, listed: str = "example.org") -> recipients.Recipients:
    domains: list[dict[str, Any]] = [{"name": name, "recipients": "directory"} for name in sorted(DIRECTORY)]
    domains.append({"name": listed, "recipients": "list", "addresses": ["x"]})
    return _keys(*domains, exported=exported)


def _objections(before: list[str], *after: str, **more: Any) -> list[str]:
    limits = more.pop("limits", recipients_limits.Limits(10, 50, 2))
    return recipients_limits.objections(before, _wanted(*after), DIRECTORY, limits=limits, **more)


def _many(count: int, domain: str = "example.com") -> list[str]:
    return [f"u{number}@{domain}" for number in range(count)]


NET = "n@example.net"
SHRINK = "a person's 'mailgate recipients update --accept-shrink'"


def test_exported_addresses_are_added_to_those_of_the_site() -> None:
    found = _wanted("joe@example.com")
    assert found.exported == {"joe@example.com"}
    assert {"joe@example.com", "x@example.org", "abuse@example.com", "postmaster@example.net"} <= set(
        found.keys
    )


@pytest.mark.parametrize("accept_shrink", [False, True])
def test_an_empty_export_is_refused_whoever_asks(accept_shrink: bool) -> None:
    assert _objections([], accept_shrink=accept_shrink) == [
        "export: 0 addresses of the gateway's domains; expected at least one"
    ]


@pytest.mark.parametrize("accept_shrink", [False, True])
def test_an_export_without_a_required_address_is_refused_whoever_asks(accept_shrink: bool) -> None:
    required = ["boss@Example.com", "N@example.net", "postmaster@example.com"]
    assert _objections([], "joe@example.com", NET, required=required, accept_shrink=accept_shrink) == [
        "required address: 'boss@Example.com' is in neither directory nor site file; "
        "expected it in one of them"
    ]


def test_a_domain_without_an_address_is_refused() -> None:
    message = "domain example.net: the directory has no address of it; expected at least one"
    assert _objections([], "joe@example.com") == [message]
    assert _objections([], "joe@example.com", accept_shrink=True) == []


@pytest.mark.parametrize(
    ("old", "kept", "refused"),
    [
        (100, 90, False),
        (100, 89, True),  # more than 10 %
        (15, 13, False),  # two may always go
        (15, 12, True),
        (1000, 950, False),
        (1000, 949, True),  # more than 50
    ],
)
def test_a_loss_is_held_against_percent_number_and_floor(old: int, kept: int, refused: bool) -> None:
    faults = _objections([*_many(old), NET], *_many(kept), NET)
    lost = old - kept
    text = (
        f"domain example.com: would lose {lost} of {old} addresses ({100 * lost / old:.1f} %); "
        f"expected at most 10 % and 50, or {SHRINK}"
    )
    assert faults == ([text] if refused else [])
    assert _objections([*_many(old), NET], *_many(kept), NET, accept_shrink=True) == []


def test_as_many_new_addresses_do_not_hide_a_loss() -> None:
    renamed = [f"v{number}@example.com" for number in range(100)]
    assert len(_objections([*_many(100), NET], *renamed, NET)) == 1


def test_what_the_site_file_takes_away_is_no_loss() -> None:
    assert (
        _objections([*_many(100, "example.org"), *_many(9, "gone.test"), NET], "joe@example.com", NET) == []
    )


@pytest.mark.parametrize(
    ("address", "keys"),
    [
        ("Joe@Example.com", ["joe@example.com", "@example.com"]),
        (
            "a-b-c@x.test",
            ["a-b-c@x.test", "a-b-default@x.test", "a-default@x.test", "@x.test"],
        ),
        ("Postmaster", ["postmaster"]),
        ('"a b"@x.test', ["a b@x.test", "@x.test"]),
    ],
)
def test_keys_that_qmail_smtpd_tries(address: str, keys: list[str]) -> None:
    assert recipients.looked_up(address) == keys
