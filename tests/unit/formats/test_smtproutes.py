"""The routes of qmail-remote: what the program does with a line, and what the module makes of a file."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import smtproutes
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.smtproutes import Route
from hypothesis import given, settings
from hypothesis import strategies as st

_RELAY = "expected an IPv4 address, a host name with its domain, or nothing for the domain's MX"
_PORT = "expected a port from 1 to 65535 after the ':', or no ':'"
_DOMAIN = "expected a domain, '.domain' for all below it, '[IPv4 address]', or nothing for all the rest"
_EMPTY_FIELD = f"has an IPv6 address or an empty field, and qmail-remote speaks IPv4 only; {_RELAY}"
_IPV6 = f"has an address of IPv6, and qmail-remote speaks IPv4 only; {_RELAY}"
_BESIDE = f"has a blank or a carriage return beside its relay, so that it never resolves; {_RELAY}"
_NEVER = f"has a relay that can never resolve; {_RELAY}"
_NUMBERS = f"has a relay that looks like an address and is not one; {_RELAY}"

# Seen with qmail-remote of netqmail 1.06 in a network of its own, with a name server and mail servers on the
# loopback: the file, the recipient's host, and where it connected. None: it asked for the host's MX.
OBSERVED = [
    ("example.com:127.0.0.5\n", "example.com", "127.0.0.5:25"),
    ("example.com:127.0.0.5", "example.com", "127.0.0.5:25"),
    ("EXAMPLE.com:127.0.0.5\n", "example.COM", "127.0.0.5:25"),
    ("example.com:127.0.0.5:2525\n", "example.com", "127.0.0.5:2525"),
    ("example.com:127.0.0.5:02525\n", "example.com", "127.0.0.5:2525"),
    ("example.com:127.0.0.5:65535\n", "example.com", "127.0.0.5:65535"),
    ("example.com:[127.0.0.5]:2525\n", "example.com", "127.0.0.5:2525"),
    ("example.com:back.test:26\n", "example.com", "back.test:26"),
    ("example.com:BACK.test.:26\n", "example.com", "back.test.:26"),
    ("example.com:under_score.test\n", "example.com", "under_score.test:25"),
    ("example.com:localhost:26\n", "example.com", "localhost:26"),
    ("example.com:127.0.0.5\nexample.com:127.0.0.6\n", "example.com", "127.0.0.6:25"),
    ("example.com:127.0.0.5\nExample.Com:127.0.0.6\n", "example.com", "127.0.0.6:25"),
    (".example.com:127.0.0.5\n", "example.com", None),
    (".example.com:127.0.0.5\n", "a.example.com", "127.0.0.5:25"),
    (".com:127.0.0.4\n.example.com:127.0.0.5\n:127.0.0.3\n", "a.example.com", "127.0.0.5:25"),
    (".com:127.0.0.4\n:127.0.0.3\n", "a.example.com", "127.0.0.4:25"),
    (".example.com:\n:127.0.0.3\n", "a.example.com", None),
    (":127.0.0.3\n", "a.example.com", "127.0.0.3:25"),
    (":127.0.0.3\nexample.com:\n", "example.com", None),
    ("# c\n\n  \t\nexample.com:127.0.0.5 \t \n", "example.com", "127.0.0.5:25"),
    ("under_score.test:127.0.0.5\n", "under_score.test", "127.0.0.5:25"),
    ("[127.0.0.1]:127.0.0.6\n", "[127.0.0.1]", "127.0.0.6:25"),
    ("", "example.com", None),
]

# The same program, with what it did: bounced permanently, connected to nothing or elsewhere, or ignored it.
REFUSED = [
    ("example.com: 127.0.0.5", "bounce", _BESIDE),
    ("example.com:127.0.0.5\r", "bounce", _BESIDE),
    ("example.com:\r", "bounce", _BESIDE),
    ("example.com:::1", "bounce", _IPV6),
    ("example.com:[::1]", "bounce", _IPV6),
    ("example.com:2001:db8::1", "bounce", _IPV6),
    ("example.com:[2001:db8::5]:25", "bounce", _IPV6),
    ("example.com:2001:db8:0:0:0:0:0:5", "bounce", _IPV6),
    ("example.com:[2001:DB8:0:0:0:0:0:5]:2525", "bounce", _IPV6),
    ("example.com:[IPv6:2001:db8::5]", "bounce", _IPV6),
    ("example.com:fe80::1%eth0", "bounce", _IPV6),
    ("example.com:::ffff:10.0.0.5", "bounce", _IPV6),
    ("example.com:127.0.0.5::25", "port 0", _EMPTY_FIELD),
    (
        "example.com:[127.0.0.5",
        "bounce",
        f"has brackets around something that is not an IPv4 address; {_RELAY}",
    ),
    (
        "example.com:[back.test]",
        "bounce",
        f"has brackets around something that is not an IPv4 address; {_RELAY}",
    ),
    ("example.com::26", "bounce", f"has a port and no relay; {_RELAY}"),
    ("example.com:127.0.0.5#c", "bounce", _NEVER),
    ("example.com:127.0.0.5 # c", "bounce", _NEVER),
    ("example.com:127.0.0.5/32", "bounce", _NEVER),
    ("example.com:127.0.0.5,127.0.0.6", "bounce", _NEVER),
    ("example.com:a@back.test", "bounce", _NEVER),
    ("example.com:back..test", "bounce", _NEVER),
    ("example.com:back.test.5", "bounce", _NEVER),
    ("example.com:" + "a" * 64 + ".test", "bounce", _NEVER),
    ("example.com:b\u00fccher.test", "bounce", _NEVER),
    ("example.com:127.5", "bounce", _NUMBERS),
    ("example.com:2130706437", "bounce", _NUMBERS),
    ("example.com:383.0.0.5", "127.0.0.5", _NUMBERS),
    ("example.com:127.0.0.05", "127.0.0.5", _NUMBERS),
    (
        "example.com:exchange",
        "bounce",
        f"has a relay without a domain, and qmail-remote uses no search list; {_RELAY}",
    ),
    ("example.com:127.0.0.5:", "port 0", f"has an empty port; {_PORT}"),
    ("example.com:127.0.0.5:0", "port 0", f"has the port '0'; {_PORT}"),
    ("example.com:127.0.0.5:65561", "port 25", f"has the port '65561'; {_PORT}"),
    ("example.com:127.0.0.5:smtp", "port 0", f"has the port 'smtp'; {_PORT}"),
    ("example.com:127.0.0.5:+25", "port 0", f"has the port '+25'; {_PORT}"),
    ("example.com:127.0.0.5:2525 x", "passed over", f"has ' x' after the port; {_PORT}"),
    ("example.com:127.0.0.5:2525:x", "passed over", f"has ':x' after the port; {_PORT}"),
    ("example.com:127.0.0.5:2525\r", "passed over", f"has '\\r' after the port; {_PORT}"),
    ("example.com 127.0.0.5", "passed over", "has no ':'; expected 'domain:relay[:port]'"),
    ("example.com", "passed over", "has no ':'; expected 'domain:relay[:port]'"),
    (
        " example.com:127.0.0.5",
        "passed over",
        f"has a blank beside its domain, which never matches then; {_DOMAIN}",
    ),
    (
        "example.com :127.0.0.5",
        "passed over",
        f"has a blank beside its domain, which never matches then; {_DOMAIN}",
    ),
    (
        "example.com.:127.0.0.5",
        "passed over",
        f"has a domain with a dot at its end, which never matches; {_DOMAIN}",
    ),
    (
        "*.example.com:127.0.0.5",
        "passed over",
        f"has a '*' in its domain, which stands for itself only; {_DOMAIN}",
    ),
    ("joe@example.com:127.0.0.5", "passed over", f"has a domain that is not valid; {_DOMAIN}"),
    ("..example.com:127.0.0.5", "passed over", f"has a domain that is not valid; {_DOMAIN}"),
    ("[127.0.0]:127.0.0.5", "passed over", f"has a domain that is not valid; {_DOMAIN}"),
    (
        " # a comment",
        "passed over",
        "has a '#' that is not its first character; expected '#' in the first column",
    ),
    (
        "x:127.0.0.1\0example.com:127.0.0.6",
        "127.0.0.6",
        "has a NUL byte, where qmail-remote begins a new line; expected 'domain:relay[:port]'",
    ),
]

SITE = """\
# back ends
example.com:10.0.0.5

