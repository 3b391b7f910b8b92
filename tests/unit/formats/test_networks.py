"""CIDR text, what is refused, and the tcprules addresses that mean the same hosts."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import ipaddress
import random

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import (
    IPV6_FIRST,
    RELAY_WIDEST,
    Widest,
    address_number,
    address_set,
    checked_networks,
    client_address,
    contains,
    network_interval,
    number_address,
    parse_network,
    parse_networks,
    rule_address,
    text_interval,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.tcprules import lookup, parse


@pytest.mark.parametrize(
    ("cidr", "address"),
    [
        ("0.0.0.0/0", ""),
        ("0.0.0.0/1", "0-127."),
        ("128.0.0.0/1", "128-255."),
        ("10.0.0.0/7", "10-11."),
        ("10.0.0.0/8", "10."),
        ("172.16.0.0/12", "172.16-31."),
        ("10.2.0.0/16", "10.2."),
        ("10.0.0.0/22", "10.0.0-3."),
        ("10.0.0.0/24", "10.0.0."),
        ("198.51.100.64/26", "198.51.100.64-127"),
        ("192.0.2.6/31", "192.0.2.6-7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("::/0", "[::]/0"),
        ("2001:db8::/32", "[2001:db8::]/32"),
        ("2001:db8::1/128", "[2001:db8::1]"),
    ],
)
def test_rule_address(cidr: str, address: str) -> None:
    assert rule_address(parse_network(cidr)) == address


def test_rule_address_matches_the_network_and_nothing_else() -> None:
    chance = random.Random(7)
    for _ in range(400):
        network = ipaddress.IPv4Network(
            (chance.getrandbits(32), length := chance.randrange(1, 33)), strict=False
        )
        rules = parse(f"{rule_address(network)}:deny\n", "x")
        first, last = int(network.network_address), int(network.broadcast_address)
        inside = [first, last, chance.randint(first, last)]
        outside = [at for at in (first - 1, last + 1, chance.getrandbits(32)) if 0 <= at < 2**32]
        for at in inside + outside:
            address = ipaddress.IPv4Address(at)
            assert (lookup(rules, address) is not None) == (address in network), (network, length, address)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "network: '' is not a network; expected one such as '10.0.0.0/24'"),
        ("office", "network: 'office' is not a network; expected one such as '10.0.0.0/24'"),
        ("10.0.0.0/33", "network: '10.0.0.0/33' is not a network; expected one such as '10.0.0.0/24'"),
        ("10.0.0/24", "network: '10.0.0/24' is not a network; expected one such as '10.0.0.0/24'"),
        ("10.0.0.", "network: '10.0.0.' is not a network; expected one such as '10.0.0.0/24'"),
        (" 10.0.0.0/24", "network: ' 10.0.0.0/24' is not a network; expected one such as '10.0.0.0/24'"),
        ("010.0.0.0/8", "network: '010.0.0.0/8' is not a network; expected one such as '10.0.0.0/24'"),
        (
            "10.0.0.5",
            "network: '10.0.0.5' has no prefix length; expected '10.0.0.5/32' for a host, "
            "or a network such as '10.0.0.0/24'",
        ),
        (
            "10.0.0.5/24",
            "network: '10.0.0.5/24' has host bits set; expected '10.0.0.0/24', or '10.0.0.5/32' for this one host",
        ),
        (
            "2001:db8::1/64",
            "network: '2001:db8::1/64' has host bits set; expected '2001:db8::/64', "
            "or '2001:db8::1/128' for this one host",
        ),
        ("10.0.0.0/255.255.255.0", "network: '10.0.0.0/255.255.255.0' is not in the usual form; expected '10.0.0.0/24'"),
        ("10.0.0.0/0.0.0.255", "network: '10.0.0.0/0.0.0.255' is not in the usual form; expected '10.0.0.0/24'"),
        ("fe80::1%eth0/128", "network: 'fe80::1%eth0/128' has a zone; expected the network without '%eth0'"),
        ("fe80::1%eth0", "network: 'fe80::1%eth0' has a zone; expected the network without '%eth0'"),
        ("[2001:db8::]/32", "network: '[2001:db8::]/32' has brackets; expected it without them, '2001:db8::/32'"),
        (
            "2001:db8::1",
            "network: '2001:db8::1' has no prefix length; expected '2001:db8::1/128' for a host, "
            "or a network such as '10.0.0.0/24'",
        ),
        ("2001:db8::/129", "network: '2001:db8::/129' is not a network; expected one such as '10.0.0.0/24'"),
        ("2001:db8::/032", "network: '2001:db8::/032' is not in the usual form; expected '2001:db8::/32'"),
        (
            "::ffff:10.0.0.1/104",
            "network: '::ffff:10.0.0.1/104' has host bits set; expected '10.0.0.0/8', "
            "or '::ffff:10.0.0.1/128' for this one host",
        ),
        (5, "network: 5 is not a string; expected a network such as '10.0.0.0/24'"),
    ],
)  # fmt: skip
def test_parse_network_refuses(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_network(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:0db8:0000:0:0:0:0:0/32", "2001:db8::/32"),
        ("64:ff9b::192.0.2.0/120", "64:ff9b::c000:200/120"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::FFFF:a00:5/128", "10.0.0.5/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/64", "::/64"),
    ],
)
def test_every_form_of_ipv6_becomes_the_usual_one(text: str, network: str) -> None:
    assert str(parse_network(text)) == network


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("::192.0.2.1", "::c000:201"),
        ("2001:db8::c000:201", "2001:db8::c000:201"),
    ],
)
def test_a_client_address_in_its_usual_form(text: str, address: str) -> None:
    assert str(client_address(text)) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "address: 'x' is not an address; expected one such as '192.0.2.1' or '2001:db8::1'"),
        (
            "::1/128",
            "address: '::1/128' is not an address; expected one such as '192.0.2.1' or '2001:db8::1'",
        ),
        ("fe80::1%eth0", "address: 'fe80::1%eth0' has a zone; expected the address without '%eth0'"),
    ],
)
def test_a_text_that_is_not_a_client_address(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        client_address(text)
    assert str(caught.value) == message


def test_numbers_of_addresses_and_networks_of_both_families() -> None:
    for text in ("0.0.0.0", "255.255.255.255", "::", "::ffff:ffff", "2001:db8::1", "ffff" + ":ffff" * 7):
        assert str(number_address(address_number(text))) == text
        assert text_interval(text) == (address_number(text),) * 2
    assert address_number("::ffff:192.0.2.1") == address_number("192.0.2.1")
    for text in ("10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0", "::1/128"):
        assert text_interval(text) == network_interval(parse_network(text))


def test_ipv6_is_a_network_like_any_other() -> None:
    network = parse_network("2001:db8::/32")
    assert network == ipaddress.IPv6Network("2001:db8::/32")
    assert contains(network, parse_network("2001:db8:1::/48"))
    assert not contains(network, parse_network("10.0.0.0/24"))


@pytest.mark.parametrize(
    ("texts", "widest", "message"),
    [
        (["10.0.0.0/7"], RELAY_WIDEST, "relay network 1: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32"),
        (["10.0.0.0/24", "0.0.0.0/0"], RELAY_WIDEST, "relay network 2: '0.0.0.0/0' is wider than /8; expected a prefix length from 8 to 32"),
        (["10.0.0.0/15"], Widest(16, 48), "relay network 1: '10.0.0.0/15' is wider than /16; expected a prefix length from 16 to 32"),
        (["10.0.0.0/8", "2001:d00::/24"], RELAY_WIDEST, "relay network 2: '2001:d00::/24' is wider than /32; expected a prefix length from 32 to 128"),
        ("10.0.0.0/24", RELAY_WIDEST, "relay networks: '10.0.0.0/24' is not a list; expected a list of networks such as ['10.0.0.0/24']"),
        (["10.0.0.0/24", "x"], RELAY_WIDEST, "relay network 2: 'x' is not a network; expected one such as '10.0.0.0/24'"),
    ],
)  # fmt: skip
def test_relay_networks_are_refused(texts: list[str], widest: Widest, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_networks(texts, "relay network", widest)
    assert str(caught.value) == message


BEHIND = "has more than a /8 of IPv4 behind it, {} ({}); expected a prefix length from {} to 128"
ALL_BEHIND = "has all of IPv4 behind it, in {} ({}); expected networks outside of that"
NAT64, OWN_NAT64 = ("64:ff9b::/96", "NAT64, RFC 6052"), ("64:ff9b:1::/48", "NAT64, RFC 8215")
SIX_TO_FOUR, TEREDO = ("2002::/16", "6to4, RFC 3056"), ("2001::/32", "Teredo, RFC 4380")
COMPATIBLE = ("::/96", "IPv4-compatible addresses, RFC 4291")
MAPPED = ("::ffff:0:0/96", "IPv4-mapped addresses, RFC 4291")
TRANSLATED = ("::ffff:0:0:0/96", "IPv4-translated addresses, RFC 7915")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("64:ff9b::/96", BEHIND.format(*NAT64, 104)),
        ("0064:FF9B::0/96", BEHIND.format(*NAT64, 104)),
        ("64:ff9b::128.0.0.0/97", BEHIND.format(*NAT64, 104)),
        ("64:ff9b::10.0.0.0/103", BEHIND.format(*NAT64, 104)),
        ("64:ff9b::10.0.0.0/104", ""),
        ("64:ff9b::10.0.0.5/128", ""),
        ("64:ff9b::/95", ALL_BEHIND.format(*NAT64)),
        ("64:ff9b::/64", ALL_BEHIND.format(*NAT64)),
        ("64:ff9b::/48", ALL_BEHIND.format(*NAT64)),
        ("64:ff9b::/32", ALL_BEHIND.format(*NAT64)),
        ("64:ff9a::/31", "is wider than /32; expected a prefix length from 32 to 128"),
        ("::/0", "is wider than /32; expected a prefix length from 32 to 128"),
        ("64:ff9b:0:0:1::/80", ""),
        ("64:ff9b:1::/48", BEHIND.format(*OWN_NAT64, 104)),
        ("64:ff9b:1:fffe::/96", BEHIND.format(*OWN_NAT64, 104)),
        ("2002::/16", BEHIND.format(*SIX_TO_FOUR, 32)),
        ("2002:a00::/24", BEHIND.format(*SIX_TO_FOUR, 32)),
        ("2002:a00:500::/40", ""),
        ("2001::/32", BEHIND.format(*TEREDO, 104)),
        ("2001:0:c633:6401::/64", BEHIND.format(*TEREDO, 104)),
        ("2001:db8::/32", ""),
        ("::/96", BEHIND.format(*COMPATIBLE, 104)),
        ("::/64", ALL_BEHIND.format(*COMPATIBLE)),
        ("::/32", ALL_BEHIND.format(*COMPATIBLE)),
        ("::1/128", ""),
        ("::fffe:0:0/95", ALL_BEHIND.format(*MAPPED)),
        ("::ffff:0:0:0/96", BEHIND.format(*TRANSLATED, 104)),
        ("::ffff:0:0/96", "is wider than /8; expected a prefix length from 8 to 32"),
        ("::ffff:10.0.0.0/103", "is wider than /8; expected a prefix length from 8 to 32"),
        ("::ffff:10.0.0.0/104", ""),
        ("fd00::/32", ""),
        ("fe80::/64", ""),
    ],
)
def test_of_the_ipv4_behind_a_network_of_ipv6_no_more_relays_than_of_ipv4(text: str, fault: str) -> None:
    assert RELAY_WIDEST.fault(parse_network(text)) == fault


def test_networks_inside_others_are_left_out_and_neighbours_keep_their_names() -> None:
    texts = ["10.0.1.0/24", "192.0.2.7/32", "10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/24", "10.0.0.9/32"]
    assert [str(network) for network in parse_networks(texts)] == [
        "10.0.0.0/24",
        "10.0.1.0/24",
        "192.0.2.7/32",
    ]


def test_parsed_networks_are_checked_as_their_texts_are() -> None:
    networks = [parse_network(text) for text in ("10.0.1.0/24", "10.0.0.0/24", "10.0.0.9/32")]
    assert [str(network) for network in checked_networks(iter(networks))] == ["10.0.0.0/24", "10.0.1.0/24"]
    for text, message in (
        ("10.0.0.0/7", "x 2: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32"),
        (
            "2001::/16",
            "x 2: '2001::/16' is wider than /32; expected a prefix length from 32 to 128",
        ),
    ):
        with pytest.raises(BadInput) as caught:
            checked_networks([networks[0], ipaddress.ip_network(text)], "x", RELAY_WIDEST)
        assert str(caught.value) == message


def test_two_halves_of_the_internet_are_too_wide_to_relay() -> None:
    with pytest.raises(BadInput) as caught:
        parse_networks(["0.0.0.0/1", "128.0.0.0/1"], "relay network", RELAY_WIDEST)
    assert str(caught.value) == (
        "relay network 1: '0.0.0.0/1' is wider than /8; expected a prefix length from 8 to 32"
    )


def test_an_address_set_joins_neighbours_and_knows_its_edges() -> None:
    one = address_set(parse_networks(["10.0.0.0/25", "10.0.0.128/25", "192.0.2.7/32"]))
    assert one.intervals() == [(0x0A000000, 0x0A0000FF), (0xC0000207, 0xC0000207)]
    for address, inside in (
        ("9.255.255.255", False), ("10.0.0.0", True), ("10.0.0.255", True), ("10.0.1.0", False),
        ("192.0.2.6", False), ("192.0.2.7", True), ("192.0.2.8", False), ("0.0.0.0", False),
    ):  # fmt: skip
        assert (address in one) is inside
    assert one.covers(0x0A000001, 0x0A0000FE)
    assert not one.covers(0x0A0000FE, 0x0A000100)
    assert "0.0.0.0" not in address_set([])


def test_an_address_set_keeps_the_families_apart() -> None:
    one = address_set(parse_networks(["0.0.0.0/0", "::/1", "8000::/1", "::5/128"]))
    assert one.intervals() == [(0, 2**32 - 1), (IPV6_FIRST, 2 * IPV6_FIRST - 1)]
    assert one.ipv4_intervals() == [(0, 2**32 - 1)]
    two = address_set(parse_networks(["2001:db8::/48", "2001:db8:1::/48", "10.0.0.0/8"]))
    assert "2001:db8:1:ffff:ffff:ffff:ffff:ffff" in two
    assert "2001:db8:2::" not in two
    assert "::ffff:10.0.0.1" in two
    assert "::10.0.0.1" not in two
    assert two.covers(*text_interval("2001:db8::/47"))
    assert not two.covers(*text_interval("2001:db8::/46"))
    assert two.overlaps(*text_interval("2001:db8::/46"))
    assert two.overlaps(*text_interval("2001:db8::/16"))
    assert not two.overlaps(*text_interval("2001:db8:2::/48"))
