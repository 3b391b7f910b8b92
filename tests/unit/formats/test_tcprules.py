"""Rules: the lossless text, the errors, tcpserver's lookup, what is safe, and what changes."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import IPv6Network

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.networks import (
    address_number,
    is_address_number,
    number_address,
    parse_network,
    parse_networks,
    rule_address,
    text_interval,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.tcprules import (
    Rules,
    boundaries,
    compile_records,
    decode,
    lookup,
    parse,
    render,
    segments,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.changes import (
    describe_changes,
    effects,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.fragments import (
    AdaptiveEntry,
    Facts,
    operator_relay_networks,
    parse_adaptive,
    read_facts,
    render_adaptive,
    render_facts,
    render_operator_relay_networks,
    site_facts,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.safety import (
    all_shut,
    assert_open,
    assert_safe,
)

SIMSCAN = "/var/qmail/bin/simscan"


# The format.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "# a comment: with a colon\n\n \t\n1.2.3.4:deny \t\n:allow\n",
        "# no newline at the end",
        ":allow",
        '# \udcff bytes that are not UTF-8, and a form feed \f\n=host.example:allow,NOTE="\udcff"\n',
    ],
)
def test_render_gives_the_text_back(text: str) -> None:
    assert render(parse(text, "x")) == text


@pytest.mark.parametrize(
    ("line", "records"),
    [
        (":allow", [(b"", b"")]),
        ("1.2.3.4:deny", [(b"1.2.3.4", b"D\0")]),
        ("1.2.3.4:deny \t ", [(b"1.2.3.4", b"D\0")]),
        ('127.0.0.1:allow,RELAYCLIENT=""', [(b"127.0.0.1", b"+RELAYCLIENT=\0")]),
        ("10.:allow,A='x\"y',B=/a,b:c=d/", [(b"10.", b'+A=x"y\0+B=a,b:c=d\0')]),
        ("1.2.3.37-39:deny", [(b"1.2.3.37", b"D\0"), (b"1.2.3.38", b"D\0"), (b"1.2.3.39", b"D\0")]),
        ("10.2-3.:deny", [(b"10.2.", b"D\0"), (b"10.3.", b"D\0")]),
        ("0-1.:deny", [(b"0.", b"D\0"), (b"1.", b"D\0")]),
        ("10.0-1.7.9:deny", [(b"10.0.7.9", b"D\0"), (b"10.1.7.9", b"D\0")]),
        ("=a-b.example:deny", [(b"=a-b.example", b"D\0")]),
        ("=.example:deny", [(b"=.example", b"D\0")]),
        ("=:deny", [(b"=", b"D\0")]),
        ("joe@10.0.0.7:deny", [(b"joe@10.0.0.7", b"D\0")]),
        ("joe@=a.example:deny", [(b"joe@=a.example", b"D\0")]),
        ("a=b@10.0.0.7:deny", [(b"a=b@10.0.0.7", b"D\0")]),
        ("# 1.2.3.4:deny", []),
        ("[2001:db8::]/32:deny", [(b"[20010db8]/32", b"D\0"), (b"[]", b"\x20")]),
        ("[2001:DB8:0:8000::]/49:deny", [(b"[20010db8000080]/49", b"D\0"), (b"[]", b"\x31")]),
        ("[2001:db8:8000::]/33:allow,A=':]'", [(b"[20010db880]/33", b"+A=:]\0"), (b"[]", b"\x21")]),
        ("[2001:db8::1]:deny", [(b"[20010db8000000000000000000000001]/128", b"D\0"), (b"[]", b"\x80")]),
        ("[8000::]/1:deny", [(b"[80]/1", b"D\0"), (b"[]", b"\1")]),
        ("[::]/0:deny", [(b"[]/0", b"D\0"), (b"[]", b"\0")]),
        ("[::ffff:10.0.0.7]:deny", [(b"10.0.0.7", b"D\0")]),
        ("[::ffff:10.2.0.0]/111:deny", [(b"10.2.", b"D\0"), (b"10.3.", b"D\0")]),
        ("[::ffff:0:0]/96:deny", [(f"{octet}.".encode(), b"D\0") for octet in range(256)]),
    ],
)
def test_records(line: str, records: list[tuple[bytes, bytes]]) -> None:
    assert compile_records(parse(line + "\n", "x")) == records


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.2.3.4", "'1.2.3.4' has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'"),
        ("1.2.3.4 deny", "'1.2.3.4 deny' has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'"),
        (" 1.2.3.4:deny", "' 1.2.3.4:deny' begins with a blank; expected the address at the beginning of the line"),
        (" # no comment", "' # no comment' begins with a blank; expected the address at the beginning of the line"),
        ("1.2.3.4:deny\r", "'1.2.3.4:deny\\r' ends with a carriage return; expected lines that end with a newline alone"),
        ("1.2.3.4:\0deny", "'1.2.3.4:\\x00deny' holds a NUL byte; expected text"),
        ("1.2.3.4:Allow", "'1.2.3.4:Allow' has 'Allow' after the ':'; expected 'allow' or 'deny'"),
        ("1.2.3.4: allow", "'1.2.3.4: allow' has ' allow' after the ':'; expected 'allow' or 'deny'"),
        ("1.2.3.4:", "'1.2.3.4:' has '' after the ':'; expected 'allow' or 'deny'"),
        ("1.2.3.4:denyx", "'1.2.3.4:denyx' has 'x' where the rule should end; expected ',VARIABLE=\"value\"' or nothing"),
        ("1.2.3.4:deny # x", "'1.2.3.4:deny # x' has ' # x' where the rule should end; expected ',VARIABLE=\"value\"' or nothing"),
        ("10.:allow ,A=\"\"", "'10.:allow ,A=\"\"' has ' ,A=\"\"' where the rule should end; expected ',VARIABLE=\"value\"' or nothing"),
        ("10.:allow,A", "'10.:allow,A' has no '=' after ',A'; expected ',VARIABLE=\"value\"'"),
        ("10.:allow,", "'10.:allow,' has no '=' after ','; expected ',VARIABLE=\"value\"'"),
        ("10.:allow,=\"\"", "'10.:allow,=\"\"' sets ''; expected a variable's name of letters, digits and '_'"),
        ("10.:allow, A=\"\"", "'10.:allow, A=\"\"' sets ' A'; expected a variable's name of letters, digits and '_'"),
        ("10.:allow,A=1", "'10.:allow,A=1' does not quote the value of A; expected A=\"value\""),
        ("10.:allow,A=", "'10.:allow,A=' does not quote the value of A; expected A=\"value\""),
        ("10.:allow,A=\"x", "'10.:allow,A=\"x' has no second \" after the value of A; expected A=\"value\""),
        ("10.:allow,A=\"\"x", "'10.:allow,A=\"\"x' has 'x' where the rule should end; expected ',VARIABLE=\"value\"' or nothing"),
        ("10.:allow,A=\"\",A=\"1\"", "'10.:allow,A=\"\",A=\"1\"' sets A twice; expected each variable once"),
        (
            "10.:deny,RBLSMTPD=\"-no\"",
            "'10.:deny,RBLSMTPD=\"-no\"' sets a variable for a connection that it refuses; "
            "expected '10.:deny' or '10.:allow,RBLSMTPD=\"-no\"'",
        ),
        ("10.0.0.0/24:deny", "'10.0.0.0/24:deny' has the address '10.0.0.0/24', which never matches; expected '10.0.0.'"),
        ("10.0.0.0/26:deny", "'10.0.0.0/26:deny' has the address '10.0.0.0/26', which never matches; expected '10.0.0.0-63'"),
        (
            "10.0.0.5/24:deny",
            "'10.0.0.5/24:deny' has the address '10.0.0.5/24', which never matches; "
            "expected a prefix such as '10.0.0.' or a range such as '10.0.0-3.'",
        ),
        ("10.0.0:deny", "'10.0.0:deny' has the address '10.0.0', which never matches; expected '10.0.0.' for the network"),
        ("10.0.0.7.:deny", "'10.0.0.7.:deny' has the address '10.0.0.7.', which never matches; expected '10.0.0.7' for hosts"),
        *(
            (
                f"{address}:deny",
                f"'{address}:deny' has the address '{address}', which never matches; "
                "expected '10.0.0.7' for a host, '10.0.0.' for a network, or '=host.example'",
            )
            for address in ("256.", "10.0.0.256", "10.01.", "10..", ".", "*", "host.example", "1.2.3.4.5", "10.0.0.7 ")
        ),
        ("1.2.3.53-37:deny", "'1.2.3.53-37:deny' has the range '53-37', which is empty; expected '37-53'"),
        ("1.2.3.1-256:deny", "'1.2.3.1-256:deny' has the range '1-256'; expected two numbers from 0 to 255"),
        ("1-:deny", "'1-:deny' has the range '1-'; expected two numbers from 0 to 255"),
        ("a-b:deny", "'a-b:deny' has the range 'a-b'; expected two numbers from 0 to 255"),
        ("10.0-3.0-3.:deny", "'10.0-3.0-3.:deny' has two ranges in its address; expected one"),
        ("joe@10.0.0.:deny", "'joe@10.0.0.:deny' has '10.0.0.' after the '@'; expected one address such as 192.0.2.1, or '=host'"),
        ("joe@10.0.0.1-2:deny", "'joe@10.0.0.1-2:deny' has '10.0.0.1-2' after the '@'; expected one address such as 192.0.2.1, or '=host'"),
        ("a=b:deny", "'a=b:deny' has a '=' inside its address; expected '=host.example:…'"),
        *(
            (
                f"={host}:deny",
                f"'={host}:deny' has the host '{host}', which never matches; "
                "expected '=host.example', '=.example' or '=', in lower case",
            )
            for host in ("Host.example", "host.example.", ".", "a b.example", "a..example")
        ),
        (
            "joe@=.example:deny",
            "'joe@=.example:deny' has the host '.example', which never matches; "
            "expected '=host.example' after the '@', in lower case",
        ),
        *(
            (f"{address}:deny", f"'{address}:deny' has an address of IPv6 without brackets; expected '{meant}:…'")
            for address, meant in (
                ("2001:db8::1", "[2001:db8::1]"),
                ("::1", "[::1]"),
                ("2001:db8::/32", "[2001:db8::]/32"),
                ("joe@2001:db8::1", "[2001:db8::1]"),
                ("joe@[2001:db8::1]", "[2001:db8::1]"),
                ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]"),
                ("fe80::1%eth0", "[fe80::1]"),
            )
        ),
        *(
            (
                f"{address}:deny",
                f"'{address}:deny' has the address '{address}'; expected one such as '[2001:db8::1]', "
                "or a network such as '[2001:db8::]/32'",
            )
            for address in ("[]", "[2001:db8::]/129", "[2001:db8::]/032", "[2001:db8::]/", "[2001:db8::/32]", "[::1]x", "[host.example]", "[::1]/-1")
        ),
        *(
            (
                f"[{address}]:deny",
                f"'[{address}]:deny' has '{address}' in brackets, which is not an address of IPv6; expected one such as "
                "'[2001:db8::1]', or a network such as '[2001:db8::]/32'",
            )
            for address in ("192.0.2.1", "::1::", "1:2:3:4:5:6:7:8:9", "20010db8", ":")
        ),
        ("[::1]", "'[::1]' has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'"),
        ("[::1]: deny", "'[::1]: deny' has ' deny' after the ':'; expected 'allow' or 'deny'"),
        ("[x@10.0.0.7:deny", "'[x@10.0.0.7:deny' has the address '[x@10.0.0.7'; expected one such as '[2001:db8::1]', or a network such as '[2001:db8::]/32'"),
        ("[fe80::1%eth0]:deny", "'[fe80::1%eth0]:deny' has a zone in its address; expected the address without the '%'"),
        (
            "[2001:DB8::1]/64:deny",
            "'[2001:DB8::1]/64:deny' has an address with host bits set; expected '[2001:db8::]/64', or '[2001:DB8::1]' for this one host",
        ),
        ("20010db8]/32:deny", "'20010db8]/32:deny' has the address '20010db8]/32', which never matches; expected a prefix such as '10.0.0.' or a range such as '10.0.0-3.'"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(line: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(f"# head\n:allow\n{line}\n1.2.3.4:deny\n", "/etc/tcp.d/20-operator")
    assert str(caught.value) == f"/etc/tcp.d/20-operator line 3: {message}"


ORDER = (
    "joe@10.0.0.7", "joe@=a.b.example", "10.0.0.7", "=a.b.example", "10.0.0.", "10.0.", "10.",
    "=.b.example", "=.example", "=", "",
)  # fmt: skip


def test_lookup_takes_the_keys_in_tcpservers_order() -> None:
    for left in range(len(ORDER)):
        # In the file the order is reversed: it must not count.
        rules = parse("".join(f"{address}:deny\n" for address in reversed(ORDER[left:])), "x")
        found = lookup(rules, "10.0.0.7", "a.b.example", "joe")
        assert found is not None
        assert found.address == ORDER[left]


@dataclass(frozen=True)
class Question:
    ip: str
    host: str | None
    info: str | None
    address: str | None


@pytest.mark.parametrize(
    "question",
    [
        Question("10.0.0.7", "a.b.example", None, "10.0.0.7"),
        Question("10.0.0.8", "a.b.example", None, "=a.b.example"),
        Question("10.0.0.8", None, "joe", "10.0.0."),
        Question("11.0.0.8", "x.b.example", None, "=.b.example"),
        Question("11.0.0.8", "b.example", None, "=.example"),
        Question("11.0.0.8", "other", None, "="),
        Question("11.0.0.8", None, None, ""),
        Question("110.0.0.8", None, None, ""),
    ],
)
def test_lookup_leaves_out_what_is_not_known(question: Question) -> None:
    rules = parse("".join(f"{address}:deny\n" for address in ORDER), "x")
    found = lookup(rules, question.ip, question.host, question.info)
    assert (found.address if found else None) == question.address


def test_first_of_equal_keys_decides_and_no_rule_is_none() -> None:
    rules = parse("10.0-1.:deny\n10.1.:allow\n", "x")
    found = lookup(rules, "10.1.0.0")
    assert found is not None
    assert (found.where, found.action) == ("x line 1", "deny")
    assert lookup(rules, "10.2.0.0") is None


def test_decode_is_the_inverse_of_encode() -> None:
    rules = parse('1.2.3.4:deny\n10.:allow,A="",B=\'x="y\'\n:allow\n', "x")
    assert [decode(data) for _key, data in compile_records(rules)] == [
        (rule.action, rule.environment) for rule in rules.rules
    ]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [(b"D", b"D"), (b"x\0", b"x"), (b"+A\0D\0", b"+A"), (b"D\0+A=", b"+A="), (b"\0", b"")],
)
def test_decode_refuses_what_tcprules_never_stores(data: bytes, wrong: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        decode(data)
    assert str(caught.value) == (
        f"tcprules data: {data!r} holds {wrong!r}; expected 'D' or '+VARIABLE=value', with a NUL"
    )


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("[2001:db8:0:2::]/47", 8),
        ("[2001:db8:0:2::1]/64", 8),
        ("[2001:db8:0:0002::]/64", 8),
        ("[::ffff:9.9.9.9]/64", 8),
        ("[2001:db8::2::]/64", 8),
        ("[2001:db8:0:2::]/129", 8),
    ],
)
def test_a_network_in_the_adaptive_fragment_is_in_its_usual_form(address: str, line: int) -> None:
    with pytest.raises(BadInput) as caught:
        parse_adaptive(f"{render_adaptive(ENTRIES)}# until 2000 why x\n{address}:deny\n", 0, "/d/30-adaptive")
    assert str(caught.value) == (
        f"/d/30-adaptive line {line}: not a network of IPv6; expected one such as '[2001:db8::]/64', "
        "with a length from 48 to 128"
    )


# Safety.

RELAY = parse_networks(["10.0.0.0/22", "198.51.100.64/26"])
RELAY_IPV6 = (*RELAY, *parse_networks(["2001:db8::/48", "2001:db8:1::/48"]))


@pytest.mark.parametrize(
    "text",
    [
        ":allow\n",
        "127.0.0.1:allow,RELAYCLIENT=\"\"\n10.0.0-3.:allow,RELAYCLIENT=\"\"\n198.51.100.64-127:allow,RELAYCLIENT=\"\"\n",
        "10.0.0.9:allow,RELAYCLIENT=\"\"\njoe@10.0.3.255:allow,RELAYCLIENT=\"\"\n",
        f":allow,QMAILQUEUE=\"{SIMSCAN}\"\n10.0.0.:allow,RELAYCLIENT=\"\"\n",
        # The wide rule is never reached outside of the relay network.
        "10.0-255.:deny\n10.0.0.:allow,RELAYCLIENT=\"\"\n10.:allow,RELAYCLIENT=\"\"\n",
    ],
)  # fmt: skip
def test_safe(text: str) -> None:
    assert_safe(parse(text, "x"), RELAY, scanner=SIMSCAN)


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ('[2001:db8:2::]/48:allow,RELAYCLIENT=""\n', "2001:db8:2::"),
        ('[2001:db8::]/46:allow,RELAYCLIENT=""\n', "2001:db8:2::"),
        ('[::]/0:allow,RELAYCLIENT=""\n', "::"),
        ('10.0.0-3.:allow\n:allow,RELAYCLIENT=""\n', "0.0.0.0"),
        ('0-127.:allow\n128-255.:allow\n:allow,RELAYCLIENT=""\n', "::"),
        ('[::2]:allow,RELAYCLIENT=""\n', "::2"),
        ('[::ffff:192.0.2.1]:allow,RELAYCLIENT=""\n', "192.0.2.1"),
        # What is not IPv4: the address that ends in one.
        ('[::10.0.0.1]:allow,RELAYCLIENT=""\n', "::a00:1"),
    ],
)
def test_who_may_not_relay_by_ipv6(text: str, who: str) -> None:
    with pytest.raises(BadInput) as caught:
        assert_safe(parse(text, "x"), RELAY_IPV6, scanner=SIMSCAN)
    assert f" lets {who} relay; expected RELAYCLIENT only for 10.0.0.0/22, " in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '[::1]:allow,RELAYCLIENT=""\n',
        '[2001:db8:1::]/64:allow,RELAYCLIENT=""\n',
        '[2001:db8::]/47:allow,RELAYCLIENT=""\n',  # both of the networks together
        '[::ffff:10.0.0.0]/118:allow,RELAYCLIENT=""\n',
        # The wide rule is never reached outside of the relay networks.
        '[2001:db8::]/46:allow,RELAYCLIENT=""\n[2001:db8:2::]/47:allow\n',
    ],
)
def test_who_may_relay_by_ipv6(text: str) -> None:
    assert_safe(parse(text, "x"), RELAY_IPV6, scanner=SIMSCAN)


ALLOWED = "expected RELAYCLIENT only for 10.0.0.0/22, 198.51.100.64/26, 127.0.0.1/32, ::1/128"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":allow,RELAYCLIENT=\"\"\n", f"x line 1: ':allow,RELAYCLIENT=\"\"' lets 0.0.0.0 relay; {ALLOWED}"),
        (
            "0-127.:allow,RELAYCLIENT=\"\"\n128-255.:allow,RELAYCLIENT=\"\"\n",
            f"x line 1: '0-127.:allow,RELAYCLIENT=\"\"' lets 0.0.0.0 relay; {ALLOWED}",
        ),
        ("127.:allow,RELAYCLIENT=\"\"\n", f"x line 1: '127.:allow,RELAYCLIENT=\"\"' lets 127.0.0.0 relay; {ALLOWED}"),
        (
            "127.0.0.1-2:allow,RELAYCLIENT=\"\"\n",
            f"x line 1: '127.0.0.1-2:allow,RELAYCLIENT=\"\"' lets 127.0.0.2 relay; {ALLOWED}",
        ),
        ("10.0.0-4.:allow,RELAYCLIENT=\"\"\n", f"x line 1: '10.0.0-4.:allow,RELAYCLIENT=\"\"' lets 10.0.4.0 relay; {ALLOWED}"),
        ("10.0.:allow,RELAYCLIENT=\"\"\n", f"x line 1: '10.0.:allow,RELAYCLIENT=\"\"' lets 10.0.4.0 relay; {ALLOWED}"),
        (
            "198.51.100.63-127:allow,RELAYCLIENT=\"\"\n",
            f"x line 1: '198.51.100.63-127:allow,RELAYCLIENT=\"\"' lets 198.51.100.63 relay; {ALLOWED}",
        ),
        (
            ":allow\n=mail.example:allow,RELAYCLIENT=\"\"\n",
            f"x line 2: '=mail.example:allow,RELAYCLIENT=\"\"' lets whoever has the host name of '=mail.example' relay; {ALLOWED}",
        ),
        (
            "joe@=a.example:allow,RELAYCLIENT=\"\"\n",
            f"x line 1: 'joe@=a.example:allow,RELAYCLIENT=\"\"' lets whoever has the host name of 'joe@=a.example' relay; {ALLOWED}",
        ),
        ("joe@10.0.4.0:allow,RELAYCLIENT=\"\"\n", f"x line 1: 'joe@10.0.4.0:allow,RELAYCLIENT=\"\"' lets 10.0.4.0 relay; {ALLOWED}"),
        (
            "10.0.0.:allow,RELAYCLIENT=\"@bad\"\n",
            "x line 1: '10.0.0.:allow,RELAYCLIENT=\"@bad\"' gives RELAYCLIENT a value, which is added to each recipient; "
            'expected RELAYCLIENT=""',
        ),
        (
            ":allow,QMAILQUEUE=\"/bin/qmail-queue\"\n",
            "x line 1: ':allow,QMAILQUEUE=\"/bin/qmail-queue\"' takes mail past the scanner; "
            "expected QMAILQUEUE=\"/var/qmail/bin/simscan\" or none, relay clients too",
        ),
        (
            "10.0.0.:allow,RELAYCLIENT=\"\",QMAILQUEUE=\"/var/qmail/bin/qmail-queue\"\n",
            "x line 1: '10.0.0.:allow,RELAYCLIENT=\"\",QMAILQUEUE=\"/var/qmail/bin/qmail-queue\"' takes mail past the "
            "scanner; expected QMAILQUEUE=\"/var/qmail/bin/simscan\" or none, relay clients too",
        ),
        (
            "=a.example:allow,QMAILQUEUE=\"\"\n",
            "x line 1: '=a.example:allow,QMAILQUEUE=\"\"' takes mail past the scanner; "
            "expected QMAILQUEUE=\"/var/qmail/bin/simscan\" or none, relay clients too",
        ),
    ],
)  # fmt: skip
def test_unsafe(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        assert_safe(parse(text, "x"), RELAY, scanner=SIMSCAN)
    assert str(caught.value) == message


@pytest.mark.parametrize("queue", ["", SIMSCAN])
def test_without_a_scanner_nobody_gets_a_queue(queue: str) -> None:
    with pytest.raises(BadInput) as caught:
        assert_safe(parse(f'192.0.2.7:allow,QMAILQUEUE="{queue}"\n', "x"), RELAY)
    assert str(caught.value) == (
        f"x line 1: '192.0.2.7:allow,QMAILQUEUE=\"{queue}\"' takes mail past the scanner; "
        "expected no QMAILQUEUE, relay clients too"
    )


UNSCANNED = 'allow,RELAYCLIENT="",QMAILQUEUE="/var/qmail/bin/qmail-queue"'


def test_the_site_may_leave_relay_clients_unscanned_and_nobody_else() -> None:
    assert_safe(parse(f"10.0.0.:{UNSCANNED}\n", "x"), RELAY, scanner=SIMSCAN, scan_relay_clients=False)
    for text, message in (
        (
            '192.0.2.7:allow,QMAILQUEUE="/var/qmail/bin/qmail-queue"\n',
            "x line 1: '192.0.2.7:allow,QMAILQUEUE=\"/var/qmail/bin/qmail-queue\"' takes mail from 192.0.2.7 past the "
            f'scanner; expected QMAILQUEUE="{SIMSCAN}" or none outside of the relay networks',
        ),
        (
            '10.0.0.:allow,QMAILQUEUE="/bin/true"\n',
            "x line 1: '10.0.0.:allow,QMAILQUEUE=\"/bin/true\"' takes mail past the scanner; "
            f"expected QMAILQUEUE=\"{SIMSCAN}\" or none, or '/var/qmail/bin/qmail-queue' for relay clients",
        ),
    ):
        with pytest.raises(BadInput) as caught:
            assert_safe(parse(text, "x"), RELAY, scanner=SIMSCAN, scan_relay_clients=False)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("10.0.0.5:deny\n", "10.0.0.5"),
        ("10.:deny\n", "10.0.0.4"),
        (":deny\n", "10.0.0.4"),
        ('10.0.0.:allow,RBLSMTPD="-no"\n', "10.0.0.4"),
        ("joe@10.0.0.6:deny\n", "10.0.0.6"),
        ("=a.example:deny\n", "a protected address whose host has the name '=a.example'"),
        ("10.0.0.4-6:allow\n=:deny\n", "a protected address whose host has the name '='"),
        (
            "10.0.0.4-7:allow\njoe@=a.example:deny\n",
            "a protected address whose host has the name 'joe@=a.example'",
        ),
    ],
)
def test_a_protected_network_is_never_shut_out(text: str, who: str) -> None:
    with pytest.raises(BadInput) as caught:
        assert_open(parse(text, "x"), parse_networks(["10.0.0.4/30"]))
    line = text.splitlines()[-1]
    assert str(caught.value) == (
        f"x line {text.count(chr(10))}: {line!r} shuts out {who}; expected no rule against a protected network"
    )


@pytest.mark.parametrize(
    "text",
    [
        ":allow\n",
        "10.0.0.3:deny\n10.0.0.8:deny\njoe@10.0.0.3:deny\n",
        ":deny\n10.0.0.4-7:allow\n=a.example:deny\n",
        ':deny\n10.0.0.:allow,RBLSMTPD=""\n',
    ],
)
def test_a_protected_network_is_open(text: str) -> None:
    assert_open(parse(text, "x"), parse_networks(["10.0.0.4/30"]))


def test_a_protected_network_of_ipv6_is_never_shut_out() -> None:
    protected = parse_networks(["2001:db8:0:1::/64"])
    for text, who in (
        ("[2001:db8:0:1::7]:deny\n", "2001:db8:0:1::7"),
        ("[2001:db8::]/32:deny\n", "2001:db8:0:1::"),
        (":deny\n", "2001:db8:0:1::"),
        ("[2001:db8:0:1::]/65:allow\n:deny\n", "2001:db8:0:1:8000::"),
        ('[2001:db8:0:1::]/64:allow,RBLSMTPD="no"\n', "2001:db8:0:1::"),
    ):
        with pytest.raises(BadInput) as caught:
            assert_open(parse(text, "x"), protected)
        assert f" shuts out {who}; " in str(caught.value)
    # A client of IPv6 has no name in the rules, so a name shuts out none.
    assert_open(
        parse("[2001:db8:0:1::]/64:allow\n:deny\n=a.example:deny\njoe@=a.example:deny\n", "x"), protected
    )


@pytest.mark.parametrize(
    ("text", "shut"),
    [
        ("[2001:db8::]/33:deny\n[2001:db8:8000::]/33:deny\n", ["2001:db8::/32"]),
        ("[2001:db8::]/32:deny\n[2001:db8::]:allow\n", ["2001:db8::/32"]),  # the routers' address
        ("[2001:db8::]/32:deny\n[2001:db8::1]:allow\n", []),
        ("[2001:db8::]/32:deny\n[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:allow\n", []),
        ("[2001:db8::]/33:deny\n", []),
        (":deny\n", ["10.0.0.0/24", "2001:db8::/32", "::1/128"]),
        ("[::]/0:deny\n", ["2001:db8::/32", "::1/128"]),
        ("0-255.:deny\n", ["10.0.0.0/24"]),
    ],
)
def test_networks_of_which_no_host_may_connect(text: str, shut: list[str]) -> None:
    networks = [parse_network(one) for one in ("10.0.0.0/24", "2001:db8::/32", "::1/128")]
    assert [str(one) for one in all_shut(parse(text, "x"), networks)] == shut


def test_an_operators_relay_network_that_is_public_is_at_most_a_sites() -> None:
    def listed(network: str) -> Rules:
        return parse(f'# mailgate: {{"relay_networks": ["{network}"]}}\n', "o")

    for network in ("10.0.0.0/8", "172.16.0.0/12", "198.51.0.0/16", "fc00::/32", "2001:db8::/48"):
        assert operator_relay_networks(listed(network)) == parse_networks([network])
    for network, message in (
        ("9.0.0.0/7", "'9.0.0.0/7' has host bits set"),
        ("12.0.0.0/8", "'12.0.0.0/8' is public and wider than /16; expected a prefix length from 16 to 32"),
        ("172.0.0.0/8", "'172.0.0.0/8' is public and wider than /16; expected a prefix length from 16 to 32"),
        ("fc00::/31", "'fc00::/31' is wider than /32; expected a prefix length from 32 to 128"),
        ("2001:db8::/47", "'2001:db8::/47' is public and wider than /48; expected a prefix length from 48 to 128"),
        ("64:ff9b::12.0.0.0/104", "'64:ff9b::c00:0/104' is public and has more than a /16 of IPv4 behind it, 64:ff9b::/96 (NAT64, RFC 6052); expected a prefix length from 112 to 128"),
        ("64:ff9b::/96", "'64:ff9b::/96' has more than a /8 of IPv4 behind it, 64:ff9b::/96 (NAT64, RFC 6052); expected a prefix length from 104 to 128"),
        ("::ffff:12.0.0.0/104", "'12.0.0.0/8' is public and wider than /16; expected a prefix length from 16 to 32"),
    ):  # fmt: skip
        with pytest.raises(BadInput) as caught:
            operator_relay_networks(listed(network))
        assert str(caught.value).startswith(f"o relay network 1: {message}")


def test_relay_networks_that_are_too_wide_make_nothing_safe() -> None:
    with pytest.raises(BadInput) as caught:
        assert_safe(parse(":allow\n", "x"), parse_networks(["0.0.0.0/1", "128.0.0.0/1"]))
    assert (
        str(caught.value)
        == "relay network 1: '0.0.0.0/1' is wider than /8; expected a prefix length from 8 to 32"
    )


# The difference in words.


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (":allow\n", ":allow\n# more\n", []),
        ("", ":allow\n", []),
        ("", '127.0.0.1:allow,RELAYCLIENT=""\n:allow\n', ["127.0.0.1/32 gains relay"]),
        (
            '10.0.0.:allow,RELAYCLIENT=""\n10.2.:allow,RELAYCLIENT=""\n:allow\n',
            '10.0.0-1.:allow,RELAYCLIENT=""\n:allow\n',
            ["10.0.1.0/24 gains relay", "10.2.0.0/16 loses relay"],
        ),
        # Two ways to say the same.
        ("10.0-1.:deny\n:allow\n", "10.0.:deny\n10.1.:deny\n", []),
        (
            '10.0.0.:allow,RELAYCLIENT=""\n',
            '10.0.0.:allow,RELAYCLIENT="",A="1"\n10.0.0.9:deny\n',
            ['10.0.0.0 to 10.0.0.8 gains A="1"', "10.0.0.9/32 is refused and loses relay", '10.0.0.10 to 10.0.0.255 gains A="1"'],
        ),
        ("192.0.2.:deny\n", "192.0.2.:allow\n", ["192.0.2.0/24 is no longer refused"]),
        ("192.0.2.:deny\n", ":deny\n", ["everybody else is refused"]),
        ("=a.example:deny\n", "=b.example:deny\n", ["=a.example is no longer refused", "=b.example is refused"]),
        ("255.255.255.255:deny\n", "", ["255.255.255.255/32 is no longer refused"]),
        (
            "[2001:db8::]/32:deny\n[::]/0:allow\n",
            '[2001:db8::]/32:allow,RELAYCLIENT=""\n[2001:db8::7]:deny\n[::1]:deny\n',
            [
                "::1/128 is refused",
                "2001:db8:: to 2001:db8::6 is no longer refused and gains relay",
                "2001:db8::8 to 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff is no longer refused and gains relay",
            ],
        ),
        ("0-255.:deny\n[::]/0:deny\n", "", ["0.0.0.0/0 is no longer refused", "::/0 is no longer refused"]),
        ("[2001:db8::]/33:deny\n[2001:db8:8000::]/33:deny\n", "[2001:db8::]/32:deny\n", []),
    ],
)  # fmt: skip
def test_changes_in_words(before: str, after: str, words: list[str]) -> None:
    assert describe_changes(parse(before, "before"), parse(after, "after")) == words


# What other programs read and write.


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "",
            "s: 0 lines begin with '# mailgate: '; expected one, the file as mailgate.qmail.tcp_rules writes it",
        ),
        (
            "# mailgate: x\n",
            "s: 'x\\n' holds no facts; expected the file as mailgate.qmail.tcp_rules writes it",
        ),
        (
            "# mailgate: {}\n",
            "s: '{}\\n' holds no facts; expected the file as mailgate.qmail.tcp_rules writes it",
        ),
        (
            '# mailgate: {"relay_networks": ["0.0.0.0/0"], "scanner": ""}\n',
            "s relay network 1: '0.0.0.0/0' is wider than /8; expected a prefix length from 8 to 32",
        ),
    ],
)
def test_damaged_facts_are_refused(lines: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        site_facts(parse(lines, "s"))
    assert str(caught.value) == message


def test_facts_of_an_older_version_have_the_safe_values() -> None:
    assert read_facts(
        '# mailgate: {"relay_networks": ["10.0.0.0/24"], "scanner": ""}\n10.0.0.:deny\n'
    ) == Facts(parse_networks(["10.0.0.0/24"]), "", (), (), True)


def test_the_facts_are_read_as_they_were_rendered() -> None:
    facts = Facts(
        parse_networks(["10.0.0.0/24", "192.0.2.0/24"]),
        SIMSCAN,
        parse_networks(["10.0.0.5/32"]),
        parse_networks(["198.51.100.0/24"]),
        False,
    )
    line = render_facts(facts)
    assert line.count("\n") == 1
    assert read_facts(f"# a comment\n{line}10.0.0.:allow\n") == facts


@pytest.mark.parametrize("networks", [[], ["10.0.0.0/24"], ["10.1.0.0/16", "10.0.0.0/24"]])
def test_the_operators_relay_networks_are_read_as_they_were_rendered(networks: list[str]) -> None:
    rendered = render_operator_relay_networks(map(parse_network, networks))
    assert rendered.count("\n") == (1 if networks else 0)
    assert operator_relay_networks(parse(rendered, "x")) == parse_networks(networks)


ENTRIES = [
    AdaptiveEntry("203.0.113.9", 2000, "12 of 14 attempts bad in 60 minutes"),
    AdaptiveEntry("9.9.9.9", 1500, "x"),
    AdaptiveEntry("2001:db8:0:1::/64", 1400, "y"),
]


def test_adaptive_entries_come_back_until_they_end() -> None:
    text = render_adaptive(ENTRIES)
    assert text == (
        "# until 2000 why 12 of 14 attempts bad in 60 minutes\n203.0.113.9:deny\n# until 1500 why x\n9.9.9.9:deny\n"
        "# until 1400 why y\n[2001:db8:0:1::]/64:deny\n"
    )
    assert parse_adaptive(text, 1399.9) == tuple(ENTRIES)
    assert parse_adaptive(text, 1499.9) == tuple(ENTRIES[:2])
    assert parse_adaptive(text, 1500) == (ENTRIES[0],)
    assert parse_adaptive("", 0) == ()


def test_of_two_entries_the_longer_one_holds() -> None:
    both = [
        AdaptiveEntry("9.9.9.9", 10, "a"),
        AdaptiveEntry("9.9.9.9", 30, "b"),
        AdaptiveEntry("9.9.9.9", 20, "c"),
    ]
    assert parse_adaptive(render_adaptive(both), 0) == (both[1],)


@pytest.mark.parametrize(
    "lines",
    [
        "9.9.9.9:deny\n",
        "# until 2000 why x\n",
        "# until 2000 why x\n9.9.9.9:allow\n",
        "# until 2000 why x\n9.9.9.:deny\n",
        "# until 2000 why x\n=a.example:deny\n",
        "# until 2000 why x\n9.9.9.9:deny",
        "\n# until 2000 why x\n9.9.9.9:deny\n",
        "# until  why x\n9.9.9.9:deny\n",
        "# until 2000 why \n9.9.9.9:deny\n",
        "# until 2000 why \x1b[2J\n9.9.9.9:deny\n",
        "# until 2000 why \u00fc\n9.9.9.9:deny\n",
        f"# until 2000 why {'x' * 201}\n9.9.9.9:deny\n",
        "# until 2000 why x\r\n9.9.9.9:deny\n",
        "# until -2000 why x\n9.9.9.9:deny\n",
        "# until 2e3 why x\n9.9.9.9:deny\n",
        "9.9.9.9:deny\n# until 2000 why x\n",
    ],
)
def test_the_adaptive_fragment_may_hold_nothing_else_and_is_not_quoted(lines: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_adaptive(render_adaptive(ENTRIES) + lines, 0, "/d/30-adaptive")
    assert str(caught.value) == (
        "/d/30-adaptive line 7: this and the next line are not an entry; "
        "expected '# until SECONDS why TEXT' and 'ADDRESS:deny'"
    )


@pytest.mark.parametrize(
    "entry",
    [
        AdaptiveEntry("9.9.9.", 2000, "x"),
        AdaptiveEntry("::1", 2000, "x"),
        AdaptiveEntry("[2001:db8::]/64", 2000, "x"),
        AdaptiveEntry("2001:DB8::/64", 2000, "x"),
        AdaptiveEntry("2001:db8::1/64", 2000, "x"),
        AdaptiveEntry("2001:db8::/47", 2000, "x"),
        AdaptiveEntry("2001:db8::/129", 2000, "x"),
        AdaptiveEntry("9.9.9.9/32", 2000, "x"),
        AdaptiveEntry("::ffff:9.9.9.9/128", 2000, "x"),
        AdaptiveEntry("9.9.9.9", 0, "x"),
        AdaptiveEntry("9.9.9.9", 2000, "x\n127.0.0.1:deny"),
        AdaptiveEntry("9.9.9.9", 2000, ""),
    ],
)
def test_an_entry_that_nobody_would_take_is_not_written(entry: AdaptiveEntry) -> None:
    with pytest.raises(BadInput) as caught:
        render_adaptive([entry])
    assert str(caught.value) == (
        f"30-adaptive entry: {entry!r} cannot stand there; expected an IPv4 address or a network of IPv6 from /48 "
        "to /128, unix seconds, and 1 to 200 characters of printable ASCII"
    )


# What looks at many rules at once says what a lookup of each address says.

ADDRESSES = [
    f"{a}.{b}.{c}.{d}" for a in (0, 9, 255) for b in (0, 255) for c in (0, 7, 255) for d in (0, 1, 2, 255)
]
IPV6 = [
    f"{a}:{b}::{c}" for a in ("0", "2001", "ffff") for b in ("0", "db8", "ffff") for c in ("0", "1", "8000:0")
]
IPV6 += ["ffff" + ":ffff" * 7, "2001:db8:0:1::", "2001:db8:0:1:ffff:ffff:ffff:ffff"]
LENGTHS = [0, 1, 16, 31, 32, 33, 48, 64, 65, 127, 128]
NUMBERS = [address_number(address) for address in (*ADDRESSES, *IPV6)]


def some_rules(chance: random.Random) -> Rules:
    """Addresses and networks that nest, begin and end together, come twice, or belong to a name."""
    lines = []
    for _rule in range(chance.randrange(9)):
        does = chance.choice(["allow", "deny", "deny", 'allow,RELAYCLIENT=""', 'allow,RBLSMTPD="no"'])
        if chance.random() < 0.5:
            network = IPv6Network((chance.choice(IPV6), chance.choice(LENGTHS)), strict=False)
            lines.append(f"{rule_address(network)}:{does}\n")
            continue
        octets = chance.choice(ADDRESSES).split(".")
        kept = chance.randrange(5)
        address = ".".join(octets[:kept]) + ("." if 0 < kept < 4 else "")
        who = chance.choice(["", "", "", "", "ann@"]) if kept == 4 else ""
        lines.append(f"{who}{address}:{does}\n")
    if chance.random() < 0.1:
        lines.append("=.example:deny\n")
    return parse("".join(lines), "x")


def test_segments_are_what_a_lookup_finds() -> None:
    chance = random.Random(1)
    for _round in range(400):
        rules = some_rules(chance)
        pieces = segments(rules.index.items())
        assert [first for first, _rule in pieces] == sorted({first for first, _rule in pieces})
        assert all(one[1] is not two[1] for one, two in zip(pieces, pieces[1:]))
        edges = (at for first, _rule in pieces for at in (first, first - 1) if at >= 0)
        for number in (*NUMBERS, *filter(is_address_number, edges)):
            found = [rule for first, rule in pieces if first <= number][-1]
            address = number_address(number)
            assert found is lookup(rules, address), (render(rules), str(address))


def test_a_change_is_told_of_each_address_that_it_concerns() -> None:
    chance = random.Random(2)
    for _round in range(600):
        before = some_rules(chance)
        after = some_rules(chance)
        if chance.random() < 0.7:  # most of it stays
            lines = [line for line in before.lines if chance.random() < 0.8] + list(after.lines[:2])
            chance.shuffle(lines)
            after = parse("".join(lines), "x")
        told = set()
        for line in describe_changes(before, after):
            span, _space, rest = line.partition(" ")
            if span == "everybody" or "=" in span or "@" in span:
                continue
            if rest.startswith("to "):
                ends = address_number(span), address_number(rest.split()[1])
            else:
                ends = text_interval(span)
            told.update(number for number in NUMBERS if ends[0] <= number <= ends[1])
        for number in NUMBERS:
            old, new = (lookup(rules, number_address(number)) for rules in (before, after))
            general = (old is None or old.address == "") and (new is None or new.address == "")
            assert (number in told) == (not general and set(effects(old)) != set(effects(new))), (
                render(before),
                render(after),
                str(number_address(number)),
            )


def test_no_denial_of_a_protected_address_is_missed() -> None:
    chance = random.Random(3)
    shut = 0
    for _round in range(600):
        rules = some_rules(chance)
        if any("=." in rule.address or "@" in rule.address for rule in rules.rules):
            continue
        protected = chance.sample(
            [
                *("0.0.0.0/8", "9.0.0.0/16", "9.0.7.0/24", "255.255.255.255/32", "9.255.7.1/32"),
                *("2001:db8::/32", "2001:db8:0:1::/64", "::1/128", "ffff:ffff::/33"),
            ],
            2,
        )
        inside = [text_interval(one) for one in protected]
        expected = False
        for number in (*NUMBERS, *boundaries(rules), *(first for first, _last in inside)):
            if any(first <= number <= last for first, last in inside):
                rule = lookup(rules, number_address(number))
                expected |= rule is not None and (rule.action == "deny" or bool(rule.variable("RBLSMTPD")))
        try:
            assert_open(rules, parse_networks(protected))
            found = False
        except BadInput:
            found = True
        assert found == expected, (render(rules), protected)
        shut += found
    assert 100 < shut < 500
