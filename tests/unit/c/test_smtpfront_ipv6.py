# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtpfront at addresses of both families, and sessions of clients of IPv6 with the real qmail-smtpd."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import smtpd_log
from support.c_programs import STRICT, TESTS, gcc, run
from support.smtpfront_programs import Gateway, Programs, gateway, until
from support.told_resolver import AAAA, PTR, A, Records, Resolver, a, record, wire

HELO, MAIL, RCPT = (
    b"EHLO client.example\r\n",
    b"MAIL FROM:<s@client.example>\r\n",
    b"RCPT TO:<ann@example.com>\r\n",
)
LETTER = b"DATA\r\nSubject: hello\r\n\r\nA letter.\r\n.\r\nQUIT\r\n"


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture(scope="module")
def gate(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(programs, tmp_path_factory.mktemp("gate"), addresses=("127.0.0.1", "::1")) as made:
        yield made


def said(gate: Gateway, *pieces: bytes, source: str = "::1") -> bytes:
    with gate.connect(source) as client:
        client.sendall(b"".join(pieces))
        heard = b""
        while block := client.recv(65536):
            heard += block
        return heard


def records(gate: Gateway) -> list[object]:
    """Return the log as its reader has it, without lines that it does not know."""
    lines = gate.heard().splitlines()
    found = [smtpd_log.parse(f"@400000006743a1a21b2f5c84 {line}") for line in lines]
    return [one for one in found if one is not None]


def test_a_letter_of_a_client_of_ipv6(gate: Gateway) -> None:
    gate.write_rules(':allow,WHITELISTED=""\n')
    heard = said(gate, HELO, MAIL, RCPT, LETTER)
    assert heard.startswith(b"220 mx.test ESMTP\r\n") and b"\r\n250 ok " in heard
    (message,) = gate.messages()
    assert message.message.startswith(b"Received: from unknown (HELO client.example) (::1) ")
    environment = message.environment
    assert (environment["PROTO"], environment["TCPREMOTEIP"], environment["TCPLOCALIP"]) == (
        "TCP6",
        "::1",
        "::1",
    )
    until(lambda: "ok " in gate.heard())
    clients = [one.address for one in records(gate) if isinstance(one, smtpd_log.Connected)]
    assert set(clients) == {"::1"}
    assert ":[::1]:" in gate.heard() and ":[::1]::" in gate.heard()


def test_the_greylist_remembers_the_network_64(gate: Gateway) -> None:
    gate.write_rules(":allow\n")
    assert b"451 " in said(gate, HELO, MAIL, RCPT, b"QUIT\r\n")
    until(lambda: "new ::1 ::/64 " in gate.heard())
    names = [path.name for path in (gate.directory / "greylist").rglob("*") if path.is_file()]
    assert "::-64.new" in names


def test_an_unknown_recipient_is_told_with_the_address(gate: Gateway) -> None:
    gate.write_rules(':allow,WHITELISTED=""\n')
    assert b"550 " in said(gate, HELO, MAIL, b"RCPT TO:<nobody@example.com>\r\n", b"QUIT\r\n")
    until(lambda: "nobody@example.com" in gate.heard())
    refused = [one for one in records(gate) if isinstance(one, smtpd_log.RecipientRefused)]
    assert [(one.recipient, one.address) for one in refused] == [("nobody@example.com", "::1")]


def test_a_host_without_ipv6_serves_clients_of_ipv4(programs: Programs, tmp_path: Path) -> None:
    wrapper = tmp_path / "without_ipv6"
    gcc("-std=gnu11", *STRICT, TESTS / "without_ipv6.c", "-o", wrapper)
    tmp_path.chmod(0o755)
    script = tmp_path / "front"
    script.write_text(f'#!/bin/sh\nexec {wrapper} {programs.front} "$@"\n')
    script.chmod(0o755)
    made = tmp_path / "gate"
    made.mkdir()
    without = Programs(
        script, programs.launcher, programs.home, programs.plain, programs.queue, programs.resolver_port
    )
    with gateway(without, made, addresses=("127.0.0.1", "::")) as gate:
        assert said(gate, b"QUIT\r\n", source="127.0.0.4").startswith(b"220 ")
        assert "warning: this host has no IPv6, so clients of IPv4 alone are served" in gate.heard()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mx.test", "'mx.test' is not an address; expected one such as 192.0.2.25 or 2001:db8::25"),
        ("fe80::1", "'fe80::1' is link-local; expected an interface of this host behind it"),
        ("::ffff:127.0.0.1", "'::ffff:127.0.0.1' is an IPv4 address that is written as IPv6"),
    ],
)
def test_an_address_that_is_none_ends_the_program_with_a_reason(
    programs: Programs, tmp_path: Path, address: str, words: str
) -> None:
    done = run(
        [programs.front, "-a", address, "-p", "0", "-s", tmp_path / "socket", "-u", "65534", "-g", "65534"]
    )
    assert (done.returncode, words in done.stderr.decode()) == (100, True), done.stderr


def test_nine_addresses_are_too_many(programs: Programs, tmp_path: Path) -> None:
    words = [word for number in range(9) for word in ("-a", f"127.0.0.{number + 1}")]
    done = run([programs.front, *words, "-s", tmp_path / "socket"])
    assert done.returncode == 100
    assert done.stderr.endswith(b"fatal: -a: '127.0.0.9' is one too many; expected 8 addresses at most\n")


BACK = ".".join(reversed(f"{1:032x}"))  # ::1 by nibbles


def test_a_dns_list_is_asked_by_nibbles(gate: Gateway) -> None:
    gate.write_rules(":allow\n")
    lists = gate.directory / "etc" / "dnsbl"
    lists.write_text("zen.test 127.0.0.0/8 sorry, %IP% is listed\n")
    name = f"{BACK}.zen.test"
    try:
        with Resolver(gate.programs.resolver_port, {(name, A): [a(name, "127.0.0.2")]}) as resolver:
            heard = said(gate, HELO, MAIL, RCPT, b"QUIT\r\n")
            assert b"553 " in heard or b"554 " in heard or b"550 " in heard, heard
            assert (name, A) in resolver.asked
        until(lambda: "listed ::1 zen.test 127.0.0.2" in gate.heard())
    finally:
        lists.write_text("")


@pytest.mark.parametrize(("address", "confirmed"), [("::1", True), ("2001:db8::1", False)])
def test_a_name_is_looked_up_in_ip6_arpa_and_confirmed_by_aaaa(
    programs: Programs, tmp_path: Path, address: str, confirmed: bool
) -> None:
    back, name = f"{BACK}.ip6.arpa", "out.provider.test"
    records: Records = {
        (back, PTR): [record(back, PTR, wire(name))],
        (name, AAAA): [record(name, AAAA, socket.inet_pton(socket.AF_INET6, address))],
    }
    with (
        gateway(programs, tmp_path, addresses=("127.0.0.1", "::1")) as gate,
        Resolver(programs.resolver_port, records) as resolver,
    ):
        assert b"451 " in said(gate, HELO, MAIL, RCPT, b"QUIT\r\n")
        until(lambda: (name, AAAA) in resolver.asked)
        greylist = gate.directory / "greylist"
        pools = [path.name for path in greylist.rglob("pool-*") if path.is_file()]
        assert bool(pools) is confirmed
