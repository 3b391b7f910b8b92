"""The rules against the real tcprules and tcprulescheck of Debian's package ucspi-tcp."""

# ruff: noqa: E501 - rules stand in one line, as they are written

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import random
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import paths
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tcprules
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import Reader, build
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import (
    RELAY_WIDEST,
    parse_networks,
    rule_address,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import compiler as rules_compiler
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules import (
    fragments,
    safety,
    site_fragment,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.files import Versions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECONDS_EACH = 6.0
SCANNER = "/var/qmail/bin/simscan"


def oracle(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing; install the Debian package ucspi-tcp")
    return path


def real_compile(text: str, directory: Path) -> bytes | None:
    """Return the cdb that tcprules makes of a text, or None when it refuses."""
    target = directory / "rules.cdb"
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    done = subprocess.run(
        [oracle("tcprules"), str(target), str(directory / "rules.tmp")],
        input=text.encode("utf-8", "surrogateescape"), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 100), done.stderr
    return target.read_bytes() if done.returncode == 0 else None


def real_lookup(directory: Path, ip: str, host: str | None, info: str | None) -> str:
    known = {"TCPREMOTEIP": ip, "TCPREMOTEHOST": host, "TCPREMOTEINFO": info}
    return subprocess.run(
        [oracle("tcprulescheck"), str(directory / "rules.cdb")],
        env={name: value for name, value in known.items() if value is not None},
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip


def our_lookup(rules: tcprules.Rules, ip: str, host: str | None, info: str | None) -> str:
    """Return our answer in the format of tcprulescheck."""
    rule = tcprules.lookup(rules, ip, host, info)
    if rule is None:
        return "default:\nallow connection\n"
    candidates = [
        key for key in tcprules.lookup_keys(ip, rules.ipv6_lengths, host, info) if key in rules.index
    ]
    words = f"rule {candidates[0]}:\n"
    if rule.action == "deny":
        return words + "deny connection\n"
    words += "".join(f"set environment variable {name}={value}\n" for name, value in rule.environment)
    return words + "allow connection\n"


def without_ipv6(text: str) -> str:
    """Return rules without those of IPv6, which tcprules does not know."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("["))


def records_without_ipv6(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, value) for key, value in Reader(data).items() if not key.startswith(b"[")]


TAKEN = [
    ":allow",
    "1.2.3.4:deny",
    "1.2.3.4:deny \t ",
    '127.:allow,RELAYCLIENT=""',
    "10.:allow,A='x\"y',B=/a,b:c=d/",
    "1.2.3.37-53:deny",
    "10.2-3.:deny",
    "0-127.:deny",
    "10.0-1.7.9:deny",
    "=a-b.example:deny",
    "=.example:deny",
    "=:deny",
    "joe@10.0.0.7:deny",
    "a-1@=a.example:allow,A=|x|",
    "# comment",
    " \t",
    "",
    "10.0.0-3.:deny",
    '=host.example:allow,NOTE="\udcff"',
    "10.0-1.:deny\n10.1.:allow",
]

# Both refuse these.
REFUSED = [
    "1.2.3.4:Allow",
    "1.2.3.4: allow",
    "1.2.3.4:",
    "1.2.3.4:denyx",
    "1.2.3.4:deny # x",
    '10.:allow ,A=""',
    "10.:allow,A",
    "10.:allow,",
    "10.:allow,A=1",
    "10.:allow,A=",
    '10.:allow,A="x',
    '10.:allow,A=""x',
    "1.2.3.4:deny\r",
    "a-b:deny",
    "2001:db8::1:deny",
    "::1:allow",
    "::1:deny",
    "[2001:db8::1:deny",
    "[2001:db8::]/32",
]

# tcprules takes these without a message, and they do nothing, or not what they seem to.
IGNORED = [
    "1.2.3.4",
    "1.2.3.4 deny",
    " 1.2.3.4:deny",
    "10.0.0.0/24:deny",
    "10.0.0:deny",
    "10.0.0.7.:deny",
    "256.:deny",
    "10.01.:deny",
    "1.2.3.53-37:deny",
    "1-:deny",
    "1.2.3.250-256:deny",
    "10.0-3.0-3.:deny",
    "joe@10.0.0.:deny",
    "=Host.example:deny",
    "=host.example.:deny",
    "deny",
    '10.:allow,A="",A="1"',
    '10.:deny,A=""',
    '10.:allow,=""',
    "*:deny",
    "a=b:deny",
]


@pytest.mark.parametrize("text", TAKEN)
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_file_is_that_of_tcprules(text: str, end: str, tmp_path: Path) -> None:
    assert build(tcprules.compile_records(tcprules.parse(text + end, "x"))) == real_compile(
        text + end, tmp_path
    )


@pytest.mark.parametrize("text", REFUSED)
def test_both_refuse(text: str, tmp_path: Path) -> None:
    assert real_compile(text + "\n", tmp_path) is None
    with pytest.raises(BadInput):
        tcprules.parse(text + "\n", "x")


@pytest.mark.parametrize("text", IGNORED)
def test_we_refuse_what_tcprules_takes_in_silence(text: str, tmp_path: Path) -> None:
    assert real_compile(text + "\n", tmp_path) is not None
    with pytest.raises(BadInput):
        tcprules.parse(text + "\n", "x")


@dataclass(frozen=True)
class Sample:
    text: str
    relay: list[str]


def sample(chance: random.Random) -> Sample:
    """Return a random set of fragments, small enough to collide with itself often."""
    relay = [str(_network(chance, 8)) for _ in range(chance.randrange(3))]
    lines = []
    for _ in range(chance.randrange(1, 8)):
        address = chance.choice([_rule_address, _rule_address, _relay_address, _host])(chance, relay)
        lines.append(f"{address}:{_effect(chance)}")
    return Sample("".join(f"{line}\n" for line in lines), relay)


def _network(chance: random.Random, shortest: int) -> ipaddress.IPv4Network:
    base = chance.choice([0x0A000000, 0x7F000001, 0xC6336440, 0xFFFFFFFF, 0, chance.getrandbits(32)])
    return ipaddress.IPv4Network((base, chance.randrange(shortest, 33)), strict=False)


def _rule_address(chance: random.Random, relay: list[str]) -> str:
    return rule_address(_network(chance, chance.choice([0, 7, 20])))


def _relay_address(chance: random.Random, relay: list[str]) -> str:
    network = ipaddress.IPv4Network(chance.choice([*relay, "127.0.0.1/32"]))
    if network.prefixlen > 1 and chance.random() < 0.3:
        network = network.supernet()
    return rule_address(network)


def _host(chance: random.Random, relay: list[str]) -> str:
    return chance.choice(["=a.example", "=.example", "=", "joe@10.0.0.1", "joe@127.0.0.1", "joe@=a.example"])


def _effect(chance: random.Random) -> str:
    return chance.choice([
        "allow", "deny", 'allow,RELAYCLIENT=""', 'allow,RELAYCLIENT=""', 'allow,WHITELISTED="",A=\'"\'',
        f'allow,QMAILQUEUE="{SCANNER}"', 'allow,QMAILQUEUE="/bin/other"', 'allow,RELAYCLIENT="x"',
    ])  # fmt: skip


def boundaries(rules: tcprules.Rules, relay: list[str]) -> list[str]:
    """First and last address of every key and network, with neighbours; not by the code under test."""
    points = {
        (4, 0),
        (4, 2**32 - 1),
        (4, 0x7F000000),
        (4, 0x7F000001),
        (4, 0x7F000002),
        (6, 0),
        (6, 1),
        (6, 2),
    }
    points |= {(6, 2**128 - 1)}
    networks = [*map(ipaddress.ip_network, relay)]
    for rule in rules.rules:
        for key in (rule.keys[0], rule.keys[-1]):
            if key.startswith("["):
                digits, length = key[1:].split("]/")
                networks.append(ipaddress.ip_network((bytes.fromhex(digits.ljust(32, "0")), int(length))))
                continue
            octets = [octet for octet in key.rpartition("@")[2].split(".") if octet.isdigit()]
            if "=" not in key:
                padded = ".".join([*octets, "0", "0", "0", "0"][:4])
                networks.append(ipaddress.ip_network(f"{padded}/{8 * len(octets)}"))
    for network in networks:
        first, last = int(network.network_address), int(network.broadcast_address)
        points.update((network.version, point) for point in (first - 1, first, last, last + 1))
    classes = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}
    bits = {4: 32, 6: 128}
    return [str(classes[family](point)) for family, point in sorted(points) if 0 <= point < 2 ** bits[family]]


def dangers(answer: str, ip: str, relay: list[str]) -> bool:
    """Return whether a client got what only the relay networks may have, or a queue that nobody may."""
    if "deny connection" in answer:
        return False
    lines = answer.splitlines()
    if any(
        line.startswith("set environment variable RELAYCLIENT=") and not line.endswith("=") for line in lines
    ):
        return True
    queues = [line.partition("QMAILQUEUE=")[2] for line in lines if " QMAILQUEUE=" in line]
    if any(queue != SCANNER for queue in queues):
        return True
    loopback = ["127.0.0.1/32", "::1/128"]
    inside = any(ipaddress.ip_address(ip) in ipaddress.ip_network(one) for one in [*relay, *loopback])
    return not inside and "set environment variable RELAYCLIENT=" in lines


CLIENTS = [(None, None), ("a.example", None), ("b.a.example", "joe"), (None, "joe"), ("a.example", "joe")]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.slow
def test_lookups_and_safety_at_every_boundary(seed: int, tmp_path: Path) -> None:
    """What the real programs do to a client decides whether assert_safe() was right, in both directions."""
    chance = random.Random(seed)
    end = time.monotonic() + SECONDS_EACH
    safe = unsafe = 0
    while time.monotonic() < end or min(safe, unsafe) < 5:
        one = sample(chance)
        rules = tcprules.parse(one.text, "x")
        assert build(tcprules.compile_records(rules)) == real_compile(one.text, tmp_path), one
        danger = False
        for ip in (ip for ip in boundaries(rules, one.relay) if ":" not in ip):
            for host, info in CLIENTS if ip in ("10.0.0.1", "127.0.0.1", "0.0.0.0") else CLIENTS[:2]:
                answer = real_lookup(tmp_path, ip, host, info)
                assert answer == our_lookup(rules, ip, host, info), (one, ip, host, info)
                danger = danger or (dangers(answer, ip, one.relay))
        try:
            safety.assert_safe(rules, parse_networks(one.relay), scanner=SCANNER)
            safe += 1
            assert not danger, one
        except BadInput as error:
            unsafe += 1
            # A rule that never applies, or only to some host's name, may be refused without doing harm yet.
            harmless = (
                "host name" in str(error)
                or "gives RELAYCLIENT a value" in str(error)
                or "past the scanner; expected" in str(error)
                or "@" in one.text
            )
            assert danger or harmless, (one, error)


@pytest.mark.slow
def test_random_lines_are_taken_only_if_tcprules_takes_them(tmp_path: Path) -> None:
    """Mutated lines: what we take compiles to the same bytes, so what tcprules refuses we refuse."""
    chance = random.Random(3)
    end = time.monotonic() + SECONDS_EACH
    taken = 0
    pieces = ["10", "0", "255", "256", "07", ".", ".", "-", ":", ",", "=", '"', "'", "@", "/24", " ", "\t",
              "\r", "allow", "deny", "A", "example", "#", "é", "\udcff", "1-3", "::"]  # fmt: skip
    while time.monotonic() < end or taken < 100:
        line = list(chance.choice(TAKEN + REFUSED))
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(line) + 1)
            line[at : at + chance.randrange(3)] = [chance.choice(pieces)]
        text = "".join(line) + chance.choice(["", "\n"])
        try:
            rules = tcprules.parse(text, "x")
        except BadInput:
            continue
        taken += 1
        assert build(tcprules.compile_records(rules)) == real_compile(text, tmp_path), repr(text)
        assert tcprules.render(rules) == text


def test_tcprules_makes_the_published_cdb_of_the_readable_copy(tmp_path: Path) -> None:
    made = rules_compiler.compile_fragments(
        Versions("/etc/tcp.d", {
            "10-site": site_fragment.site_rules(
                ["10.0.0.0/22", "198.51.100.64/26", "172.16.0.0/12"], scanner=SCANNER,
                protected_networks=["10.0.1.0/30", "203.0.113.128/25", "2001:db8:2::/48"],
                extra=[site_fragment.SiteRule("198.51.100.70/32", "deny", {})],
            ),
            "20-operator": "# é\n10.0.0.9:deny\n198.51.100.80-81:deny\n203.0.113.:deny\n[2001:db8::]/32:deny\n[::]/0:deny\n=a.example:deny",
            "30-adaptive": fragments.render_adaptive(
                fragments.AdaptiveEntry(ip, 2000, "x") for ip in ("10.0.0.10", "192.0.2.1", "2001:db8:5::/64")
            ),
            "90-default": site_fragment.default_rules(),
        }),
        1000,
    )  # fmt: skip
    assert real_compile(without_ipv6(made.copy), tmp_path) == build(records_without_ipv6(made.cdb))
    assert os.listdir(tmp_path) == ["rules.cdb"]
    (tmp_path / "rules.cdb").write_bytes(made.cdb)  # with IPv6, which changes no answer about IPv4
    relay = f"set environment variable RELAYCLIENT=\nset environment variable QMAILQUEUE={SCANNER}\nallow connection\n"
    for ip, host, words in (
        ("198.51.100.70", None, "rule 198.51.100.70:\ndeny connection\n"),
        ("198.51.100.80", None, "rule 198.51.100.80:\ndeny connection\n"),
        ("198.51.100.82", None, f"rule 198.51.100.82:\n{relay}"),
        ("192.0.2.1", None, "rule 192.0.2.1:\ndeny connection\n"),
        ("192.0.2.2", None, "rule :\nallow connection\n"),
        ("10.0.0.10", None, f"rule 10.0.0.:\n{relay}"),
        ("203.0.113.127", None, "rule 203.0.113.:\ndeny connection\n"),
        ("203.0.113.128", None, "rule 203.0.113.128:\nallow connection\n"),
        ("203.0.113.128", "a.example", "rule 203.0.113.128:\nallow connection\n"),
        ("192.0.2.2", "a.example", "rule =a.example:\ndeny connection\n"),
    ):
        assert real_lookup(tmp_path, ip, host, None) == words


# The whole compiler: whatever the operator and the blacklist write, what may never happen does not happen.

IPV6_BASES = [
    *map(ipaddress.IPv6Address, ("2001:db8::", "2001:db8:1:8000::7", "::1", "::", "ffff" + ":ffff" * 7))
]
IPV6_LENGTHS = [32, 33, 47, 48, 49, 64, 65, 127, 128]
BASES = [0x0A000000, 0x0A000005, 0x7F000001, 0xC6336440, 0xFFFFFFFF, 0]


def networks(shortest: int) -> st.SearchStrategy[str]:
    return st.builds(
        lambda base, length: str(ipaddress.IPv4Network((base, length), strict=False)),
        st.sampled_from(BASES) | st.integers(0, 2**32 - 1),
        st.integers(shortest, 32),
    )


def ipv6_networks(shortest: int) -> st.SearchStrategy[str]:
    return st.builds(
        lambda base, flipped, length: str(ipaddress.IPv6Network((int(base) ^ flipped, length), strict=False)),
        st.sampled_from(IPV6_BASES),
        st.sampled_from([0, 0, 1, 1 << 64, 1 << 80]),
        st.sampled_from([length for length in (0, 1, 16, *IPV6_LENGTHS) if length >= shortest]),
    )


def both(shortest: int, shortest_ipv6: int) -> st.SearchStrategy[str]:
    return networks(shortest) | ipv6_networks(shortest_ipv6)


HOSTS = ["=a.example", "=.example", "=", "joe@10.0.0.1", "joe@127.0.0.1", "joe@=a.example"]
EFFECTS = [
    "allow", "deny", "deny", 'allow,RELAYCLIENT=""', 'allow,WHITELISTED=""', 'allow,RBLSMTPD="-no"',
    f'allow,QMAILQUEUE="{SCANNER}"', 'allow,QMAILQUEUE="/bin/other"', 'allow,RELAYCLIENT="x"',
    f'allow,RELAYCLIENT="",QMAILQUEUE="{paths.UNSCANNED_QUEUE}"',
]  # fmt: skip


@st.composite
def operators(draw: st.DrawFn, relay: list[str], protected: list[str]) -> str:
    """Draw a fragment that a person wrote, that somebody damaged, or both."""
    lines = []
    if draw(st.booleans()):
        lines.append(
            f'# mailgate: {{"relay_networks": {draw(st.lists(both(8, 32), max_size=1))!r}}}'.replace("'", '"')
        )
    near = st.sampled_from([*relay, *protected, "127.0.0.1/32", "::1/128"]).map(ipaddress.ip_network)
    places = (
        both(0, 0).map(lambda one: rule_address(ipaddress.ip_network(one)))
        | near.map(rule_address)
        | near.map(lambda one: rule_address(one.supernet()) if one.prefixlen else "")
        | near.map(lambda one: rule_address(ipaddress.ip_network(one.network_address)))
        | st.sampled_from(HOSTS)
    )
    for place in draw(st.lists(places, max_size=6)):
        if draw(st.integers(0, 4)) == 0:
            lines.append(f'# {{"until": {draw(st.sampled_from([999, 1001]))}}}')
        lines.append(f"{place}:{draw(st.sampled_from(EFFECTS))}")
    text = "".join(f"{line}\n" for line in lines)
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from(["", ":", ".", '"', "\n", "-", "0", "x", "#", "deny"]))
            + text[at + 1 :]
        )
    return text


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, object]:
    narrow = both(8, 32).filter(lambda one: not RELAY_WIDEST.fault(ipaddress.ip_network(one)))
    relay = draw(st.lists(narrow, max_size=3))
    protected = draw(st.lists(both(22, 32), max_size=3))
    scan = draw(st.booleans())
    site = site_fragment.site_rules(
        relay, scanner=SCANNER, scan_relay_clients=scan, protected_networks=protected,
        whitelisted_networks=draw(st.lists(both(8, 32), max_size=1)),
    )  # fmt: skip
    near = st.sampled_from([*relay, *protected, "127.0.0.1/32"]).map(lambda one: one.partition("/")[0])
    others = networks(32).map(lambda one: one.partition("/")[0])
    adaptive = [
        fragments.AdaptiveEntry(ip, draw(st.sampled_from([999, 1001])), "x")
        for ip in draw(
            st.lists(near.filter(lambda one: ":" not in one) | others | ipv6_networks(48), max_size=4)
        )
    ]
    return {
        "relay": relay, "protected": protected, "scan": scan,
        "operator": draw(operators(relay, protected)), "good": draw(operators(relay, protected)),
        "texts": {"10-site": site, "30-adaptive": fragments.render_adaptive(adaptive), "90-default": ":allow\n"},
        "adaptive": adaptive,
    }  # fmt: skip


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(world=worlds())
@pytest.mark.slow
def test_whatever_stands_in_the_fragments_nobody_gains_what_he_may_not_have(
    world: dict[str, Any], tmp_path: Path
) -> None:
    made = rules_compiler.compile_fragments(
        Versions(
            "/d", {**world["texts"], "20-operator": world["operator"]}, good={"20-operator": world["good"]}
        ),
        1000,
    )
    assert list(Reader(made.cdb).items()) == tcprules.compile_records(tcprules.parse(made.copy, "x"))
    same = build(records_without_ipv6(made.cdb))
    assert real_compile(without_ipv6(made.copy), tmp_path) == same, "the copy says something else"
    (tmp_path / "rules.cdb").write_bytes(made.cdb)  # with IPv6, which changes no answer about IPv4
    relay = list(world["relay"])
    for line in made.copy.splitlines():
        if line.startswith('# mailgate: {"relay_networks"') and "scanner" not in line:
            relay += json.loads(line[len("# mailgate: ") :])["relay_networks"]
    protected = [ipaddress.ip_network(one) for one in world["protected"]]
    rules = tcprules.parse(made.copy, "x")
    points = boundaries(rules, [*relay, *world["protected"]])
    loopback = ["127.0.0.1/32", "::1/128"]
    allowed_networks = [ipaddress.ip_network(one) for one in [*relay, *loopback]]
    for ip in random.Random(0).sample(points, min(len(points), 150)):
        address = ipaddress.ip_address(ip)
        shielded = any(address in one for one in protected)
        inside = any(address in one for one in allowed_networks)
        clients = CLIENTS if shielded else CLIENTS[:2]
        # tcprulescheck says nothing of IPv6; that C finds the same there is in unit/c/test_tcprule.py.
        ask = our_lookup if address.version == 6 else real_lookup
        for host, info in clients:
            answer = ask(rules if address.version == 6 else tmp_path, ip, host, info)
            where = (world, ip, host, info, answer)
            lines = answer.splitlines()
            allowed = "allow connection" in lines
            if shielded:
                assert allowed, where
                assert not any(line.startswith("set environment variable RBLSMTPD=-") for line in lines), (
                    where
                )
            if allowed and not (inside and not world["scan"]):
                assert not dangers(answer, ip, relay), where
            if allowed and not world["scan"]:
                straight = f"set environment variable QMAILQUEUE={paths.UNSCANNED_QUEUE}"
                assert not dangers(
                    "\n".join(line for line in lines if not (inside and line == straight)), ip, relay
                ), where
    exempt = [
        *allowed_networks,
        *protected,
        *fragments.read_facts(world["texts"]["10-site"]).whitelisted_networks,
    ]
    for entry in made.adaptive.values():
        assert entry.until > 1000
        network = ipaddress.ip_network(entry.address)
        assert not any(one.version == network.version and one.overlaps(network) for one in exempt), (
            world,
            entry,
        )


def test_two_halves_of_the_world_are_no_relay_list() -> None:
    text = '# mailgate: {"relay_networks": ["0.0.0.0/1", "128.0.0.0/1"]}\n0-127.:allow,RELAYCLIENT=""\n128-255.:allow,RELAYCLIENT=""\n'
    made = rules_compiler.compile_fragments(
        Versions(
            "/d", {"10-site": site_fragment.site_rules([]), "20-operator": text, "90-default": ":allow\n"}
        ),
        0,
    )
    assert made.states["20-operator"].version == "left out"
    assert made.states["20-operator"].fault.startswith(
        "/d/20-operator relay network 1: '0.0.0.0/1' is wider than /8"
    )
