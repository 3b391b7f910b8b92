# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real qmail-remote and its policies for TLS, with servers that do all that a server may."""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.certificates import Signer, in_one_file, make_pair
from support.parameters import slow_after_first
from support.qmail_remote import Remote
from support.tls_mail_server import Connection, TlsMailServer, Ways

SENT = b"Subject: x\r\n\r\n..body\r\n"
POLICIES = ("none", "may", "encrypt", "verify", "secure")
TLS = re.compile(r"\ntls=(TLSv1\.[23]/[A-Za-z0-9_-]+|none),([a-z]+)(,[^\n]+)?\n")
OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1)
OLDER = (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)
ONLY_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def self_signed(directory: Path) -> Path:
    return in_one_file(make_pair(directory))


# What each server is, and what each policy of POLICIES makes of it: "tls"; "plain" text in the same
# connection; "again" in plain text, in a second one; "never": deferred, and no envelope is said.
Make = Callable[[Signer, Path], Ways]
SERVERS: dict[str, tuple[Make, tuple[str, str, str, str, str]]] = {
    "without STARTTLS": (lambda ca, at: Ways(), ("plain", "plain", "never", "never", "never")),
    "without EHLO": (
        lambda ca, at: Ways(in_plain={"EHLO": "502 what?"}),
        ("plain", "plain", "never", "never", "never"),
    ),
    "hangs up at EHLO": (lambda ca, at: Ways(ehlo="close"), ("plain", "again", "never", "never", "never")),
    "ECDSA": (lambda ca, at: Ways(ca.issue("good")), ("plain", "tls", "tls", "tls", "tls")),
    "RSA": (lambda ca, at: Ways(ca.issue("rsa", "rsa")), ("plain", "tls", "tls", "tls", "tls")),
    "only TLS 1.2": (
        lambda ca, at: Ways(ca.issue("old"), ONLY_1_2),
        ("plain", "tls", "tls", "tls", "tls"),
    ),
    "a wildcard": (
        lambda ca, at: Ways(ca.issue("wild", hosts=("*.example.test",))),
        ("plain", "tls", "tls", "tls", "tls"),
    ),
    "a wildcard in a part of the name": (
        lambda ca, at: Ways(ca.issue("part", hosts=("m*.example.test",))),
        ("plain", "tls", "tls", "never", "never"),
    ),
    "self-signed": (lambda ca, at: Ways(self_signed(at)), ("plain", "tls", "tls", "never", "never")),
    "another CA": (
        lambda ca, at: Ways(Signer(at, "other").issue("good")),
        ("plain", "tls", "tls", "never", "never"),
    ),
    "expired": (
        lambda ca, at: Ways(ca.issue("expired", days=(-2, -1))),
        ("plain", "tls", "tls", "never", "never"),
    ),
    "another name": (
        lambda ca, at: Ways(ca.issue("name", hosts=("mx.example.com", "mx.example.test.evil.example"))),
        ("plain", "tls", "tls", "never", "never"),
    ),
    "TLS 1.0": (lambda ca, at: Ways(ca.issue("v10"), OLD), ("plain", "again", "never", "never", "never")),
    "TLS 1.1": (lambda ca, at: Ways(ca.issue("v11"), OLDER), ("plain", "again", "never", "never", "never")),
    "hangs up in the handshake": (
        lambda ca, at: Ways(ca.issue("close"), handshake="close"),
        ("plain", "again", "never", "never", "never"),
    ),
    "stalls in the handshake": (
        lambda ca, at: Ways(ca.issue("stall"), handshake="stall"),
        ("plain", "again", "never", "never", "never"),
    ),
    "454": (
        lambda ca, at: Ways(ca.issue("later"), answer=b"454 4.7.0 not now\r\n"),
        ("plain", "plain", "never", "never", "never"),
    ),
    "501": (
        lambda ca, at: Ways(ca.issue("never"), answer=b"501 5.5.4 no\r\n"),
        ("plain", "plain", "never", "never", "never"),
    ),
    "more behind 220": (
        lambda ca, at: Ways(ca.issue("inject"), answer=b"220 go ahead\r\n250 injected\r\n"),
        ("plain", "again", "never", "never", "never"),
    ),
    "a byte behind 220": (
        lambda ca, at: Ways(ca.issue("byte"), answer=b"220 go ahead\r\n2"),
        ("plain", "again", "never", "never", "never"),
    ),
    "wants a certificate, TLS 1.3": (
        lambda ca, at: Ways(ca.issue("mutual"), client_certificate=True),
        ("plain", "again", "never", "never", "never"),
    ),
    "wants a certificate, TLS 1.2": (
        lambda ca, at: Ways(ca.issue("mutual12"), ONLY_1_2, client_certificate=True),
        ("plain", "again", "never", "never", "never"),
    ),
    "hangs up at EHLO in TLS": (
        lambda ca, at: Ways(ca.issue("ehlo"), after_tls="EHLO"),
        ("plain", "again", "never", "never", "never"),
    ),
    "hangs up at MAIL in TLS": (
        lambda ca, at: Ways(ca.issue("mail"), after_tls="MAIL"),
        ("plain", "again", "never", "never", "never"),
    ),
}
CASES = [
    pytest.param(make, policy, expected, id=f"{policy}-{title}")
    for title, (make, row) in SERVERS.items()
    for policy, expected in zip(POLICIES, row)
]


