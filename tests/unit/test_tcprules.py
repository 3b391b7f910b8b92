"""Rules: the lossless text, the errors, tcpserver's lookup, the safety of the whole, and the command."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate import cli, rules_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cdb import Reader
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.tcprules import (
    Compiled,
    SiteRule,
    assert_safe,
    compile_fragments,
    compile_records,
    decode,
    default_rules,
    describe_changes,
    edited_by_hand,
    lookup,
    parse,
    render,
    site_facts,
    site_rules,
    verify_cdb,
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
        "# \udcff bytes that are no UTF-8, and a form feed \f\n=host.example:allow,NOTE=\"\udcff\"\n",
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
        ("127.0.0.1:allow,RELAYCLIENT=\"\"", [(b"127.0.0.1", b"+RELAYCLIENT=\0")]),
        ("10.:allow,A='x\"y',B=/a,b:c=d/", [(b"10.", b"+A=x\"y\0+B=a,b:c=d\0")]),
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
            (f"{address}:deny", f"'{address}:deny' is a rule for IPv6, which is not supported yet; expected an IPv4 address")
            for address in ("2001:db8::1", "::1", "2001:db8::/32", "joe@2001:db8::1", "[2001:db8::1]", "::ffff:10.0.0.1")
        ),
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
    rules = parse("1.2.3.4:deny\n10.:allow,A=\"\",B='x=\"y'\n:allow\n", "x")
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


# Safety.

RELAY = ["10.0.0.0/22", "198.51.100.64/26"]


@pytest.mark.parametrize(
    "text",
    [
        ":allow\n",
        "127.0.0.1:allow,RELAYCLIENT=\"\"\n10.0.0-3.:allow,RELAYCLIENT=\"\"\n198.51.100.64-127:allow,RELAYCLIENT=\"\"\n",
        "10.0.0.9:allow,RELAYCLIENT=\"\"\njoe@10.0.3.255:allow,RELAYCLIENT=\"\"\n",
        f":allow,QMAILQUEUE=\"{SIMSCAN}\"\n10.0.0.:allow,QMAILQUEUE=\"/var/qmail/bin/qmail-queue\"\n",
        # The wide rule is never reached outside of the relay network.
        "10.0-255.:deny\n10.0.0.:allow,RELAYCLIENT=\"\"\n10.:allow,RELAYCLIENT=\"\"\n",
    ],
)  # fmt: skip
def test_safe(text: str) -> None:
    assert_safe(parse(text, "x"), RELAY, scanner=SIMSCAN)


ALLOWED = "expected RELAYCLIENT only for 10.0.0.0/22, 198.51.100.64/26, 127.0.0.1/32"


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
            "x line 1: ':allow,QMAILQUEUE=\"/bin/qmail-queue\"' takes mail from 0.0.0.0 past the scanner; "
            "expected QMAILQUEUE=\"/var/qmail/bin/simscan\" or none outside of the relay networks",
        ),
        (
            "=a.example:allow,QMAILQUEUE=\"\"\n",
            "x line 1: '=a.example:allow,QMAILQUEUE=\"\"' takes mail from whoever has the host name of '=a.example' past "
            "the scanner; expected QMAILQUEUE=\"/var/qmail/bin/simscan\" or none outside of the relay networks",
        ),
    ],
)  # fmt: skip
def test_unsafe(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        assert_safe(parse(text, "x"), RELAY, scanner=SIMSCAN)
    assert str(caught.value) == message


@pytest.mark.parametrize("queue", ["", SIMSCAN])
def test_without_a_scanner_no_stranger_gets_a_queue(queue: str) -> None:
    with pytest.raises(BadInput) as caught:
        assert_safe(parse(f'192.0.2.7:allow,QMAILQUEUE="{queue}"\n', "x"), RELAY)
    assert str(caught.value) == (
        f"x line 1: '192.0.2.7:allow,QMAILQUEUE=\"{queue}\"' takes mail from 192.0.2.7 past the scanner; "
        "expected no QMAILQUEUE outside of the relay networks"
    )


def test_relay_networks_that_are_too_wide_make_nothing_safe() -> None:
    with pytest.raises(BadInput) as caught:
        assert_safe(parse(":allow\n", "x"), ["0.0.0.0/1", "128.0.0.0/1"])
    assert str(caught.value) == "relay network 1: '0.0.0.0/1' is wider than /8; expected a prefix length from 8 to 32"


# The fragments.

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
        f'# mailgate: {{"relay_networks": ["10.0.0.0/22", "198.51.100.64/26"], "scanner": "{SIMSCAN}"}}\n'
        f"127.0.0.1{relay}"
        "198.51.100.70:deny\n"
        f"198.51.100.64-127{relay}"
        "203.0.113.:allow,RBLSMTPD='-not \"you\"'\n"
        f"10.0.0-3.{relay}"
    )


def test_site_rules_without_anything() -> None:
    assert site_rules([]) == (
        f"{HEAD}# mailgate: {{\"relay_networks\": [], \"scanner\": \"\"}}\n127.0.0.1:allow,RELAYCLIENT=\"\"\n"
    )
    assert default_rules() == (
        "# Written by Ansible (mailgate.qmail.tcp_rules): changes here are lost.\n:allow\n"
    )


@pytest.mark.parametrize(
    ("networks", "scanner", "environment", "extra", "message"),
    [
        (["10.0.0.0/7"], "", {}, [], "relay network 1: '10.0.0.0/7' is wider than /8; expected a prefix length from 8 to 32"),
        ([], "simscan", {}, [], "scanner: 'simscan' is no absolute path; expected one or nothing"),
        ([], "", {"RELAYCLIENT": "x"}, [], "relay environment: RELAYCLIENT='x' is set already; expected '' or none"),
        ([], "", {"A": "x\ny"}, [], "relay environment: A='x\\ny' cannot stand in a rule; expected text of one line"),
        ([], "", {"A": 5}, [], "relay environment: A=5 cannot stand in a rule; expected text of one line"),
        (
            ["10.0.0.0/24"], "", {}, [SiteRule("10.0.0.0/24", "deny", {})],
            "rule 1: '10.0.0.0/24' has a rule already; expected one rule for each network",
        ),
        ([], "", {}, [SiteRule("0.0.0.0/0", "deny", {})], "rule 1 network 1: '0.0.0.0/0' is wider than /1; expected a prefix length from 1 to 32"),
        ([], "", {}, [SiteRule("10.0.0.0/24", "drop", {})], "rule 1: 'drop' is no action; expected 'allow' or 'deny'"),
        (
            [], "", {}, [SiteRule("10.0.0.0/24", "allow", {"RELAYCLIENT": ""})],
            "10-site line 5: '10.0.0.:allow,RELAYCLIENT=\"\"' lets 10.0.0.0 relay; expected RELAYCLIENT only for 127.0.0.1/32",
        ),
    ],
)  # fmt: skip
def test_site_rules_refuse(
    networks: list[str], scanner: str, environment: dict[str, str], extra: list[SiteRule], message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        site_rules(networks, scanner=scanner, relay_environment=environment, extra=extra)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "s: 0 lines begin with '# mailgate: '; expected one, the file as mailgate.qmail.tcp_rules writes it"),
        ("# mailgate: x\n", "s: 'x\\n' holds no facts; expected the file as mailgate.qmail.tcp_rules writes it"),
        ("# mailgate: {}\n", "s: '{}\\n' holds no facts; expected the file as mailgate.qmail.tcp_rules writes it"),
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


def compiled(operator: str = "", adaptive: str = "", site: str | None = None) -> Compiled:
    return compile_fragments(
        {
            "10-site": site_rules(["10.0.0.0/24", "198.51.100.64/26"]) if site is None else site,
            "20-operator": operator,
            "30-adaptive": adaptive,
            "90-default": default_rules(),
        },
        "/d",
    )


def test_compiled_file_copy_and_rules_agree() -> None:
    made = compiled("# mine\n10.0.0.9:deny\n", "192.0.2.1:deny")
    assert list(Reader(made.cdb).items()) == compile_records(parse(made.copy, "copy"))
    assert not edited_by_hand(made.copy)
    assert made.notices == ()
    assert "# mine\n" in made.copy
    verify_cdb(made.cdb, made.rules, "x")


def test_adaptive_rules_against_relay_clients_are_left_out() -> None:
    made = compiled(adaptive="10.0.0.9:deny\n127.0.0.1:deny\n192.0.2.1:deny\n")
    assert {key for key, data in Reader(made.cdb).items() if data == b"D\0"} == {b"192.0.2.1"}
    assert made.notices == (
        "/d/30-adaptive line 1: '10.0.0.9:deny' is left out, 10.0.0.9 may relay",
        "/d/30-adaptive line 2: '127.0.0.1:deny' is left out, 127.0.0.1 may relay",
    )
    assert "# left out: 10.0.0.9:deny\n" in made.copy
    assert not edited_by_hand(made.copy)


@pytest.mark.parametrize("line", ["10.:deny", "192.0.2.1:allow", "=a.example:deny", "192.0.2.1-2:deny", ":deny"])
def test_adaptive_fragment_may_only_deny_addresses(line: str) -> None:
    with pytest.raises(BadInput) as caught:
        compiled(adaptive=f"192.0.2.9:deny\n{line}\n")
    assert str(caught.value) == (
        f"/d/30-adaptive line 2: '{line}' is not for this fragment; expected 'ADDRESS:deny'"
    )


def test_a_rule_without_effect_is_a_notice() -> None:
    made = compiled("198.51.100.70:deny\n192.0.2.1-2:deny\n192.0.2.2:allow\n")
    assert made.notices == (
        "/d/20-operator line 1: '198.51.100.70:deny' has no effect, /d/10-site line 5 comes first",
        "/d/20-operator line 3: '192.0.2.2:allow' has no effect, /d/20-operator line 2 comes first",
    )


@pytest.mark.parametrize(
    ("fragments", "message"),
    [
        ({"operator": "8.8.8.8:allow,RELAYCLIENT=\"\"\n"}, "/d/20-operator line 1: '8.8.8.8:allow,RELAYCLIENT=\"\"' lets 8.8.8.8 relay; expected RELAYCLIENT only for 10.0.0.0/24, 198.51.100.64/26, 127.0.0.1/32"),
        ({"operator": "8.8.8.8 deny\n"}, "/d/20-operator line 1: '8.8.8.8 deny' has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'"),
        ({"site": ":allow\n"}, "/d/10-site: 0 lines begin with '# mailgate: '; expected one, the file as mailgate.qmail.tcp_rules writes it"),
    ],
)  # fmt: skip
def test_bad_fragments_compile_to_nothing(fragments: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        compiled(**fragments)
    assert str(caught.value) == message


@pytest.mark.parametrize("missing", ["10-site", "90-default"])
def test_a_missing_fragment_compiles_to_nothing(missing: str) -> None:
    fragments = {"10-site": site_rules([]), "90-default": default_rules()}
    del fragments[missing]
    with pytest.raises(BadInput) as caught:
        compile_fragments(fragments, "/d")
    assert str(caught.value) == f"file /d/{missing}: missing; expected the one that mailgate.qmail.tcp_rules writes"


def test_every_change_of_the_copy_is_seen() -> None:
    copy = compiled().copy
    at = copy.index("127.0.0.1")
    for edited in ("", copy + "\n", copy[:-1], copy[:at] + "# " + copy[at:], "# x\n" + copy, copy.split("\n", 3)[3]):
        assert edited_by_hand(edited)


def test_verify_cdb_sees_a_record_too_many_or_too_few_or_wrong() -> None:
    made = compiled()
    other = parse("192.0.2.1:deny\n" + render(made.rules), "x")
    for data, rules, key in (
        (made.cdb, other, "192.0.2.1"),
        (compiled("192.0.2.1:deny\n").cdb, made.rules, "192.0.2.1"),
        (compiled(site=site_rules(["10.0.0.0/24"])).cdb, made.rules, "198.51.100.64"),
        (compiled("192.0.2.1:allow\n").cdb, compiled("192.0.2.1:deny\n").rules, "192.0.2.1"),
    ):
        with pytest.raises(BadInput) as caught:
            verify_cdb(data, rules, "x")
        assert str(caught.value) == f"cdb x: the key {key!r} does not hold its rule; expected the rules of {rules.name}"


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
    ],
)  # fmt: skip
def test_changes_in_words(before: str, after: str, words: list[str]) -> None:
    assert describe_changes(parse(before, "before"), parse(after, "after")) == words


# The command.


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "tcp.d").mkdir()
    (tmp_path / "tcp.d/10-site").write_text(site_rules(["10.0.0.0/24"], scanner=SIMSCAN))
    (tmp_path / "tcp.d/90-default").write_text(default_rules())
    return tmp_path


def run(host: Path, name: str, *arguments: str) -> int:
    paths = ["--directory", f"{host}/tcp.d", "--compiled", f"{host}/cdb"]
    return cli.main(["rules", name, *paths, *([] if name == "explain" else ["--copy", f"{host}/copy"]), *arguments])


def files(host: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(path.relative_to(host)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in sorted(host.rglob("*"))
        if path.is_file()
    }


def test_compile_publishes_and_then_has_nothing_to_do(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    umask = os.umask(0o077)
    try:
        assert run(host, "compile") == 0
    finally:
        os.umask(umask)
    first = files(host)
    assert capsys.readouterr() == (f"{host}/cdb: 3 rules, in force now\n", "")
    assert (oct(first["cdb"][1]), oct(first["copy"][1])) == ("0o100644", "0o100644")
    assert sorted(first) == ["cdb", "copy", "tcp.d/.lock", "tcp.d/10-site", "tcp.d/90-default"]
    assert run(host, "compile") == 0
    assert capsys.readouterr() == (f"{host}/cdb: 3 rules, in force already\n", "")
    assert files(host) == first


def test_check_says_what_is_not_in_force_and_writes_nothing(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(host)
    assert run(host, "check") == 0
    assert capsys.readouterr() == (f"{host}/cdb: missing; run 'mailgate rules compile'\n", "")
    assert files(host) == before
    run(host, "compile")
    (host / "tcp.d/20-operator").write_text("192.0.2.7:deny\n")
    (host / "tcp.d/50-mine").write_text("192.0.2.8:deny\n")
    capsys.readouterr()
    assert run(host, "check") == 0
    assert capsys.readouterr() == (
        f"file {host}/tcp.d/50-mine: has no effect; expected only 10-site, 20-operator, 30-adaptive, 90-default\n"
        f"{host}/cdb: older than the fragments; run 'mailgate rules compile'\n",
        "",
    )
    (host / "cdb").write_bytes(bytes(2048))
    assert run(host, "check") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"cdb {host}/cdb: table 0 begins at byte 0; expected a position from 2048 to 2048; run 'mailgate rules compile'"
    ]


def test_a_copy_edited_by_hand_stops_everything(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(host, "compile")
    with (host / "copy").open("a") as copy:
        copy.write("192.0.2.7:deny\n")
    (host / "tcp.d/20-operator").write_text("192.0.2.8:deny\n")
    before = files(host)
    capsys.readouterr()
    for name in ("compile", "check"):
        assert run(host, name) == 1
        assert capsys.readouterr() == (
            "",
            f"mailgate rules: file {host}/copy: was edited by hand since it was generated, nothing is changed; expected "
            f"changes in {host}/tcp.d/20-operator: move them there, remove {host}/copy, and run 'qmailctl cdb' again\n"
            "  - 192.0.2.8:deny\n"
            "  + 192.0.2.7:deny\n",
        )
    assert files(host) == before
    (host / "copy").unlink()
    assert run(host, "compile") == 0


def test_a_bad_fragment_changes_nothing(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(host, "compile")
    (host / "tcp.d/20-operator").write_text("192.0.2.7 deny\n")
    before = files(host)
    capsys.readouterr()
    assert run(host, "compile") == 100
    assert capsys.readouterr() == (
        "",
        f"mailgate rules: {host}/tcp.d/20-operator line 1: '192.0.2.7 deny' has no ':'; "
        "expected 'ADDRESS:allow' or 'ADDRESS:deny'\n",
    )
    assert files(host) == before


def test_a_missing_directory_is_permanent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "compile") == 100
    assert capsys.readouterr().err == (
        f"mailgate rules: directory {tmp_path}/tcp.d: missing; expected what mailgate.qmail.tcp_rules makes\n"
    )


def test_trouble_with_the_disk_is_temporary(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (host / "cdb").mkdir()
    assert run(host, "compile") == 111
    assert capsys.readouterr().err == f"mailgate rules: [Errno 21] Is a directory: '{host}/cdb'\n"
    assert not (host / "copy").exists()


def test_two_runs_do_not_collide(
    host: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_command.locked.__wrapped__, "__defaults__", (0.1,))
    with (host / "tcp.d/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(host, "compile") == 111
    assert capsys.readouterr().err == (
        f"mailgate rules: file {host}/tcp.d/.lock: locked by another run for 0.1 s; try later\n"
    )
    assert run(host, "compile") == 0


def test_a_file_that_the_reader_refuses_never_gets_its_name(host: Path) -> None:
    def refuse(data: bytes) -> None:
        raise BadInput(f"no {data!r}")

    target = host / "cdb"
    target.write_bytes(b"old")
    with pytest.raises(BadInput) as caught:
        rules_command.publish(str(target), b"new", refuse)
    assert str(caught.value) == "no b'new'"
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in host.iterdir()) == ["cdb", "tcp.d"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["10.0.0.7"],
            f'10.0.0.7 may connect and relay, with QMAILQUEUE="{SIMSCAN}"\n'
            f'  HOST/tcp.d/10-site line 5: 10.0.0.:allow,RELAYCLIENT="",QMAILQUEUE="{SIMSCAN}"\n',
        ),
        (["10.0.0.9"], "10.0.0.9 is refused\n  HOST/tcp.d/20-operator line 2: 10.0.0.9:deny\n"),
        (["192.0.2.1"], "192.0.2.1 may connect\n  HOST/tcp.d/90-default line 2: :allow\n"),
        (
            ["192.0.2.1", "--host", "a.example"],
            "192.0.2.1 is refused\n  HOST/tcp.d/20-operator line 3: =a.example:deny\n",
        ),
    ],
)
def test_explain(host: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    (host / "tcp.d/20-operator").write_text("# an infected host\n10.0.0.9:deny\n=a.example:deny\n")
    run(host, "compile")
    capsys.readouterr()
    assert run(host, "explain", *arguments) == 0
    assert capsys.readouterr() == (words.replace("HOST", str(host)), "")


def test_explain_says_when_the_rule_is_not_in_force(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(host, "compile")
    (host / "tcp.d/20-operator").write_text("192.0.2.7:deny\n")
    capsys.readouterr()
    assert run(host, "explain", "192.0.2.7") == 0
    assert capsys.readouterr().out == (
        f"192.0.2.7 is refused\n  {host}/tcp.d/20-operator line 1: 192.0.2.7:deny\n"
        f"  {host}/cdb: older than the fragments; run 'mailgate rules compile'\n"
    )


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("office", "address: 'office' is no address; expected one such as 192.0.2.1"),
        ("::1", "address: '::1' is IPv6, which is not supported yet; expected an IPv4 address"),
    ],
)
def test_explain_refuses(host: Path, capsys: pytest.CaptureFixture[str], address: str, message: str) -> None:
    assert run(host, "explain", address) == 100
    assert capsys.readouterr() == ("", f"mailgate rules: {message}\n")


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["rules"], ["rules", "nothing"], ["rules", "explain"]])
def test_wrong_usage_has_status_100(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 100
    assert capsys.readouterr().err.startswith("usage: mailgate ")
