"""The site's domains as keys of validrcptto.cdb."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate import recipients
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.errors import BadInput

HOST = "mx1.example.com"
HOST_KEYS = ["postmaster", *(f"{role}@{HOST}" for role in ("abuse", "mailer-daemon", "postmaster", "root"))]
NAME = "expected a name such as 'mail.example.com'"
AVAILABLE = "expected 'list' or 'any'"
LISTED = {"name": "example.com", "recipients": "list", "addresses": ["joe"]}


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
    found = recipients.keys([_list(*addresses)], hostname=HOST)
    expected = keys | {"abuse@example.com", "postmaster@example.com", *HOST_KEYS}
    assert found.keys == tuple(sorted(expected))


def test_any_and_two_domains() -> None:
    domains = [
        {"name": "Example.NET", "recipients": "any", "addresses": None, "route": "10.0.0.5"},
        {"name": "example.com", "recipients": "list", "addresses": ("joe",)},
    ]
    found = recipients.keys(domains, hostname="MX1.example.com")
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
    assert found.records()[:2] == [(b"@example.net", b""), (b"abuse@example.com", b"")]


# Each is one listed address of example.com and what is wrong with it.
BAD_ADDRESSES = [
    ("", "has an empty local part; expected 'user@domain'"),
    ("@example.com", "has an empty local part; expected 'user@domain'"),
    ("joe@", "has an empty domain; expected 'user@domain'"),
    ("joe smith", "has a blank or a control character; expected none"),
    ("joe ", "has a blank or a control character; expected none"),
    ('"joe smith"', "has a blank or a control character; expected none"),
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
        f"has a domain that is no domain name; {NAME}: letters, digits and '-' between dots",
    ),
]


@pytest.mark.parametrize(("address", "fault"), BAD_ADDRESSES)
def test_bad_address(address: str, fault: str) -> None:
    with pytest.raises(BadInput) as refusal:
        recipients.keys([_list("fine", address)], hostname=HOST)
    assert str(refusal.value) == f"domains item 1 address 2: {address!r} {fault}"


def test_whole_address_at_its_longest() -> None:
    labels = ".".join(["d" * 63] * 2)
    domain = f"{labels}.{'e' * (254 - 65 - len(labels) - 1)}"
    address = "a" * 64
    assert len(f"{address}@{domain}") == 254
    item = {"name": domain, "recipients": "list", "addresses": [address]}
    assert f"{address}@{domain}" in recipients.keys([item], hostname=HOST).keys
    longer = {"name": f"{domain}e", "recipients": "list", "addresses": [address]}
    assert recipients.faults([longer], hostname=HOST) == [
        f"domains item 1 address 1: '{address}' has 255 bytes; expected at most 254"
    ]


@pytest.mark.parametrize(
    ("domains", "faults"),
    [
        ([], ["domains: [] is empty; expected at least one domain"]),
        (["example.com"], ["domains item 1: 'example.com' is no mapping; expected 'name' and 'recipients'"]),
        ([{"recipients": "any"}], ["domains item 1: None is no text; expected the domain's name"]),
        ([{"name": "example", "recipients": "any"}], [f"domains item 1: 'example' has no dot; {NAME}"]),
        ([{"name": "", "recipients": "any"}], [f"domains item 1: '' is empty; {NAME}"]),
        (
            [{"name": "b\u00fc.test", "recipients": "any"}],
            [f"domains item 1: 'b\u00fc.test' has a letter outside ASCII; {NAME}, in its 'xn--' form"],
        ),
        ([{"name": "example.com"}], [f"domains item 1: 'example.com' has no recipients; {AVAILABLE}"]),
        (
            [{"name": "example.com", "recipients": "all"}],
            [f"domains item 1: recipients 'all' of 'example.com' is no policy; {AVAILABLE}"],
        ),
        (
            [{"name": "example.com", "recipients": "directory"}],
            [
                f"domains item 1: recipients 'directory' of 'example.com' is not available in this version; "
                f"{AVAILABLE}"
            ],
        ),
        (
            [{**LISTED, "addresses": []}],
            ["domains item 1: 'example.com' has recipients 'list' and no addresses; expected at least one"],
        ),
        (
            [{**LISTED, "addresses": "joe"}],
            ["domains item 1: addresses 'joe' of 'example.com' is no list; expected a list of addresses"],
        ),
        (
            [{**LISTED, "recipients": "any"}],
            [
                "domains item 1: 'example.com' has addresses beside recipients 'any'; "
                "expected recipients 'list'"
            ],
        ),
        ([_list(7)], ["domains item 1 address 1: 7 is no text; expected a local part or an address"]),
        (
            [LISTED, {"name": "EXAMPLE.com", "recipients": "any"}],
            ["domains item 2: 'EXAMPLE.com' is given twice; expected it once, and item 1 has it"],
        ),
        (
            [_list("a b"), {"name": "x_y.test", "recipients": "any"}],
            [
                "domains item 1 address 1: 'a b' has a blank or a control character; expected none",
                f"domains item 2: 'x_y.test' is no domain name; {NAME}: letters, digits and '-' between dots",
            ],
        ),
    ],
)
def test_faults(domains: list[Any], faults: list[str]) -> None:
    assert recipients.faults(domains, hostname=HOST) == faults


def test_bad_host_name() -> None:
    assert recipients.faults([LISTED], hostname="10.0.0.1") == [
        f"hostname: '10.0.0.1' is an IP address; {NAME}"
    ]


def test_message_is_bounded() -> None:
    with pytest.raises(BadInput) as refusal:
        recipients.keys([_list(*[f"{number} x" for number in range(25)])], hostname=HOST)
    lines = str(refusal.value).split("\n")
    assert (len(lines), lines[-1]) == (21, "and 5 more")


def test_difference_counts_all_and_names_a_few() -> None:
    change = recipients.difference(["a@x", "b@x", "c@x", "d@x"], ["d@x", "g@x", "e@x", "f@x"], limit=2)
    assert change == recipients.Difference(4, 4, 3, 3, ("e@x", "f@x"), ("a@x", "b@x"))
    assert recipients.describe(change) == (
        "4 recipients\n3 lost\na@x\nb@x\nand 1 more lost\n",
        "4 recipients\n3 gained\ne@x\nf@x\nand 1 more gained\n",
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [("Joe@Example.COM", ("joe", "example.com")), ('"A@b"@x.test', ("a@b", "x.test"))],
)
def test_parse_address(text: str, result: tuple[str, str]) -> None:
    assert recipients.parse_address(text, "x") == result


def test_parse_address_without_at() -> None:
    with pytest.raises(BadInput) as refusal:
        recipients.parse_address("joe", "postmaster")
    assert str(refusal.value) == "postmaster: 'joe' has no '@'; expected 'user@domain'"