def line_of(policy: str, authority: Signer, names: str = "mx.example.test") -> str:
    strict = policy in ("verify", "secure")
    return f"example.test:{policy}" + (f":{names}:{authority.path}" if strict else "") + "\n:may\n"


def plain(connection: Connection) -> list[str]:
    return [line[len("plain ") :] for line in connection.commands if line.startswith("plain ")]


@pytest.mark.parametrize(("make", "policy", "expected"), CASES)
def test_what_a_policy_makes_of_a_server(
    make: Make, policy: str, expected: str, remote: Remote, authority: Signer, tmp_path: Path
) -> None:
    ways = make(authority, tmp_path)
    # the time of each step of the session; only what is sent in the end needs some
    seconds = 60 if ways.handshake != "stall" else 8 if expected == "again" else 1
    with TlsMailServer(ways) as server:
        report = remote.send(server.port, line_of(policy, authority), seconds)
        connections = server.connections()
    said = [one.version for one in connections if one.messages]
    kept = [message for one in connections for message in one.messages]
    if expected == "never":
        assert (report.result, report.recipient, kept) == ("Z", "", []), report.message
        assert re.search(r"\(#4\.[47]\.[245]\)\n", report.message)
        assert len(connections) == 1
        assert all(not line.startswith(("MAIL", "RCPT", "DATA")) for line in plain(connections[0]))
        return
    assert (report.result, report.recipient, kept) == ("K", "r", [SENT]), report.message
    found = TLS.search(report.message)
    assert found and found[2] == policy
    assert len(connections) == (2 if expected == "again" else 1)
    assert (found[3] is not None) == (expected == "again")
    if expected == "tls":
        assert said[0] == found[1].partition("/")[0]
        assert [line.split(" ")[0] for line in plain(connections[0])] == ["EHLO", "STARTTLS"]
        inside = [line for line in connections[0].commands if not line.startswith("plain ")]
        assert [line.split(" ")[0] for line in inside] == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
        assert connections[0].server_name == ("mx.example.test" if policy in ("verify", "secure") else "")
    else:
        assert (said, found[1]) == ([""], "none")
        assert (policy == "none") == (plain(connections[0])[0] == "HELO gateway.example")


