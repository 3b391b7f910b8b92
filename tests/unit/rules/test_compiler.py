"""The compiler of the fragments: precedence, protection, and the version in force when a fragment is bad."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import Reader, build
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.tcprules import (
    compile_records,
    parse,
    render,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.compiled import Compiled, decide
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.compiler import (
    compile_fragments,
    describe_changes,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.files import Versions
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.fragments import (
    AdaptiveEntry,
    render_adaptive,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.readable_copy import (
    edited_by_hand,
    is_made_of,
    parse_copy,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.site_fragment import (
    SiteRule,
    default_rules,
    site_rules,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.verify import verify_cdb

SIMSCAN = "/var/qmail/bin/simscan"
NOW = 1000.0

# The site's fragment.

HEAD = (
    "# Written by Ansible (mailgate.qmail.tcp_rules): changes here are lost.\n"
    "# Rules of your own belong into 20-operator beside this file.\n"
)


def test_site_rules() -> None:
    text = site_rules(
        ["198.51.100.64/26", "10.0.0.0/22"],
        scanner=SIMSCAN,
        relay_environment={"WHITELISTED": ""},
        extra=[
            SiteRule("198.51.100.70/32", "deny", {}),
            SiteRule("203.0.113.0/24", "allow", {"RBLSMTPD": '-not "you"'}),
        ],
    )
    relay = f':allow,RELAYCLIENT="",QMAILQUEUE="{SIMSCAN}",WHITELISTED=""\n'
    assert text == (
        f"{HEAD}"
        f'# mailgate: {{"relay_networks": ["10.0.0.0/22", "198.51.100.64/26"], "scanner": "{SIMSCAN}", '
        '"protected_networks": [], "whitelisted_networks": [], "scan_relay_clients": true}\n'
        f"127.0.0.1{relay}"
        "198.51.100.70:deny\n"
        f"198.51.100.64-127{relay}"
        "203.0.113.:allow,RBLSMTPD='-not \"you\"'\n"
        f"10.0.0-3.{relay}"
        f"[::1]{relay}"
    )


def test_site_rules_without_anything() -> None:
    assert site_rules([]) == (
        f'{HEAD}# mailgate: {{"relay_networks": [], "scanner": "", "protected_networks": [], '
        '"whitelisted_networks": [], "scan_relay_clients": true}\n127.0.0.1:allow,RELAYCLIENT=""\n'
        '[::1]:allow,RELAYCLIENT=""\n'
    )
    assert default_rules() == (
        "# Written by Ansible (mailgate.qmail.tcp_rules): changes here are lost.\n:allow\n"
    )


@pytest.mark.parametrize(
    ("networks", "scanner", "environment", "extra", "message"),
    [
        (["10.0.0.0/7"], "", {}, [], "relay network 1: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32"),
        ([], "simscan", {}, [], "scanner: 'simscan' is not an absolute path; expected one or nothing"),
        ([], "", {"RELAYCLIENT": "x"}, [], "relay environment: RELAYCLIENT='x' is set already; expected '' or none"),
        ([], "", {"A": "x\ny"}, [], "relay environment: A='x\\ny' cannot stand in a rule; expected text of one line"),
        ([], "", {"A": 5}, [], "relay environment: A=5 cannot stand in a rule; expected text of one line"),
        (
            ["10.0.0.0/24"], "", {}, [SiteRule("10.0.0.0/24", "deny", {})],
            "rule 1: '10.0.0.0/24' has a rule already; expected one rule for each network",
        ),
        ([], "", {}, [SiteRule("0.0.0.0/0", "deny", {})], "rule 1 network 1: '0.0.0.0/0' is wider than /1; expected a prefix length from 1 to 32"),
        ([], "", {}, [SiteRule("10.0.0.0/24", "drop", {})], "rule 1: 'drop' is not an action; expected 'allow' or 'deny'"),
        (
            [], "", {}, [SiteRule("10.0.0.0/24", "allow", {"RELAYCLIENT": ""})],
            "10-site line 5: '10.0.0.:allow,RELAYCLIENT=\"\"' lets 10.0.0.0 relay; expected RELAYCLIENT only for 127.0.0.1/32, ::1/128",
        ),
    ],
)  # fmt: skip
def test_site_rules_refuse(
    networks: list[str], scanner: str, environment: dict[str, str], extra: list[SiteRule], message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        site_rules(networks, scanner=scanner, relay_environment=environment, extra=extra)
    assert str(caught.value) == message


def test_whitelisted_networks_carry_the_environment_of_where_they_lie() -> None:
    text = site_rules(
        ["10.0.0.0/24"],
        whitelisted_networks=["10.0.0.128/25", "192.0.2.0/24", "198.51.100.0/24"],
        extra=[
            SiteRule("198.51.100.7/32", "allow", {"A": "1"}),
            SiteRule("198.51.100.8/32", "deny", {}),
            SiteRule("192.0.0.0/16", "deny", {}),
        ],
    )
    assert text.splitlines()[3:] == [
        '127.0.0.1:allow,RELAYCLIENT=""',
        '198.51.100.7:allow,A="1",WHITELISTED=""',
        "198.51.100.8:deny",
        '10.0.0.128-255:allow,RELAYCLIENT="",WHITELISTED=""',
        '10.0.0.:allow,RELAYCLIENT=""',
        '192.0.2.:allow,WHITELISTED=""',
        '198.51.100.:allow,WHITELISTED=""',
        "192.0.:deny",
        '[::1]:allow,RELAYCLIENT=""',
    ]


def test_unscanned_relay_clients_have_it_in_their_rules() -> None:
    text = site_rules(["10.0.0.0/24"], scanner=SIMSCAN, scan_relay_clients=False)
    assert text.splitlines()[-2] == '10.0.0.:allow,RELAYCLIENT="",QMAILQUEUE="/var/qmail/bin/qmail-queue"'


@pytest.mark.parametrize(
    ("protected", "whitelisted", "extra", "message"),
    [
        (["10.0.0.0/30"], [], [SiteRule("10.0.0.1/32", "deny", {})], "rule 1: '10.0.0.1/32' lies in the protected network '10.0.0.0/30'; expected no denial"),
        (["10.0.0.0/30"], [], [SiteRule("10.0.0.0/30", "allow", {"RBLSMTPD": "-no"})], "rule 1: '10.0.0.0/30' lies in the protected network '10.0.0.0/30'; expected no denial"),
        ([], ["10.0.0.0/30"], [SiteRule("10.0.0.0/30", "deny", {})], "whitelisted network: '10.0.0.0/30' is denied as well; expected one of the two"),
        (["10.0.0.0/7"], [], [], "protected network 1: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32"),
        (["10.0.0.1"], [], [], "protected network 1: '10.0.0.1' has no prefix length; expected '10.0.0.1/32' for a host, or a network such as '10.0.0.0/24'"),
    ],
)  # fmt: skip
def test_site_rules_that_contradict_themselves(
    protected: list[str], whitelisted: list[str], extra: list[SiteRule], message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        site_rules([], protected_networks=protected, whitelisted_networks=whitelisted, extra=extra)
    assert str(caught.value) == message


# The whole.


def listed(*addresses: str) -> str:
    return render_adaptive(AdaptiveEntry(address, 2000, "12 of 14 bad") for address in addresses)


SITE = site_rules(
    ["10.0.0.0/24", "198.51.100.64/26"], protected_networks=["10.0.0.5/32", "203.0.113.0/30"],
    whitelisted_networks=["192.0.2.128/25"], extra=[SiteRule("192.0.2.0/26", "deny", {})],
)  # fmt: skip
PLAIN = site_rules(["10.0.0.0/24", "198.51.100.64/26"])


def compiled(
    operator: str | None = None,
    adaptive: str | None = None,
    site: str | None = SITE,
    *,
    now: float = NOW,
    good: dict[str, str] | None = None,
    faults: dict[str, str] | None = None,
    default: str | None = default_rules(),
) -> Compiled:
    texts = {"10-site": site, "20-operator": operator, "30-adaptive": adaptive, "90-default": default}
    given = {name: text for name, text in texts.items() if text is not None}
    return compile_fragments(Versions("/d", given, faults or {}, good or {}), now)


def answer(made: Compiled, ip: str, host: str | None = None) -> str:
    """Return what the compiled file itself says to a client without ident, as tcpserver asks it."""
    reader = Reader(made.cdb)
    octets = ip.split(".")
    keys = [ip, *([f"={host}"] if host else []), *(".".join(octets[:count]) + "." for count in (3, 2, 1))]
    if ":" in ip:
        networks = (IPv6Network((ip, length), strict=False) for length in range(128, -1, -1))
        keys = [
            f"[{one.network_address.packed[: (one.prefixlen + 7) // 8].hex()}]/{one.prefixlen}"
            for one in networks
        ]
    found = next(
        (data for data in (reader.get(key.encode()) for key in [*keys, ""]) if data is not None), None
    )
    return (
        "none" if found is None else "deny" if found == b"D\0" else found.decode().replace("\0", " ").strip()
    )


def test_compiled_file_copy_and_rules_agree() -> None:
    made = compiled("# mine\n10.0.0.9:deny\n", listed("192.0.2.1"), PLAIN)
    assert list(Reader(made.cdb).items()) == compile_records(parse(made.copy, "copy"))
    assert not edited_by_hand(made.copy)
    assert (made.notices, made.faults(), made.next_expiry, made.count) == ((), [], 2000, 7)
    assert "# mine\n" in made.copy
    assert {name: state.version for name, state in made.states.items()} == dict.fromkeys(
        made.states, "current"
    )
    verify_cdb(made.cdb, made, "x")
    before, addresses = parse_copy(made.copy, "copy")
    assert (render(before).endswith(":allow\n"), addresses) == (True, ("192.0.2.1",))
    assert describe_changes((before, addresses), made) == []


RELAY = "+RELAYCLIENT="


@pytest.mark.parametrize(
    ("operator", "adaptive", "ip", "said", "reason"),
    [
        # The site over the operator.
        ("192.0.2.9:allow\n", None, "192.0.2.9", "deny", "/d/10-site line 5 refuses it"),
        ("10.0.0.:deny\n", None, "10.0.0.9", RELAY, ""),
        # The operator over the adaptive blacklist, and over relay, but not over what is protected.
        ("10.0.0.9:deny\n", None, "10.0.0.9", "deny", ""),
        ("198.51.100.70:deny\n", None, "198.51.100.70", "deny", "/d/20-operator line 1 is narrower"),
        ("198.51.100.70:deny\n", None, "198.51.100.71", RELAY, "/d/20-operator line 1 is narrower"),
        ("198.51.100.64-127:deny\n", None, "198.51.100.70", RELAY, ""),
        ("198.51.100.0-255:deny\n", None, "198.51.100.70", RELAY, ""),
        ("10.0.0.5:deny\n", None, "10.0.0.5", RELAY, "it is protected"),
        ('10.0.0.5:allow,RBLSMTPD="-no"\n', None, "10.0.0.5", RELAY, "it is protected"),
        ("10.0.0.4-6:deny\n", None, "10.0.0.5", RELAY, "it is protected"),
        ("10.0.0.4-6:deny\n", None, "10.0.0.6", "deny", ""),
        ("203.0.113.:deny\n", None, "203.0.113.1", "", ""),
        ("203.0.113.:deny\n", None, "203.0.113.4", "deny", ""),
        ("203.:deny\n203.0.:allow,A=\"1\"\n203.0.113.:deny\n", None, "203.0.113.1", "+A=1", ""),
        (":deny\n", None, "203.0.113.1", "", ""),
        (":deny\n", None, "203.0.113.4", "deny", ""),
        # The adaptive blacklist over strangers alone.
        (None, listed("9.9.9.9"), "9.9.9.9", "deny", ""),
        (None, listed("10.0.0.9"), "10.0.0.9", RELAY, "it may relay"),
        (None, listed("127.0.0.1"), "127.0.0.1", RELAY, "it is this host"),
        (None, listed("203.0.113.1"), "203.0.113.1", "", "it is protected"),
        (None, listed("192.0.2.200"), "192.0.2.200", "+WHITELISTED=", "it is whitelisted"),
        ('9.9.9.:allow,WHITELISTED=""\n', listed("9.9.9.9"), "9.9.9.9", "+WHITELISTED=", "it is whitelisted by /d/20-operator line 1"),
        ('9.9.9.:allow,WHITELISTED=""\n9.9.9.8-9:allow,A="1"\n', listed("9.9.9.9"), "9.9.9.9", "+A=1", "/d/20-operator line 2 decides about it"),
        ("9.9.9.9:allow\n", listed("9.9.9.9"), "9.9.9.9", "", "/d/20-operator line 1 decides about it"),
        # The operator's own relay list.
        ('# mailgate: {"relay_networks": ["9.9.9.0/24"]}\n9.9.9.:allow,RELAYCLIENT=""\n', listed("9.9.9.9"), "9.9.9.9", RELAY, "it may relay"),
        # What ended.
        ('# {"by": "al", "until": 1000}\n9.9.9.9:deny\n', None, "9.9.9.9", "", "it ended at 1970-01-01 00:16:40 UTC"),
        ('# {"by": "al", "until": 1001}\n9.9.9.9:deny\n', None, "9.9.9.9", "deny", ""),
    ],
)  # fmt: skip
def test_precedence(operator: str | None, adaptive: str | None, ip: str, said: str, reason: str) -> None:
    made = compiled(operator, adaptive)
    assert answer(made, ip) == said
    assert [one.reason for one in made.dropped] == (
        [reason] if reason else [one.reason for one in made.dropped]
    )
    assert made.faults() == []
    assert list(Reader(made.cdb).items()) == compile_records(parse(made.copy, "copy"))
    rule, _entry = decide(made, ip)
    assert (rule.action if rule else "allow") == ("deny" if said == "deny" else "allow")


SITE_IPV6 = site_rules(
    ["2001:db8:1::/48"], protected_networks=["2001:db8:2::/49", "2001:db8:2:8000::/49", "2001:db8:1:5::5/128"],
    whitelisted_networks=["2001:db8:3::/48"], extra=[SiteRule("2001:db8:4::/48", "deny", {})],
)  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "adaptive", "ip", "said", "reason"),
    [
        # The site over the operator.
        ("[2001:db8:4::9]:allow\n", None, "2001:db8:4::9", "deny", "/d/10-site line 8 refuses it"),
        ("[2001:db8:1::]/48:deny\n", None, "2001:db8:1::9", RELAY, ""),
        # The operator over the adaptive blacklist, and over relay, but not over what is protected.
        ("[2001:db8:1::9]:deny\n", None, "2001:db8:1::9", "deny", ""),
        ("[2001:DB8:1::]/64:deny\n", None, "2001:db8:1::9", "deny", ""),
        ("[2001:db8:1::]/64:deny\n", None, "2001:db8:1:1::9", RELAY, ""),
        ("[2001:db8:1:5::]/64:deny\n", None, "2001:db8:1:5::5", RELAY, ""),
        ("[2001:db8:1:5::]/64:deny\n", None, "2001:db8:1:5::6", "deny", ""),
        ("[2001:db8:1:5::5]:deny\n", None, "2001:db8:1:5::5", RELAY, "it is protected"),
        ('[2001:db8:1:5::5]:allow,RBLSMTPD="-no"\n', None, "2001:db8:1:5::5", RELAY, "it is protected"),
        # Protected are the networks together.
        ("[2001:db8:2::]/48:deny\n", None, "2001:db8:2:9000::1", "", "it is protected"),
        ("[2001:db8:2:8000::1]:deny\n", None, "2001:db8:2:8000::1", "", "it is protected"),
        ("[2001:db8::]/32:deny\n", None, "2001:db8:2:9000::1", "", ""),
        ("[2001:db8::]/32:deny\n", None, "2001:db8:5::1", "deny", ""),
        ("[2001:db8::]/33:deny\n[2001:db8:8000::]/33:deny\n", None, "2001:db8:2::1", "", ""),
        ("[::]/0:deny\n", None, "2001:db8:2::1", "", ""),
        ("[::]/0:deny\n", None, "::2", "deny", ""),
        ("[::]/0:deny\n", None, "::1", RELAY, ""),
        ("[::]/0:deny\n", None, "192.0.2.1", "", ""),
        # The rule for everybody holds for both families.
        (":deny\n", None, "2001:db8:2::1", "", ""),
        (":deny\n", None, "2001:db8:5::1", "deny", ""),
        (":deny\n[::]/0:allow\n", None, "2001:db8:5::1", "", ""),
        ('[2001::]/16:deny\n[2001:db8::]/32:allow,A="1"\n[2001:db8:2::]/47:deny\n', None, "2001:db8:2::1", "+A=1", ""),
        # The adaptive blacklist over strangers alone, and never over a part that it must not refuse.
        (None, listed("2001:db8:5:1::/64"), "2001:db8:5:1::9", "deny", ""),
        (None, listed("2001:db8:5:1::/64"), "2001:db8:5:2::9", "", ""),
        (None, listed("2001:db8:5::/48"), "2001:db8:5:2::9", "deny", ""),
        (None, listed("2001:db8:1:1::/64"), "2001:db8:1:1::9", RELAY, "it may relay"),
        (None, listed("::/64"), "::1", RELAY, "it is this host"),
        (None, listed("2001:db8:2:1::/64"), "2001:db8:2:1::9", "", "it is protected"),
        (None, listed("2001:db8:3:1::/64"), "2001:db8:3:1::9", "+WHITELISTED=", "it is whitelisted"),
        ('[2001:db8:5:1::9]:allow,WHITELISTED=""\n', listed("2001:db8:5:1::/64"), "2001:db8:5:1::8", "", "it is whitelisted by /d/20-operator line 1"),
        ('[2001:db8:5::]/48:allow,WHITELISTED=""\n', listed("2001:db8:5:1::/64"), "2001:db8:5:1::8", "+WHITELISTED=", "it is whitelisted by /d/20-operator line 1"),
        ("[2001:db8:5:1::9]:allow\n", listed("2001:db8:5:1::/64"), "2001:db8:5:1::9", "", ""),
        ("[2001:db8:5:1::9]:allow\n", listed("2001:db8:5:1::/64"), "2001:db8:5:1::8", "deny", ""),
        ('[2001:db8:5:1::]/64:allow,A="1"\n', listed("2001:db8:5:1::/64"), "2001:db8:5:1::8", "+A=1", "/d/20-operator line 1 decides about it"),
        # IPv4-mapped is IPv4.
        ("[::ffff:9.9.9.9]:deny\n", None, "9.9.9.9", "deny", ""),
        ("[::ffff:9.9.9.0]/120:deny\n", None, "9.9.9.9", "deny", ""),
        # The operator's own relay list.
        ('# mailgate: {"relay_networks": ["2001:db8:5::/48"]}\n[2001:db8:5::]/48:allow,RELAYCLIENT=""\n', listed("2001:db8:5::/64"), "2001:db8:5::9", RELAY, "it may relay"),
    ],
)  # fmt: skip
def test_precedence_of_ipv6(
    operator: str | None, adaptive: str | None, ip: str, said: str, reason: str
) -> None:
    made = compiled(operator, adaptive, SITE_IPV6)
    assert made.faults() == []
    assert answer(made, ip) == said
    assert [one.reason for one in made.dropped] == ([reason] if reason else [])
    assert list(Reader(made.cdb).items()) == compile_records(parse(made.copy, "copy"))
    verify_cdb(made.cdb, made, "x")
    before = parse_copy(made.copy, "copy")
    assert describe_changes(before, made) == []
    assert is_made_of(made.copy, made.cdb, made)
    rule, entry = decide(made, ip)
    assert (rule.action if rule else "allow") == ("deny" if said == "deny" else "allow")
    assert (entry is not None) == (said == "deny" and adaptive is not None)


def test_names_do_not_shut_out_clients_of_ipv6_and_cost_them_no_rules() -> None:
    made = compiled("=.example:deny\njoe@=a.example:deny\n[2001:db8:2::7]:deny\n", site=SITE_IPV6)
    assert [(one.key, one.reason) for one in made.dropped] == [
        ("[20010db8000200000000000000000007]/128", "it is protected")
    ]
    assert made.notices == (
        "/d/20-operator line 3: '[2001:db8:2::7]:deny' is left out for '[2001:db8:2::7]', it is protected",
    )
    assert decide(made, "2001:db8:2::7", "a.example", "joe")[0] is made.rules.index[""]


def test_changes_of_the_blacklist_are_told_by_network() -> None:
    first, second = (
        compiled(None, listed("2001:db8:5::/64", "9.9.9.9")),
        compiled(None, listed("2001:db8:6::/48")),
    )
    assert describe_changes(parse_copy(first.copy, "x"), second) == [
        "2001:db8:6::/48 is refused by the blacklist",
        "9.9.9.9/32 is no longer refused by the blacklist",
        "2001:db8:5::/64 is no longer refused by the blacklist",
    ]


def test_a_relay_network_that_is_now_too_wide_takes_no_other_rule_with_it() -> None:
    text = (
        '# mailgate: {"relay_networks": ["12.0.0.0/8", "9.9.9.0/24"]}\n12.:allow,RELAYCLIENT=""\n'
        '9.9.9.:allow,RELAYCLIENT=""\n8.8.8.8:deny\n'
    )
    made = compiled(text, good={"20-operator": text})
    assert [answer(made, ip) for ip in ("12.0.0.1", "9.9.9.9", "8.8.8.8")] == ["", RELAY, "deny"]
    assert made.faults() == [
        "/d/20-operator relay network 2: '12.0.0.0/8' is public and wider than /16; expected a prefix length from 16 "
        "to 32; its last good version is in force without the rules that are no longer safe"
    ]


def test_protected_addresses_are_not_shut_out_by_their_names() -> None:
    made = compiled("=.example:deny\n=:deny\n")
    assert answer(made, "203.0.113.3", "=a.example") == ""
    assert answer(made, "10.0.0.5", "=a.example") == RELAY
    assert answer(made, "203.0.113.4", "a.example") != "deny"  # asked for =a.example alone here
    many = site_rules([], protected_networks=["10.0.0.0/8"])
    made = compiled("=.example:deny\n9.9.9.9:deny\n", site=many)
    assert made.notices == (
        "/d/20-operator line 1: '=.example:deny' is left out for '=.example', more than 65536 addresses are protected, "
        "and a name counts before them",
    )
    assert [rule.text for rule in made.rules.rules if rule.name == "/d/20-operator"] == ["9.9.9.9:deny"]


def test_what_ident_says_shuts_out_nobody_who_is_protected() -> None:
    made = compiled("joe@10.0.0.5:deny\njoe@10.0.0.6:deny\njoe@=a.example:deny\n")
    assert [(one.key, one.reason) for one in made.dropped] == [
        ("joe@10.0.0.5", "it is protected"),
        ("joe@=a.example", "what ident says could shut out a protected address"),
    ]


def test_a_rule_without_effect_is_a_notice() -> None:
    made = compiled(
        "198.51.100.0-255:deny\n10.0.0.:deny\n9.9.9.1-2:deny\n9.9.9.2:allow\n10.0.0.4-6:deny\n",
        listed("10.0.0.9", "9.9.9.1"),
    )
    assert made.notices == (
        "/d/20-operator line 5: '10.0.0.4-6:deny' is left out for '10.0.0.5', it is protected",
        "/d/30-adaptive: '10.0.0.9:deny' and 1 more left out, it may relay",
        "/d/20-operator line 2: '10.0.0.:deny' has no effect, /d/10-site line 8 comes first",
        "/d/20-operator line 4: '9.9.9.2:allow' has no effect, /d/20-operator line 3 comes first",
    )
    assert "# left out: 10.0.0.4-6:deny\n10.0.0.4:deny\n10.0.0.6:deny\n" in made.copy


# When a fragment is bad.

OPEN_RELAY = (
    "/d/20-operator line 1: '8.8.8.8:allow,RELAYCLIENT=\"\"' lets 8.8.8.8 relay; "
    "expected RELAYCLIENT only for 10.0.0.0/24, 198.51.100.64/26, 127.0.0.1/32, ::1/128"
)


@pytest.mark.parametrize(
    ("operator", "fault"),
    [
        ("8.8.8.8 deny\n", "/d/20-operator line 1: '8.8.8.8 deny' has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'"),
        ('8.8.8.8:allow,RELAYCLIENT=""\n', OPEN_RELAY),
        (
            '8.8.8.8:allow,QMAILQUEUE="/bin/true"\n',
            "/d/20-operator line 1: '8.8.8.8:allow,QMAILQUEUE=\"/bin/true\"' takes mail past the scanner; expected no QMAILQUEUE, relay clients too",
        ),
        (
            '# {"until": "tomorrow"}\n8.8.8.8:deny\n',
            "/d/20-operator line 1: '# {\"until\": \"tomorrow\"}' ends at 'tomorrow'; expected whole unix seconds",
        ),
        (
            "# {until: 5}\n8.8.8.8:deny\n",
            "/d/20-operator line 1: '# {until: 5}' is not valid JSON; expected '# {\"by\": \"name\", \"note\": \"text\", \"until\": SECONDS}', each of them optional",
        ),
        (
            '# mailgate: {"relay_networks": ["0.0.0.0/1", "128.0.0.0/1"]}\n:allow,RELAYCLIENT=""\n',
            "/d/20-operator relay network 1: '0.0.0.0/1' is wider than /8; expected a prefix length from 8 to 32",
        ),
        (None, "file /d/20-operator: is not a regular file; expected another"),
    ],
)  # fmt: skip
def test_the_last_good_version_of_the_operators_fragment_serves(operator: str | None, fault: str) -> None:
    faults = {} if operator is not None else {"20-operator": fault}
    good = {"20-operator": "9.9.9.9:deny\n"}
    made = compiled(operator, good=good, faults=faults)
    assert (answer(made, "9.9.9.9"), answer(made, "8.8.8.8")) == ("deny", "")
    assert made.faults() == [f"{fault}; its last good version is in force"]
    assert "20-operator" not in made.good
    made = compiled(operator, faults=faults)
    assert (answer(made, "9.9.9.9"), answer(made, "8.8.8.8")) == ("", "")
    assert made.faults() == [f"{fault}; it has no last good version and is left out"]


def test_a_last_good_version_that_the_site_made_unsafe_serves_in_part() -> None:
    text = '172.16.0.9:allow,RELAYCLIENT=""\n9.9.9.9:deny\n'
    assert compiled(text, site=site_rules(["172.16.0.0/24"])).good["20-operator"] == text
    made = compiled(text, good={"20-operator": text})
    assert (answer(made, "172.16.0.9"), answer(made, "9.9.9.9")) == ("", "deny")
    assert made.states["20-operator"].version == "in part"
    assert '# not safe: 172.16.0.9:allow,RELAYCLIENT=""\n' in made.copy


def test_the_last_good_version_of_the_blacklist_serves_and_still_ends() -> None:
    good = {"30-adaptive": listed("9.9.9.9")}
    bad = "9.9.9.8:deny\n"
    fault = "/d/30-adaptive line 1: this and the next line are not an entry; expected '# until SECONDS why TEXT' and 'ADDRESS:deny'"
    made = compiled(None, bad, good=good)
    assert (answer(made, "9.9.9.9"), answer(made, "9.9.9.8")) == ("deny", "")
    assert made.faults() == [f"{fault}; its last good version is in force"]
    assert answer(compiled(None, bad, good=good, now=2000), "9.9.9.9") == ""
    assert compiled(None, bad).faults() == [f"{fault}; it has no last good version and is left out"]
    assert answer(compiled(None, None, good=good), "9.9.9.9") == "", "a fragment that is gone is not bad"


@pytest.mark.parametrize(
    "site",
    ['10.:allow,RELAYCLIENT=""\n', None, SITE + '8.8.8.8:allow,RELAYCLIENT=""\n', SITE + "10.0.0.5:deny\n"],
)
def test_the_sites_fragment_serves_from_its_last_good_version_or_not_at_all(site: str | None) -> None:
    made = compiled(site=site, good={"10-site": SITE, "90-default": default_rules()})
    assert (answer(made, "10.0.0.9"), answer(made, "8.8.8.8")) == (RELAY, "")
    assert made.states["10-site"].version == "last good"
    with pytest.raises(BadInput):
        compiled(site=site)


@pytest.mark.parametrize("missing", ["site", "default"])
def test_a_missing_fragment_compiles_to_nothing(missing: str) -> None:
    name = {"site": "10-site", "default": "90-default"}[missing]
    with pytest.raises(BadInput) as caught:
        compiled(**{missing: None})
    assert (
        str(caught.value) == f"file /d/{name}: missing; expected the one that mailgate.qmail.tcp_rules writes"
    )


def test_the_next_time_to_look_is_when_the_first_entry_ends() -> None:
    text = '# {"until": 1700}\n9.9.9.9:deny\n# {"until": 900}\n9.9.9.8:deny\n'
    assert compiled(text, listed("9.9.9.7")).next_expiry == 1700
    assert compiled(text, listed("9.9.9.7"), now=1700).next_expiry == 2000
    assert compiled(text, listed("9.9.9.7"), now=2000).next_expiry is None


# The copy and the check of what was written.


def test_every_change_of_the_copy_is_seen() -> None:
    copy = compiled(None, listed("9.9.9.9")).copy
    at = copy.index("127.0.0.1")
    for edited in (
        "",
        copy + "\n",
        copy[:-1],
        copy[:at] + "# " + copy[at:],
        "# x\n" + copy,
        copy.split("\n", 3)[3],
    ):
        assert edited_by_hand(edited)


def test_a_compilation_that_differs_in_adaptive_entries_is_the_same_to_ansible() -> None:
    first, second = compiled(None, listed("9.9.9.9", "9.9.9.8")), compiled(None, listed("9.9.9.7"))
    assert is_made_of(first.copy, first.cdb, second)
    assert is_made_of(second.copy, second.cdb, compiled())
    assert not is_made_of(first.copy, second.cdb, second)
    assert not is_made_of(first.copy, first.cdb, compiled("9.9.9.6:deny\n"))
    assert not is_made_of(first.copy + "\n", first.cdb, first)
    assert describe_changes(parse_copy(first.copy, "x"), second) == [
        "9.9.9.7/32 is refused by the blacklist",
        "9.9.9.8/32 is no longer refused by the blacklist",
        "9.9.9.9/32 is no longer refused by the blacklist",
    ]


def test_verify_cdb_sees_wrong_prefix_lengths() -> None:
    made = compiled("[2001:db8::]/32:deny\n")
    records = list(Reader(made.cdb).items())
    assert records[-1] == (b"[]", bytes([128, 32]))
    for lengths in ([128], [32, 128], [128, 64, 32], []):
        data = build([*records[:-1], *([(b"[]", bytes(lengths))] if lengths else [])])
        with pytest.raises(BadInput) as caught:
            verify_cdb(data, made, "x")
        assert str(caught.value) == "cdb x: the key '[]' does not hold its rule; expected the rules of /d"


def test_verify_cdb_sees_a_record_too_many_or_too_few_or_wrong() -> None:
    made = compiled()
    for data, other, key in (
        (made.cdb, compiled("9.9.9.9:deny\n"), "9.9.9.9"),
        (compiled("9.9.9.9:deny\n").cdb, made, "9.9.9.9"),
        (made.cdb, compiled(None, listed("9.9.9.9")), "9.9.9.9"),
        (compiled(None, listed("9.9.9.9")).cdb, made, "9.9.9.9"),
        (compiled("9.9.9.9:allow\n").cdb, compiled("9.9.9.9:deny\n"), "9.9.9.9"),
        (compiled("9.9.9.9:allow\n").cdb, compiled(None, listed("9.9.9.9")), "9.9.9.9"),
    ):
        with pytest.raises(BadInput) as caught:
            verify_cdb(data, other, "x")
        assert str(caught.value) == f"cdb x: the key {key!r} does not hold its rule; expected the rules of /d"
