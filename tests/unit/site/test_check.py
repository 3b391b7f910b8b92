"""The site file as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import parse_network
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.site.check import check_site

OWN = ("10.0.0.2", "192.0.2.25")
NAME = "expected a name such as 'mail.example.com'"
LABELS = f"{NAME}: letters, digits and '-' between dots"
WIDE = "is wider than /8; expected a prefix length from 8 to 32"
ROUTE = "expected 'host', 'host:port', or '' for the domain's MX"
SELF = "leads to the gateway itself; expected the back end, or another port of this host"
EXTRA_1 = "gateway_routes item 1"

DIRECTORY = {
    "name": "corp",
    "servers": ["dc1.example.com"],
    "bases": ["DC=example,DC=com"],
    "user": "reader@example.com",
    "password_file": "/etc/mailgate/corp.password",
    "preset": "plain",
}


def _site(**more: object) -> dict[str, Any]:
    return {
        "hostname": "mx1.example.com",
        "postmaster": "postmaster@example.com",
        "domains": [
            {"name": "example.com", "route": "10.0.0.5", "recipients": "list", "addresses": ["joe"]},
            {"name": "example.net", "route": "", "recipients": "any"},
        ],
        "relay_networks": ["10.0.0.0/24"],
        "bad_senders": ["spam@bad.test", "@bad.test", "@localhost"],
        "extra_routes": [
            {"domain": "", "route": "smart.example.org:587"},
            {"domain": ".lan.test", "route": ""},
        ],
        **more,
    }


def _domain(**more: object) -> dict[str, Any]:
    return _site(domains=[{"name": "example.com", "route": "10.0.0.5", "recipients": "any", **more}])


def _route(route: object) -> dict[str, Any]:
    return _domain(route=route)


def test_a_domain_in_unicode_is_the_one_in_ascii() -> None:
    domains = [{"name": "b\u00fccher.test", "route": "10.0.0.5", "recipients": "any"}]
    assert check_site(_site(domains=domains), OWN) == []
    twice = [{"domain": "XN--bcher-kva.test", "route": "10.0.0.6"}]
    (fault,) = check_site(_site(domains=domains, extra_routes=twice), OWN)
    assert fault.startswith("gateway_routes item 1: 'XN--bcher-kva.test' has two routes; expected one")


def test_rules_of_domains_are_judged_with_the_rest() -> None:
    assert check_site(_domain(spam={"reject": 8, "mark": 4.5, "subject_tag": "[S]"}), OWN) == []
    (fault,) = check_site(_domain(spam={"reject": 8, "mark": 9}), OWN)
    assert fault.startswith("gateway_domains item 1: spam of 'example.com': mark 9 is above reject 8;")
    (fault,) = check_site({**_domain(spam={"mark": 4}), "subject_tag": "[_SCORE_]"}, OWN)
    assert "spamassassin_subject_tag '[_SCORE_]' is more than a text" in fault


def test_a_domain_leaves_greylisting_out_where_it_can_be() -> None:
    without, wanted = _domain(spam={"greylist": False}), _domain(spam={"greylist": True})
    assert check_site(without, OWN) == check_site(wanted, OWN) == []
    assert (
        check_site({**without, "greylist": False}, OWN)
        == check_site({**wanted, "front": "tcpserver"}, OWN)
        == []
    )
    (fault,) = check_site({**without, "front": "tcpserver"}, OWN)
    assert fault == (
        "gateway_domains item 1: greylist False cannot be with tcpserver, which greylists before recipients; "
        "expected gateway_front: smtpfront"
    )
    (fault,) = check_site({**wanted, "greylist": False}, OWN)
    assert fault.startswith(
        "gateway_domains item 1: greylist True is not the site's: gateway_greylist is false;"
    )


def test_good_sites() -> None:
    assert check_site(_site(), OWN) == []
    domains = [{"name": "example.com", "route": "10.0.0.5", "recipients": "directory", "addresses": ["fax"]}]
    assert check_site(_site(domains=domains, directories=[DIRECTORY]), OWN) == []
    bare = {key: value for key, value in _site().items() if key in ("hostname", "postmaster", "domains")}
    assert check_site(bare, OWN) == []


BAD = [
    (
        _site(hostname=None),
        ["gateway_hostname: None is not a string; expected a name such as 'mx1.example.com'"],
    ),
    (_site(hostname="mx1"), [f"gateway_hostname: 'mx1' has no dot; {NAME}"]),
    (_site(hostname="192.0.2.25"), [f"gateway_hostname: '192.0.2.25' is an IP address; {NAME}"]),
    (
        _site(hostname="mx_1.example.com"),
        [f"gateway_hostname: 'mx_1.example.com' is not a domain name; {LABELS}"],
    ),
    (
        _site(hostname="-mx.example.com"),
        [f"gateway_hostname: '-mx.example.com' is not a domain name; {LABELS}"],
    ),
    (
        _site(hostname="mx.example.com."),
        [f"gateway_hostname: 'mx.example.com.' is not a domain name; {LABELS}"],
    ),
    (_site(hostname="mx.10"), [f"gateway_hostname: 'mx.10' ends in a number; {NAME}"]),
    (_site(postmaster=None), ["gateway_postmaster: None is not a string; expected an address"]),
    (_site(postmaster="postmaster"), ["gateway_postmaster: 'postmaster' has no '@'; expected 'user@domain'"]),
    (
        _site(postmaster="x@bücher.example"),
        [
            "gateway_postmaster: 'x@bücher.example' has a domain that has a letter outside ASCII; expected a "
            "name such as 'mail.example.com', in its 'xn--' form 'xn--bcher-kva.example'"
        ],
    ),
    (
        _site(postmaster="x@MX1.example.com"),
        ["gateway_postmaster: 'x@MX1.example.com' is at the gateway itself; expected an address elsewhere"],
    ),
    (
        _site(domains=[]),
        [
            "gateway_domains: is missing or empty; expected the domains whose mail the gateway takes, each "
            "with name, route and recipients, in group_vars/gateways.yml"
        ],
    ),
    (
        _site(hostname="", postmaster=""),
        [
            "gateway_hostname: is missing; expected the name of the gateway, such as 'mx1.example.com'",
            "gateway_postmaster: is missing; expected the address of who looks after the gateway",
        ],
    ),
    (_site(domains=None), ["gateway_domains: None is not a list of domains; expected at least one"]),
    (
        _site(domains="example.com"),
        ["gateway_domains: 'example.com' is not a list of domains; expected at least one"],
    ),
    (
        _site(domains=["example.com"]),
        ["gateway_domains item 1: 'example.com' is not a mapping; expected 'name' and 'recipients'"],
    ),
    (
        _domain(name="mx1.example.com"),
        [
            "gateway_domains item 1: 'mx1.example.com' is the gateway's own name, whose mail stays here; "
            "expected another"
        ],
    ),
    (
        _domain(recipient="any"),
        [
            "gateway_domains item 1: 'recipient' is not known; "
            "expected one of name, route, recipients, addresses, tls, spam"
        ],
    ),
    (
        _domain(recipients="directory"),
        [
            "gateway_domains: 'example.com' has recipients 'directory', and gateway_directory is missing or "
            "empty; expected gateway_directory with servers, bases, user and password, or recipients 'list' "
            "or 'any'"
        ],
    ),
    (
        _site(directories="dc1"),
        ["gateway_directory: 'dc1' is not a list of directories; expected a mapping, or a list of them"],
    ),
    (
        _site(directories=[{**DIRECTORY, "password_file": None, "encryption": "tls"}]),
        [
            "gateway_directory item 1: encryption 'tls' is not known; "
            "expected one of 'ldaps', 'starttls', 'none-password-is-readable'",
            "gateway_directory item 1: it has no password; expected the password of its user, vaulted",
        ],
    ),
    (
        _domain(recipients="list", addresses=["joe@example.net"]),
        [
            "gateway_domains item 1 address 1: 'joe@example.net' is an address of another domain; "
            "expected one of 'example.com'"
        ],
    ),
    (
        _site(
            domains=[*_site()["domains"], {"name": "EXAMPLE.com", "route": "10.0.0.6", "recipients": "any"}]
        ),
        ["gateway_domains item 3: 'EXAMPLE.com' is given twice; expected it once, and item 1 has it"],
    ),
    (_route(None), [f"gateway_domains item 1: 'example.com' has no route; {ROUTE}"]),
    (_route(25), [f"gateway_domains item 1: route 25 of 'example.com' is not a string; {ROUTE}"]),
    (
        _route("10.0.0.5:"),
        [
            "gateway_domains item 1: route of 'example.com': '10.0.0.5:' has an empty port; "
            "expected a port from 1 to 65535 after the ':', or no ':'"
        ],
    ),
    (
        _site(relay_networks="10.0.0.0/24"),
        ["gateway_relay_networks: '10.0.0.0/24' is not a list; expected a list"],
    ),
    (
        _site(
            protected_networks=["10.0.0.0/8", "2001:db8::/31"],
            whitelisted_networks=["0.0.0.0/0", "2000::/3", "2001:db8::/16"],
            operators_protected=["::/0", "10.0.0.1"],
        ),
        [
            "gateway_protected_networks item 2: '2001:db8::/31' is wider than /32; expected a prefix length "
            "from 32 to 128",
            "gateway_whitelisted_networks item 1: '0.0.0.0/0' is wider than /1; expected a prefix length "
            "from 1 to 32",
            "gateway_whitelisted_networks item 2: '2000::/3' is wider than /4; expected a prefix length "
            "from 4 to 128",
            "gateway_whitelisted_networks item 3: '2001:db8::/16' has host bits set; expected '2001::/16', "
            "or '2001:db8::/128' for this one host",
            "gateway_operator_protected_networks item 1: '::/0' is wider than /4; expected a prefix length "
            "from 4 to 128",
            "gateway_operator_protected_networks item 2: '10.0.0.1' has no prefix length; expected "
            "'10.0.0.1/32' for a host, or a network such as '10.0.0.0/24'",
        ],
    ),
    (
        _site(
            domains=[{"name": "example.com", "route": "[2001:db8::5]:25", "recipients": "any"}],
            extra_routes=[{"domain": "b.example", "route": "2001:db8:0:0:0:0:0:5"}],
        ),
        [
            f"gateway_{where}: route of '{domain}': '{route}' has an address of IPv6, and qmail-remote "
            "speaks IPv4 only; expected an IPv4 address, a host name with its domain, or nothing for the "
            "domain's MX"
            for where, domain, route in (
                ("domains item 1", "example.com", "[2001:db8::5]:25"),
                ("routes item 1", "b.example", "2001:db8:0:0:0:0:0:5"),
            )
        ],
    ),
    (
        _site(relay_networks=["10.0.0.0/8", "10.0.0.0/7", "0.0.0.0/0"]),
        [
            f"gateway_relay_networks item 2: '10.0.0.0/7' {WIDE}",
            f"gateway_relay_networks item 3: '0.0.0.0/0' {WIDE}",
        ],
    ),
    (
        _site(
            relay_networks=[
                "2001:db8::/32",
                "2001:db8::/31",
                "2001:db8::1/64",
                "[2001:db8::]/32",
                "fe80::1%eth0",
            ]
        ),
        [
            "gateway_relay_networks item 2: '2001:db8::/31' is wider than /32; expected a prefix length "
            "from 32 to 128",
            "gateway_relay_networks item 3: '2001:db8::1/64' has host bits set; expected '2001:db8::/64', or "
            "'2001:db8::1/128' for this one host",
            "gateway_relay_networks item 4: '[2001:db8::]/32' has brackets; expected it without them, "
            "'2001:db8::/32'",
            "gateway_relay_networks item 5: 'fe80::1%eth0' has a zone; expected the network without '%eth0'",
        ],
    ),
    (
        _site(relay_networks=["64:ff9b::/96", "64:ff9b::10.0.0.0/104", "::/32"]),
        [
            "gateway_relay_networks item 1: '64:ff9b::/96' has more than a /8 of IPv4 behind it, "
            "64:ff9b::/96 (NAT64, RFC 6052); expected a prefix length from 104 to 128",
            "gateway_relay_networks item 3: '::/32' has all of IPv4 behind it, in ::/96 (IPv4-compatible "
            "addresses, RFC 4291); expected networks outside of that",
        ],
    ),
    (
        _site(relay_networks=[10]),
        ["gateway_relay_networks item 1: 10 is not a string; expected a network such as '10.0.0.0/24'"],
    ),
    (
        _site(bad_senders=["*@bad.test", "bad.test", "", "@", "a b@bad.test", 7]),
        [
            "gateway_bad_senders item 1: '*@bad.test' has a '*', which stands for itself only; "
            "expected 'user@host' or '@host'",
            "gateway_bad_senders item 2: 'bad.test' is a domain; expected '@bad.test' for every sender of "
            "it, or 'user@bad.test'",
            "gateway_bad_senders item 3: '' has no '@'; expected 'user@domain'",
            "gateway_bad_senders item 4: '@' has an empty domain; expected 'user@domain'",
            "gateway_bad_senders item 5: 'a b@bad.test' has a blank or a control character; expected none",
            "gateway_bad_senders item 6: 7 is not a string; expected 'user@host' or '@host'",
        ],
    ),
    (
        _site(greylist_exempt=["192.0.2.0/24", "2001:db8::/32", "mail.example.com", "com", ".a.example", 7]),
        [
            "gateway_greylist_exempt item 4: 'com' has no dot; expected a name such as 'mail.example.com'",
            "gateway_greylist_exempt item 5: '.a.example' is not in the usual form; expected 'a.example', "
            "which every host below it has",
            "gateway_greylist_exempt item 6: 7 is neither a network nor a domain; expected a network such as "
            "'192.0.2.0/24', or a domain such as 'mail.example.com'",
        ],
    ),
    (_site(extra_routes=["x"]), [f"{EXTRA_1}: 'x' is not a mapping; expected 'domain' and 'route'"]),
    (
        _site(extra_routes=[{"route": "10.0.0.5"}]),
        [f"{EXTRA_1}: None is not a domain; expected a text, '' for the default route"],
    ),
    (_site(extra_routes=[{"domain": "other.test"}]), [f"{EXTRA_1}: 'other.test' has no route; {ROUTE}"]),
    (
        _site(extra_routes=[{"domain": "other.test", "route": "127.0.0.1"}]),
        [f"{EXTRA_1}: route '127.0.0.1' of 'other.test' {SELF}"],
    ),
    (
        _site(extra_routes=[{"domain": "Example.com", "route": "10.0.0.5"}]),
        [f"{EXTRA_1}: 'Example.com' has two routes; expected one, and gateway_domains item 1 has it"],
    ),
    (
        _site(front="smtpfornt"),
        ["gateway_front: 'smtpfornt' is not known; expected one of smtpfront, tcpserver"],
    ),
    (_site(front=None), ["gateway_front: None is not known; expected one of smtpfront, tcpserver"]),
    (
        _site(relay_network=[]),
        [
            "site: 'relay_network' is not known; expected one of hostname, postmaster, domains, "
            "relay_networks, protected_networks, whitelisted_networks, operators_protected, bad_senders, "
            "extra_routes, directories, deny_reply, front, listen, public_addresses, greylist_exempt, "
            "tls_minimum, tls_sessions, certificate, "
            "tls_policies, tls_backend_ca, outbound_dane, outbound_mta_sts, tls, require_tls, "
            "subject_tag, greylist, keep_refused_days, keep_refused_bytes, peers"
        ],
    ),
    (
        _site(keep_refused_days=366, keep_refused_bytes="1000"),
        [
            "gateway_keep_refused_days: 366 is not valid; expected a number from 0 to 365",
            "gateway_keep_refused_bytes: '1000' is not valid; expected a number from 1048576 to "
            "1099511627776",
        ],
    ),
    (
        _site(keep_refused_days=-1, keep_refused_bytes="1 GiB"),
        [
            "gateway_keep_refused_days: -1 is not valid; expected a number from 0 to 365",
            "gateway_keep_refused_bytes: '1 GiB' is not valid; expected a number from 1048576 to "
            "1099511627776",
        ],
    ),
]


@pytest.mark.parametrize(("site", "faults"), BAD)
def test_bad_site(site: dict[str, Any], faults: list[str]) -> None:
    assert check_site(site, OWN) == faults


@pytest.mark.parametrize(
    "text", ["10.0.0.7/24", "10.0.0.1", "our lan", "10.0.0.0/33", "10.0.0.0/255.255.255.0"]
)
def test_network_that_is_none_is_told_as_networks_tells_it(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_network(text, "gateway_relay_networks item 2")
    assert check_site(_site(relay_networks=["10.0.0.0/24", text]), OWN) == [str(refusal.value)]


@pytest.mark.parametrize(
    "route",
    [
        "mx1.example.com",
        "MX1.example.com.",
        "localhost",
        "127.0.0.1",
        "127.9.9.9:25",
        "[127.0.0.1]",
        "0.0.0.0",
        "10.0.0.2",
        "[192.0.2.25]:25",
    ],
)
def test_route_to_the_gateway_itself(route: str) -> None:
    assert check_site(_route(route), OWN) == [
        f"gateway_domains item 1: route {route!r} of 'example.com' {SELF}"
    ]


@pytest.mark.parametrize("route", ["127.0.0.1:2525", "localhost:26", "mx1.example.com:2525", "10.0.0.3", ""])
def test_route_elsewhere(route: str) -> None:
    assert check_site(_route(route), OWN) == []


def test_extra_routes_that_are_no_list() -> None:
    assert check_site(_site(extra_routes="x"), OWN) == ["gateway_routes: 'x' is not a list; expected a list"]


def test_all_faults_at_once() -> None:
    site = {
        "hostname": "mx1",
        "postmaster": "nobody",
        "domains": [{"name": "example.com", "recipients": "any"}],
        "relay_networks": ["0.0.0.0/0"],
    }
    assert check_site(site, OWN) == [
        f"gateway_hostname: 'mx1' has no dot; {NAME}",
        "gateway_postmaster: 'nobody' has no '@'; expected 'user@domain'",
        f"gateway_domains item 1: 'example.com' has no route; {ROUTE}",
        f"gateway_relay_networks item 1: '0.0.0.0/0' {WIDE}",
    ]


@pytest.mark.parametrize(
    "reply", ["", "554 no", "421 4.7.0 later", "554 5.7.1 see https://example.com/", "554 " + 200 * "x"]
)
def test_what_denied_clients_may_hear(reply: str) -> None:
    assert check_site(_site(deny_reply=reply), OWN) == []


@pytest.mark.parametrize(
    "reply",
    [
        "no",
        "554",
        "554 ",
        "554  x",
        "550 no",
        "554 no\n250 ok",
        "554 no\r\n",
        "554 n\u00f6",
        "554 " + 201 * "x",
        554,
    ],
)
def test_what_is_no_reply(reply: object) -> None:
    (fault,) = check_site(_site(deny_reply=reply), OWN)
    assert fault == (
        f"gateway_deny_reply: {reply!r} is not a reply; expected 554 or 421, a space and a text of at most "
        "200 characters of ASCII, or ''"
    )


ADDRESS = "expected one such as '192.0.2.7' or '2001:db8::7'"


@pytest.mark.parametrize(
    ("more", "faults"),
    [
        ({"listen": ["0.0.0.0", "::"]}, []),
        ({"listen": ["0.0.0.0", "::"], "front": "smtpfront"}, []),
        ({"listen": ["192.0.2.25"], "front": "tcpserver"}, []),
        (
            {"listen": ["192.0.2.25", "2001:db8::25"], "front": "tcpserver"},
            [
                "gateway_listen: ['192.0.2.25', '2001:db8::25'] cannot be with gateway_front: tcpserver, "
                "which has no IPv6; expected one IPv4 address, or gateway_front: smtpfront"
            ],
        ),
        (
            {"listen": ["::"], "front": "tcpserver"},
            [
                "gateway_listen: ['::'] cannot be with gateway_front: tcpserver, which has no IPv6; expected "
                "one IPv4 address, or gateway_front: smtpfront"
            ],
        ),
        (
            {"listen": []},
            ["gateway_listen: [] is not a list of addresses; expected one such as ['0.0.0.0', '::']"],
        ),
        (
            {"listen": ["fe80::1"]},
            [
                "gateway_listen item 1: 'fe80::1' is link-local; "
                "expected it with its interface, 'fe80::1%eth0'"
            ],
        ),
        ({"public_addresses": ["192.0.2.25", "2001:db8::25"]}, []),
        (
            {"public_addresses": ["2001:db8::/64", 25]},
            [
                f"gateway_public_addresses item 1: '2001:db8::/64' is not an address; {ADDRESS}",
                f"gateway_public_addresses item 2: 25 is not an address; {ADDRESS}",
            ],
        ),
    ],
)
def test_addresses_to_listen_at_and_addresses_that_the_world_sees(
    more: dict[str, object], faults: list[str]
) -> None:
    assert check_site(_site(**more), OWN) == faults


def test_policies_for_tls_are_judged_with_the_site() -> None:
    domain = {"name": "example.com", "route": "10.0.0.5", "recipients": "any", "tls": "sometimes"}
    (fault,) = check_site(_site(domains=[domain]), OWN)
    assert fault.startswith(
        "gateway_domains item 1: tls of 'example.com': 'sometimes' is not a policy; expected"
    )
    (fault,) = check_site(_site(tls_policies={"a.test": "dane"}), OWN)
    assert fault == "gateway_outbound_dane: is not true, and the policy of 'a.test' is 'dane'; expected true"
    assert check_site(_site(tls_policies={"a.test": "dane"}, outbound_dane=True), OWN) == []
    for key in ("outbound_dane", "outbound_mta_sts"):
        assert check_site(_site(**{key: True}), OWN) == check_site(_site(**{key: False}), OWN) == []
        (fault,) = check_site(_site(**{key: "yes"}), OWN)
        assert fault == f"gateway_{key}: 'yes' is not a boolean; expected true or false"
    good = _site(domains=[{**domain, "tls": {"policy": "verify", "names": ["mail.example.com"]}}])
    good.update(tls_policies={".example.org": "none"}, tls_backend_ca="/etc/ssl/exchange.pem")
    assert check_site(good, OWN) == []
    assert check_site(_site(tls_backend_ca="exchange.pem"), OWN)[0].startswith("gateway_tls_backend_ca: ")