@pytest.mark.parametrize(
    ("hosts", "policy", "good"),
    [
        (("127.0.0.1",), "verify::{ca}", True),  # the route is an address
        (("mx.example.test",), "verify::{ca}", False),
        (("127.0.0.2",), "verify::{ca}", False),
        (("127.0.0.1",), "verify:127.0.0.1:{ca}", True),
        (("mx.example.test",), "verify:other.example,mx.example.test:{ca}", True),
        (("mx.example.test",), "verify:.example.test:{ca}", True),
        (("a.mx.example.test",), "verify:.example.test:{ca}", True),
        (("*.example.test",), "verify:.example.test:{ca}", True),
        (("example.test",), "verify:.example.test:{ca}", False),
        (("xexample.test",), "verify:.example.test:{ca}", False),
        (("MX.Example.TEST",), "verify:mx.example.test:{ca}", True),
        (("example.test",), "secure::{ca}", True),
        (("mx.example.test",), "secure::{ca}", True),
        (("127.0.0.1",), "secure::{ca}", False),
        (("mx.provider.example",), "secure::{ca}", False),
        (("mx.provider.example",), "secure:mx.provider.example:{ca}", True),
        (("*.test",), "secure::{ca}", False),
    ],
)
def test_the_names_of_a_certificate(
    hosts: tuple[str, ...], policy: str, good: bool, remote: Remote, authority: Signer
) -> None:
    with TlsMailServer(Ways(authority.issue("named", hosts=hosts))) as server:
        report = remote.send(server.port, f"example.test:{policy.format(ca=authority.path)}\n:may\n")
    assert report.result == ("K" if good else "Z"), report.message
    assert good or "the certificate is of another name. (#4.7.5)" in report.message


def test_the_systems_authorities_count_without_others(remote: Remote, authority: Signer) -> None:
    with TlsMailServer(Ways(authority.issue("good"))) as server:
        report = remote.send(server.port, "example.test:verify:mx.example.test\n:may\n")
    assert report.result == "Z"
    assert "the certificate is not valid: unable to get local issuer certificate. (#4.7.5)" in report.message


def test_a_server_may_be_its_own_authority(remote: Remote, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with TlsMailServer(Ways(certificate)) as server:
        report = remote.send(server.port, f":verify:mx.example.test:{tmp_path / 'certificate.pem'}\n")
    assert report.result == "K", report.message


@pytest.mark.parametrize("content", ["", "no certificate\n", None])
def test_authorities_that_cannot_be_read_defer(
    content: str | None, remote: Remote, authority: Signer, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with TlsMailServer(Ways(authority.issue("good"))) as server:
        report = remote.send(server.port, f":verify:mx.example.test:{path}\n")
        assert not any(one.messages for one in server.connections())
    assert report.result == "Z" and "cannot use the authorities" in report.message


@pytest.mark.parametrize(
    ("policies", "why"),
    [
        (None, "cannot read control/tlspolicies: No such file or directory"),
        ("", "control/tlspolicies is not valid: line 1"),
        ("\0" * 20, "control/tlspolicies is not valid: line 1"),
        ("example.test:may\n", "control/tlspolicies is not valid: line 2"),
        ("example.test:may\n:may", "control/tlspolicies is not valid: line 2"),
        ("other.test:certainly\nexample.test:may\n:may\n", "control/tlspolicies is not valid: line 1"),
        ("example.test:may\nexample.test:verify\n:may\n", "control/tlspolicies is not valid: line 2"),
    ],
)
def test_a_policy_that_is_not_known_defers(policies: str | None, why: str, remote: Remote) -> None:
    with TlsMailServer(Ways()) as server:
        report = remote.send(server.port, policies)
        assert server.connections() == []
    assert report.message == f"ZThe policy for TLS is not known: {why}. (#4.3.5)\n"


def test_a_directory_in_place_of_the_policies_defers(remote: Remote) -> None:
    with TlsMailServer(Ways()) as server:
        path = remote.control / "tlspolicies"
        remote.send(server.port, None)
        path.mkdir()
        report = remote.run()
        path.rmdir()
        assert server.connections() == []
    wanted = "ZThe policy for TLS is not known: cannot read control/tlspolicies: Invalid"
    assert report.message.startswith(wanted) and report.recipient == ""


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (".test:none\nexample.test:encrypt\n:none\n", "encrypt"),
        ("example.test:encrypt\n.test:none\n:none\n", "encrypt"),
        ("EXAMPLE.Test:encrypt\n:none\n", "encrypt"),
        (".test:encrypt\n:none\n", "encrypt"),
        (".example.test:encrypt\nxample.test:encrypt\n:none\n", "none"),
        ("# example.test:encrypt\n\n \t\n:none \t\n", "none"),
        (":encrypt\n", "encrypt"),
    ],
)
def test_a_policy_is_looked_up_as_a_route_is(
    policies: str, expected: str, remote: Remote, authority: Signer
) -> None:
    with TlsMailServer(Ways(authority.issue("good"))) as server:
        report = remote.send(server.port, policies)
    found = TLS.search(report.message)
    assert found and found[2] == expected