Example.NET:10.0.0.6:2525  \t
# all the rest
:smart.example.org
"""


@pytest.mark.parametrize(("text", "host", "place"), OBSERVED)
def test_lookup_is_qmail_remotes(text: str, host: str, place: str | None) -> None:
    route = smtproutes.lookup(smtproutes.parse(text).routes, host)
    shown = f"{route.host}:{route.effective_port}" if route is not None and route.relay else None
    assert shown == place


@pytest.mark.parametrize(("line", "why", "fault"), REFUSED)
def test_refused_line(line: str, why: str, fault: str) -> None:
    table = smtproutes.parse(f"# first\n{line}\n")
    assert smtproutes.faults(table) == [f"smtproutes line 2: {line!r} {fault}"], why
    assert table.routes == ()


def test_duplicate_names_both_lines() -> None:
    table = smtproutes.parse("example.com:10.0.0.5\n\nEXAMPLE.com:10.0.0.6\n")
    assert smtproutes.faults(table, "control/smtproutes") == [
        "control/smtproutes line 3: 'EXAMPLE.com:10.0.0.6' gives 'example.com' a second route; "
        "expected one, and line 1 has it"
    ]


def test_all_faults_at_once_and_long_lines_cut() -> None:
    table = smtproutes.parse("a.test\nb.test:10.0.0.1:\n" + "c" * 500 + "\n")
    assert smtproutes.faults(table) == [
        "smtproutes line 1: 'a.test' has no ':'; expected 'domain:relay[:port]'",
        f"smtproutes line 2: 'b.test:10.0.0.1:' has an empty port; {_PORT}",
        f"smtproutes line 3: '{'c' * 200}...' has no ':'; expected 'domain:relay[:port]'",
    ]


@pytest.mark.parametrize(
    ("domain", "route", "message"),
    [
        ("example.com", "10.0.0.5:", f"routes item 1: '10.0.0.5:' has an empty port; {_PORT}"),
        ("exa mple", "10.0.0.5", f"routes item 1: 'exa mple' has a domain that is not valid; {_DOMAIN}"),
        ("a:b", "10.0.0.5", f"routes item 1: 'a:b' has a domain that is not valid; {_DOMAIN}"),
        ("#a.test", "10.0.0.5", f"routes item 1: '#a.test' has a domain that is not valid; {_DOMAIN}"),
        ("a.test", "10.0.0.5\nb.test:10.0.0.6", f"routes item 1: '10.0.0.5\\nb.test:10.0.0.6' {_NEVER}"),
    ],
)
def test_make_route_refuses(domain: str, route: str, message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        smtproutes.make_route(domain, route, "routes item 1")
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("route", "meant"),
    [
        ("smtp:[10.0.0.5]:2525", ", here '[10.0.0.5]:2525'"),
        ("smtp:[mail.example.com]", ""),
        ("ESMTP:mail.example.com:25", ", here 'mail.example.com'"),
        ("relay:10.0.0.5", ", here '10.0.0.5'"),
    ],
)
def test_a_route_of_another_mail_server_is_told_what_to_write(route: str, meant: str) -> None:
    with pytest.raises(BadInput) as caught:
        smtproutes.make_route("example.com", route, "x")
    expected = f"expected 'host' or 'host:port'{meant}, or nothing for the domain's MX"
    assert str(caught.value) == f"x: {route!r} is written as the transport of another mail server; {expected}"


@pytest.mark.parametrize(
    ("route", "meant"),
    [
        ("smtp://10.0.0.5", ", here '10.0.0.5'"),
        ("smtp://10.0.0.5:25", ", here '10.0.0.5'"),
        ("SMTP://10.0.0.5:2525/", ", here '10.0.0.5:2525'"),
        ("https://mail.example.com/owa?x=1", ", here 'mail.example.com'"),
        ("smtp://user@mail.example.com:587", ", here 'mail.example.com:587'"),
        ("smtps://[10.0.0.5]:465", ", here '[10.0.0.5]:465'"),
        ("http://exchange", ""),
        ("smtp://", ""),
        ("://x", ""),
    ],
)
def test_a_route_that_is_a_url_is_told_what_to_write(route: str, meant: str) -> None:
    with pytest.raises(BadInput) as caught:
        smtproutes.make_route("example.com", route, "x")
    expected = f"expected 'host' or 'host:port'{meant}, or nothing for the domain's MX"
    assert str(caught.value) == f"x: {route!r} is written as a URL; {expected}"
    if meant:
        smtproutes.make_route("example.com", meant.split("'")[1], "x")


def test_a_domain_of_locals_is_delivered_here() -> None:
    routes = [Route("example.com", "10.0.0.5")]
    assert smtproutes.describe_accepted(
        [], ["mx1.example.com", "example.com", "a.test"], routes, ["MX1.example.com"]
    ) == [
        "domain a.test will be accepted and goes to its MX",
        "domain example.com will be accepted and goes to 10.0.0.5",
        "domain mx1.example.com will be accepted and is delivered here",
    ]


def test_a_port_of_thousands_of_digits() -> None:
    (fault,) = smtproutes.faults(smtproutes.parse("example.com:127.0.0.5:" + "9" * 5000))
    assert fault.endswith(f"; {_PORT}")


def test_make_route_result() -> None:
    assert smtproutes.make_route("Example.COM", "Back.Test:26", "x") == Route("example.com", "back.test", 26)
    assert smtproutes.make_route("", "", "x") == Route("", "", None)
    assert smtproutes.make_route("B\u00fccher.test", "", "x") == Route("xn--bcher-kva.test", "", None)
    assert smtproutes.make_route(".b\u00fccher.test", "", "x") == Route(".xn--bcher-kva.test", "", None)


_PIECES = [*"ab.:#[]* \t\r\n\0_-\u00e4\udc80", "10.0.0.5", "a.test:"]


@settings(database=None)
@given(st.lists(st.sampled_from(_PIECES)).map("".join))
def test_parse_and_render_are_inverses(text: str) -> None:
    assert smtproutes.render(smtproutes.parse(text)) == text


def test_set_changes_in_place_and_adds_at_the_end() -> None:
    table = smtproutes.parse(SITE)
    wanted = [Route("example.com", "10.0.0.7"), Route("example.net", "10.0.0.6", 2525), Route("new.test")]
    assert smtproutes.render(smtproutes.set_routes(table, wanted)) == (
        "# back ends\nexample.com:10.0.0.7\n\nExample.NET:10.0.0.6:2525  \t\n# all the rest\n"
        ":smart.example.org\nnew.test:\n"
    )


def test_replace_keeps_comments_and_drops_the_rest() -> None:
    table = smtproutes.parse(SITE + "broken line\nexample.com:10.0.0.9\n")
    wanted = [Route("new.test", "10.0.0.1"), Route("example.com", "10.0.0.5")]
    replaced = smtproutes.replace_routes(table, wanted)
    assert smtproutes.render(replaced) == (
        "# back ends\nexample.com:10.0.0.5\n\n# all the rest\nnew.test:10.0.0.1\n"
    )
    assert smtproutes.faults(replaced) == []
    assert smtproutes.replace_routes(replaced, wanted) == replaced


def test_remove() -> None:
    unicode = smtproutes.parse("xn--bcher-kva.test:10.0.0.5\n")
    assert smtproutes.remove_routes(unicode, ["B\u00dccher.test"]).lines == ()
    table = smtproutes.remove_routes(smtproutes.parse(SITE), ["EXAMPLE.net", "", "not.there"])
    assert smtproutes.render(table) == "# back ends\nexample.com:10.0.0.5\n\n# all the rest\n"


def test_a_last_line_without_newline_is_ended_before_another() -> None:
    table = smtproutes.parse("example.com:10.0.0.5")
    assert smtproutes.render(smtproutes.set_routes(table, [Route("example.com", "10.0.0.5")])) == (
        "example.com:10.0.0.5"
    )
    assert smtproutes.render(smtproutes.set_routes(table, [Route("example.net", "10.0.0.6")])) == (
        "example.com:10.0.0.5\nexample.net:10.0.0.6\n"
    )


def test_two_wanted_routes_for_one_domain() -> None:
    wanted = [Route("a.test", "10.0.0.1"), Route("a.test", "10.0.0.2")]
    for change in (smtproutes.set_routes, smtproutes.replace_routes):
        with pytest.raises(BadInput) as refusal:
            change(smtproutes.parse(""), wanted)
        assert str(refusal.value) == "smtproutes: 'a.test' is given two routes; expected one for each domain"


def _needed(table: str, wanted: list[Route], *hosts: str, default: bool = False) -> list[str]:
    routes = smtproutes.needed_routes(smtproutes.parse(table), wanted, hosts, default=default)
    return [route.line for route in routes]


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("leaving.test", "leaving.test:smart.test:26"),
        ("Leaving.TEST", "leaving.test:smart.test:26"),
        (".below.test", ".below.test:smart.test:26"),
        ("[10.0.0.1]", "[10.0.0.1]:smart.test:26"),
        ("new.test", ""),
        ("a.other.test", ""),
        ("", ""),
        ("a:b", ""),
        ("#a", ""),
        ("a b.test", ""),
        ("a.test.", ""),
        ("b\u00fccher.test", ""),
    ],
)
def test_the_default_route_becomes_one_of_the_host(host: str, line: str) -> None:
    wanted = [Route("new.test"), Route(".other.test", "10.0.0.2")]
    table = "#\n:smart.test:26\n"
    assert _needed(table, wanted, host, default=True) == ([line] if line else [])
    assert _needed(table, wanted, host) == []
    assert _needed(table, [*wanted, Route("", "10.0.0.3")], host, default=True) == []
    assert _needed(":\n", wanted, host, default=True) == []


def test_a_route_is_needed_where_no_wanted_one_is_nearer() -> None:
    table = ".example.net:10.0.0.6\nexample.org:10.0.0.7\n"
    assert _needed(table, [Route("sub.example.net")], "sub.example.net") == []
    assert _needed(table, [Route(".net", "10.0.0.8")], "sub.example.net") == [".example.net:10.0.0.6"]
    assert _needed(table, [Route("example.org")], "example.org") == []
    assert _needed(table, [], "example.org", "EXAMPLE.org", "else.where") == ["example.org:10.0.0.7"]


def test_a_line_with_the_route_as_before_is_not_described() -> None:
    before = smtproutes.parse(":smart.test\n")
    same = smtproutes.parse(":smart.test\na.test:smart.test\n")
    assert smtproutes.describe_changes(before, same) == []
    assert smtproutes.describe_changes(smtproutes.parse(""), smtproutes.parse("a.test:\n")) == []
    to_mx = smtproutes.parse(":smart.test\na.test:\n.b.test:smart.test\n")
    assert smtproutes.describe_changes(before, to_mx) == [
        "mail for a.test goes to its MX",
        "mail for .b.test goes to smart.test",
    ]
