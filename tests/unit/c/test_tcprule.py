# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup of a client's rule in C, beside the one in Python and the plain meaning of the rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Union

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import build
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import (
    Network,
    client_address,
    number_address,
    rule_address,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.tcprules import (
    Rule,
    boundaries,
    compile_records,
    lookup,
    parse,
    render,
)
from support.c_programs import run
from support.parameters import slow_after_first

Address = Union[IPv4Address, IPv6Address]
PLACES = ("0.0.0.0", "10.0.0.7", "10.0.255.255", "255.255.255.255", "::", "::1", "::10.0.0.7", "2001:db8::7",
          "2001:db8:8000::", "2001:db8:0:1:2:3:4:5", "ffff" + ":ffff" * 7)  # fmt: skip
EFFECTS = ("deny", "allow", 'allow,A="1"', 'allow,A="2",RBLSMTPD="-no"')


def ask(findrule: Path, data: bytes, addresses: Sequence[str], directory: Path) -> list[str]:
    """Return what the C program says of each address."""
    (directory / "rules.cdb").write_bytes(data)
    done = run([findrule, directory / "rules.cdb"], input="".join(f"{one}\n" for one in addresses).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def said(rule: Rule | None) -> str:
    if rule is None:
        return "allow"
    return " ".join([rule.action, *(f"{name}={value}" for name, value in rule.environment)])


def some_network(chance: random.Random) -> Network:
    place = client_address(chance.choice(PLACES))
    if place.version == 4:
        return IPv4Network((place, chance.choice([0, 1, 7, 8, 9, 16, 22, 24, 31, 32])), strict=False)
    number = int(place) ^ (1 << chance.randrange(128) if chance.random() < 0.3 else 0)
    length = chance.choice([0, 1, 16, 31, 32, 33, 48, 63, 64, 65, 127, 128, chance.randrange(129)])
    return IPv6Network((number, length), strict=False)


def meant(networks: Sequence[tuple[Network | None, str]], address: Address) -> str:
    """Return the effect of the narrowest network around an address; None is the rule for everybody.

    Rules for IPv4 are looked up octet by octet, so that networks between two octets count as the longer one.
    """
    found = (-1, "allow")
    for network, effect in networks:
        if network is None:
            length = -0.5
        elif network.version == address.version and address in network:
            length = network.prefixlen if network.version == 6 else (network.prefixlen + 7) // 8 * 8
        else:
            continue
        if length > found[0]:
            found = (length, effect)
    return found[1]


@pytest.mark.parametrize("seed", slow_after_first(range(4)))
def test_c_and_python_find_the_narrowest_rule(
    program: Callable[..., Path], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    findrule = program("findrule")
    for _round in range(40):
        networks: list[tuple[Network | None, str]] = []
        for _rule in range(chance.randrange(1, 14)):
            network = None if chance.random() < 0.1 else some_network(chance)
            # The whole of IPv4 has the key of everybody.
            networks.append(
                (None if network == IPv4Network("0.0.0.0/0") else network, chance.choice(EFFECTS))
            )
        rules = parse(
            "".join(f"{'' if one is None else rule_address(one)}:{effect}\n" for one, effect in networks), "x"
        )
        numbers = {number for edge in boundaries(rules) for number in (edge, edge ^ 1)}
        addresses = [number_address(number) for number in numbers] + [client_address(one) for one in PLACES]
        answers = ask(findrule, build(compile_records(rules)), list(map(str, addresses)), tmp_path)
        for address, answer in zip(addresses, answers):
            assert answer == said(lookup(rules, address)), (render(rules), address)
            effect = meant(networks, address).replace('"', "").replace(",", " ")
            assert answer == effect, (render(rules), address)
        assert len(answers) == len(addresses)


def test_every_form_of_an_address_finds_the_same_rule(program: Callable[..., Path], tmp_path: Path) -> None:
    rules = parse('192.0.2.1:deny\n[2001:DB8::]/32:allow,A="1"\n[::192.0.2.1]:allow,B="2"\n', "x")
    forms = {
        "192.0.2.1": "deny",
        "::ffff:192.0.2.1": "deny",
        "::FFFF:c000:201": "deny",
        "0:0:0:0:0:ffff:c000:0201": "deny",
        "2001:db8::1": "allow A=1",
        "2001:0DB8:0000::ffff": "allow A=1",
        "::192.0.2.1": "allow B=2",
        "2001:db9::": "allow",
    }
    answers = ask(program("findrule"), build(compile_records(rules)), list(forms), tmp_path)
    assert answers == list(forms.values())
    assert [said(lookup(rules, form)) for form in forms] == list(forms.values())


@pytest.mark.parametrize("lengths", [b"\x20\x80", b"\x80\x80", b"\x81\x20", bytes(range(129, -1, -1))])
def test_prefix_lengths_that_no_compiler_writes_are_trouble_for_ipv6_alone(
    program: Callable[..., Path], tmp_path: Path, lengths: bytes
) -> None:
    data = build([(b"192.0.2.1", b"D\0"), (b"[20010db8]/32", b"D\0"), (b"[]", lengths)])
    said_of = ask(program("findrule"), data, ["192.0.2.1", "2001:db8::1"], tmp_path)
    assert said_of[0] == "deny"
    assert said_of[1].startswith("trouble ")


def test_a_file_without_ipv6_has_the_rule_for_everybody(program: Callable[..., Path], tmp_path: Path) -> None:
    data = build(compile_records(parse(':allow,A="1"\n10.:deny\n', "x")))
    assert ask(program("findrule"), data, ["::1", "10.0.0.1"], tmp_path) == ["allow A=1", "deny"]


def test_a_lookup_tries_all_lengths(program: Callable[..., Path], tmp_path: Path) -> None:
    networks = [ip_network(("2001:db8::7", length), strict=False) for length in range(129)]
    text = "".join(f'{rule_address(network)}:allow,A="{network.prefixlen}"\n' for network in networks)
    rules = parse(text, "x")
    for left in (128, 127, 65, 64, 33, 8, 1, 0):
        kept = parse("".join(rules.lines[: left + 1]), "x")
        answers = ask(program("findrule"), build(compile_records(kept)), ["2001:db8::7"], tmp_path)
        assert answers == [f"allow A={left}"]
