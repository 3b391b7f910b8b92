"""CIDR text, what is refused, and the tcprules addresses that mean the same hosts."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import ipaddress
import random

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import (
    RELAY_MINIMUM_PREFIX_LENGTH,
    address_set,
    checked_networks,
    contains,
    parse_network,
    parse_networks,
    rule_address,
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
        (5, "network: 5 is not a string; expected a network such as '10.0.0.0/24'"),
    ],
)  # fmt: skip
def test_parse_network_refuses(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_network(text)
    assert str(caught.value) == message


def test_ipv6_is_a_network_like_any_other() -> None:
    network = parse_network("2001:db8::/32")
    assert network == ipaddress.IPv6Network("2001:db8::/32")
    assert contains(network, parse_network("2001:db8:1::/48"))
    assert not contains(network, parse_network("10.0.0.0/24"))


@pytest.mark.parametrize(
    ("texts", "minimum", "message"),
    [
        (["10.0.0.0/7"], 8, "relay network 1: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32"),
        (["10.0.0.0/24", "0.0.0.0/0"], 8, "relay network 2: '0.0.0.0/0' is wider than /8; expected a prefix length from 8 to 32"),
        (["10.0.0.0/15"], 16, "relay network 1: '10.0.0.0/15' is wider than /16; expected a prefix length from 16 to 32"),
        (["2001:db8::/32"], 8, "relay network 1: '2001:db8::/32' is IPv6, which is not supported yet; expected an IPv4 network"),
        ("10.0.0.0/24", 8, "relay networks: '10.0.0.0/24' is not a list; expected a list of networks such as ['10.0.0.0/24']"),
        (["10.0.0.0/24", "x"], 8, "relay network 2: 'x' is not a network; expected one such as '10.0.0.0/24'"),
    ],
)  # fmt: skip
def test_relay_networks_are_refused(texts: list[str], minimum: int, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_networks(texts, "relay network", minimum)
    assert str(caught.value) == message


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
            "2001:db8::/32",
            "x 2: '2001:db8::/32' is IPv6, which is not supported yet; expected an IPv4 network",
        ),
    ):
        with pytest.raises(BadInput) as caught:
            checked_networks([networks[0], ipaddress.ip_network(text)], "x", 8)
        assert str(caught.value) == message


def test_two_halves_of_the_internet_are_too_wide_to_relay() -> None:
    with pytest.raises(BadInput) as caught:
        parse_networks(["0.0.0.0/1", "128.0.0.0/1"], "relay network", RELAY_MINIMUM_PREFIX_LENGTH)
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