def test_what_must_not_come_in_plain_text_is_not_bounced_for_it(remote: Remote, authority: Signer) -> None:
    wanted = "530 5.7.0 Must issue a STARTTLS command first"
    for verb in ("MAIL", "RCPT", "DATA"):
        ways = replace(Ways(authority.issue("v10"), OLD), in_plain={verb: wanted})
        with TlsMailServer(ways) as server:
            report = remote.send(server.port, ":may\n")
            assert not any(one.messages for one in server.connections())
        assert report.recipient[:1] == "s" if verb == "RCPT" else report.result == "Z", report


@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_a_long_message_goes_through_whole(policy: str, remote: Remote, authority: Signer) -> None:
    content = b"Subject: x\n\n" + b"".join(b"%d a line of many\n" % number for number in range(40000))
    with TlsMailServer(Ways(authority.issue("good"))) as server:
        report = remote.send(server.port, f":{policy}\n", content=content)
        messages = [message for one in server.connections() for message in one.messages]
    assert (report.result, messages) == ("K", [content.replace(b"\n", b"\r\n")])


def test_a_refusal_inside_tls_is_one(remote: Remote, authority: Signer) -> None:
    class Refusing(TlsMailServer):
        def _answer(self, stream, verb, connection):  # type: ignore[no-untyped-def]
            if verb != "MAIL":
                return super()._answer(stream, verb, connection)
            stream.sendall(b"550 5.7.1 tls=TLSv1.3/forged,verify\r\n")
            return True

    with Refusing(Ways(authority.issue("good"))) as server:
        report = remote.send(server.port, ":may\n")
    assert report.result == "D" and TLS.search(report.message) is None


@pytest.mark.parametrize("policy", ["none", "may"])
def test_a_host_that_is_gone_before_quit_has_the_mail(policy: str, remote: Remote, authority: Signer) -> None:
    class Hasty(TlsMailServer):
        def _answer(self, stream, verb, connection):  # type: ignore[no-untyped-def]
            goes_on = super()._answer(stream, verb, connection)
            if verb == "DATA":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return goes_on and verb != "DATA"

    for _try in range(5):
        with Hasty(Ways(authority.issue("good"))) as server:
            report = remote.send(server.port, f":{policy}\n")
        assert report.result == "K", report.message


@pytest.mark.parametrize("policy", slow_after_first(["none", "encrypt"]))
@pytest.mark.parametrize("verb", slow_after_first(["MAIL", "RCPT"]))
def test_a_reply_without_end_is_none(policy: str, verb: str, remote: Remote, authority: Signer) -> None:
    with TlsMailServer(Ways(authority.issue("good"), endless=verb)) as server:
        report = remote.send(server.port, line_of(policy, authority), seconds=2)
    assert report.result == "Z" and "but connection died. (#4.4.2)" in report.message, report
    assert not any(one.messages for one in server.connections())
